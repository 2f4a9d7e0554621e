/**
 * Port's rate limit, which all clients of an organization share.
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
 * Makes the function that counts a request; it returns whether that is one too
 * many, and the headers of its reply.
 */
export function makeRateLimiter(
  clock: Clock,
  { requests, period }: RateLimit = { requests: 10_000, period: 300_000 },
): () => { isOver: boolean; headers: Record<string, string> } {
  let start = clock();
  let count = 0;
  return () => {
    const now = clock();
    if (now >= start + period) {
      start = now;
      count = 0;
    }
    count++;
    const isOver = count > requests;
    const end = start + period;
    const headers = {
      "x-ratelimit-period": String(period / 1000),
      "x-ratelimit-limit": String(requests),
      "x-ratelimit-remaining": String(Math.max(0, requests - count)),
      "x-ratelimit-reset": String(Math.ceil(end / 1000)),
      ...(isOver && { "retry-after": String(Math.ceil((end - now) / 1000)) }),
    };
    return { isOver, headers };
  };
}
