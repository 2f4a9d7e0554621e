/**
 * Simulated failures.
 *
 * @module
 */
import type { LocalPortOptions } from "./server.ts";

/** What can happen to a request on a bad day. */
export type Failure =
  | "rate-limited"
  | "error"
  | "bad-gateway"
  | "unavailable"
  | "cut-before"
  | "cut-middle";

/** Bad failures, with an equal chance for each. */
export const FAILURES: readonly Failure[] = [
  "rate-limited",
  "error",
  "bad-gateway",
  "unavailable",
  "cut-before",
  "cut-middle",
];

/** A random number generator that repeats (mulberry32). */
export function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Decides what each request meets. */
export function makeFailures(
  options: LocalPortOptions,
  random: () => number,
): () => Failure | "none" {
  const { failRate = 0 } = options;
  const planned = [...options.failures ?? []];
  return () =>
    planned.shift() ??
      (random() < failRate
        ? FAILURES[Math.floor(random() * FAILURES.length)] ?? "error"
        : "none");
}
