/**
 * Counts every entity, saved or failed.
 *
 * @module
 */
import { toLine } from "../errors.ts";
import type { BulkItem } from "./batches.ts";

/** An input that was not saved. */
export interface Failure {
  /** Where it is, for example `orders.ndjson:12`. */
  place: string;
  /** Its blueprint; `undefined` if it is not an entity. */
  blueprint?: string;
  /** Its identifier, or a description without one. */
  name: string;
  /** The input, ready to be run again, unless its parts were passed on. */
  input?: Uint8Array;
  /** Why it failed. */
  reason: string;
  /** Whether a line at the end stands for this and others like it. */
  isSummedUp?: boolean;
  /**
   * Set if nothing more is sent: whether the line of an earlier failure stands
   * for this one too.
   */
  isRest?: boolean;
}

/** Results for the entities of a blueprint. */
export interface Counts {
  /** How many were created. */
  created: number;
  /** How many were updated. */
  updated: number;
  /** How many were not sent, since they would change nothing. */
  unchanged: number;
  /** How many were deleted, since they are not in the input. */
  deleted: number;
  /** How many failed. */
  failed: number;
}

/** Where failures go, for example a file. */
export interface Sink {
  /** Writes a part of a large input; the next failure without input ends it. */
  keep?(part: Uint8Array): void;
  /** Writes a failure. */
  fail(failure: Failure): void;
  /** Writes the counts of each blueprint and closes; not all may be read. */
  close(counts: ReadonlyMap<string, Counts>, isComplete: boolean): void;
}

/**
 * Returns what failed and why, on one line.
 *
 * @param failure The failure.
 * @returns The line.
 */
export function lineOf({ place, blueprint, name, reason }: Failure): string {
  const who = blueprint === undefined ? "" : `${blueprint}/${name}: `;
  return `${place}: ${who}${toLine(reason)}`;
}

/** The name in the counts for input that is not an entity. */
const NO_BLUEPRINT = "(not an entity)";

/** The name in the counts for input that is kept, but was not parsed. */
const NOT_PARSED = "(not sent)";

const NONE: Counts = {
  created: 0,
  updated: 0,
  unchanged: 0,
  deleted: 0,
  failed: 0,
};

/** What the table shows only if there is any. */
const RARE: ReadonlySet<string> = new Set(["unchanged", "deleted"]);

/** Counts the entities, and passes the failures on. */
export class Report {
  readonly #sinks: Sink[];
  readonly #counts = new Map<string, Counts>();
  readonly #start = Date.now();
  #read = 0;
  /** The counts of all blueprints together. */
  readonly all: Counts = { ...NONE };
  /** The first failure, for the error at the end. */
  first: Failure | undefined;

  /**
   * Creates a report.
   *
   * @param sinks Where failures go.
   */
  constructor(sinks: Sink[]) {
    this.#sinks = sinks;
  }

  /** Counts an input that was read; it ends in `done()` or `fail()`. */
  read(): void {
    this.#read++;
  }

  /**
   * Passes on a part of an input that is too large to hold.
   *
   * @param part The part.
   */
  keep(part: Uint8Array): void {
    for (const sink of this.#sinks) sink.keep?.(part);
  }

  /**
   * Counts an entity that did not fail.
   *
   * @param entity Its blueprint.
   * @param what What became of it.
   */
  done(
    { blueprint }: Pick<BulkItem, "blueprint">,
    what: Exclude<keyof Counts, "failed">,
  ): void {
    this.#count(blueprint, what);
  }

  /**
   * Counts a failure.
   *
   * @param failure The failure.
   */
  fail(failure: Failure): void {
    this.first ??= failure;
    const { blueprint, isRest } = failure;
    const kind = isRest === undefined ? NO_BLUEPRINT : NOT_PARSED;
    this.#count(blueprint ?? kind, "failed");
    for (const sink of this.#sinks) sink.fail(failure);
  }

  #count(blueprint: string, what: keyof Counts): void {
    const counts = this.#counts.get(blueprint) ?? { ...NONE };
    this.#counts.set(blueprint, counts);
    counts[what]++;
    this.all[what]++;
  }

  /**
   * Closes the sinks.
   *
   * @param isComplete Whether all inputs were read to their end.
   */
  close(isComplete: boolean): void {
    for (const sink of this.#sinks) sink.close(this.#counts, isComplete);
  }

  /** How many entities of the input ended, well or not. */
  get total(): number {
    const { created, updated, unchanged, failed } = this.all;
    return created + updated + unchanged + failed;
  }

  /**
   * Returns the progress of the run.
   *
   * @param share The share of the input that was read; `NaN` if unknown.
   * @param wait How long requests wait for the rate limit, in milliseconds.
   * @returns One line, with the time left if that is known.
   */
  progress(share: number, wait: number): string {
    const seconds = Math.max(1, Date.now() - this.#start) / 1000;
    const missing = this.#read / share - this.total;
    const left = missing * seconds / this.total + wait / 1000;
    return `${this.total} done, ${this.all.failed} failed, ` +
      `${Math.round(this.total / seconds)} per second` +
      (Number.isFinite(left) ? `, about ${Math.ceil(left)} s left` : "") +
      (wait > 0 ? ", waiting for the rate limit" : "");
  }

  /**
   * Returns the result of the run.
   *
   * @returns The counts in all and by blueprint.
   */
  summary(): Counts & { blueprints: Record<string, Counts> } {
    return { ...this.all, blueprints: Object.fromEntries(this.#counts) };
  }

  /**
   * Returns the result as a table for people.
   *
   * @returns Its lines; none if nothing was read.
   */
  table(): string[] {
    if (this.total === 0) return [];
    const columns = (Object.keys(NONE) as (keyof Counts)[])
      .filter((name) => this.all[name] > 0 || !RARE.has(name));
    const rows = [
      ["blueprint", ...columns],
      ...[...this.#counts].map(([name, counts]) => [
        name,
        ...columns.map((column) => counts[column]),
      ]),
    ];
    const width = Math.max(...rows.map(([name = ""]) => String(name).length));
    return rows.map(([name = "", ...columns]) =>
      String(name).padEnd(width) +
      columns.map((column) => String(column).padStart(10)).join("")
    );
  }
}
