/**
 * A blueprint as Port's OpenAPI document has it.
 *
 * @module
 */
import type { Json } from "./model.ts";
import { ajv, closed, TEXT, TEXTS } from "./schemas.ts";

const PROPERTY_TYPE = {
  enum: ["string", "number", "boolean", "object", "array"],
};

const SHORT = { type: "string", maxLength: 100 };

const SPEC = { enum: ["open-api", "embedded-url", "async-api"] };

const FORMATS = [
  ...["date-time", "url", "email", "idn-email", "ipv4", "ipv6", "markdown"],
  ...["yaml", "user", "team", "proto", "labeled-url"],
];

/** Members that bear a name, each of them in this form. */
function named(form: Json): Json {
  const propertyNames = {
    pattern: "^[A-Za-z0-9@_=\\\\-]+$",
    maxLength: 100,
  };
  return { type: "object", propertyNames, additionalProperties: form };
}

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
        closed(
          { type: { const: "Inherited" }, path: TEXT, title: SHORT },
          "type",
          "path",
        ),
        closed({ type: { const: "Direct" }, title: SHORT }, "type"),
      ],
    },
    schema: closed({
      properties: named({
        type: "object",
        properties: {
          title: SHORT,
          description: TEXT,
          icon: TEXT,
          type: PROPERTY_TYPE,
          format: { enum: [...FORMATS, "blueprints", "timer"] },
          spec: SPEC,
        },
        required: ["type"],
      }),
      required: TEXTS,
    }, "properties"),
    relations: named(closed(
      {
        title: SHORT,
        target: TEXT,
        required: { type: "boolean" },
        many: { type: "boolean" },
        description: TEXT,
        type: TEXT,
      },
      "target",
      "required",
      "many",
    )),
    calculationProperties: named(closed(
      {
        title: SHORT,
        description: TEXT,
        icon: TEXT,
        calculation: TEXT,
        type: PROPERTY_TYPE,
        format: { enum: FORMATS },
        spec: SPEC,
        specAuthentication: { type: "object" },
        colorized: { type: "boolean" },
        colors: { type: "object" },
        items: { type: "object" },
      },
      "calculation",
      "type",
    )),
    mirrorProperties: named(closed(
      {
        title: SHORT,
        path: {
          type: "string",
          pattern: "^(?:[A-Za-z0-9@_=\\-$]+\\.)+?(\\w|\\$|@|-)*?[^\\.]+$",
        },
      },
      "path",
    )),
    aggregationProperties: named(closed(
      {
        title: SHORT,
        description: TEXT,
        icon: TEXT,
        type: { const: "number" },
        target: TEXT,
        calculationSpec: { type: "object" },
        query: { type: "object" },
        pathFilter: { type: "array" },
      },
      "title",
      "target",
      "calculationSpec",
    )),
  },
};

export const checkBlueprintPatch = ajv.compile(BLUEPRINT);

export const checkBlueprint = ajv.compile({
  ...BLUEPRINT,
  required: ["identifier", "title", "schema"],
});
