/**
 * JSON that people wrote: what is wrong with it, and on which line.
 *
 * @module
 */
import { UsageError } from "./errors.ts";

/** Any value that JSON can hold. */
export type Json =
  | null
  | boolean
  | number
  | string
  | Json[]
  | { [name: string]: Json };

/** An object that JSON can hold. */
export type JsonObject = { [name: string]: Json };

/**
 * Parses JSON.
 *
 * @param text The JSON text; a byte order mark in front is passed over.
 * @param source What to call the text in an error, for example
 * `entity file "entity.json"`.
 * @returns The value.
 * @throws {UsageError} Naming line, column and offending text when it does not
 * parse.
 */
export function parseJson(text: string, source: string): Json {
  const json = text.replace(/^\uFEFF/, "");
  try {
    return JSON.parse(json);
  } catch {
    throw new UsageError(`Cannot read ${source}: ${describeFault(json)}`);
  }
}

/**
 * Parses JSON that must be an object.
 *
 * @param text The JSON text.
 * @param source What to call the text in an error.
 * @returns The object.
 * @throws {UsageError} When the text does not parse or holds something else.
 */
export function parseJsonObject(text: string, source: string): JsonObject {
  const value = parseJson(text, source);
  if (isJsonObject(value)) return value;
  throw new UsageError(
    `Cannot read ${source}: it must be a JSON object such as {"name": "value"}`,
  );
}

/**
 * Tells an object from all other values, arrays and `null` among them.
 *
 * @param value The value to look at.
 * @returns Whether it is an object.
 */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The tokens of JSON (RFC 8259), as sticky patterns. */
const SPACE = /[ \t\n\r]*/y;
const KEY =
  /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/uy;
const SCALAR = new RegExp(
  KEY.source + /|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/
    .source,
  "uy",
);
const MARK = {
  "[": /\[/y,
  "]": /\]/y,
  "{": /\{/y,
  "}": /\}/y,
  ":": /:/y,
  ",": /,/y,
};

/** Says where the text stops to be JSON, and shows what stands there. */
function describeFault(json: string): string {
  const offset = faultOffset(json);
  const before = json.slice(0, offset).split("\n");
  const column = (before.at(-1) ?? "").length + 1;
  const offending = json.slice(offset).split(/[\r\n]/, 1)[0]?.slice(0, 20)
    .trim();
  const what = offending
    ? `${JSON.stringify(offending)} is not valid JSON here`
    : "the JSON ends too early";
  return `line ${before.length}, column ${column}: ${what}`;
}

/**
 * Finds the first character that cannot stand where it stands. `JSON.parse()`
 * names the place in some of its messages only. A stack of its own instead of
 * recursion, so that deep nesting cannot exhaust the real one.
 */
function faultOffset(json: string): number {
  let at = 0;
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(json)) return false;
    at = pattern.lastIndex;
    return true;
  };
  const next = (pattern: RegExp): boolean => take(SPACE) && take(pattern);
  const open: ("]" | "}")[] = [];
  for (;;) {
    if (open.at(-1) === "}" && !(next(KEY) && next(MARK[":"]))) return at;
    const close = next(MARK["["]) ? "]" : next(MARK["{"]) ? "}" : undefined;
    if (close === undefined && !next(SCALAR)) return at;
    if (close !== undefined) {
      open.push(close);
      if (!next(MARK[close])) continue;
      open.pop();
    }
    for (let last = open.at(-1); last && next(MARK[last]); last = open.at(-1)) {
      open.pop();
    }
    if (open.length === 0 || !next(MARK[","])) {
      take(SPACE);
      return at;
    }
  }
}

/**
 * Compares two values as JSON does: the order of names does not matter.
 *
 * @param left One value.
 * @param right The other.
 * @returns Whether they are the same.
 */
export function isSameJson(left: unknown, right: unknown): boolean {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length &&
      left.every((value, index) => isSameJson(value, right[index]));
  }
  if (isJsonObject(left) && isJsonObject(right)) {
    const names = Object.keys(left);
    return names.length === Object.keys(right).length &&
      names.every((name) =>
        Object.hasOwn(right, name) && isSameJson(left[name], right[name])
      );
  }
  return left === right;
}
