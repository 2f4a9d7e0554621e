/**
 * Checks of values against JSON schemas.
 *
 * @module
 */
import { Ajv } from "npm:ajv@8.20.0";
import addFormats from "npm:ajv-formats@3.0.1";
import { HttpError } from "./http_error.ts";
import type { Json } from "./model.ts";

const ajv = new Ajv({ strict: false, logger: false, discriminator: true });
addFormats.default(ajv);
ajv.addFormat("url", (text: string) => URL.canParse(text));

export const TEXT = { type: "string" };
export const TEXTS = { type: "array", items: TEXT };
export const BOOLEAN = { type: "boolean" };
export const OBJECT = { type: "object" };

/** An object with these members and no others. */
export function closed(required: Json, optional: Json = {}): Json {
  return {
    type: "object",
    properties: { ...required, ...optional },
    required: Object.keys(required),
    additionalProperties: false,
  };
}

/** Names a schema, so that it can refer to itself as `#`. */
export function define(name: string, schema: Json): Json {
  ajv.addSchema(schema, name);
  return { $ref: name };
}

/** Returns the value it is given if that is valid, and throws otherwise. */
export type Check<Value> = (value: unknown) => Value;

/** Makes a check whose error names the field, or the whole by its name. */
export function makeCheck<Value>(schema: Json, name = "body"): Check<Value> {
  const isValid = ajv.compile<Value>(schema);
  return (value) => {
    if (isValid(value)) return value;
    const [error] = isValid.errors ?? [];
    const field = error?.instancePath.slice(1).replaceAll("/", ".") || name;
    const { additionalProperty, allowedValues } = error?.params ?? {};
    const detail = additionalProperty !== undefined
      ? ` "${additionalProperty}"`
      : allowedValues
      ? `: ${allowedValues.join(", ")}`
      : "";
    throw new HttpError(422, `"${field}" ${error?.message}${detail}`);
  };
}
