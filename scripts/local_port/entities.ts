/**
 * Entities laid over each other, and parts of them.
 *
 * @module
 */
import type { Entity, EntityBody, Json } from "./model.ts";

/** Lays what is named over what is there; `null` clears a value. */
export function layOver(base: Entity | undefined, body: EntityBody): Entity {
  const { properties, relations, ...rest } = { ...base, ...body };
  const { identifier = "", title, icon, team } = rest;
  return {
    identifier,
    ...present({ title, icon, team }),
    properties: present({ ...base?.properties, ...properties }),
    relations: present({ ...base?.relations, ...relations }),
  };
}

/** Leaves out what is `null` or `undefined`. */
export function present<Value>(
  values: Record<string, Value>,
): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(values).filter(([_, value]) =>
      value !== null && value !== undefined
    ),
  );
}

/** Takes the parts of an entity that `include` and `exclude` ask for. */
export function pick(
  entity: Entity,
  include: string[],
  exclude: string[],
): Json {
  const keep = (path: string) =>
    (include.length === 0 ||
      include.some((wanted) => isWithin(path, wanted))) &&
    !exclude.some((unwanted) => isWithin(path, unwanted));
  const parts = Object.entries(entity).flatMap(([name, value]) => {
    if (name !== "properties" && name !== "relations") {
      return keep(name) ? [[name, value]] : [];
    }
    const inner = Object.entries(value as Json)
      .filter(([inner]) => keep(`${name}.${inner}`));
    return inner.length > 0 || keep(name)
      ? [[name, Object.fromEntries(inner)]]
      : [];
  });
  return Object.fromEntries(parts);
}

/** Whether a path is another, or lies below it. */
function isWithin(path: string, whole: string): boolean {
  return path === whole || path.startsWith(`${whole}.`);
}
