/**
 * The bodies of Port's OpenAPI document, as far as the routes here use them.
 *
 * @module
 */
import { Ajv, type ValidateFunction } from "npm:ajv@8.20.0";
import addFormats from "npm:ajv-formats@3.0.1";
import type { Blueprint, Json } from "./model.ts";
import { invalid } from "./refusal.ts";

export const ajv = new Ajv({ strict: false, logger: false });
addFormats.default(ajv);
ajv.addFormat("url", (text: string) => URL.canParse(text));

export const TEXT = { type: "string" };

/** An object with these members and no others. */
export function closed(properties: Json, ...required: string[]): Json {
  return { type: "object", properties, required, additionalProperties: false };
}

/** Port's pattern of an entity's identifier. */
const IDENTIFIER = {
  type: "string",
  pattern: "^(?!\\.{1,2}$)[\\p{L}0-9@_.+:\\\\/=-]+$",
  maxLength: 1000,
};

/** A query may stand for an identifier that the client does not know. */
const SEARCH = { $ref: "#/definitions/search" };

export const TEXTS = { type: "array", items: TEXT };

/** The queries that {@linkcode SEARCH} refers to. */
const definitionsOfSearch = {
  search: closed(
    {
      combinator: { enum: ["and", "or"] },
      rules: {
        type: "array",
        items: {
          anyOf: [
            rule(TEXT, ["="], { type: ["string", "number", "null"] }),
            rule(TEXT, ["in", "containsAny"], TEXTS),
            rule(TEXT, ["contains"], {
              anyOf: [{ type: ["string", "null"] }, TEXTS],
            }),
            SEARCH,
          ],
        },
      },
    },
    "combinator",
    "rules",
  ),
};

/** A rule about a property. */
export function rule(property: Json, operators: string[], value: Json): Json {
  const members = { property, operator: { enum: operators }, value };
  return closed(members, "property", "operator", "value");
}

const RELATION = {
  anyOf: [
    IDENTIFIER,
    { type: "array", items: IDENTIFIER },
    { type: "null" },
    SEARCH,
  ],
};

/** The bodies of Port's OpenAPI document, as far as the routes here use them. */
export const checkLogin = ajv.compile({
  type: "object",
  properties: {
    clientId: { type: "string" },
    clientSecret: { type: "string" },
  },
  required: ["clientId", "clientSecret"],
  additionalProperties: false,
});

export const checkEntity = ajv.compile({
  definitions: definitionsOfSearch,
  type: "object",
  properties: {
    identifier: { anyOf: [IDENTIFIER, SEARCH] },
    title: { type: "string" },
    icon: { type: "string" },
    team: { anyOf: [TEXT, TEXTS, SEARCH] },
    properties: { type: "object" },
    relations: { type: "object", additionalProperties: RELATION },
  },
});

export const checkEntityPatch = ajv.compile({
  definitions: definitionsOfSearch,
  type: "object",
  properties: {
    identifier: IDENTIFIER,
    title: { type: ["string", "null"] },
    icon: { type: ["string", "null"] },
    team: { anyOf: [TEXT, TEXTS, { type: "null" }, SEARCH] },
    properties: { type: "object" },
    relations: { type: "object", additionalProperties: RELATION },
  },
  additionalProperties: false,
});

export const checkBulk = ajv.compile({
  type: "object",
  properties: { entities: { type: "array", minItems: 1, maxItems: 20 } },
  required: ["entities"],
  additionalProperties: false,
});

export const checkBulkDelete = ajv.compile({
  type: "object",
  properties: {
    entities: {
      type: "array",
      items: { type: "string" },
      minItems: 1,
      maxItems: 100,
    },
  },
  required: ["entities"],
  additionalProperties: false,
});

export const checkRun = ajv.compile({
  type: "object",
  properties: {
    properties: { type: "object" },
    entity: { type: "string" },
  },
  required: ["properties"],
  additionalProperties: false,
});

export const checkEmail = ajv.compile({ type: "string", format: "email" });

export const checkLogLimit = ajv.compile({
  type: "number",
  minimum: 1,
  maximum: 50,
});

export const checkLogOffset = ajv.compile({ type: "number", minimum: 0 });

export const checkRunPatch = ajv.compile({
  type: "object",
  properties: {
    status: { enum: ["SUCCESS", "FAILURE"] },
    statusLabel: { type: "string" },
    link: { type: ["string", "array"], items: { type: "string" } },
    summary: { type: "string" },
    message: { type: "object" },
    externalRunId: { type: "string" },
  },
  additionalProperties: false,
});

export const checkRunLog = ajv.compile({
  type: "object",
  properties: {
    message: { type: "string" },
    terminationStatus: { enum: ["SUCCESS", "FAILURE"] },
    statusLabel: { type: "string" },
  },
  required: ["message"],
  additionalProperties: false,
});

/** Refuses a body that breaks its schema, naming the place. */
export function insist(
  check: ValidateFunction,
  body: unknown,
  name: string,
): void {
  if (check(body)) return;
  const [error] = check.errors ?? [];
  const place = error?.instancePath.slice(1).replaceAll("/", ".") || name;
  const added = error?.params.additionalProperty;
  throw invalid(`"${place}" ${error?.message}${added ? ` "${added}"` : ""}`);
}

/** Makes the check of the properties that a blueprint describes. */
export function compileSchema(schema: Blueprint["schema"]): ValidateFunction {
  try {
    return ajv.compile({ type: "object", ...schema });
  } catch (error) {
    throw invalid(`"schema" ${error instanceof Error ? error.message : error}`);
  }
}
