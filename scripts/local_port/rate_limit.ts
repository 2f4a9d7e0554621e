/**
 * So many requests in so much time.
 *
 * @module
 */

/** So many requests in so many milliseconds. */
export interface RateLimit {
  /** The most requests in a period. */
  requests: number;
  /** The length of a period, in milliseconds. */
  period: number;
}

/** Counts requests; all clients of an organization share the limit. */
export class RateLimiter {
  readonly #limit: RateLimit;
  #start = Date.now();
  #count = 0;

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  /** Counts a request; its headers, and the wait if it is one too many. */
  take(): { headers: Record<string, string>; wait: number } {
    const { requests, period } = this.#limit;
    const now = Date.now();
    if (now >= this.#start + period) {
      this.#start = now;
      this.#count = 0;
    }
    this.#count++;
    const reset = Math.ceil((this.#start + period) / 1000);
    const headers = {
      "x-ratelimit-period": String(period / 1000),
      "x-ratelimit-limit": String(requests),
      "x-ratelimit-remaining": String(Math.max(0, requests - this.#count)),
      "x-ratelimit-reset": String(reset),
    };
    const wait = Math.ceil((this.#start + period - now) / 1000);
    return { headers, wait: this.#count > requests ? wait : 0 };
  }
}
