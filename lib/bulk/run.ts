/**
 * Upserts many entities: in batches, several requests at once, within the rate
 * limit. It reports the result of each entity.
 *
 * @module
 */
import {
  isRetryable,
  type JsonObject,
  PortError,
  retryDelay,
  sleep,
} from "../port.ts";
import { type BulkItem, isNamed, keyOf, makeBatches } from "./batches.ts";
import { findCycles } from "./cycles.ts";
import type { Pacer } from "./pace.ts";
import type { Stop } from "./stop.ts";

/** The result of one request. */
export interface BulkAnswer {
  /** Saved entities, by their index in the request. */
  entities: { index: number; created: boolean }[];
  /** Entities that were not saved. */
  errors: BulkError[];
}

/** An entity that was not saved. */
export interface BulkError {
  /** Its index in the request. */
  index: number;
  /** The HTTP status that a request with this entity alone would have. */
  statusCode: number;
  /** Port's reason. */
  message: string;
}

/** How to upsert the entities. */
export interface BulkOptions {
  /** Sends one request: entities of one blueprint. */
  send: (
    blueprint: string,
    entities: JsonObject[],
    signal: AbortSignal,
  ) => Promise<BulkAnswer>;
  /** The most requests at once. */
  concurrency: number;
  /** Further attempts at an entity that Port failed to save. */
  retries: number;
  /** Whether nothing is saved, so that any entity may be sent twice. */
  validateOnly: boolean;
  /** Delays requests. */
  pacer: Pacer;
  /** Ends the run. */
  stop: Stop;
  /** Cancels the requests under way. */
  graceOver: AbortSignal;
  /** Called with each entity that was saved. */
  onDone: (item: BulkItem, created: boolean) => void;
  /** Called with each entity that was not saved, and why. */
  onFailed: (item: BulkItem, reason: string) => void;
}

/** The run gives up after this many failed requests in a row. */
const MAX_CONSECUTIVE_FAILURES = 10;

/** Completes the reason of Port that a relation is required. */
const BOTH_REQUIRED =
  "; it and an entity that it relates to need each other, " +
  "and neither can be first: make one of the relations not required, or " +
  "create one of the entities without it";

/**
 * Upserts entities. Those with the same blueprint and identifier keep their
 * order. Those that Port rejects because a related entity does not exist are
 * retried after the rest. Those that wait for each other are sent twice: first
 * without their relations to each other.
 *
 * @param items The entities; they are read only as fast as they are sent.
 * @param options How to upsert them. Each item ends in `onDone` or `onFailed`.
 */
export async function bulkUpsert(
  items: AsyncIterable<BulkItem>,
  options: BulkOptions,
): Promise<void> {
  const run = new BulkRun(options);
  await run.pass(items);
  for (let before = Infinity; run.deferred.size > 0;) {
    const isStuck = run.deferred.size >= before;
    before = run.deferred.size;
    await run.retryDeferred(isStuck && !await run.saveParts());
  }
}

/** What became of a part of an entity that was sent before the whole. */
interface PartResult {
  /** Whether it was created. */
  created?: boolean;
  /** Why it was not saved. */
  reason?: string;
}

/** Limits how many tasks run at once; the others wait in order. */
class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async use(task: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

class BulkRun {
  readonly #options: BulkOptions;
  readonly #semaphore: Semaphore;
  readonly #running = new Set<Promise<void>>();
  /** The last request in progress for each blueprint and identifier. */
  readonly #lastOf = new Map<string, Promise<void>>();
  /** Entities with these keys must wait for a deferred one. */
  #deferredKeys = new Set<string>();
  #isLastPass = false;
  #failures = 0;
  /** Entities of which a part was sent first. */
  readonly #parts = new Map<BulkItem, PartResult>();
  /** Rejected because a related entity does not exist, and Port's reason. */
  deferred = new Map<BulkItem, string>();

  constructor(options: BulkOptions) {
    this.#options = options;
    this.#semaphore = new Semaphore(options.concurrency);
  }

  async pass(
    items: AsyncIterable<BulkItem> | Iterable<BulkItem>,
  ): Promise<void> {
    for await (const batch of makeBatches(items)) {
      // Keep one batch ready for each request in progress.
      while (this.#running.size >= 2 * this.#options.concurrency) {
        await Promise.race(this.#running);
      }
      this.#start(batch);
    }
    await Promise.all(this.#running);
  }

  /** Retries deferred entities; in the last pass, a 404 is a failure. */
  async retryDeferred(isLast: boolean): Promise<void> {
    const { deferred } = this;
    this.deferred = new Map();
    this.#deferredKeys = new Set();
    this.#isLastPass = isLast;
    await this.pass(deferred.keys());
  }

  /**
   * Sends entities that wait for each other without their relations to each
   * other, each once, and reports nothing. Returns whether any was saved.
   */
  async saveParts(): Promise<boolean> {
    if (this.#options.validateOnly) return false;
    const wholes = new Map(
      findCycles(this.deferred).entries()
        .filter(([_, whole]) => !this.#parts.has(whole)),
    );
    const results = new Map<BulkItem, PartResult>();
    const run = new BulkRun({
      ...this.#options,
      onDone: (part, created) => results.set(part, { created }),
      onFailed: (part, reason) => results.set(part, { reason }),
    });
    run.#isLastPass = true;
    await run.pass(wholes.keys());
    for (const [part, whole] of wholes) {
      this.#parts.set(whole, results.get(part) ?? {});
    }
    return results.values().some(({ created }) => created !== undefined);
  }

  /** A batch waits for earlier ones that contain one of its entities. */
  #start(batch: BulkItem[]): void {
    const keys = batch.flatMap((item) => keyOf(item) ?? []);
    const before = keys.map((key) => this.#lastOf.get(key));
    const done = Promise.all(before)
      .then(() => this.#semaphore.use(() => this.#send(batch)));
    const ended = done.finally(() => {
      this.#running.delete(ended);
      for (const key of keys) {
        if (this.#lastOf.get(key) === ended) this.#lastOf.delete(key);
      }
    });
    this.#running.add(ended);
    for (const key of keys) this.#lastOf.set(key, ended);
  }

  async #send(batch: BulkItem[]): Promise<void> {
    const { pacer, stop: { signal } } = this.#options;
    let items = batch.filter((item) => !this.#isBehindDeferred(item));
    for (let attempt = 1; items.length > 0; attempt++) {
      if (attempt > 1) await sleep(retryDelay({}, attempt - 1), signal);
      await pacer.turn(signal);
      if (signal.aborted) return this.#fail(items, String(signal.reason));
      const answer = await this.#request(items);
      items = answer ? this.#settle(items, answer, attempt) : [];
    }
  }

  /** Defers an entity if an earlier one with its key is deferred. */
  #isBehindDeferred(item: BulkItem): boolean {
    const isBehind = this.#deferredKeys.has(keyOf(item) ?? "");
    if (isBehind) this.#defer(item, "");
    return isBehind;
  }

  #defer(item: BulkItem, reason: string): void {
    this.deferred.set(item, reason);
    const key = keyOf(item);
    if (key !== undefined) this.#deferredKeys.add(key);
  }

  /** Returns nothing if the whole request failed; that is handled here. */
  async #request(items: BulkItem[]): Promise<BulkAnswer | undefined> {
    const blueprint = items[0]?.blueprint ?? "";
    const entities = items.map(({ entity }) => entity);
    try {
      const { send, graceOver } = this.#options;
      const answer = await send(blueprint, entities, graceOver);
      this.#failures = 0;
      return answer;
    } catch (error) {
      await this.#handleFailure(items, error);
    }
  }

  async #handleFailure(items: BulkItem[], error: unknown): Promise<void> {
    const { stop, graceOver } = this.#options;
    if (graceOver.aborted) {
      return this.#fail(items, "no answer before the run ended");
    }
    const kind = error instanceof PortError ? error.kind : undefined;
    if (kind === "rejected" && items.length > 1) {
      // A single entity may cause this: send each half by itself.
      const half = Math.ceil(items.length / 2);
      await this.#send(items.slice(0, half));
      return await this.#send(items.slice(half));
    }
    const isLocal = kind === "rejected" || kind === "not-found";
    const mayRecover = (kind === "unavailable" || kind === "network") &&
      ++this.#failures < MAX_CONSECUTIVE_FAILURES;
    if (!isLocal && !mayRecover) stop.giveUp(error);
    this.#fail(items, stop.explain(error));
  }

  /** Reports the result of each entity; returns those to retry. */
  #settle(
    items: BulkItem[],
    { entities, errors }: BulkAnswer,
    attempt: number,
  ): BulkItem[] {
    const { onDone, retries, validateOnly } = this.#options;
    const again: BulkItem[] = [];
    const created = new Map(entities.map((each) => [each.index, each.created]));
    const rejected = new Map(errors.map((each) => [each.index, each]));
    for (const [index, item] of items.entries()) {
      const error = rejected.get(index);
      const isNew = created.get(index);
      const status = error?.statusCode;
      if (error === undefined && isNew !== undefined) {
        onDone(item, isNew || this.#parts.get(item)?.created === true);
      } else if (error === undefined) {
        this.#fail([item], "Port's answer does not mention it");
      } else if (status === 404 && !this.#isLastPass) {
        this.#defer(item, error.message);
      } else if (
        attempt <= retries &&
        isRetryable({ status }, validateOnly || isNamed(item))
      ) {
        again.push(item);
      } else {
        this.#fail([item], this.#explain(item, error));
      }
    }
    return again;
  }

  /** If even the part was rejected, the whole must fail for the same reason. */
  #explain(item: BulkItem, { statusCode, message }: BulkError): string {
    const reason = this.#parts.get(item)?.reason;
    if (statusCode !== 404 || !reason) return `${statusCode}: ${message}`;
    return reason.startsWith("422: ") ? reason + BOTH_REQUIRED : reason;
  }

  #fail(items: BulkItem[], reason: string): void {
    for (const item of items) this.#options.onFailed(item, reason);
  }
}
