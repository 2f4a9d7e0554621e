/**
 * Simulated failures.
 *
 * @module
 */
import { errorReply, type Reply } from "./call.ts";
import { HttpError } from "./http_error.ts";

/** How requests can fail; all have the same chance. */
export const FAILURES = [
  "rate-limited",
  "error",
  "bad-gateway",
  "unavailable",
  "cut-before",
  "cut-middle",
] as const;

export type Failure = typeof FAILURES[number];

/** What a client gets in place of Port's reply; Port has not acted. */
export const FAILED: Partial<Record<Failure | "none", Reply>> = {
  "rate-limited": {
    ...errorReply(new HttpError(429, "Too many requests")),
    headers: { "retry-after": "1" },
  },
  error: errorReply(new HttpError(500, "Something went wrong")),
  "bad-gateway": {
    status: 502,
    body: "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n",
  },
  unavailable: errorReply(
    new HttpError(503, "Service temporarily unavailable"),
  ),
};

/** The kinds that a single entity of many can have, with their status. */
const STATUS_OF_ONE: Partial<Record<Failure, number>> = {
  "rate-limited": 429,
  error: 500,
  unavailable: 503,
};

/** What can be changed while it runs. */
export interface FailureSettings {
  /** The share of requests that fail, from 0 to 1. */
  failRate: number;
  /** How they fail. */
  kinds: Failure[];
  /** How long each answer takes at least, in milliseconds. */
  latency: number;
}

export interface FailureOptions {
  /**
   * The share of requests that fail, from 0 to 1.
   *
   * @default {0}
   */
  failRate?: number;
  /**
   * How long each answer takes at least, in milliseconds.
   *
   * @default {0}
   */
  latency?: number;
  /** How the first requests fail, in their order; then `failRate` decides. */
  failures?: (Failure | "none")[];
  /** Makes the failures of a run repeat. */
  seed?: number;
}

export type Failures = ReturnType<typeof makeFailures>;

export function makeFailures(
  { failRate = 0, latency = 0, failures = [], seed }: FailureOptions,
) {
  const settings: FailureSettings = { failRate, kinds: [...FAILURES], latency };
  const planned = [...failures];
  const random = makeRandom(seed ?? Math.floor(Math.random() * 2 ** 32));
  const choose = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random() * values.length)] as Value;
  return {
    settings,

    /** Decides how the next request fails. */
    next: (): Failure | "none" =>
      planned.shift() ??
        (random() < settings.failRate ? choose(settings.kinds) : "none"),

    /** Throws now and then, for a single entity of many. */
    failSometimes(): void {
      const { failRate, kinds } = settings;
      if (failRate === 0 || random() >= failRate / 4) return;
      const statuses = kinds.flatMap((kind) => STATUS_OF_ONE[kind] ?? []);
      if (statuses.length === 0) return;
      throw new HttpError(choose(statuses), "Something went wrong");
    },
  };
}

/** A random number generator that repeats (mulberry32). */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
