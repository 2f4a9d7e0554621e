/**
 * Rules such as `version!=1.10`: how `--where` and `--expect` are written, and
 * how the type of a property decides what a value means.
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import { parseJson } from "./json.ts";
import { parsePath } from "./path.ts";
import type { Json } from "./port.ts";

/** The type of a value. A time is text in JSON, but has an order. */
export type Type =
  | "string"
  | "date-time"
  | "number"
  | "boolean"
  | "array"
  | "object";

/** What a rule must compare a property with, by its type. */
const VALUES: Readonly<Record<Type, string>> = {
  "string": "text",
  "date-time": "a date such as 2025-01-31 or 2025-01-31T10:00:00Z",
  "number": "a number",
  "boolean": "true or false",
  "array": "a JSON array",
  "object": "a JSON object",
};

/** A rule. */
export interface Rule {
  /** The flag and the rule as written, for errors. */
  source: string;
  /** The path as written. */
  path: string;
  /** The names along the path. */
  names: string[];
  /** How the value at the path must compare. */
  operator: string;
  /** The value as written. */
  text: string;
  /** The value, if it is written as JSON: after `:=`, or in double quotes. */
  json: Json | undefined;
}

const RULE =
  /^((?:[^=!:<>[\]"]|\[(?:\d+|"(?:[^"\\]|\\.)*")\])+)([<>]=?|!?:?=)(.+)$/s;

/**
 * Parses a rule.
 *
 * @param flag The flag, for example `--where`.
 * @param written The rule, for example `version!=1.10`.
 * @returns The rule.
 * @throws {UsageError} If it cannot be read, or may mean two things.
 */
export function parseRule(flag: string, written: string): Rule {
  const source = `${flag} "${written}"`;
  const [, path, sign = "", text = ""] = RULE.exec(written) ?? [];
  // "a != b" and "a == b" would not mean what they seem to; an empty value
  // usually comes from an unset variable.
  if (
    path === undefined || /^\s|\s$/.test(path) || /^[\s=<>!]|\s$/.test(text)
  ) {
    throw new UsageError(
      `Cannot read ${source}: write NAME=VALUE, with =, !=, :=, !:=, >, >=, < ` +
        'or <=, without spaces around NAME and VALUE, and "" for empty text',
    );
  }
  const operator = sign.replace(":", "");
  const isJson = sign !== operator || text.startsWith('"');
  const json = isJson ? parseJson(text, source) : undefined;
  const names = parsePath(path);
  const rule = { source, path, names, operator, text, json };
  if (text === "null" && !isJson && !isOrder(operator)) {
    throw unclear(rule, "null may be text");
  }
  return rule;
}

/** The error for a value that may be text or something else. */
function unclear(rule: Rule, reason: string, json = rule.text): UsageError {
  const { source, path, operator, text } = rule;
  return new UsageError(
    `Cannot use ${source}: ${reason}: write ` +
      `'${path}${operator}${JSON.stringify(text)}' for text, or ` +
      `'${path}${operator.replace("=", ":=")}${json}' for JSON`,
  );
}

/** What people write for a boolean. */
const BOOLEANS = new Map([
  ...["true", "yes", "on"].map((word) => [word, "true"] as const),
  ...["false", "no", "off"].map((word) => [word, "false"] as const),
]);

/**
 * Throws if a value of unknown type may be meant as a boolean, such as `True`:
 * as text, it would never be equal to one.
 *
 * @param rule The rule.
 * @throws {UsageError} If it may.
 */
export function rejectBooleanWord(rule: Rule): void {
  const { path, text, json } = rule;
  const boolean = BOOLEANS.get(text.toLowerCase());
  if (json !== undefined || boolean === undefined || text === boolean) return;
  throw unclear(rule, `the type of ${path} is not known`, boolean);
}

function isOrder(operator: string): boolean {
  return /[<>]/.test(operator);
}

/** The types that have an order. */
const ORDERED: Type[] = ["number", "date-time"];

/**
 * Returns the value of a rule.
 *
 * @param rule The rule.
 * @param type The type of the property; `undefined` if it is not known.
 * @returns The value. `null` stands for "not set" and has every type.
 * @throws {UsageError} If the value is not of that type.
 */
export function readValue(rule: Rule, type: Type | undefined): Json {
  const { path, operator, json } = rule;
  if (json === null) return null;
  if (!isOrder(operator)) {
    return type === undefined ? readUntyped(rule) : readTyped(rule, [type]);
  }
  if (type === undefined) return readTyped(rule, ORDERED);
  if (ORDERED.includes(type)) return readTyped(rule, [type]);
  throw new UsageError(
    `Cannot use ${rule.source}: ${path} must be compared with = or !=, since ` +
      "only numbers and dates have an order",
  );
}

function readUntyped(rule: Rule): Json {
  const { path, text, json } = rule;
  rejectBooleanWord(rule);
  if (json !== undefined || !isJson(text)) return json ?? text;
  throw unclear(rule, `the type of ${path} is not known`);
}

/** Reads the value as the first of some types that it can have. */
function readTyped(rule: Rule, types: Type[]): Json {
  for (const type of types) {
    const value = readAs(rule, type);
    if (isOfType(value, type)) return value;
  }
  const values = types.map((type) => VALUES[type]).join(" or ");
  throw new UsageError(
    `Cannot use ${rule.source}: ${rule.path} must be compared with ${values}`,
  );
}

function readAs({ source, text, json }: Rule, type: Type): Json {
  if (type === "date-time") {
    return (json ?? text).toString().replace(DATE, "$&T00:00:00Z");
  }
  if (json !== undefined || type === "string" || !isJson(text)) {
    return json ?? text;
  }
  return parseJson(text, source);
}

const DATE = /^\d{4}-\d\d-\d\d$/;

function isOfType(value: Json, type: Type): boolean {
  return type === "date-time" ? isTime(value) : jsonType(value) === type;
}

function jsonType(value: Json): string {
  return Array.isArray(value) ? "array" : typeof value;
}

function isTime(value: Json): boolean {
  return typeof value === "string" &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(
      value,
    ) && !Number.isNaN(Date.parse(value));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns the type of a value in an entity.
 *
 * @param value The value; not `null`.
 * @returns Its type; text that reads as a time is one.
 */
export function typeOfValue(value: Json): Type {
  return isTime(value) ? "date-time" : jsonType(value) as Type;
}
