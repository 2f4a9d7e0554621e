/**
 * Groups entities into batches that Port accepts in one request.
 *
 * @module
 */
import type { PlacedEntity } from "../entity.ts";

/** An entity of the input. */
export interface BulkItem extends PlacedEntity {
  /** Where it is in the input, for example `orders.ndjson:12`. */
  place: string;
  /** The length of its JSON text, in bytes. */
  size: number;
  /** What to keep if it fails. @default its JSON */
  input?: Uint8Array;
}

/** The most entities that Port accepts in one request. */
export const BATCH_SIZE = 20;

/** The largest body that Port accepts, in bytes (its OpenAPI document, 413). */
export const MAX_BODY = 1024 * 1024;

/** The size of a request without its entities, in bytes. */
const FRAME = 100;

/** The most batches that are filled at the same time. */
const MAX_OPEN = 20;

/**
 * Returns whether an entity has an identifier. Without one, sending it twice
 * creates two entities.
 *
 * @param item The entity.
 * @returns Whether it has one.
 */
export function isNamed({ entity }: BulkItem): boolean {
  return typeof entity.identifier === "string";
}

/**
 * Returns the key of an entity. Entities with the same key keep their order.
 *
 * @param item The entity.
 * @returns Blueprint and identifier; `undefined` for an entity without one.
 */
export function keyOf({ blueprint, entity }: BulkItem): string | undefined {
  const { identifier } = entity;
  return identifier ? JSON.stringify([blueprint, identifier]) : undefined;
}

/** Entities of one blueprint, each of them once. */
class Batch {
  readonly items: BulkItem[] = [];
  readonly #keys = new Set<string>();
  #size = FRAME;

  accepts(item: BulkItem): boolean {
    const isTwice = this.#keys.has(keyOf(item) ?? "");
    const isFull = this.#size + item.size + 1 > MAX_BODY;
    return this.items.length === 0 || !(isTwice || isFull);
  }

  add(item: BulkItem): void {
    this.items.push(item);
    const key = keyOf(item);
    if (key !== undefined) this.#keys.add(key);
    this.#size += item.size + 1;
  }
}

/**
 * Groups entities by blueprint. Those without an identifier get batches of
 * their own, since such a request must not be sent twice.
 *
 * @param items The entities.
 * @returns The batches.
 */
export async function* makeBatches(
  items: AsyncIterable<BulkItem> | Iterable<BulkItem>,
): AsyncGenerator<BulkItem[]> {
  const open = new Map<string, Batch>();
  for await (const item of items) {
    const kind = `${isNamed(item)} ${item.blueprint}`;
    let batch = open.get(kind) ?? new Batch();
    if (!batch.accepts(item)) {
      yield batch.items;
      batch = new Batch();
    }
    batch.add(item);
    // The Map keeps the batch that waited longest first.
    open.delete(kind);
    if (batch.items.length === BATCH_SIZE) yield batch.items;
    else open.set(kind, batch);
    const [oldest] = open;
    if (oldest && open.size > MAX_OPEN) {
      open.delete(oldest[0]);
      yield oldest[1].items;
    }
  }
  for (const { items } of open.values()) yield items;
}
