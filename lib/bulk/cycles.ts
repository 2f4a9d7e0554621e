/**
 * Finds entities that wait for each other.
 *
 * @module
 */
import type { JsonObject } from "../port.ts";
import { type BulkItem, keyOf } from "./batches.ts";

/** An entity that waits for another one. */
interface Waiting {
  item: BulkItem;
  /** The key of the related entity that does not exist yet. */
  missing: string | undefined;
}

/**
 * Finds entities that wait for each other, in circles of any length, and makes
 * the parts of them that can be saved first.
 *
 * @param deferred Entities, each with Port's reason, which names the related
 * entity that does not exist; empty if it waits for a version of itself.
 * @returns The entities without their relations to each other, each with the
 * whole entity.
 */
export function findCycles(
  deferred: ReadonlyMap<BulkItem, string>,
): Map<BulkItem, BulkItem> {
  const waiting = findWaiting(deferred);
  // Those that wait for what fails, or that no other needs, are in no circle.
  for (let size = Infinity; waiting.size < size;) {
    size = waiting.size;
    const needed = new Set(
      waiting.values().flatMap(({ item }) => relatedTo(item)),
    );
    for (const [key, { item, missing = "" }] of waiting) {
      const isNeeded = needed.has(item.entity.identifier);
      if (!isNeeded || !waiting.has(missing)) waiting.delete(key);
    }
  }
  const names = new Set<unknown>(
    waiting.values().map(({ item }) => item.entity.identifier),
  );
  return new Map(
    waiting.values().map(({ item }) => [withoutRelations(item, names), item]),
  );
}

/** Returns the entities that wait for another deferred one, by their keys. */
function findWaiting(
  deferred: ReadonlyMap<BulkItem, string>,
): Map<string | undefined, Waiting> {
  const byName = Map.groupBy<unknown, BulkItem>(
    deferred.keys(),
    ({ entity }) => entity.identifier,
  );
  const waiting = new Map<string | undefined, Waiting>();
  for (const [item, reason] of deferred) {
    // The same identifier may exist in another blueprint.
    const isMissing = ({ blueprint, entity }: BulkItem) =>
      reason.includes(`"${entity.identifier}"`) &&
      reason.includes(`"${blueprint}"`);
    const missing = relatedTo(item).flatMap((name) => byName.get(name) ?? [])
      .find(isMissing);
    if (missing) waiting.set(keyOf(item), { item, missing: keyOf(missing) });
  }
  return waiting;
}

/** Returns the identifiers, or queries for them, in all relations. */
function relatedTo({ entity }: BulkItem): unknown[] {
  return Object.values(Object(entity.relations)).flat();
}

function withoutRelations(item: BulkItem, names: Set<unknown>): BulkItem {
  const { entity } = item;
  const relations: JsonObject = { ...Object(entity.relations) };
  for (const [name, value] of Object.entries(relations)) {
    if ([value].flat().some((other) => names.has(other))) {
      delete relations[name];
    }
  }
  return { ...item, entity: { ...entity, relations } };
}
