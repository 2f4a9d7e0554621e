/**
 * Many entities into Port: in batches, several requests at once, at the speed
 * that Port's rate limit allows, each entity accounted for. Sends nothing but by
 * the function it is given.
 *
 * @module
 */
import type { Entity } from "./entity.ts";
import {
  NotFoundError,
  RejectedError,
  TooLargeError,
  UnreachableError,
} from "./errors.ts";
import { BULK_SIZE, type BulkAnswer, type UpsertOptions } from "./entities.ts";
import { type Attempt, MAX_BODY, sleep } from "./port_client.ts";
import { backoff, isPassing } from "./retry.ts";

/** An entity on its way. */
export interface BulkItem {
  /** Where it stands in the input, for example `orders.ndjson:12`. */
  place: string;
  /** Identifier of its blueprint. */
  blueprint: string;
  /** The entity. */
  entity: Entity;
  /** How long its JSON text is, in bytes. */
  size: number;
}

/** Sends one request: many entities of one blueprint. */
export type SendBatch = (
  blueprint: string,
  entities: Entity[],
  options: UpsertOptions,
) => Promise<BulkAnswer>;

/** How to bring the entities into Port. */
export interface BulkOptions extends UpsertOptions {
  /** How many requests may be under way at once. */
  concurrency: number;
  /** How many further attempts an entity has that Port failed at. */
  retries: number;
  /** Why nothing more shall be sent; asked before each request. */
  whyStop?: () => string | undefined;
  /** When it is aborted, nothing more is sent. */
  signal?: AbortSignal | undefined;
  /**
   * How long requests under way may still take then, in milliseconds.
   *
   * @default {10000}
   */
  grace?: number;
  /** Told of each entity that got in. */
  onDone: (item: BulkItem, created: boolean) => void;
  /** Told of each entity that did not, and why. */
  onFailed: (item: BulkItem, reason: string) => void;
  /** The rate that Port allows. */
  pacer: Pacer;
  /** Waits so many milliseconds; given by tests. */
  sleep?: (milliseconds: number) => Promise<void>;
  /** A random number from 0 up to 1; given by tests. */
  random?: () => number;
}

/** Below this share of the limit, requests are spread over what is left. */
const LOW = 0.1;

/** Keeps all requests within Port's rate limit, which others use too. */
export class Pacer {
  readonly #now: () => number;
  readonly #sleep: (milliseconds: number) => Promise<void>;
  /** When the next request may go. */
  #next = 0;
  /** Until when none may go. */
  #holdUntil = 0;
  /** The pause between requests, until the limit starts anew. */
  #spacing = 0;
  #resetAt = 0;

  /**
   * Makes a pacer that does not wait before it has learned.
   *
   * @param now The present time in milliseconds since 1970.
   * @param pause Waits so many milliseconds.
   */
  constructor(
    now: () => number = Date.now,
    pause: (milliseconds: number) => Promise<void> = sleep,
  ) {
    this.#now = now;
    this.#sleep = pause;
  }

  /**
   * Takes a turn.
   *
   * @returns Resolves when the next request may go; nothing if that is now.
   */
  turn(): Promise<void> | undefined {
    const now = this.#now();
    const spaced = now < this.#resetAt
      ? Math.min(this.#next, this.#resetAt)
      : now;
    const at = Math.max(now, spaced);
    this.#next = at + this.#spacing;
    if (at > now || this.#holdUntil > now) return this.#waitUntil(at);
  }

  async #waitUntil(at: number): Promise<void> {
    const now = this.#now();
    if (at > now) await this.#sleep(at - now);
    // Another request may have learned of a hold in the meantime.
    while (this.#holdUntil > this.#now()) {
      await this.#sleep(this.#holdUntil - this.#now());
    }
  }

  /**
   * Learns from what Port says of its limit; nothing is counted here, since
   * other pipelines spend the same budget.
   *
   * @param attempt An attempt, of whatever request.
   */
  learn({ status, headers, retryIn }: Attempt): void {
    const now = this.#now();
    if (retryIn !== undefined && status === 429) {
      this.#holdUntil = Math.max(this.#holdUntil, now + retryIn);
    }
    const [limit, remaining, reset] = ["limit", "remaining", "reset"]
      .map((name) => Number(headers?.get(`x-ratelimit-${name}`) ?? NaN)) as [
        number,
        number,
        number,
      ];
    if (!(limit > 0) || !(remaining >= 0) || !(reset > 0)) return;
    this.#resetAt = reset * 1000;
    const left = Math.max(0, this.#resetAt - now);
    const isLow = remaining < Math.max(limit * LOW, 20);
    this.#spacing = isLow ? left / Math.max(1, remaining) : 0;
    this.#next = isLow ? Math.max(this.#next, now + this.#spacing) : now;
  }
}

/** Requests that fail one after the other before it is given up. */
const HOPELESS = 10;

/**
 * Brings entities into Port. Those of the same blueprint and identifier keep
 * their order; those that Port rejects because a related entity is not there yet
 * are tried again after the rest.
 *
 * @param sendBatch Sends one request.
 * @param items The entities; they are read only as fast as they are sent.
 * @param options How to do it. Each item ends in `onDone` or `onFailed`.
 * @throws {ScriptError} When going on is hopeless; the rest has failed by then.
 */
export async function bulkUpsert(
  sendBatch: SendBatch,
  items: AsyncIterable<BulkItem>,
  options: BulkOptions,
): Promise<void> {
  const run = new BulkRun(sendBatch, options);
  try {
    await run.pass(items);
    for (let before = Infinity; run.late.length > 0;) {
      const late = run.late;
      const isLast = late.length >= before;
      before = late.length;
      await run.again(late, isLast);
    }
  } finally {
    run.end();
  }
  if (run.fatal) throw run.fatal;
}

/** Lets so many work at once; the others wait in their order. */
class Lanes {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async use(work: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

class BulkRun {
  readonly #sendBatch: SendBatch;
  readonly #options: BulkOptions;
  readonly #lanes: Lanes;
  readonly #running = new Set<Promise<void>>();
  /** The last request under way for each blueprint and identifier. */
  readonly #lastOf = new Map<string, Promise<void>>();
  /** Of these, nothing may go in before what is late. */
  #lateKeys = new Set<string>();
  #isLastPass = false;
  #hopeless = 0;
  readonly #signal: AbortSignal;
  /** Aborted when requests under way have had their time after the signal. */
  readonly #graceIsOver = new AbortController();
  #grace: ReturnType<typeof setTimeout> | undefined;
  /** Rejected because a related entity was not there yet. */
  late: BulkItem[] = [];
  /** Why going on is hopeless. */
  fatal: unknown;

  constructor(sendBatch: SendBatch, options: BulkOptions) {
    this.#sendBatch = sendBatch;
    this.#options = options;
    this.#lanes = new Lanes(options.concurrency);
    this.#signal = options.signal ?? new AbortController().signal;
    this.#signal.addEventListener("abort", this.#interrupt);
  }

  #interrupt = () => {
    const over = () => this.#graceIsOver.abort();
    this.#grace = setTimeout(over, this.#options.grace ?? 10_000);
  };

  end(): void {
    clearTimeout(this.#grace);
    this.#signal.removeEventListener("abort", this.#interrupt);
  }

  async pass(
    items: AsyncIterable<BulkItem> | Iterable<BulkItem>,
  ): Promise<void> {
    for await (const batch of makeBatches(items)) {
      // As many again are ready when a lane is free.
      while (this.#running.size >= 2 * this.#options.concurrency) {
        await Promise.race(this.#running);
      }
      this.#start(batch);
    }
    await Promise.all(this.#running);
  }

  /** Tries once more what was late; in the last pass, it fails. */
  async again(late: BulkItem[], isLast: boolean): Promise<void> {
    this.late = [];
    this.#lateKeys = new Set();
    this.#isLastPass = isLast;
    await this.pass(late);
  }

  /** A batch waits for those before it that hold one of its entities too. */
  #start(batch: BulkItem[]): void {
    const keys = batch.flatMap((item) => keyOf(item) ?? []);
    const before = keys.map((key) => this.#lastOf.get(key));
    const done = Promise.all(before)
      .then(() => this.#lanes.use(() => this.#send(batch)));
    const ended = done.finally(() => {
      this.#running.delete(ended);
      for (const key of keys) {
        if (this.#lastOf.get(key) === ended) this.#lastOf.delete(key);
      }
    });
    this.#running.add(ended);
    for (const key of keys) this.#lastOf.set(key, ended);
  }

  /** Why nothing more may be sent; nothing while all is well. */
  #stopped(): string | undefined {
    if (this.#signal.aborted) return "not sent, as the run was interrupted";
    if (this.fatal) return `not sent, since: ${messageOf(this.fatal)}`;
    return this.#options.whyStop?.();
  }

  async #send(batch: BulkItem[]): Promise<void> {
    let items = batch.filter((item) => !this.#isBehind(item));
    for (let attempt = 1; items.length > 0; attempt++) {
      const stopped = this.#stopped() ?? await this.#turn();
      if (stopped !== undefined) return this.#fail(items, stopped);
      const answer = await this.#ask(items);
      if (answer === undefined) return;
      items = this.#settle(items, answer, attempt);
      if (items.length > 0) await this.#pause(attempt);
    }
  }

  /** Waits for its turn; says why it will not come, if something stops it. */
  async #turn(): Promise<string | undefined> {
    const turn = this.#options.pacer.turn();
    if (turn === undefined) return undefined;
    await orAborted(turn, this.#signal);
    return this.#stopped();
  }

  /** What follows something late must be late too, to keep its place. */
  #isBehind(item: BulkItem): boolean {
    const isBehind = this.#lateKeys.has(keyOf(item) ?? "");
    if (isBehind) this.#putOff(item);
    return isBehind;
  }

  #putOff(item: BulkItem): void {
    this.late.push(item);
    const key = keyOf(item);
    if (key !== undefined) this.#lateKeys.add(key);
  }

  /** Asks for all of them; what fails as a whole is dealt with here. */
  async #ask(items: BulkItem[]): Promise<BulkAnswer | undefined> {
    const [first] = items;
    if (first === undefined) return undefined;
    const entities = items.map(({ entity }) => entity);
    try {
      const answer = await orAborted(
        this.#sendBatch(first.blueprint, entities, this.#options),
        this.#graceIsOver.signal,
      );
      if (answer === undefined) {
        throw new UnreachableError(
          "interrupted before Port had said that it is there",
        );
      }
      this.#hopeless = 0;
      return answer;
    } catch (error) {
      await this.#refused(items, error);
    }
  }

  async #refused(items: BulkItem[], error: unknown): Promise<void> {
    const mayBeOne = error instanceof RejectedError ||
      error instanceof TooLargeError;
    if (mayBeOne && items.length > 1) {
      // Too large, or one of them spoils it for the others.
      const half = Math.ceil(items.length / 2);
      await this.#send(items.slice(0, half));
      return await this.#send(items.slice(half));
    }
    const isLocal = mayBeOne || error instanceof NotFoundError;
    const mayRecover = error instanceof UnreachableError &&
      ++this.#hopeless < HOPELESS;
    if (!isLocal && !mayRecover) this.fatal ??= error;
    this.#fail(items, messageOf(error));
  }

  /** Accounts for each entity; returns those that are worth another attempt. */
  #settle(
    items: BulkItem[],
    { entities, errors }: BulkAnswer,
    attempt: number,
  ): BulkItem[] {
    const { onDone, retries, validateOnly = false } = this.#options;
    const again: BulkItem[] = [];
    const created = new Map(entities.map((each) => [each.index, each.created]));
    const refused = new Map(errors.map((each) => [each.index, each]));
    for (const [index, item] of items.entries()) {
      const error = refused.get(index);
      const isNew = created.get(index);
      if (error === undefined && isNew !== undefined) {
        onDone(item, isNew);
      } else if (error === undefined) {
        this.#fail([item], "Port's answer does not say what became of it");
      } else if (error.statusCode === 404 && !this.#isLastPass) {
        this.#putOff(item);
      } else if (
        attempt <= retries &&
        isPassing(error.statusCode, validateOnly || isNamed(item))
      ) {
        again.push(item);
      } else {
        this.#fail([item], `${error.statusCode}: ${error.message}`);
      }
    }
    return again;
  }

  #fail(items: BulkItem[], reason: string): void {
    for (const item of items) this.#options.onFailed(item, reason);
  }

  async #pause(attempt: number): Promise<void> {
    const { random = Math.random, sleep: pause = sleep } = this.#options;
    await orAborted(pause(backoff(attempt, random())), this.#signal);
  }
}

/**
 * Waits for a promise, or for a signal that may never come. (A race with one
 * promise that lasts would keep all that it ever ran against.)
 */
async function orAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const abort = () => aborted.resolve(undefined);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Sent twice, an entity without identifier would be two. */
function isNamed({ entity }: BulkItem): boolean {
  return typeof entity.identifier === "string";
}

/** What must keep its order; an entity without identifier is always a new one. */
function keyOf({ blueprint, entity }: BulkItem): string | undefined {
  const { identifier } = entity;
  return identifier ? JSON.stringify([blueprint, identifier]) : undefined;
}

/** What a request holds beside its entities, in bytes. */
const FRAME = 100;

/** How many batches may wait to be filled: each is of another blueprint. */
const MOST_OPEN = 20;

/** Entities of one blueprint, none of them twice. */
class Batch {
  readonly items: BulkItem[] = [];
  readonly #keys = new Set<string | undefined>();
  #size = FRAME;

  /** Whether Port takes it together with the others. */
  takes(item: BulkItem): boolean {
    const key = keyOf(item);
    return this.#size + item.size + 1 <= MAX_BODY &&
      (key === undefined || !this.#keys.has(key));
  }

  add(item: BulkItem): void {
    this.items.push(item);
    this.#keys.add(keyOf(item));
    this.#size += item.size + 1;
  }
}

/**
 * Gathers entities by blueprint; those without identifier by themselves, as a
 * request that holds one may not be repeated.
 */
async function* makeBatches(
  items: AsyncIterable<BulkItem> | Iterable<BulkItem>,
): AsyncGenerator<BulkItem[]> {
  const open = new Map<string, Batch>();
  for await (const item of items) {
    const kind = `${isNamed(item)} ${item.blueprint}`;
    let batch = open.get(kind) ?? new Batch();
    if (!batch.takes(item)) {
      yield batch.items;
      batch = new Batch();
    }
    batch.add(item);
    // What waited longest comes first in a Map.
    open.delete(kind);
    if (batch.items.length === BULK_SIZE) yield batch.items;
    else open.set(kind, batch);
    const [oldest] = open;
    if (oldest && open.size > MOST_OPEN) {
      open.delete(oldest[0]);
      yield oldest[1].items;
    }
  }
  for (const { items } of open.values()) yield items;
}
