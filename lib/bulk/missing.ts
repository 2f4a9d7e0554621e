/**
 * Sums up entities that Port rejects because a related entity does not exist,
 * as thousands may fail for the same reason.
 *
 * @module
 */
import type { BulkItem } from "./batches.ts";

/** How many missing entities are named. */
const NAMED = 3;

interface Group {
  /** Where the first of them is. */
  place: string;
  count: number;
  /** The first of the missing ones, and one more if there is. */
  names: Set<string>;
}

/** Counts these entities by the blueprint that lacks the related ones. */
export class MissingRelations {
  readonly #groups = new Map<string, Group>();

  /**
   * Counts an entity, if that is why it failed.
   *
   * @param item The entity.
   * @param reason Why it failed.
   * @returns Whether it was counted.
   */
  take({ place, entity }: BulkItem, reason: string): boolean {
    const name = Object.values(Object(entity.relations)).flat()
      .find((name) => reason.includes(`"${name}"`));
    if (!reason.startsWith("404: ") || name === undefined) return false;
    // What is left of Port's message differs by blueprint only.
    const rest = [name, entity.identifier].reduce<string>(
      (text, name) => text.replace(`"${name}"`, "…"),
      reason.slice("404: ".length),
    );
    const group = this.#groups.get(rest) ??
      { place, count: 0, names: new Set() };
    this.#groups.set(rest, group);
    group.count++;
    if (group.names.size <= NAMED) group.names.add(String(name));
    return true;
  }

  /**
   * Returns a line for each blueprint that lacks entities.
   *
   * @returns The lines.
   */
  lines(): string[] {
    return [...this.#groups].map(([rest, { place, count, names }]) => {
      const some = [...names].slice(0, NAMED).join(", ");
      const others = names.size > NAMED ? " and others" : "";
      return `${count} failed, the first ${place}: 404: ${rest}: ${some}` +
        `${others}; create them first, or give --create-missing-related-entities`;
    });
  }
}
