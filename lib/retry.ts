/**
 * Is another attempt worth it, and how long to wait before it. Pure functions:
 * headers in, milliseconds out.
 *
 * @module
 */

/** How an attempt ended. */
export type Outcome =
  /** The connection was never made: Port cannot have seen the request. */
  | { kind: "unreached"; reason: string }
  /** The request may have arrived, but no whole answer came back. */
  | { kind: "lost"; reason: string }
  /** Port, or a proxy in between, answered. */
  | { kind: "answered"; status: number; headers: Headers };

/** The longest random wait, in milliseconds. */
const BACKOFF_CAP = 30_000;

/** The upper bound of the first random wait, in milliseconds. */
const BACKOFF_BASE = 500;

/** Statuses that a later attempt can turn into a success. */
const TEMPORARY = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Statuses that say the request was turned away before Port acted on it. */
const NOT_ACTED_ON = new Set([429, 503]);

/**
 * Says whether another attempt is worth it.
 *
 * @param outcome How the last attempt ended.
 * @param idempotent Whether the request may be acted on twice without harm. One
 * that may not is repeated only when Port cannot have acted on it.
 * @returns `true` when the request may and should be sent again.
 */
export function isWorthRetrying(
  outcome: Outcome,
  idempotent: boolean,
): boolean {
  if (outcome.kind === "unreached") return true;
  if (outcome.kind === "lost") return idempotent;
  return isPassing(outcome.status, idempotent);
}

/**
 * Says whether a status can turn into a success.
 *
 * @param status The HTTP status.
 * @param idempotent Whether what was asked for may be done twice without harm.
 * @returns `true` when it may and should be asked for again.
 */
export function isPassing(status: number, idempotent: boolean): boolean {
  return (idempotent ? TEMPORARY : NOT_ACTED_ON).has(status);
}

/**
 * Says how long to wait before the next attempt: a random time below a bound
 * that doubles with each attempt (backoff with full jitter), on top of the wait
 * that the answer asked for.
 *
 * @param outcome How the last attempt ended.
 * @param attempt The number of that attempt, from 1.
 * @param now The present time, in milliseconds since 1970.
 * @param random A random number from 0 up to 1.
 * @returns The wait, in milliseconds.
 */
export function retryDelay(
  outcome: Outcome,
  attempt: number,
  now: number,
  random: number,
): number {
  return requestedDelay(outcome, now) + backoff(attempt, random);
}

/**
 * Says how long to wait where no answer asks for more.
 *
 * @param attempt The number of the last attempt, from 1.
 * @param random A random number from 0 up to 1.
 * @returns The wait, in milliseconds.
 */
export function backoff(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** (attempt - 1));
}

/**
 * Reads the wait that an answer asks for: `Retry-After` in seconds or as an
 * HTTP date (RFC 9110, section 10.2.3), else, with 429, Port's
 * `x-ratelimit-reset` in UTC epoch seconds.
 *
 * @returns Milliseconds; 0 when nothing readable was asked for or it is past.
 */
function requestedDelay(outcome: Outcome, now: number): number {
  if (outcome.kind !== "answered") return 0;
  const retryAfter = outcome.headers.get("retry-after") ?? "";
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1000;
  // Date.parse() makes a date of almost any number, so a name of a day first.
  const date = /^[a-z]/i.test(retryAfter) ? Date.parse(retryAfter) : NaN;
  if (!Number.isNaN(date)) return Math.max(0, date - now);
  if (outcome.status !== 429) return 0;
  const reset = Number(outcome.headers.get("x-ratelimit-reset"));
  return Number.isFinite(reset) ? Math.max(0, reset * 1000 - now) : 0;
}
