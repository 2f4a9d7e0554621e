/**
 * Compares entities with what Port holds, to send only what differs.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { isJsonObject, type Json, type JsonObject } from "../port.ts";
import { type BulkItem, isNamed, keyOf } from "./batches.ts";
import type { EntityTypes, TypesOf } from "./types.ts";

/** What sending an entity would do. */
export type Effect = "created" | "updated" | "unchanged";

/** An entity, and what sending it would do. */
export type Compared = [item: BulkItem, effect: Effect];

/** How to compare. */
export interface CompareOptions {
  /** Reads the entities of a blueprint that have one of some identifiers. */
  read: (blueprint: string, identifiers: string[]) => Promise<JsonObject[]>;
  /** Returns the types of a blueprint. */
  typesOf: TypesOf;
  /** Whether omitted fields are removed. */
  replace: boolean;
  /** The most windows of entities that are read at once. */
  concurrency: number;
  /** Called if they cannot be read. */
  onFailed: (items: BulkItem[], error: unknown) => void;
}

/** The most entities that are read at once, and the most bytes of the input. */
const WINDOW = { items: 500, bytes: 8 * 1024 * 1024 };

/**
 * Compares entities with what Port holds, in their order.
 *
 * @param items The entities; they are read ahead only as far as needed.
 * @param options How to compare.
 * @returns Each entity that could be read, and what sending it would do.
 */
export async function* compareItems(
  items: AsyncIterable<BulkItem>,
  options: CompareOptions,
): AsyncGenerator<Compared> {
  const waiting: Promise<Compared[]>[] = [];
  // What changes is not compared again: Port need not hold it yet.
  const changed = new Set<string>();
  const settle = async (window?: Promise<Compared[]>) =>
    (await window ?? []).map(([item, effect]): Compared => {
      const key = keyOf(item) ?? "";
      if (changed.has(key)) return [item, "updated"];
      if (effect !== "unchanged" && key !== "") changed.add(key);
      return [item, effect];
    });
  for await (const window of windowsOf(items)) {
    waiting.push(compareWindow(window, options));
    if (waiting.length === options.concurrency) {
      yield* await settle(waiting.shift());
    }
  }
  for (const window of waiting) yield* await settle(window);
}

async function* windowsOf(
  items: AsyncIterable<BulkItem>,
): AsyncGenerator<BulkItem[]> {
  let window: BulkItem[] = [];
  let bytes = 0;
  for await (const item of items) {
    window.push(item);
    bytes += item.size;
    if (window.length < WINDOW.items && bytes < WINDOW.bytes) continue;
    yield window;
    window = [];
    bytes = 0;
  }
  if (window.length > 0) yield window;
}

/** Never fails: what cannot be read is reported. */
async function compareWindow(
  window: BulkItem[],
  options: CompareOptions,
): Promise<Compared[]> {
  const effects = new Map<BulkItem, Effect>();
  const groups = Map.groupBy(window, ({ blueprint }) => blueprint);
  for (const [blueprint, items] of groups) {
    try {
      const effectOf = await makeEffectOf(blueprint, items, options);
      for (const item of items) effects.set(item, effectOf(item));
    } catch (error) {
      options.onFailed(items, error);
    }
  }
  return window.flatMap((item) => {
    const effect = effects.get(item);
    return effect === undefined ? [] : [[item, effect]];
  });
}

async function makeEffectOf(
  blueprint: string,
  items: BulkItem[],
  { read, typesOf, replace }: CompareOptions,
): Promise<(item: BulkItem) => Effect> {
  const identifiers = items.filter(isNamed)
    .map(({ entity }) => String(entity.identifier));
  const held = identifiers.length === 0
    ? []
    : await read(blueprint, [...new Set(identifiers)]);
  const heldBy = new Map(held.map((entity) => [entity.identifier, entity]));
  const types = replace ? await typesOf(blueprint) : undefined;
  return ({ entity }) => {
    const { identifier } = entity;
    const current = heldBy.get(identifier ?? null);
    // A query for the identifier finds an entity that exists.
    if (isJsonObject(identifier)) return "updated";
    if (current === undefined) return "created";
    return isSame(entity, current, types) ? "unchanged" : "updated";
  };
}

/**
 * Returns whether an entity is what Port holds already. A query, for a relation
 * or a team, never is.
 */
function isSame(
  entity: JsonObject,
  current: JsonObject,
  types: EntityTypes | undefined,
): boolean {
  const namesIn = (group: string) => {
    const sent = Object.keys(Object(entity[group]));
    if (types === undefined) return sent;
    // What Port calculates is not replaced.
    const removed = Object.keys(Object(current[group]))
      .filter((name) => types.has(`${group}.${name}`));
    return [...sent, ...removed];
  };
  // Port gives an entity without a title its identifier.
  const titleOf = ({ title, identifier }: JsonObject) =>
    title ?? identifier ?? null;
  const isSent = (name: string) => types !== undefined || name in entity;
  return (!isSent("title") || titleOf(entity) === titleOf(current)) &&
    (!isSent("icon") || isEqual(entity.icon, current.icon)) &&
    (!isSent("team") || isSameList(entity.team, current.team)) &&
    namesIn("properties").every((name) =>
      isEqual(
        memberOf(entity.properties, name),
        memberOf(current.properties, name),
      )
    ) &&
    namesIn("relations").every((name) =>
      isSameList(
        memberOf(entity.relations, name),
        memberOf(current.relations, name),
      )
    );
}

function memberOf(group: Json | undefined, name: string): Json | undefined {
  return isJsonObject(group) ? group[name] : undefined;
}

function isEqual(sent: Json | undefined, held: Json | undefined): boolean {
  return isDeepStrictEqual(sent ?? null, held ?? null);
}

/** One and a list of one are the same, and so are none and an empty list. */
function isSameList(sent: Json | undefined, held: Json | undefined): boolean {
  return isEqual([sent ?? []].flat(), [held ?? []].flat());
}
