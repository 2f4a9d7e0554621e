/**
 * Deletes entities that are not in the input.
 *
 * @module
 */
import { ScriptError, UsageError } from "../errors.ts";
import {
  apiPath,
  type JsonObject,
  type Port,
  PortError,
  retryDelay,
  sleep,
} from "../port.ts";
import { parseRule, type Rule } from "../rules.ts";
import { searchEntities } from "../search.ts";
import { parseCount } from "../settings.ts";
import type { BulkItem } from "./batches.ts";

/**
 * Parses the rules of `--prune`.
 *
 * @param written The rules, for example `source=circleci`.
 * @returns The rules.
 * @throws {UsageError} If they may match what nobody marked.
 */
export function readPruneRules(written: string[]): Rule[] {
  const rules = written.map((rule) => parseRule("--prune", rule));
  // All entities of a blueprint have its name.
  const isMark = ({ operator, json, path }: Rule) =>
    operator === "=" && json !== null && !/^\$?blueprint$/.test(path);
  if (written.length === 0 || rules.some(isMark)) return rules;
  throw new UsageError(
    "Cannot use --prune without a rule NAME=VALUE: it must say what marks the " +
      "entities that your input is responsible for, for example source=circleci",
  );
}

/**
 * Parses `--prune-max`.
 *
 * @param text A number, or a share such as `10%`.
 * @returns Returns how many of some entities may be deleted.
 * @throws {UsageError} If it is neither.
 */
export function readPruneMax(text: string): (matches: number) => number {
  const [, percent] = /^(\d+(?:\.\d+)?) ?%$/.exec(text) ?? [];
  if (percent === undefined) {
    const count = parseCount(text, "--prune-max", 1);
    return () => count;
  }
  const share = Number(percent) / 100;
  if (share > 0 && share <= 1) {
    return (matches) => Math.max(1, Math.floor(matches * share));
  }
  throw new UsageError(
    `Cannot use --prune-max "${text}": a share is over 0% and at most 100%`,
  );
}

/** Remembers which entities the input has. */
export class Inventory {
  /** Their identifiers by blueprint. */
  readonly identifiers = new Map<string, Set<string>>();
  /** Where the first entity is whose identifier is not known. */
  unknown: string | undefined;

  /**
   * Passes entities on.
   *
   * @param items The entities.
   * @returns The same entities.
   */
  async *watch(items: AsyncIterable<BulkItem>): AsyncGenerator<BulkItem> {
    for await (const item of items) {
      const { blueprint, entity: { identifier }, place } = item;
      const known = this.identifiers.get(blueprint) ?? new Set();
      this.identifiers.set(blueprint, known);
      if (typeof identifier === "string") known.add(identifier);
      else this.unknown ??= place;
      yield item;
    }
  }
}

/** How to delete. */
export interface PruneOptions {
  /** Port. */
  port: Port;
  /** Returns the rules that entities of a blueprint must match. */
  rulesOf: (blueprint: string) => Promise<JsonObject[]>;
  /** Returns how many of those that match may be deleted. */
  max: (matches: number) => number;
  /** When the run began by Port's clock, in milliseconds since 1970. */
  since: number;
  /** Whether to delete nothing, and only report it. */
  dryRun: boolean;
  /** Action run in Port that this belongs to. */
  runId: string | undefined;
  /** Further attempts at a deletion. */
  retries: number;
  /** Once it is aborted, nothing more is deleted. */
  stop: AbortSignal;
  /** Cancels the requests under way. */
  graceOver: AbortSignal;
  /** Logs a warning. */
  warn: (line: string) => void;
  /** Called with what was deleted, or would be. */
  onDeleted: (blueprint: string, identifiers: string[]) => void;
  /** Called with what Port refuses to delete. */
  onFailed: (blueprint: string, identifier: string, error: PortError) => void;
}

/**
 * Deletes entities that match the rules and are not in the input, except those
 * that have changed since the run began.
 *
 * @param input The identifiers in the input, by blueprint.
 * @param options How to delete.
 * @throws {ScriptError} If there are too many; nothing is deleted then.
 * @throws {PortError} If a request fails.
 */
export async function prune(
  input: ReadonlyMap<string, ReadonlySet<string>>,
  options: PruneOptions,
): Promise<void> {
  const run = new Prune(options);
  const stale: Stale[] = [];
  const changed: Stale[] = [];
  let matches = 0;
  let marked = 0;
  for (const [blueprint, identifiers] of input) {
    const found = await run.find(blueprint);
    matches += found.length;
    for (const { identifier, isChanged } of found) {
      if (identifiers.has(identifier)) marked++;
      else (isChanged ? changed : stale).push({ blueprint, identifier });
    }
  }
  if (marked === 0 && !options.dryRun) {
    options.warn(
      "No entity of the input matches --prune, so that none of them would ever " +
        "be deleted: check the rule and what marks your entities",
    );
  }
  if (changed.length > 0) {
    options.warn(
      `${changed.length} kept, though not in the input, as they may have changed ` +
        `since this run began: ${namesOf(changed)}; run it again`,
    );
  }
  throwIfTooMany(stale, matches, options.max(matches));
  if (options.dryRun) {
    for (const batch of toBatches(stale)) options.onDeleted(...batch);
  } else await run.deleteAll(stale);
}

/** An entity that is not in the input. */
interface Stale {
  blueprint: string;
  identifier: string;
}

function throwIfTooMany(stale: Stale[], matches: number, max: number): void {
  if (stale.length <= max) return;
  throw new ScriptError(
    7,
    `Cannot prune: ${stale.length} of ${matches} entities that match are not in ` +
      `the input, and at most ${max} may be deleted: ${namesOf(stale)}; ` +
      "none was deleted; check the input, or raise --prune-max",
  );
}

/** Returns the first ten. */
function namesOf(stale: Stale[]): string {
  const some = stale.slice(0, 10)
    .map(({ blueprint, identifier }) => `${blueprint}/${identifier}`);
  return some.join(", ") + (stale.length > some.length ? ", …" : "");
}

/**
 * The most entities of one deletion. They are read right before it: a change in
 * between is lost, since Port cannot delete on a condition.
 */
const BATCH_SIZE = 20;

type Batch = [blueprint: string, identifiers: string[]];

function toBatches(stale: Stale[]): Batch[] {
  const batches: Batch[] = [];
  for (const { blueprint, identifier } of stale) {
    const [last, identifiers = []] = batches.at(-1) ?? [];
    const fits = last === blueprint && identifiers.length < BATCH_SIZE;
    if (fits) identifiers.push(identifier);
    else batches.push([blueprint, [identifier]]);
  }
  return batches;
}

class Prune {
  readonly #options: PruneOptions;
  /** What Port refused to delete, for example since others relate to it. */
  #refused: [Stale, PortError][] = [];

  constructor(options: PruneOptions) {
    this.#options = options;
  }

  /** Finds what matches the rules, and whether it has changed. */
  async find(blueprint: string, ...more: JsonObject[]) {
    const { port, rulesOf, since, graceOver: signal } = this.#options;
    const found = await Array.fromAsync(searchEntities(port, {
      blueprint,
      query: {
        combinator: "and",
        rules: [...await rulesOf(blueprint), ...more],
      },
      include: ["identifier", "updatedAt"],
      limit: 1000,
      request: { signal },
    }));
    return found.map(({ identifier, updatedAt }) => ({
      identifier: String(identifier),
      // Also if there is no time.
      isChanged: !(Date.parse(String(updatedAt)) < since),
    }));
  }

  /** What is refused is tried again as long as others are deleted. */
  async deleteAll(stale: Stale[]): Promise<void> {
    for (let before = Infinity; stale.length < before;) {
      before = stale.length;
      this.#refused = [];
      for (const batch of toBatches(stale)) await this.#deleteBatch(...batch);
      stale = this.#refused.map(([each]) => each);
    }
    for (const [{ blueprint, identifier }, error] of this.#refused) {
      this.#options.onFailed(blueprint, identifier, error);
    }
  }

  async #deleteBatch(...[blueprint, batch]: Batch): Promise<void> {
    const { retries, stop, onDeleted } = this.#options;
    let unanswered: string[] = [];
    for (let attempt = 1; !stop.aborted; attempt++) {
      const rule = { property: "$identifier", operator: "in", value: batch };
      const found = await this.find(blueprint, rule);
      const unchanged = found.filter(({ isChanged }) => !isChanged)
        .map(({ identifier }) => identifier);
      const gone = unanswered.filter((name) =>
        !found.some(({ identifier }) => identifier === name)
      );
      if (gone.length > 0) onDeleted(blueprint, gone);
      if (unchanged.length === 0) return;
      let wait: number | undefined;
      try {
        const deleted = await this.#request(blueprint, unchanged, (time) => {
          wait = time;
        });
        return onDeleted(blueprint, deleted);
      } catch (error) {
        if (!(error instanceof PortError)) throw error;
        if (error.kind === "rejected") {
          return await this.#divide(blueprint, unchanged, error);
        }
        const mayRecover = error.kind === "network" ||
          error.kind === "unavailable";
        if (!mayRecover || attempt > retries || stop.aborted) throw error;
        unanswered = error.maybeApplied ? unchanged : [];
        await sleep(wait ?? retryDelay({}, attempt), stop);
      }
    }
  }

  /** Port refuses the whole batch because of one. */
  async #divide(
    ...[blueprint, batch, error]: [...Batch, PortError]
  ): Promise<void> {
    const [identifier = ""] = batch;
    if (batch.length === 1) {
      this.#refused.push([{ blueprint, identifier }, error]);
      return;
    }
    const half = Math.ceil(batch.length / 2);
    await this.#deleteBatch(blueprint, batch.slice(0, half));
    await this.#deleteBatch(blueprint, batch.slice(half));
  }

  /** Makes one attempt only: before another one, the entities are read again. */
  async #request(
    blueprint: string,
    batch: string[],
    onWait: (wait: number) => void,
  ): Promise<string[]> {
    const { port, runId, graceOver } = this.#options;
    const only = new AbortController();
    const path = apiPath("blueprints", blueprint, "bulk", "entities", "delete");
    const query = new URLSearchParams({
      delete_dependents: "false",
      ...(runId !== undefined && { run_id: runId }),
    });
    const { deletedEntities } = await port.request("POST", `${path}?${query}`, {
      action: `delete ${batch.length} entities of blueprint "${blueprint}"`,
      body: { entities: batch },
      expect: { deletedEntities: "array" },
      signal: AbortSignal.any([graceOver, only.signal]),
      onAttempt({ wait }) {
        if (wait === undefined) return;
        onWait(wait);
        only.abort();
      },
    });
    return [deletedEntities ?? []].flat().map(String);
  }
}
