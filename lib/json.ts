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
 * parse, or would lose something: of a name that is given twice, and of a
 * number too large.
 */
export function parseJson(text: string, source: string): Json {
  const json = text.replace(/^\uFEFF/, "");
  const fault = findFault(json);
  if (fault === undefined) return JSON.parse(json);
  throw new UsageError(`Cannot read ${source}: ${fault}`);
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
 * Reads a value as JSON where it is JSON that loses nothing, else as text: a
 * commit such as `7e12345` is no number.
 *
 * @param text For example `3`, `true`, `"3"` or `1.4.2`.
 * @returns The value.
 */
export function parseJsonOrText(text: string): Json {
  return findFault(text) === undefined ? JSON.parse(text) : text;
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

/**
 * Counts the bytes of a text in UTF-8.
 *
 * @param text The text.
 * @returns How many there are.
 */
export function byteLength(text: string): number {
  // Most text is ASCII, where nothing has to be encoded.
  // deno-lint-ignore no-control-regex
  const isAscii = /^[\x00-\x7f]*$/.test(text);
  return isAscii ? text.length : new TextEncoder().encode(text).length;
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
/**
 * Finds the first character that cannot stand where it stands, and what
 * `JSON.parse()` would lose without a word: a name that is given twice, a number
 * too large. A stack of its own instead of recursion, so that deep nesting
 * cannot exhaust the real one.
 *
 * @returns What is wrong and where; `undefined` when nothing is.
 */
function findFault(json: string): string | undefined {
  let start = 0;
  let at = 0;
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(json)) return false;
    start = at;
    at = pattern.lastIndex;
    return true;
  };
  const next = (pattern: RegExp): boolean => take(SPACE) && take(pattern);
  const nextIs = (mark: string): boolean => {
    take(SPACE);
    if (json[at] !== mark) return false;
    at++;
    return true;
  };
  const token = () => json.slice(start, at);
  const lost = (why: string) =>
    placeOf(json, start) + `${token().slice(0, 40)} ${why}`;
  const invalid = () => {
    const text = json.slice(at).split(/[\r\n]/, 1)[0]?.slice(0, 20).trim();
    return placeOf(json, at) +
      (text
        ? `${JSON.stringify(text)} is not valid JSON here`
        : "the JSON ends too early");
  };
  /** What is open: the names of an object, nothing of an array. */
  const open: (Set<string> | undefined)[] = [];
  for (;;) {
    const names = open.at(-1);
    if (names) {
      if (!next(KEY)) return invalid();
      const name = JSON.parse(token());
      if (names.has(name)) return lost("is given twice");
      names.add(name);
      if (!nextIs(":")) return invalid();
    }
    const close = nextIs("[") ? "]" : nextIs("{") ? "}" : undefined;
    if (close === undefined) {
      if (!next(SCALAR)) return invalid();
      if (isTooLarge(token())) return lost("is too large");
    } else if (!nextIs(close)) {
      open.push(close === "}" ? new Set() : undefined);
      continue;
    }
    while (open.length > 0 && nextIs(open.at(-1) ? "}" : "]")) open.pop();
    if (open.length > 0 && nextIs(",")) continue;
    take(SPACE);
    return open.length === 0 && at === json.length ? undefined : invalid();
  }
}

/** A number that would arrive as another one, or as none. */
function isTooLarge(scalar: string): boolean {
  if (!/^-?\d/.test(scalar)) return false;
  const number = Number(scalar);
  if (!Number.isFinite(number)) return true;
  return /^-?\d+$/.test(scalar) && String(number) !== scalar &&
    BigInt(scalar) !== BigInt(number);
}

function placeOf(json: string, offset: number): string {
  const before = json.slice(0, offset).split("\n");
  const column = (before.at(-1) ?? "").length + 1;
  return `line ${before.length}, column ${column}: `;
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
