/**
 * The entity: building one from flags and JSON, and paths into one.
 *
 * @module
 */
import { NotFoundError, UsageError } from "./errors.ts";
import {
  isJsonObject,
  type Json,
  type JsonObject,
  parseJson,
  parseJsonObject,
} from "./json.ts";

/** An entity, as Port's API takes and returns it. */
export interface Entity {
  /** Unique in its blueprint; left out, Port makes one up. */
  identifier?: Json;
  /** The name that people read. */
  title?: Json;
  /** The name of one of Port's icons. */
  icon?: Json;
  /** The Port team or teams that own it. */
  team?: Json;
  /** Values by property name; `null` clears one. */
  properties?: JsonObject;
  /** Identifiers of related entities by relation name; `null` clears one. */
  relations?: JsonObject;
  /** Port passes over what it does not know. */
  [other: string]: Json | undefined;
}

/** What the command line says of an entity. */
export interface EntityFlags {
  /** Blueprint of the entity. */
  blueprint?: string | undefined;
  /** Identifier of the entity. */
  identifier?: string | undefined;
  /** Title of the entity. */
  title?: string | undefined;
  /** Icon of the entity. */
  icon?: string | undefined;
  /** Teams that own the entity; none says nothing about them. */
  team: string[];
  /** Properties, each as `name=text` or `name:=json`. */
  property: string[];
  /** A JSON object of properties. */
  properties?: string | undefined;
  /** Relations, each as `name=text` or `name:=json`. */
  relation: string[];
  /** A JSON object of relations. */
  relations?: string | undefined;
}

/** Port's pattern of an entity's identifier, from its OpenAPI document. */
const ENTITY_IDENTIFIER = /^(?!\.{1,2}$)[\p{L}0-9@_.+:\\/=-]+$/u;

/** Port's pattern of a blueprint's identifier, from the same document. */
const BLUEPRINT_IDENTIFIER = /^(?!\.{1,2}$)[\p{L}0-9@_.+:\\/-]+$/u;

/**
 * Checks the identifier of an entity before anything is sent.
 *
 * @param identifier The identifier.
 * @throws {UsageError} When Port would refuse it.
 */
export function checkEntityIdentifier(identifier: string): void {
  check("entity", identifier, ENTITY_IDENTIFIER, 1000);
}

/**
 * Checks the identifier of a blueprint before anything is sent.
 *
 * @param identifier The identifier.
 * @throws {UsageError} When Port would refuse it.
 */
export function checkBlueprintIdentifier(identifier: string): void {
  check("blueprint", identifier, BLUEPRINT_IDENTIFIER, 100);
}

function check(what: string, identifier: string, form: RegExp, most: number) {
  if ([...identifier].length > most) {
    throw new UsageError(
      `Cannot use the ${what} identifier "${identifier.slice(0, 20)}…": ` +
        `it is longer than ${most} characters`,
    );
  }
  if (!form.test(identifier)) {
    throw new UsageError(
      `Cannot use the ${what} identifier "${identifier}": it must match ` +
        `${form.source} (no spaces, no %)`,
    );
  }
}

/**
 * Takes an entity in the shape that Port documents, `blueprint` allowed in it.
 *
 * @param file The entity.
 * @param blueprint Identifier of its blueprint, where the entity names none.
 * @returns The blueprint, and the entity in the form that Port takes.
 * @throws {UsageError} When there is no blueprint, or an identifier breaks
 * Port's rules.
 */
export function readEntity(
  file: JsonObject,
  blueprint: string | undefined,
): { blueprint: string; entity: Entity } {
  const { blueprint: own = blueprint, ...entity } = file;
  if (typeof own !== "string") {
    throw new UsageError(
      'Cannot tell the blueprint: give --blueprint ID, or "blueprint" in the file',
    );
  }
  checkBlueprintIdentifier(own);
  for (const member of ["properties", "relations"]) {
    if (entity[member] === undefined || isJsonObject(entity[member])) continue;
    throw new UsageError(
      `Cannot use the entity: "${member}" must be a JSON object`,
    );
  }
  checkIdentifierIn(entity);
  checkMembersOf(entity);
  return { blueprint: own, entity };
}

/**
 * Puts an entity together. Flags win over the file, name by name.
 *
 * @param flags What the command line says.
 * @param file The entity that a file holds, `blueprint` allowed in it.
 * @returns The blueprint, and the entity in the form that Port takes.
 * @throws {UsageError} When there is no blueprint, an identifier breaks Port's
 * rules, a value does not parse or a name is given twice.
 */
export function buildEntity(
  flags: EntityFlags,
  file: JsonObject = {},
): { blueprint: string; entity: Entity } {
  const { blueprint, identifier, title, icon, team } = flags;
  const built = readEntity({
    ...file,
    ...(blueprint !== undefined && { blueprint }),
    ...(identifier !== undefined && { identifier }),
    ...(title !== undefined && { title }),
    ...(icon !== undefined && { icon }),
    ...(team.length > 0 && { team }),
  }, undefined);
  assign(built.entity, "properties", namedValues("property", flags));
  assign(built.entity, "relations", namedValues("relation", flags));
  return built;
}

/** Without its identifier, "identifer" would be a new entity in each run. */
function checkMembersOf(entity: Entity): void {
  if (entity.identifier !== undefined) return;
  const unknown = Object.keys(entity).find((name) => !MEMBERS.includes(name));
  if (unknown === undefined) return;
  throw new UsageError(
    `Cannot use the entity: it has no identifier, but "${unknown}"`,
  );
}

/** What Port's OpenAPI document names in an entity. */
const MEMBERS = [
  "identifier",
  "title",
  "icon",
  "team",
  "properties",
  "relations",
];

/** A search query may stand for the identifier, so only text is checked. */
function checkIdentifierIn({ identifier }: Entity): void {
  if (typeof identifier === "string") return checkEntityIdentifier(identifier);
  if (identifier === undefined || isJsonObject(identifier)) return;
  throw new UsageError(
    `Cannot use the entity identifier ${JSON.stringify(identifier)}: ` +
      "it must be text",
  );
}

/** Lays the flags' values over those of the file. */
function assign(
  entity: Entity,
  member: "properties" | "relations",
  values: Map<string, Json>,
): void {
  if (values.size === 0) return;
  entity[member] = { ...entity[member], ...Object.fromEntries(values) };
}

/** Reads `--properties` and all `--property`, or the same of relations. */
function namedValues(
  flag: "property" | "relation",
  flags: EntityFlags,
): Map<string, Json> {
  const many = flag === "property" ? "properties" : "relations";
  const text = flags[many];
  const whole = text === undefined ? {} : parseJsonObject(text, `--${many}`);
  const values = new Map(Object.entries(whole));
  for (const text of flags[flag]) {
    const [name, value] = parseAssignment(text, flag);
    if (values.has(name)) {
      throw new UsageError(
        `Cannot set ${flag} "${name}": it is given twice`,
      );
    }
    values.set(name, value);
  }
  return values;
}

/**
 * Splits `name=text` or `name:=json` at the first `=` or `:=`. Text stays text:
 * a build number such as `007` keeps its zeros.
 */
function parseAssignment(text: string, flag: string): [string, Json] {
  const parts = /^(?!:=|\s)([^=]+?)(?<!\s)(:?=)(.*)$/s.exec(text);
  if (parts === null) {
    throw new UsageError(
      `Cannot read --${flag} "${text}": write name=text or name:=json, without ` +
        "spaces around the name",
    );
  }
  const [, name = "", sign, value = ""] = parts;
  if (sign === "=") return [name, value];
  return [name, parseJson(value, `--${flag} "${name}"`)];
}

/**
 * Reads a path such as `properties.version`, `relations.owners.0` or
 * `properties["a.b"]`.
 *
 * @param text The path.
 * @returns The names on the way, from the outside in.
 * @throws {UsageError} When it is no path.
 */
export function parsePath(text: string): string[] {
  const step = /(?:^|\.)([^.[\]"]+)|\[(\d+|"(?:[^"\\]|\\.)*")\]/y;
  const names: string[] = [];
  while (step.lastIndex < text.length) {
    const found = step.exec(text);
    if (found === null) break;
    const quoted = found[2];
    names.push(quoted === undefined ? found[1] ?? "" : unquote(quoted));
  }
  if (names.length > 0 && step.lastIndex === text.length) return names;
  throw new UsageError(
    `Cannot read the path "${text}": write it like properties.version, ` +
      'relations.owners.0 or properties["a.b"]',
  );
}

/** `"a.b"` is JSON text, `0` an index; both become a name. */
function unquote(step: string): string {
  return String(parseJson(step, "a path"));
}

/** What a path leads to, or how far it goes. */
export type Found =
  | { there: true; value: unknown }
  | { there: false; paths: string[] };

/**
 * Follows a path into a value.
 *
 * @param root The value to look into, for example an entity.
 * @param path The names on the way, as {@linkcode parsePath} returns them.
 * @returns The value, or the paths that do exist where the way ends.
 */
export function valueAt(root: unknown, path: string[]): Found {
  let value = root;
  for (const [depth, name] of path.entries()) {
    if (!isContainer(value) || !hasName(value, name)) {
      const names = isContainer(value) ? Object.keys(value) : [];
      const way = path.slice(0, depth);
      return {
        there: false,
        paths: names.map((name) => formatPath([...way, name])),
      };
    }
    value = Reflect.get(value, name);
  }
  return { there: true, value };
}

/**
 * Makes the error for a path that is not there.
 *
 * @param path The path as the user wrote it.
 * @param paths The paths that do exist where the way ends.
 * @returns The error.
 */
export function missingPath(path: string, paths: string[]): NotFoundError {
  return new NotFoundError(
    `Cannot find "${path}" in the entity: there is ` +
      (paths.join(", ") || "nothing"),
  );
}

/** Of an array, only what stands in it. */
function hasName(value: object, name: string): boolean {
  return Object.keys(value).includes(name);
}

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** The text that {@linkcode parsePath} reads back as the same names. */
function formatPath(names: string[]): string {
  return names.map((name, index) =>
    /[.[\]"]|^$/.test(name)
      ? `[${JSON.stringify(name)}]`
      : index === 0
      ? name
      : `.${name}`
  ).join("");
}
