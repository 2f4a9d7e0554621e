/**
 * Port's rate limits, which all clients of an organization share. Bursts are
 * not simulated.
 *
 * @module
 */
import type { Clock } from "./model.ts";

export interface RateLimit {
  /** The most requests in a period. */
  requests: number;
  /** The length of a period, in milliseconds. */
  period: number;
}

/**
 * The families of routes that have a limit of their own: which requests belong
 * to them, the first that matches, and how many Port accepts in 5 minutes
 * (docs.port.io, API reference, Rate limits).
 */
const FAMILIES = {
  login: [/^POST \/v1\/auth\/access_token$/, 100],
  upsert: [/^POST \/v1\/blueprints\/[^/]+\/entities$/, 10_000],
  bulk: [/^POST \/v1\/blueprints\/[^/]+\/entities\/bulk$/, 35_000],
  search: [/^POST \/v1\/(?:blueprints\/[^/]+\/)?entities\/search$/, 35_000],
  entities: [
    /^\w+ \/v1\/(?:blueprints\/[^/]+\/(?:bulk\/)?)?entities\b/,
    35_000,
  ],
  blueprints: [/^\w+ \/v1\/blueprints(?:\/|$)/, 15_000],
  other: [/^/, 15_000],
} as const satisfies Record<string, [RegExp, number]>;

export type Family = keyof typeof FAMILIES;

/** The limit of each family; a family without one has none. */
export type RateLimits = Partial<Record<Family, RateLimit>>;

export const FAMILY_NAMES = Object.keys(FAMILIES) as Family[];

/** Makes limits for all families. */
export function limitsOf(limit: (family: Family) => RateLimit): RateLimits {
  const entries = FAMILY_NAMES.map((family) => [family, limit(family)]);
  return Object.fromEntries(entries);
}

/** Those of Port. */
export const PORT_LIMITS = limitsOf((family) => ({
  requests: FAMILIES[family][1],
  period: 300_000,
}));

function familyOf(method: string, url: string): Family {
  const route = `${method} ${url.replace(/[?#].*/, "")}`;
  return FAMILY_NAMES.find((family) => FAMILIES[family][0].test(route)) ??
    "other";
}

/**
 * Makes the function that counts a request; it returns whether that is one too
 * many, and the headers of its reply.
 */
export function makeRateLimiter(
  clock: Clock,
  limits: RateLimits = PORT_LIMITS,
): (
  method: string,
  url: string,
) => { isOver: boolean; headers: Record<string, string> } {
  const counts = new Map<Family, { start: number; count: number }>();
  return (method, url) => {
    const family = familyOf(method, url);
    const limit = limits[family];
    if (limit === undefined) return { isOver: false, headers: {} };
    const { requests, period } = limit;
    const now = clock();
    const last = counts.get(family);
    const isNew = last === undefined || now >= last.start + period;
    const { start, count } = isNew ? { start: now, count: 0 } : last;
    counts.set(family, { start, count: count + 1 });
    const isOver = count >= requests;
    const end = start + period;
    const headers = {
      "x-ratelimit-period": String(period / 1000),
      "x-ratelimit-limit": String(requests),
      "x-ratelimit-remaining": String(Math.max(0, requests - count - 1)),
      "x-ratelimit-reset": String(Math.ceil(end / 1000)),
      ...(isOver && { "retry-after": String(Math.ceil((end - now) / 1000)) }),
    };
    return { isOver, headers };
  };
}
