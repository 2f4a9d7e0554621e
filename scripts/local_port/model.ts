/**
 * What the catalogue holds.
 *
 * @module
 */

export type Json = Record<string, unknown>;

/** Returns the time, in milliseconds since 1970. */
export type Clock = () => number;

export interface Relation {
  target: string;
  required: boolean;
  many: boolean;
}

export interface Blueprint extends Json {
  identifier: string;
  title: string;
  schema: { properties: Record<string, Json>; required?: string[] };
  relations?: Record<string, Relation>;
  calculationProperties?: Record<string, Json>;
  mirrorProperties?: Record<string, { path: string }>;
  aggregationProperties?: Record<string, { target: string }>;
  ownership?: { type: "Direct" } | { type: "Inherited"; path: string };
}

/** An entity as far as clients write it. */
export interface EntityContent {
  identifier: string;
  title?: string;
  icon?: string;
  team?: string | string[];
  properties: Json;
  relations: Json;
}

/** Who wrote an entity and when, in ISO 8601 and UTC. */
export interface Stamp {
  createdAt: string;
  createdBy: string;
  updatedAt: string;
  updatedBy: string;
}

export interface Entity extends EntityContent, Stamp {
  blueprint: string;
}

/** What searches name with `$`: all of an entity but properties and relations. */
export const META = [
  "identifier",
  "title",
  "icon",
  "team",
  "blueprint",
  "createdAt",
  "createdBy",
  "updatedAt",
  "updatedBy",
];

/** Removes what is `null` or `undefined`. */
export function omitNullish<Value>(
  values: Record<string, Value>,
): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(values).filter(([_, value]) =>
      value !== null && value !== undefined
    ),
  );
}

/** `500ms`, `90s`, `2m` or `1h30m` in milliseconds; NaN for anything else. */
export function parseTime(text: string): number {
  const parts = /^(?=\d)(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$/.exec(text);
  if (parts === null) return NaN;
  const [_, hours = 0, minutes = 0, seconds = 0, rest = 0] = parts
    .map((part = "0") => parseInt(part));
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest;
}

/** Selects by paths such as `title`, `relations` and `properties.version`. */
export function pick(
  entity: Entity,
  include: string[] = [],
  exclude: string[] = [],
): Json {
  const isBelow = (path: string) => (whole: string) =>
    `${path}.`.startsWith(`${whole}.`);
  const keep = (path: string) =>
    (include.length === 0 || include.some(isBelow(path))) &&
    !exclude.some(isBelow(path));
  const select = (values: Json, prefix = "") =>
    Object.entries(values).filter(([name]) => keep(prefix + name));
  const { properties, relations, ...rest } = entity;
  const picked: Json = Object.fromEntries(select(rest));
  for (const [name, group] of Object.entries({ properties, relations })) {
    const members = select(group, `${name}.`);
    if (members.length > 0 || keep(name)) {
      picked[name] = Object.fromEntries(members);
    }
  }
  return picked;
}
