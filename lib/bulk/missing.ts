/**
 * Sums up entities that Port rejects because a related entity does not exist,
 * as thousands may fail for the same reason.
 *
 * @module
 */
import type { BulkItem } from "./batches.ts";

/** The most missing entities that are named. */
const NAMED = 3;

interface Group {
  /** Where the first entity is that failed. */
  place: string;
  /** How many failed. */
  count: number;
  /** The identifiers of the missing entities. */
  names: Set<string>;
}

/** Counts these entities by the blueprint of what is missing. */
export class MissingRelations {
  readonly #groups = new Map<string, Group>();

  /**
   * Counts an entity, if that is why it failed.
   *
   * @param item The entity.
   * @param reason Why it failed. Port says `Entity with identifier "cart-1" does
   * not exist in the blueprint "image"`.
   * @returns Whether it was counted.
   */
  take({ place, entity }: BulkItem, reason: string): boolean {
    const name = Object.values(Object(entity.relations)).flat()
      .find((name) => reason.includes(`"${name}"`));
    if (!reason.startsWith("404: ") || name === undefined) return false;
    // The identifier may be the name of the blueprint, too.
    const rest = reason.replace(`"${name}"`, "");
    const blueprint = /"[^"]*"(?=[^"]*$)/.exec(rest)?.[0] ?? "";
    const who = blueprint ? `blueprint ${blueprint}` : "Port";
    const group = this.#groups.get(who) ??
      { place, count: 0, names: new Set() };
    this.#groups.set(who, group);
    group.count++;
    group.names.add(String(name));
    return true;
  }

  /**
   * Returns a line for each blueprint that lacks entities.
   *
   * @returns The lines.
   */
  lines(): string[] {
    return [...this.#groups].map(([who, { place, count, names }]) => {
      const what = names.size === 1 ? "1 entity" : `${names.size} entities`;
      const some = [...names].slice(0, NAMED).join(", ");
      const more = names.size > NAMED ? ", …" : "";
      return `${count} failed, the first ${place}: 404: ${who} lacks ${what}: ` +
        `${some}${more}; create them first, or give ` +
        "--create-missing-related-entities";
    });
  }
}
