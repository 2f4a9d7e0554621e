/**
 * Blueprints as Port's OpenAPI document describes them.
 *
 * @module
 */
import type { Blueprint, Json } from "./model.ts";
import { BOOLEAN, closed, makeCheck, OBJECT, TEXT, TEXTS } from "./schemas.ts";

const PROPERTY_TYPE = {
  enum: ["string", "number", "boolean", "object", "array"],
};
const SHORT = { type: "string", maxLength: 100 };
const SPEC = { enum: ["open-api", "embedded-url", "async-api"] };
const FORMATS = [
  ...["date-time", "url", "email", "idn-email", "ipv4", "ipv6", "markdown"],
  ...["yaml", "user", "team", "proto", "labeled-url"],
];
const LABELS = { title: SHORT, description: TEXT, icon: TEXT };

/** Members with names of the user's choice, all of one form. */
function named(form: Json): Json {
  const propertyNames = { pattern: "^[A-Za-z0-9@_=\\\\-]+$", maxLength: 100 };
  return { type: "object", propertyNames, additionalProperties: form };
}

const PROPERTY = {
  type: "object",
  properties: {
    ...LABELS,
    type: PROPERTY_TYPE,
    format: { enum: [...FORMATS, "blueprints", "timer"] },
    spec: SPEC,
  },
  required: ["type"],
};

const RELATION = closed(
  { target: TEXT, required: BOOLEAN, many: BOOLEAN },
  { title: SHORT, description: TEXT, type: TEXT },
);

const CALCULATION = closed({ calculation: TEXT, type: PROPERTY_TYPE }, {
  ...LABELS,
  format: { enum: FORMATS },
  spec: SPEC,
  specAuthentication: OBJECT,
  colorized: BOOLEAN,
  colors: OBJECT,
  items: OBJECT,
});

const MIRROR = closed({
  path: {
    type: "string",
    pattern: "^(?:[A-Za-z0-9@_=\\-$]+\\.)+?(\\w|\\$|@|-)*?[^\\.]+$",
  },
}, { title: SHORT });

const AGGREGATION = closed(
  { title: SHORT, target: TEXT, calculationSpec: OBJECT },
  {
    description: TEXT,
    icon: TEXT,
    type: { const: "number" },
    query: OBJECT,
    pathFilter: { type: "array" },
  },
);

const BLUEPRINT = {
  type: "object",
  properties: {
    identifier: {
      type: "string",
      pattern: "^(?!\\.{1,2}$)[\\p{L}0-9@_.+:\\\\/-]+$",
      maxLength: 100,
    },
    title: { ...SHORT, minLength: 1 },
    description: { type: "string", maxLength: 200 },
    icon: TEXT,
    ownership: {
      anyOf: [
        closed({ type: { const: "Inherited" }, path: TEXT }, { title: SHORT }),
        closed({ type: { const: "Direct" } }, { title: SHORT }),
      ],
    },
    schema: closed({ properties: named(PROPERTY) }, { required: TEXTS }),
    relations: named(RELATION),
    calculationProperties: named(CALCULATION),
    mirrorProperties: named(MIRROR),
    aggregationProperties: named(AGGREGATION),
  },
};

export const checkBlueprintPatch = makeCheck<Partial<Blueprint>>(
  BLUEPRINT,
  "blueprint",
);

export const checkBlueprint = makeCheck<Blueprint>(
  { ...BLUEPRINT, required: ["identifier", "title", "schema"] },
  "blueprint",
);
