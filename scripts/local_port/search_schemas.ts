/**
 * Search queries as Port's OpenAPI document has them.
 *
 * @module
 */
import type { Json } from "./model.ts";
import { ajv, closed, rule, TEXT, TEXTS } from "./schemas.ts";

const CONTEXT = {
  type: "object",
  properties: { property: TEXT, context: { enum: ["user", "userTeams"] } },
  required: ["property", "context"],
};

const PROPERTY = { oneOf: [TEXT, CONTEXT] };

const DATE_TIME = { type: "string", format: "date-time" };

const ON_TARGET = {
  relation: TEXT,
  targetProperty: { enum: ["$title", "$identifier"] },
};

const ON_SCORECARD = { scorecard: TEXT, scorecardRule: TEXT };

const TYPE = { type: TEXT, format: TEXT };

/** The lengths of the time that ends now, in days. */
export const LAST_DAYS: Readonly<Record<string, number>> = {
  lastDay: 1,
  lastWeek: 7,
  last2Weeks: 14,
  lastMonth: 30,
  last3Months: 91,
  last6Months: 182,
  last12Months: 365,
};

const RANGE = {
  type: "object",
  oneOf: [
    {
      properties: { from: DATE_TIME, to: DATE_TIME },
      required: ["from", "to"],
    },
    {
      properties: {
        preset: {
          enum: ["today", "tomorrow", "yesterday", ...Object.keys(LAST_DAYS)],
        },
      },
      required: ["preset"],
    },
    CONTEXT,
  ],
};

const SCALAR = { type: ["null", "string", "number", "boolean"] };

const EMPTY = { operator: { enum: ["isEmpty", "isNotEmpty"] } };

const STRING_OPERATORS = [
  "=",
  "!=",
  "containsAny",
  "contains",
  "doesNotContains",
  "beginsWith",
  "doesNotBeginsWith",
  "endsWith",
  "doesNotEndsWith",
  "in",
  "notIn",
];

const STEP = {
  anyOf: [TEXT, {
    type: "object",
    properties: {
      relation: TEXT,
      maxHops: { type: "number", minimum: 1, maximum: 15 },
    },
  }],
};

/** What a rule of a search may be; only one blueprint has relations to ask for. */
function makeDefinitions(route: "one" | "all"): Json {
  const ofType = (type: string) => ({ type: "array", items: { type } });
  const value = {
    anyOf: [
      SCALAR,
      TEXTS,
      CONTEXT,
      ...route === "all" ? [ofType("number"), ofType("boolean")] : [],
    ],
  };
  const string = { operator: { enum: STRING_OPERATORS }, value };
  const onTarget = [
    closed({ ...EMPTY, ...ON_TARGET }, "operator", "relation"),
    closed({ ...EMPTY, ...ON_SCORECARD }, "operator", "scorecard"),
    closed({ ...string, ...ON_TARGET }, "relation", "operator", "value"),
    closed({ ...string, ...ON_SCORECARD }, "scorecard", "operator", "value"),
  ];
  const anyOf = [
    rule(PROPERTY, ["between", "notBetween", "="], RANGE),
    closed({ ...EMPTY, property: TEXT }, "operator", "property"),
    closed(
      { operator: { enum: ["isExpired", "isNotExpired"] }, property: TEXT },
      "operator",
      "property",
    ),
    rule(PROPERTY, [">", ">=", "<", "<="], {
      anyOf: [{ type: "number" }, DATE_TIME, CONTEXT],
    }),
    rule(PROPERTY, STRING_OPERATORS, value),
    ...route === "one" ? onTarget : [],
    closed(
      {
        operator: { const: "relatedTo" },
        blueprint: TEXT,
        value: { anyOf: [TEXT, TEXTS] },
        direction: { enum: ["upstream", "downstream"] },
        required: { type: "boolean" },
      },
      "operator",
      "value",
      "blueprint",
    ),
    closed(
      {
        propertySchema: closed(
          {
            ...TYPE,
            items: { type: "object", properties: TYPE, required: ["type"] },
          },
          "type",
        ),
        operator: { enum: ["=", "!=", "contains"] },
        value: SCALAR,
      },
      "operator",
      "propertySchema",
    ),
    rule(
      {
        anyOf: [
          closed({
            path: { type: "array", items: STEP },
            fromBlueprint: TEXT,
          }, "path"),
          PROPERTY,
        ],
      },
      ["matchAny"],
      { anyOf: [TEXTS, PROPERTY] },
    ),
    QUERY,
  ];
  const combinator = { enum: ["and", "or"] };
  const rules = { type: "array", items: { anyOf } };
  return { query: closed({ combinator, rules }, "combinator", "rules") };
}

const QUERY = { $ref: "#/definitions/query" };

export const checkQuery = ajv.compile({
  definitions: makeDefinitions("all"),
  ...QUERY,
});

export const checkSearch = ajv.compile({
  definitions: makeDefinitions("one"),
  ...closed({
    query: QUERY,
    include: TEXTS,
    exclude: TEXTS,
    limit: { type: "number", minimum: 1, maximum: 1000 },
    from: TEXT,
  }),
});
