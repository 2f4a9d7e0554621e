/**
 * Search queries as Port's OpenAPI document describes them.
 *
 * @module
 */
import { HttpError } from "./http_error.ts";
import { type Json, META } from "./model.ts";
import { type OPERATORS, PRESETS } from "./operators.ts";
import type { Check } from "./schemas.ts";
import { closed, define, makeCheck, TEXT, TEXTS } from "./schemas.ts";

/** A search query; its rules may be queries themselves. */
export interface Query {
  combinator: "and" | "or";
  rules: (Rule | Query)[];
}

export interface Rule {
  property: string;
  operator: keyof typeof OPERATORS;
  value?: unknown;
}

export interface Search {
  query?: Query;
  include?: string[];
  exclude?: string[];
  limit?: number;
  from?: string;
}

export function isQuery(value: unknown): value is Query {
  return value instanceof Object && "combinator" in value;
}

/** The name of a property or a relation or, with `$`, of what all have. */
const NAME = {
  type: "string",
  if: { pattern: "^\\$" },
  then: { enum: META.map((name) => `$${name}`) },
};

/** A query whose rules use these operators, each with its kind of value. */
function makeQuery(
  ...operators: [names: Rule["operator"][], value?: Json][]
): Json {
  const rules = operators.map(([names, value]) =>
    closed({
      property: NAME,
      operator: { enum: names },
      ...(value && { value }),
    })
  );
  const rule = {
    type: "object",
    if: { required: ["combinator"] },
    then: { $ref: "#" },
    else: {
      required: ["operator"],
      discriminator: { propertyName: "operator" },
      oneOf: rules,
    },
  };
  return closed({
    combinator: { enum: ["and", "or"] },
    rules: { type: "array", items: rule },
  });
}

/** A query in place of an identifier that the client does not know. */
export const LOOKUP = define(
  "lookup",
  makeQuery(
    [["="], { type: ["string", "number", "null"] }],
    [["in", "containsAny"], TEXTS],
    [["contains"], { type: ["string", "array", "null"], items: TEXT }],
  ),
);

const DATE_TIME = { type: "string", format: "date-time" };
const SCALAR = { type: ["null", "string", "number", "boolean"] };

const RANGE = {
  type: "object",
  if: { required: ["preset"] },
  then: { properties: { preset: { enum: Object.keys(PRESETS) } } },
  else: {
    properties: { from: DATE_TIME, to: DATE_TIME },
    required: ["from", "to"],
  },
};

/** A query with all operators; lists may hold values of these types. */
function makeSearchQuery(...types: string[]): Json {
  const lists = types.map((type) => ({ type: "array", items: { type } }));
  const value = { anyOf: [SCALAR, ...lists] };
  return makeQuery(
    [["="], { if: { type: "object" }, then: RANGE, else: value }],
    [["!=", "contains", "doesNotContains", "containsAny", "in"], value],
    [["notIn", "beginsWith", "doesNotBeginsWith"], value],
    [["endsWith", "doesNotEndsWith"], value],
    [[">", ">=", "<", "<="], { anyOf: [{ type: "number" }, DATE_TIME] }],
    [["between", "notBetween"], RANGE],
    [["matchAny"], { type: ["string", "array"], items: TEXT }],
    [["isEmpty", "isNotEmpty", "isExpired", "isNotExpired"]],
  );
}

/** What Port has in search rules and the local Port has not. */
const NOT_IMPLEMENTED: unknown[] = [
  "context",
  "fromBlueprint",
  "path",
  "propertySchema",
  "relatedTo",
  "relation",
  "scorecard",
];

function requireImplemented(part: unknown): void {
  if (typeof part !== "object" || part === null) return;
  for (const [name, value] of Object.entries(part)) {
    const feature = name === "operator" ? value : name;
    if (NOT_IMPLEMENTED.includes(feature)) {
      const message = `The local Port does not know "${feature}" in searches`;
      throw new HttpError(501, message);
    }
    requireImplemented(value);
  }
}

function makeSearchCheck<Value>(schema: Json): Check<Value> {
  const check = makeCheck<Value>(schema);
  return (value) => {
    requireImplemented(value);
    return check(value);
  };
}

export const checkQuery = makeSearchCheck<Query>(
  makeSearchQuery("string", "number", "boolean"),
);

export const checkSearch = makeSearchCheck<Search>(closed({}, {
  query: define("query", makeSearchQuery("string")),
  include: TEXTS,
  exclude: TEXTS,
  limit: { type: "number", minimum: 1, maximum: 1000 },
  from: TEXT,
}));
