/**
 * Parses JSON that users write.
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import { isJsonObject, type Json, type JsonObject } from "./port.ts";

/**
 * Parses JSON.
 *
 * @param text The JSON text, with or without a byte order mark.
 * @param source The name of the text in errors, for example `--properties`.
 * @returns The value.
 * @throws {UsageError} If the text is not JSON, or a number would lose digits.
 */
export function parseJson(text: string, source: string): Json {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""), keepDigits);
  } catch (error) {
    const reason = String(Object(error).message)
      .replace(/^Maximum call stack.*/, "it is nested too deeply");
    throw new UsageError(`Cannot read ${source}: ${reason}`);
  }
}

/** Throws if a number would lose digits. */
function keepDigits(_: string, value: unknown, context?: { source?: string }) {
  const { source = "" } = context ?? {};
  const isExact = typeof value !== "number" || String(value) === source ||
    (Number.isFinite(value) && !/^-?\d{2,}$/.test(source));
  if (isExact) return value;
  throw new RangeError(`the number ${source.slice(0, 40)} is too large`);
}

/**
 * Parses JSON that must be an object.
 *
 * @param text The JSON text.
 * @param source The name of the text in errors.
 * @returns The object.
 * @throws {UsageError} If the text is not a JSON object.
 */
export function parseJsonObject(text: string, source: string): JsonObject {
  const value = parseJson(text, source);
  if (isJsonObject(value)) return value;
  throw new UsageError(
    `Cannot read ${source}: it must be a JSON object such as {"name": "value"}`,
  );
}
