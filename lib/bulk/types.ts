/**
 * The types that a blueprint gives to values that are written as text.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { parseJson } from "../json.ts";
import type { Json, JsonObject } from "../port.ts";

/** The type of a value; without `type`, it is text. */
export interface ValueType {
  /** `string`, `number`, `boolean`, `object` or `array`; `any` if not known. */
  type?: string;
  /** The type of the elements of a list. */
  items?: ValueType;
}

/** Types by path, for example `properties.replicas`. */
export type EntityTypes = ReadonlyMap<string, ValueType>;

/** Returns the types of a blueprint. */
export type TypesOf = (blueprint: string) => Promise<EntityTypes>;

/**
 * Returns the types that a blueprint gives.
 *
 * @param blueprint The blueprint.
 * @returns The types.
 */
export function typesIn({ schema, relations }: JsonObject): EntityTypes {
  const properties = Object.entries<ValueType>(
    Object(Object(schema).properties),
  );
  return new Map<string, ValueType>([
    ...properties.map(([name, type]) => [`properties.${name}`, type] as const),
    ...Object.entries(Object(relations)).map(([name, relation]) =>
      [
        `relations.${name}`,
        { type: Object(relation).many ? "array" : "string" },
      ] as const
    ),
  ]);
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?$/i;

/**
 * Returns the value that text stands for.
 *
 * @param text The text.
 * @param type The type of the value; no list and no object.
 * @returns The value.
 * @throws {UsageError} If the text is not of that type.
 */
export function readText(text: string, { type }: ValueType): Json {
  const word = text.trim().toLowerCase();
  const isBoolean = word === "true" || word === "false";
  switch (type) {
    case "number":
      if (NUMBER.test(word)) return parseJson(word, "the number");
      throw new UsageError(`${JSON.stringify(text)} is not a number`);
    case "boolean":
      if (isBoolean) return word === "true";
      throw new UsageError(`${JSON.stringify(text)} is not true or false`);
    case "any":
      // 1.10 and 007 are no numbers, as these would be written in another way.
      if (String(Number(text)) === text && NUMBER.test(text)) {
        return Number(text);
      }
      return isBoolean ? word === "true" : text;
    default:
      return text;
  }
}
