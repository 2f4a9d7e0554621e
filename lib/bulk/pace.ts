/**
 * Keeps all requests within Port's rate limit, which other pipelines share.
 *
 * @module
 */
import { type Attempt, sleep } from "../port.ts";

/** Below this share of the limit, requests are spread until its reset. */
const LOW_SHARE = 0.1;

/** Delays requests, once responses have shown the limit. */
export class Pacer {
  readonly #now: () => number;
  readonly #sleep: typeof sleep;
  /** When the next request may start. */
  #next = 0;
  /** No request may start before this time. */
  #holdUntil = 0;
  /** The pause between requests, until the limit is reset. */
  #spacing = 0;
  #resetAt = 0;
  /** When the last of the requests that wait may start. */
  #waitUntil = 0;

  /**
   * Creates a pacer.
   *
   * @param now Returns the current time, in milliseconds since 1970.
   * @param pause Waits.
   */
  constructor(now: () => number = Date.now, pause: typeof sleep = sleep) {
    this.#now = now;
    this.#sleep = pause;
  }

  /**
   * Waits until the next request may start.
   *
   * @param signal Ends the wait early.
   */
  async turn(signal?: AbortSignal): Promise<void> {
    const now = this.#now();
    const spaced = now < this.#resetAt
      ? Math.min(this.#next, this.#resetAt)
      : now;
    const at = Math.max(now, spaced);
    this.#next = at + this.#spacing;
    this.#waitUntil = at;
    if (at > now) await this.#sleep(at - now, signal);
    // Another response may have set a hold in the meantime.
    while (this.#holdUntil > this.#now() && !signal?.aborted) {
      await this.#sleep(this.#holdUntil - this.#now(), signal);
    }
  }

  /** How long requests will wait for the rate limit, in milliseconds. */
  get wait(): number {
    const now = this.#now();
    return Math.max(0, this.#waitUntil - now, this.#holdUntil - now);
  }

  /**
   * Learns from the headers of a response. Requests are not counted here, since
   * other pipelines share the limit.
   *
   * @param attempt An attempt at a bulk request.
   */
  learn(
    { status, headers, wait }: Pick<Attempt, "status" | "headers" | "wait">,
  ): void {
    // Port may count it as an unauthenticated request, as it does a login.
    if (status === 401) return;
    const now = this.#now();
    if (wait !== undefined && status === 429) {
      this.#holdUntil = Math.max(this.#holdUntil, now + wait);
    }
    const read = (name: string) =>
      Number(headers?.get(`x-ratelimit-${name}`) ?? NaN);
    const limit = read("limit");
    const remaining = read("remaining");
    const reset = read("reset");
    if (!(limit > 0) || !(remaining >= 0) || !(reset > 0)) return;
    // The clocks may differ by more than the second that `Date` leaves open.
    const date = Date.parse(headers?.get("date") ?? "") || now;
    const answered = Math.min(Math.max(now, date), date + 1000);
    const longest = read("period") * 1000 || Infinity;
    const left = Math.min(Math.max(0, reset * 1000 - answered), longest);
    this.#resetAt = now + left;
    const isLow = remaining < Math.max(limit * LOW_SHARE, 20);
    this.#spacing = isLow ? left / Math.max(1, remaining) : 0;
    this.#next = isLow ? Math.max(this.#next, now + this.#spacing) : now;
  }
}
