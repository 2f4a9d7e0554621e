/**
 * Rules as a query in Port's search language.
 *
 * @module
 */
import { getBlueprint } from "./blueprint.ts";
import {
  locate,
  METADATA,
  type Types,
  typesOf,
  unknownName,
} from "./blueprint_names.ts";
import { UsageError } from "./errors.ts";
import type { JsonObject, Port, RequestOptions } from "./port.ts";
import { readValue, type Rule } from "./rules.ts";
import { searchName } from "./search.ts";

/**
 * Returns the query for entities that match all rules. With a blueprint, its
 * names and types are read first, if there are rules.
 *
 * @param port Port.
 * @param rules The rules.
 * @param blueprint The blueprint of the entities.
 * @param request Options of the request for it.
 * @returns The query.
 * @throws {UsageError} If a rule cannot be used.
 * @throws {PortError} If the blueprint cannot be read.
 */
export async function toQuery(
  port: Port,
  rules: Rule[],
  blueprint?: string,
  request: RequestOptions = {},
): Promise<{ combinator: "and"; rules: JsonObject[] }> {
  const types = blueprint !== undefined && rules.length > 0
    ? typesOf(await getBlueprint(port, blueprint, request))
    : METADATA;
  const toSearchRule = async (rule: Rule) => {
    const path = await findPath(rule, types, blueprint);
    const value = readValue(rule, types.get(path));
    return { property: searchName(path), operator: rule.operator, value };
  };
  return {
    combinator: "and",
    rules: await Promise.all(rules.map(toSearchRule)),
  };
}

/** The metadata, as Port's search names it. */
const SEARCHABLE: Types = new Map(
  [...METADATA].map(([name, type]) => [`$${name}`, type]),
);

/** Completes the path of a rule: `version` is short for `properties.version`. */
async function findPath(
  rule: Rule,
  types: Types,
  blueprint: string | undefined,
): Promise<string> {
  const { source, names } = rule;
  const { key, isBelow } = locate(names);
  const isMeta = key.startsWith("$");
  const paths = isMeta
    ? [key.slice(1)]
    : [key, `properties.${key}`, `relations.${key}`];
  const [path, other] = paths.filter((path) => types.has(path));
  const refuse = (reason: string) =>
    new UsageError(`Cannot use ${source}: ${reason}`);
  if (isBelow || (path !== undefined && types.get(path) === "object")) {
    throw refuse(
      "Port's search cannot compare objects, or what is inside a value; use " +
        "another property",
    );
  }
  if (path !== undefined && other !== undefined) {
    const first = path.replace(/^\w+$/, "$$$&");
    throw refuse(`it may mean ${first} or ${other}: write one of them`);
  }
  if (path !== undefined) return path;
  if (isMeta) throw await unknownName(rule, SEARCHABLE, "Port's search");
  if (blueprint === undefined) return key;
  throw await unknownName(rule, types, `blueprint "${blueprint}"`);
}
