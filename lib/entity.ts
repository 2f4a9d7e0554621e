/**
 * Builds an entity from flags and JSON.
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import { parseJson, parseJsonObject } from "./json.ts";
import { isJsonObject, type Json, type JsonObject } from "./port.ts";

/** The flags that describe an entity. */
export type EntityFlags =
  & { [Name in "blueprint" | "identifier" | "title"]?: string | undefined }
  & { [Name in "icon" | "properties" | "relations"]?: string | undefined }
  & { [Name in "team" | "property" | "relation"]?: string[] };

/** An entity, and the blueprint that it belongs to. */
export interface PlacedEntity {
  /** Identifier of the blueprint. */
  blueprint: string;
  /** The entity. */
  entity: JsonObject;
}

/** Port's rules for identifiers, from its OpenAPI document. */
const IDENTIFIERS = {
  entity: /^(?!\.{1,2}$)[\p{L}0-9@_.+:\\/=-]{1,1000}$/u,
  blueprint: /^(?!\.{1,2}$)[\p{L}0-9@_.+:\\/-]{1,100}$/u,
};

/** The common case; to compile `\p{L}` takes a millisecond. */
const PLAIN = /^\w[\w@.+:/-]{0,99}$/;

/**
 * Checks an identifier before it is sent.
 *
 * @param what What it identifies.
 * @param identifier The identifier.
 * @throws {UsageError} If Port would reject it.
 */
export function checkIdentifier(
  what: "entity" | "blueprint",
  identifier: string,
): void {
  const pattern = IDENTIFIERS[what];
  if (PLAIN.test(identifier) || pattern.test(identifier)) return;
  throw new UsageError(
    `Cannot use the ${what} identifier "${identifier.slice(0, 40)}": it must ` +
      `match ${pattern.source} (no spaces, no %)`,
  );
}

/** What entities contain, to write and to read, in Port's OpenAPI document. */
const MEMBERS = ("identifier title icon team properties relations blueprint " +
  "createdAt createdBy updatedAt updatedBy scorecards").split(" ");

/**
 * Validates an entity in the format that Port documents, with `blueprint`.
 *
 * @param file The entity, with `blueprint`.
 * @returns The entity as Port accepts it.
 * @throws {UsageError} If a member is unknown or cannot be used.
 */
export async function readEntity(file: JsonObject): Promise<PlacedEntity> {
  const { blueprint, ...entity } = file;
  const { identifier: id } = entity;
  if (typeof blueprint !== "string") {
    throw new UsageError('Missing --blueprint ID, or "blueprint" in the file');
  }
  checkIdentifier("blueprint", blueprint);
  if (typeof id === "string") checkIdentifier("entity", id);
  const refuse = (reason: string) =>
    new UsageError(`Cannot use the entity: ${reason}`);
  const unknown = Object.keys(entity).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) {
    const { suggest } = await import("./suggest.ts");
    throw refuse(`unknown member "${unknown}"${suggest(unknown, MEMBERS)}`);
  }
  if (typeof id === "number") throw refuse(`write identifier as text: "${id}"`);
  for (const member of ["properties", "relations"]) {
    const value = entity[member] ?? {};
    if (!isJsonObject(value)) throw refuse(`"${member}" must be a JSON object`);
  }
  return { blueprint, entity };
}

/**
 * Builds an entity. Flags override the fields of the file one by one.
 *
 * @param flags The flags.
 * @param file The entity in a file; it may contain `blueprint`.
 * @returns The entity as Port accepts it.
 * @throws {UsageError} If a value cannot be used.
 */
export async function buildEntity(
  flags: EntityFlags,
  file: JsonObject = {},
): Promise<PlacedEntity> {
  const { team = [], property, properties, relation, relations } = flags;
  const built: JsonObject = { ...file, ...(team.length > 0 && { team }) };
  for (const name of ["blueprint", "identifier", "title", "icon"] as const) {
    if (flags[name] !== undefined) built[name] = flags[name];
  }
  const { blueprint, entity } = await readEntity(built);
  const merge = (member: string, values: JsonObject) => {
    if (Object.keys(values).length === 0) return;
    entity[member] = { ...Object(entity[member]), ...values };
  };
  merge("properties", namedValues("property", property, properties));
  merge("relations", namedValues("relation", relation, relations));
  return { blueprint, entity };
}

/**
 * Merges `--property` and `--properties`, or the same for relations.
 *
 * @param flag `property` or `relation`.
 * @param assignments Each `name=text` or `name:=json`.
 * @param json A JSON object.
 * @returns The values by name.
 * @throws {UsageError} If a value cannot be used, or a name is given twice.
 */
export function namedValues(
  flag: "property" | "relation",
  assignments: string[] = [],
  json = "{}",
): JsonObject {
  const jsonFlag = flag === "property" ? "--properties" : "--relations";
  const values = new Map(Object.entries(parseJsonObject(json, jsonFlag)));
  for (const text of assignments) {
    const [name, value] = parseAssignment(text, flag);
    if (values.has(name)) {
      throw new UsageError(`Cannot set ${flag} "${name}": it is given twice`);
    }
    values.set(name, value);
  }
  return Object.fromEntries(values);
}

/**
 * Splits `name=text` or `name:=json` at the first `=` or `:=`. Text is not
 * parsed: a build number such as `007` keeps its zeros.
 */
function parseAssignment(text: string, flag: string): [string, Json] {
  const [, name, sign, value = ""] =
    /^(?!:=|\s)([^=]+?)(?<!\s:?)(:?=)(.*)$/s.exec(text) ?? [];
  if (name === undefined) {
    throw new UsageError(
      `Cannot read --${flag} "${text}": write name=text or name:=json, without ` +
        "spaces around the name",
    );
  }
  if (sign === "=") return [name, value];
  return [name, parseJson(value, `--${flag} "${name}"`)];
}
