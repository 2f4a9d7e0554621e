/**
 * The names that entities of a blueprint can have, and their types.
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import type { JsonObject } from "./port.ts";
import type { Rule, Type } from "./rules.ts";

/** Types by path; `undefined` where a blueprint gives none. */
export type Types = ReadonlyMap<string, Type | undefined>;

/** What entities of every blueprint have. */
export const METADATA: Types = new Map<string, Type | undefined>([
  ["identifier", "string"],
  ["title", "string"],
  ["icon", "string"],
  ["team", undefined],
  ["blueprint", "string"],
  ["createdAt", "date-time"],
  ["createdBy", "string"],
  ["updatedAt", "date-time"],
  ["updatedBy", "string"],
  ["properties", "object"],
  ["relations", "object"],
  ["scorecards", "object"],
]);

/**
 * Returns the types that a blueprint gives.
 *
 * @param blueprint The blueprint.
 * @returns The types by path, for example of `properties.version`.
 */
export function typesOf(blueprint: JsonObject): Types {
  const { schema, relations, calculationProperties, ...more } = blueprint;
  const group = (
    prefix: string,
    members: unknown,
    typeOf: (member: JsonObject) => Type | undefined,
  ) =>
    Object.entries<JsonObject>(Object(members))
      .map(([name, it]) => [`${prefix}.${name}`, typeOf(Object(it))] as const);
  return new Map([
    ...METADATA,
    ...group("properties", Object(schema).properties, typeOfProperty),
    ...group("properties", calculationProperties, typeOfProperty),
    // A mirror has the type of a property of another blueprint.
    ...group("properties", more.mirrorProperties, () => undefined),
    ...group("properties", more.aggregationProperties, () => "number"),
    ...group("relations", relations, ({ many }) => many ? "array" : "string"),
  ]);
}

function typeOfProperty({ type, format }: JsonObject): Type {
  const isTime = format === "date-time" || format === "timer";
  return isTime ? "date-time" : type as Type;
}

/**
 * Splits a path into the name that a blueprint knows and what lies below.
 *
 * @param names The names along the path.
 * @returns The path that a blueprint knows, and whether more follows.
 */
export function locate(names: string[]): { key: string; isBelow: boolean } {
  const depth = /^(?:properties|relations)$/.test(names[0] ?? "") ? 2 : 1;
  return {
    key: names.slice(0, depth).join("."),
    isBelow: names.length > depth,
  };
}

/**
 * Creates the error for a name that does not exist.
 *
 * @param rule The rule.
 * @param types The names that exist.
 * @param owner What has them, for example `blueprint "service"`.
 * @returns The error, with the nearest name that exists.
 */
export async function unknownName(
  { source, names }: Rule,
  types: Types,
  owner: string,
): Promise<UsageError> {
  // Loaded only on an error.
  const { suggest } = await import("./suggest.ts");
  const { key } = locate(names);
  const paths = [...types.keys()];
  const lastOf = (path: string) => path.slice(path.indexOf(".") + 1);
  const last = lastOf(key);
  const prefix = key.slice(0, key.indexOf(".") + 1);
  const same = paths.find((path) => lastOf(path) === last);
  const near = paths.filter((path) => path.startsWith(prefix)).map(lastOf);
  const hint = same !== undefined
    ? `, did you mean ${same}?`
    : near.length > 0
    ? suggest(last, near).replace("mean ", `mean ${prefix}`)
    : "";
  return new UsageError(`Cannot use ${source}: ${owner} has no ${key}${hint}`);
}
