#!/usr/bin/env -S deno run --allow-net=127.0.0.1 --allow-read --allow-write --allow-env=PORT_CLIENT_ID,PORT_CLIENT_SECRET
/**
 * A stand-in for Port's API on this machine: the routes, checks, answers and
 * errors of Port's OpenAPI document, and simulated failures on demand.
 *
 * It shares no code with `lib/`, so that client and server cannot agree on the
 * same mistake.
 *
 * @module
 */
import { parseArgs } from "jsr:@std/cli@1.0.30/parse-args";
import { Ajv, type ValidateFunction } from "npm:ajv@8.20.0";
import addFormats from "npm:ajv-formats@3.0.1";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import ciJob from "./blueprints/ci_job.json" with { type: "json" };
import image from "./blueprints/image.json" with { type: "json" };
import service from "./blueprints/service.json" with { type: "json" };
import team from "./blueprints/team.json" with { type: "json" };
import testBlueprint from "./blueprints/test_blueprint.json" with {
  type: "json",
};

/** What can happen to a request on a bad day. */
export type Failure =
  | "rate-limited"
  | "error"
  | "bad-gateway"
  | "unavailable"
  | "cut-before"
  | "cut-middle";

/** How a local Port is to behave. */
export interface LocalPortOptions {
  /**
   * The TCP port; 0 for a free one.
   *
   * @default {0}
   */
  port?: number;
  /** A folder of blueprints as `*.json`; those of this repository by default. */
  blueprints?: string;
  /** A file that keeps the catalogue over a restart. */
  data?: string;
  /**
   * How long each answer takes at least, in milliseconds.
   *
   * @default {0}
   */
  latency?: number;
  /**
   * The share of requests that fail, from 0 to 1.
   *
   * @default {0}
   */
  failRate?: number;
  /** What the next requests meet, in their order; then `failRate` decides. */
  failures?: (Failure | "none")[];
  /**
   * Identifiers of the self-service actions that there are.
   *
   * @default {["deploy"]}
   */
  actions?: string[];
  /**
   * How many requests are taken in how many milliseconds.
   *
   * @default {{ requests: 10_000, period: 300_000 }}
   */
  rateLimit?: RateLimit;
  /**
   * How long a token lives, in milliseconds.
   *
   * @default {10_800_000}
   */
  tokenLifetime?: number;
  /** Makes the failures of a run repeat. */
  seed?: number;
  /**
   * The only client id taken.
   *
   * @default {"local-id"}
   */
  clientId?: string;
  /**
   * The only client secret taken.
   *
   * @default {"local-secret"}
   */
  clientSecret?: string;
  /** Takes one line for each request. */
  log?: (line: string) => void;
}

/** So many requests in so many milliseconds. */
export interface RateLimit {
  /** The most requests in a period. */
  requests: number;
  /** The length of a period, in milliseconds. */
  period: number;
}

/** A local Port that runs. */
export interface LocalPort {
  /** Where it listens, for example `http://127.0.0.1:8787`. */
  url: string;
  /** Ends it, and all connections to it. */
  close(): Promise<void>;
}

/** The largest body that Port takes, in bytes. */
const MAX_BODY = 1024 * 1024;

/** Bad failures, with an equal chance for each. */
export const FAILURES: readonly Failure[] = [
  "rate-limited",
  "error",
  "bad-gateway",
  "unavailable",
  "cut-before",
  "cut-middle",
];

type Json = Record<string, unknown>;

interface Property {
  type: string;
}

interface Relation {
  target: string;
  required: boolean;
  many: boolean;
}

interface Blueprint extends Json {
  identifier: string;
  title: string;
  schema: { properties: Record<string, Property>; required?: string[] };
  relations?: Record<string, Relation>;
}

interface Entity {
  identifier: string;
  title?: string;
  icon?: string;
  team?: unknown;
  properties: Json;
  relations: Json;
}

/** What a client sends of an entity; all of it may be missing. */
type EntityBody = Partial<Entity>;

/** An answer that is no success. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const notFound = (message: string) => new Refusal(404, "not_found", message);
const invalid = (message: string) =>
  new Refusal(422, "invalid_request", message);
const taken = (message: string) =>
  new Refusal(409, "identifier_taken", message);

const ajv = new Ajv({ strict: false, logger: false });
addFormats.default(ajv);
ajv.addFormat("url", (text: string) => URL.canParse(text));

const TEXT = { type: "string" };

/** An object with these members and no others. */
function closed(properties: Json, ...required: string[]): Json {
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

const TEXTS = { type: "array", items: TEXT };

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
function rule(property: Json, operators: string[], value: Json): Json {
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
const checkLogin = ajv.compile({
  type: "object",
  properties: {
    clientId: { type: "string" },
    clientSecret: { type: "string" },
  },
  required: ["clientId", "clientSecret"],
  additionalProperties: false,
});
const checkEntity = ajv.compile({
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
const checkEntityPatch = ajv.compile({
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
const checkBlueprintPatch = ajv.compile(BLUEPRINT);
const checkBlueprint = ajv.compile({
  ...BLUEPRINT,
  required: ["identifier", "title", "schema"],
});

const checkBulk = ajv.compile({
  type: "object",
  properties: { entities: { type: "array", minItems: 1, maxItems: 20 } },
  required: ["entities"],
  additionalProperties: false,
});
const checkBulkDelete = ajv.compile({
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
const LAST_DAYS: Readonly<Record<string, number>> = {
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
const checkQuery = ajv.compile({
  definitions: makeDefinitions("all"),
  ...QUERY,
});
const checkSearch = ajv.compile({
  definitions: makeDefinitions("one"),
  ...closed({
    query: QUERY,
    include: TEXTS,
    exclude: TEXTS,
    limit: { type: "number", minimum: 1, maximum: 1000 },
    from: TEXT,
  }),
});
const checkRun = ajv.compile({
  type: "object",
  properties: {
    properties: { type: "object" },
    entity: { type: "string" },
  },
  required: ["properties"],
  additionalProperties: false,
});
const checkEmail = ajv.compile({ type: "string", format: "email" });
const checkLogLimit = ajv.compile({ type: "number", minimum: 1, maximum: 50 });
const checkLogOffset = ajv.compile({ type: "number", minimum: 0 });
const checkRunPatch = ajv.compile({
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
const checkRunLog = ajv.compile({
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
function insist(check: ValidateFunction, body: unknown, name: string): void {
  if (check(body)) return;
  const [error] = check.errors ?? [];
  const place = error?.instancePath.slice(1).replaceAll("/", ".") || name;
  const added = error?.params.additionalProperty;
  throw invalid(`"${place}" ${error?.message}${added ? ` "${added}"` : ""}`);
}

/** Makes the check of the properties that a blueprint describes. */
function compileSchema(schema: Blueprint["schema"]): ValidateFunction {
  try {
    return ajv.compile({ type: "object", ...schema });
  } catch (error) {
    throw invalid(`"schema" ${error instanceof Error ? error.message : error}`);
  }
}

/** Which relations to follow; all of them by default. */
interface RelationKind {
  relation?: string;
  required?: boolean | undefined;
}

/** Blueprints and entities, and the rules that hold between them. */
class Catalogue {
  readonly #blueprints = new Map<string, Blueprint>();
  readonly #entities = new Map<string, Map<string, Entity>>();
  /** What checks the properties of each blueprint's entities. */
  readonly #checks = new Map<string, ValidateFunction>();

  blueprints(): Blueprint[] {
    return [...this.#blueprints.values()];
  }

  blueprint(identifier: string): Blueprint {
    const blueprint = this.#blueprints.get(identifier);
    if (blueprint) return blueprint;
    throw notFound(`Blueprint with identifier "${identifier}" does not exist`);
  }

  hasBlueprint(identifier: string): boolean {
    return this.#blueprints.has(identifier);
  }

  /** Stores a blueprint with the dates and names that Port adds. */
  setBlueprint(body: Json): Blueprint {
    insist(checkBlueprint, body, "blueprint");
    const { identifier, relations = {} } = body as Blueprint;
    for (const { target } of Object.values(relations)) {
      if (target !== identifier) this.blueprint(target);
    }
    return this.loadBlueprint({ ...body, updatedAt: new Date().toISOString() });
  }

  /** Stores a blueprint as it is; those it is related to may come later. */
  loadBlueprint(body: Json): Blueprint {
    insist(checkBlueprint, body, "blueprint");
    const by = { createdBy: "local-port", updatedBy: "local-port" };
    const now = new Date().toISOString();
    const blueprint = { createdAt: now, updatedAt: now, ...by, ...body };
    const { identifier, schema } = blueprint as unknown as Blueprint;
    this.#checks.set(identifier, compileSchema(schema));
    this.#blueprints.set(identifier, blueprint as unknown as Blueprint);
    return this.blueprint(identifier);
  }

  deleteBlueprint(identifier: string): void {
    this.blueprint(identifier);
    if (this.entities(identifier).length > 0) {
      throw invalid(`Blueprint "${identifier}" still has entities`);
    }
    this.#blueprints.delete(identifier);
  }

  entities(blueprint: string): Entity[] {
    return [...this.#entities.get(blueprint)?.values() ?? []];
  }

  find(blueprint: string, identifier: string): Entity | undefined {
    return this.#entities.get(blueprint)?.get(identifier);
  }

  entity(blueprint: string, identifier: string): Entity {
    this.blueprint(blueprint);
    const entity = this.find(blueprint, identifier);
    if (entity) return entity;
    throw notFound(
      `Entity with identifier "${identifier}" does not exist in the ` +
        `blueprint "${blueprint}"`,
    );
  }

  setEntity(blueprint: string, entity: Entity): void {
    const entities = this.#entities.get(blueprint) ?? new Map();
    this.#entities.set(blueprint, entities.set(entity.identifier, entity));
  }

  /** Deletes an entity; those related to it must go too, or it stays. */
  deleteEntity(blueprint: string, identifier: string, dependents: boolean) {
    this.entity(blueprint, identifier);
    if (!dependents) this.insistOnNoDependents(blueprint, identifier);
    const related = this.#dependents(blueprint, identifier);
    this.#entities.get(blueprint)?.delete(identifier);
    for (const [blueprint, { identifier }] of related) {
      if (this.find(blueprint, identifier)) {
        this.deleteEntity(blueprint, identifier, true);
      }
    }
  }

  insistOnNoDependents(blueprint: string, identifier: string): void {
    const { length } = this.#dependents(blueprint, identifier);
    if (length === 0) return;
    throw invalid(
      `Entity "${identifier}" of the blueprint "${blueprint}" has ` +
        `${length} dependents`,
    );
  }

  #dependents(target: string, identifier: string): [string, Entity][] {
    return this.sources([target, identifier], {}).flatMap(([blueprint, id]) => {
      const entity = this.find(blueprint, id);
      return entity ? [[blueprint, entity] as [string, Entity]] : [];
    });
  }

  /** What an entity is related to, by one relation or by all of a kind. */
  targets([blueprint, identifier]: Ref, kind: RelationKind): Ref[] {
    const values = this.find(blueprint, identifier)?.relations ?? {};
    return this.#relations(blueprint, kind).flatMap(([name, { target }]) =>
      [values[name] ?? []].flat().map((each): Ref => [target, String(each)])
    );
  }

  /** What is related to an entity. */
  sources([target, identifier]: Ref, kind: RelationKind): Ref[] {
    return this.blueprints().flatMap((blueprint) => {
      const names = this.#relations(blueprint.identifier, kind)
        .filter(([_, relation]) => relation.target === target)
        .map(([name]) => name);
      return this.entities(blueprint.identifier)
        .filter(({ relations }) =>
          names.some((name) => [relations[name]].flat().includes(identifier))
        )
        .map((entity): Ref => [blueprint.identifier, entity.identifier]);
    });
  }

  #relations(blueprint: string, { relation, required }: RelationKind) {
    const relations = this.#blueprints.get(blueprint)?.relations ?? {};
    return Object.entries(relations).filter(([name, each]) =>
      (relation === undefined || relation === name) &&
      (required === undefined || required === each.required)
    );
  }

  /**
   * Checks an entity against its blueprint.
   *
   * @returns The related entities that are not there yet.
   */
  check(blueprint: Blueprint, entity: Entity): [string, string][] {
    insistOnMembers(blueprint, entity);
    const check = this.#checks.get(blueprint.identifier);
    if (check) insist(check, entity.properties, "properties");
    for (const [name, relation] of Object.entries(blueprint.relations ?? {})) {
      if (relation.required && entity.relations[name] === undefined) {
        throw invalid(`Relation "${name}" is required`);
      }
    }
    return Object.entries(entity.relations).flatMap(([name, value]) =>
      this.#missingTargets(blueprint, name, value)
    );
  }

  #missingTargets(blueprint: Blueprint, name: string, value: unknown) {
    const relations = blueprint.relations ?? {};
    const relation = Object.hasOwn(relations, name)
      ? relations[name]
      : undefined;
    if (relation === undefined) {
      throw invalid(
        `Relation "${name}" does not exist in the blueprint ` +
          `"${blueprint.identifier}"`,
      );
    }
    if (Array.isArray(value) !== relation.many) {
      throw invalid(
        `"relations.${name}" must be ${relation.many ? "array" : "string"}`,
      );
    }
    this.blueprint(relation.target);
    return [value].flat().map(String)
      .filter((identifier) => !this.find(relation.target, identifier))
      .map((identifier): [string, string] => [relation.target, identifier]);
  }

  /** The whole catalogue as JSON, to be read by {@linkcode Catalogue.load}. */
  dump(): string {
    const entities = this.blueprints().map(({ identifier }) => [
      identifier,
      this.entities(identifier),
    ]);
    return JSON.stringify({ blueprints: this.blueprints(), entities });
  }

  load(text: string): void {
    const { blueprints, entities } = JSON.parse(text);
    for (const blueprint of blueprints) this.loadBlueprint(blueprint);
    for (const [blueprint, list] of entities) {
      for (const entity of list) this.setEntity(blueprint, entity);
    }
  }
}

/** A request whose body has arrived. */
interface Call {
  method: string;
  /** The path below `/v1/`, decoded. */
  path: string[];
  query: URLSearchParams;
  authorization: string;
  /** The parsed body; `undefined` when there is none. */
  body: unknown;
}

/** What a route answers with. */
interface Reply {
  status: number;
  body: Json;
}

/** Port's routes over a catalogue. */
class Routes {
  readonly #catalogue: Catalogue;
  readonly #options: LocalPortOptions;
  readonly #actions: Actions;
  readonly #random: () => number;
  /** When each token expires, in milliseconds since 1970. */
  readonly #tokens = new Map<string, number>();

  constructor(
    catalogue: Catalogue,
    options: LocalPortOptions,
    random: () => number,
  ) {
    this.#catalogue = catalogue;
    this.#options = options;
    this.#random = random;
    this.#actions = new Actions(options.actions ?? ["deploy"]);
  }

  answer(call: Call): Reply {
    const { method, path, query } = call;
    for (const name of SWITCHES) flag(query, name);
    if (method === "POST" && path.join("/") === "auth/access_token") {
      return this.#logIn(call.body);
    }
    this.#authorize(call.authorization);
    const reply = this.#route(call);
    if (reply) return reply;
    throw notFound(`Route ${method}:/v1/${path.join("/")} not found`);
  }

  #route(call: Call): Reply | undefined {
    const [root, first = "", kind, second = "", last] = call.path;
    const size = call.path.length;
    const isPost = call.method === "POST";
    if (root === "blueprints" && size === 1) return this.#allBlueprints(call);
    if (root === "blueprints" && size === 2) {
      return this.#oneBlueprint(call, first);
    }
    if (root === "blueprints" && kind === "entities" && size === 3) {
      return this.#allEntities(call, this.#catalogue.blueprint(first));
    }
    if (root === "blueprints" && kind === "entities" && size === 4) {
      const blueprint = this.#catalogue.blueprint(first);
      if (isPost && second === "bulk") return this.#bulk(call, blueprint);
      if (isPost && second === "search") {
        return this.#searchPage(call, blueprint);
      }
      return this.#oneEntity(call, blueprint, second);
    }
    const isGet = call.method === "GET";
    if (isGet && kind === "entities-count" && size === 3) {
      const { identifier } = this.#catalogue.blueprint(first);
      return ok(200, { count: this.#catalogue.entities(identifier).length });
    }
    if (isPost && root === "blueprints" && kind === "bulk" && size === 5) {
      if (second !== "entities" || last !== "delete") return undefined;
      return this.#bulkDelete(call, this.#catalogue.blueprint(first));
    }
    if (isPost && root === "entities" && first === "search" && size === 2) {
      return this.#searchAll(call);
    }
    if (root === "actions") return this.#actions.answer(call);
  }

  #logIn(body: unknown): Reply {
    insist(checkLogin, body, "body");
    const { clientId, clientSecret } = body as Json;
    const { clientId: id, clientSecret: secret } = this.#options;
    if (
      clientId !== (id || "local-id") ||
      clientSecret !== (secret || "local-secret")
    ) {
      throw new Refusal(401, "unauthorized", "Invalid client id or secret");
    }
    const lifetime = this.#options.tokenLifetime ?? 3 * 60 * 60 * 1000;
    const accessToken = crypto.randomUUID();
    this.#tokens.set(accessToken, Date.now() + lifetime);
    const expiresIn = Math.floor(lifetime / 1000);
    return ok(200, { accessToken, expiresIn, tokenType: "Bearer" });
  }

  #authorize(authorization: string): void {
    const [_, token = ""] = /^Bearer (.+)$/.exec(authorization) ?? [];
    const expiry = this.#tokens.get(token);
    if (expiry !== undefined && Date.now() < expiry) return;
    throw new Refusal(401, "unauthorized", "Missing, unknown or expired token");
  }

  #allBlueprints({ method, body }: Call): Reply | undefined {
    if (method === "GET") {
      return ok(200, { blueprints: this.#catalogue.blueprints() });
    }
    if (method !== "POST") return undefined;
    insist(checkBlueprint, body, "blueprint");
    const { identifier } = body as Blueprint;
    if (this.#catalogue.hasBlueprint(identifier)) {
      throw taken(`Blueprint with identifier "${identifier}" already exists`);
    }
    return ok(201, { blueprint: this.#catalogue.setBlueprint(body as Json) });
  }

  #oneBlueprint({ method, body }: Call, identifier: string): Reply | undefined {
    const blueprint = this.#catalogue.blueprint(identifier);
    const { createdAt, createdBy } = blueprint;
    const kept = { identifier, createdAt, createdBy };
    switch (method) {
      case "GET":
        return ok(200, { blueprint });
      case "PUT":
        insist(checkBlueprintPatch, body, "blueprint");
        insistOnName(identifier, (body as Json).identifier);
        return ok(200, {
          blueprint: this.#catalogue.setBlueprint({ ...body as Json, ...kept }),
        });
      case "PATCH":
        insist(checkBlueprintPatch, body, "blueprint");
        insistOnName(identifier, (body as Json).identifier);
        return ok(200, {
          blueprint: this.#catalogue.setBlueprint({
            ...blueprint,
            ...body as Json,
            ...kept,
          }),
        });
      case "DELETE":
        this.#catalogue.deleteBlueprint(identifier);
        return ok(200, {});
    }
  }

  #allEntities(call: Call, blueprint: Blueprint): Reply | undefined {
    if (call.method === "GET") {
      const entities = this.#catalogue.entities(blueprint.identifier)
        .map((entity) =>
          pick(
            entity,
            call.query.getAll("include"),
            call.query.getAll("exclude"),
          )
        );
      return ok(200, { entities });
    }
    if (call.method !== "POST") return undefined;
    const { entity } = this.#create(blueprint, call.body, call.query);
    return ok(201, { entity });
  }

  #create(blueprint: Blueprint, raw: unknown, query: URLSearchParams) {
    insist(checkEntity, raw, "entity");
    const body = this.#resolve(blueprint, raw as EntityBody);
    const identifier = body.identifier ?? `e_${crypto.randomUUID()}`;
    const before = this.#catalogue.find(blueprint.identifier, identifier);
    const upsert = flag(query, "upsert", "required");
    const merge = flag(query, "merge");
    if (before && !upsert) {
      throw taken(
        `Entity with identifier "${identifier}" already exists in the ` +
          `blueprint "${blueprint.identifier}"`,
      );
    }
    const entity = layOver(merge ? before : undefined, { ...body, identifier });
    this.#store(blueprint, entity, query);
    return { entity, created: before === undefined };
  }

  /** Puts the identifiers that they find in place of queries. */
  #resolve(blueprint: Blueprint, body: EntityBody): EntityBody {
    const { identifier, team, relations = {} } = body;
    if (isQuery(team)) {
      throw invalid("The local Port does not search for teams: name them");
    }
    insistOnMembers(blueprint, body);
    const resolved = Object.entries(relations).map(([name, value]) => {
      const { target = "", many = false } = blueprint.relations?.[name] ?? {};
      if (!isQuery(value)) return [name, value];
      const found = this.#search(this.#catalogue.blueprint(target), value);
      return [name, many ? found : found[0] ?? null];
    });
    return {
      ...body,
      ...(isQuery(identifier) && {
        identifier: this.#searchOne(blueprint, identifier),
      }),
      ...(body.relations && { relations: Object.fromEntries(resolved) }),
    };
  }

  #searchOne(blueprint: Blueprint, query: Query): string {
    const [found] = this.#search(blueprint, query);
    if (found !== undefined) return found;
    throw notFound(
      `No entity of the blueprint "${blueprint.identifier}" matches the query`,
    );
  }

  #search(blueprint: Blueprint, query: Query): string[] {
    insist(checkQuery, query, "query");
    const matches = makeMatcher(query, this.#catalogue);
    return this.#catalogue.entities(blueprint.identifier)
      .filter((entity) => matches(blueprint, entity))
      .map(({ identifier }) => identifier);
  }

  /** Takes each entity by itself: some can fail while others get in. */
  #bulk({ body, query }: Call, blueprint: Blueprint): Reply {
    insist(checkBulk, body, "body");
    flag(query, "upsert", "required");
    const entities: Json[] = [];
    const errors: Json[] = [];
    const list = (body as { entities: EntityBody[] }).entities;
    // The document's schema holds for the whole body: one that breaks it, and
    // none gets in.
    for (const each of list) insist(checkEntity, each, "entity");
    for (const [index, each] of list.entries()) {
      try {
        this.#failSometimes();
        const { entity, created } = this.#create(blueprint, each, query);
        entities.push({ created, identifier: entity.identifier, index });
      } catch (refusal) {
        if (!(refusal instanceof Refusal)) throw refusal;
        const { status, code, message } = refusal;
        const identifier = typeof each.identifier === "string"
          ? each.identifier
          : "";
        errors.push({
          identifier,
          index,
          statusCode: status,
          error: code,
          message,
        });
      }
    }
    return ok(errors.length > 0 ? 207 : 200, { entities, errors });
  }

  /** On a bad day Port also fails at single entities of many. */
  #failSometimes(): void {
    const { failRate = 0 } = this.#options;
    if (failRate === 0 || this.#random() >= failRate / 4) return;
    const statuses = [429, 500, 503];
    const status = statuses[Math.floor(this.#random() * statuses.length)] ??
      500;
    throw new Refusal(status, "internal_error", "Something went wrong");
  }

  #bulkDelete({ body, query }: Call, { identifier: blueprint }: Blueprint) {
    insist(checkBulkDelete, body, "body");
    const dependents = flag(query, "delete_dependents", "required");
    const there = (body as { entities: string[] }).entities
      .filter((identifier) => this.#catalogue.find(blueprint, identifier));
    // All of them or none.
    if (!dependents) {
      for (const id of there) {
        this.#catalogue.insistOnNoDependents(blueprint, id);
      }
    }
    for (const identifier of there) {
      if (!this.#catalogue.find(blueprint, identifier)) continue;
      this.#catalogue.deleteEntity(blueprint, identifier, true);
    }
    return ok(200, { deletedEntities: there });
  }

  /** One page of a blueprint's entities, in the order of their identifiers. */
  #searchPage({ body = {} }: Call, blueprint: Blueprint): Reply {
    insist(checkSearch, body, "body");
    const { query, limit = 200, from, include = [], exclude = [] } =
      body as SearchBody;
    const matches = makeMatcher(query ?? MATCH_ALL, this.#catalogue);
    const after = from === undefined ? "" : decodePage(from);
    const found = this.#catalogue.entities(blueprint.identifier)
      .filter((entity) => matches(blueprint, entity))
      .sort((a, b) => a.identifier < b.identifier ? -1 : 1)
      .filter(({ identifier }) => identifier > after);
    const page = found.slice(0, limit);
    const last = page.at(-1);
    const toPath = (name: string) => pathOf(name, blueprint);
    return ok(200, {
      entities: page.map((entity) =>
        pick(entity, include.map(toPath), exclude.map(toPath))
      ),
      ...(last && found.length > limit &&
        { next: encodePage(last.identifier) }),
    });
  }

  #searchAll({ body, query }: Call): Reply {
    insist(checkQuery, body, "body");
    const matches = makeMatcher(body as Query, this.#catalogue);
    const found = this.#catalogue.blueprints().flatMap((blueprint) =>
      this.#catalogue.entities(blueprint.identifier)
        .filter((entity) => matches(blueprint, entity))
        .map((entity) => ({ blueprint: blueprint.identifier, entity }))
    );
    return ok(200, {
      matchingBlueprints: [...new Set(found.map(({ blueprint }) => blueprint))],
      entities: found.map(({ entity }) =>
        pick(entity, query.getAll("include"), query.getAll("exclude"))
      ),
    });
  }

  #oneEntity(
    { method, query, body }: Call,
    blueprint: Blueprint,
    identifier: string,
  ): Reply | undefined {
    const before = this.#catalogue.entity(blueprint.identifier, identifier);
    switch (method) {
      case "GET":
        return ok(200, {
          entity: pick(
            before,
            query.getAll("include"),
            query.getAll("exclude"),
          ),
        });
      case "PATCH": {
        insist(checkEntityPatch, body, "entity");
        const change = this.#resolve(blueprint, body as EntityBody);
        insistOnName(identifier, change.identifier);
        const entity = layOver(before, { ...change, identifier });
        return ok(200, { entity: this.#store(blueprint, entity, query) });
      }
      case "PUT": {
        insist(checkEntity, body, "entity");
        const whole = this.#resolve(blueprint, body as EntityBody);
        insistOnName(identifier, whole.identifier);
        const entity = layOver(undefined, { ...whole, identifier });
        return ok(200, { entity: this.#store(blueprint, entity, query) });
      }
      case "DELETE": {
        const dependents = flag(query, "delete_dependents", "required");
        this.#catalogue.deleteEntity(
          blueprint.identifier,
          identifier,
          dependents,
        );
        return ok(200, {});
      }
    }
  }

  /** Checks an entity and, unless only the check is asked for, stores it. */
  #store(blueprint: Blueprint, entity: Entity, query: URLSearchParams): Entity {
    const missing = this.#catalogue.check(blueprint, entity);
    const create = flag(query, "create_missing_related_entities");
    const validateOnly = flag(query, "validation_only");
    for (const [target, identifier] of missing) {
      if (!create) this.#catalogue.entity(target, identifier);
      const related = {
        identifier,
        title: identifier,
        properties: {},
        relations: {},
      };
      if (!validateOnly) this.#catalogue.setEntity(target, related);
    }
    if (!validateOnly) this.#catalogue.setEntity(blueprint.identifier, entity);
    return entity;
  }
}

interface Run extends Json {
  id: string;
}

/** Self-service actions: their runs, and what is logged to those. */
class Actions {
  readonly #actions: string[];
  readonly #runs = new Map<string, Run>();
  readonly #logs = new Map<string, Json[]>();

  constructor(actions: string[]) {
    this.#actions = actions;
  }

  answer(call: Call): Reply | undefined {
    const [_, first = "", second = "", third] = call.path;
    const size = call.path.length;
    if (size === 3 && first === "runs") return this.#oneRun(call, second);
    if (size === 4 && first === "runs" && third === "logs") {
      return this.#runLogs(call, second);
    }
    if (size === 3 && second === "runs" && call.method === "POST") {
      return this.#start(call, first);
    }
  }

  #run(id: string): Run {
    const run = this.#runs.get(id);
    if (run) return run;
    throw notFound(`Action run with id "${id}" does not exist`);
  }

  #start({ body, query }: Call, action: string): Reply {
    if (!this.#actions.includes(action)) {
      throw notFound(`Action with identifier "${action}" does not exist`);
    }
    insist(checkRun, body, "body");
    const runAs = query.get("run_as");
    if (runAs !== null) insist(checkEmail, runAs, "run_as");
    const { properties, entity } = body as {
      properties: Json;
      entity?: string;
    };
    const now = new Date().toISOString();
    const run = {
      id: `r_${crypto.randomUUID()}`,
      action: { identifier: action },
      properties,
      ...(entity !== undefined && { entity: { identifier: entity } }),
      requiredApproval: false,
      source: "API",
      status: "IN_PROGRESS",
      createdBy: runAs ?? "local-port",
      createdAt: now,
      updatedAt: now,
    };
    this.#runs.set(run.id, run);
    return ok(202, { run });
  }

  #oneRun({ method, body }: Call, id: string): Reply | undefined {
    const run = this.#run(id);
    if (method === "GET") return ok(200, { run });
    if (method !== "PATCH") return undefined;
    insist(checkRunPatch, body, "body");
    const { externalRunId: _, message: __, ...change } = body as Json;
    return ok(200, { run: this.#change(run, change) });
  }

  #change(run: Run, change: Json): Run {
    const now = new Date().toISOString();
    const ended = change.status ? { endedAt: now } : {};
    const changed = { ...run, ...change, ...ended, updatedAt: now };
    this.#runs.set(run.id, changed);
    return changed;
  }

  #runLogs({ method, body, query }: Call, id: string): Reply | undefined {
    const run = this.#run(id);
    const logs = this.#logs.get(id) ?? [];
    if (method === "GET") {
      const offset = Number(query.get("offset") ?? 0);
      const limit = Number(query.get("limit") ?? 50);
      insist(checkLogLimit, limit, "limit");
      insist(checkLogOffset, offset, "offset");
      return ok(200, { runLogs: logs.slice(offset, offset + limit) });
    }
    if (method !== "POST") return undefined;
    insist(checkRunLog, body, "body");
    const { message, terminationStatus, statusLabel } = body as Json;
    const change = present({ status: terminationStatus, statusLabel });
    if (Object.keys(change).length > 0) this.#change(run, change);
    const runLog = {
      id: `l_${crypto.randomUUID()}`,
      runId: id,
      message,
      createdBy: "local-port",
      createdAt: new Date().toISOString(),
    };
    this.#logs.set(id, [...logs, runLog]);
    return ok(201, { runLog });
  }
}

interface SearchBody {
  query?: Query;
  include?: string[];
  exclude?: string[];
  limit?: number;
  from?: string;
}

/** The route of one blueprint takes names, with `$` before those of Port. */
function pathOf(name: string, { identifier, schema, relations }: Blueprint) {
  if (name.startsWith("$")) return name.slice(1);
  if (Object.hasOwn(schema.properties, name)) return `properties.${name}`;
  if (Object.hasOwn(relations ?? {}, name)) return `relations.${name}`;
  throw invalid(
    `Property "${name}" does not exist in the blueprint "${identifier}"`,
  );
}

/** A hash of what the page before ended with; nobody is to look into it. */
function encodePage(identifier: string): string {
  return btoa(encodeURIComponent(identifier));
}

function decodePage(from: string): string {
  try {
    return decodeURIComponent(atob(from));
  } catch {
    throw invalid(`"from" is not valid`);
  }
}

/** A search query; its rules may be queries themselves. */
interface Query {
  combinator: "and" | "or";
  rules: (Rule | Query)[];
}

function isQuery(value: unknown): value is Query {
  return typeof value === "object" && value !== null && "combinator" in value;
}

/** A rule; which members it has depends on its operator. */
interface Rule {
  operator: string;
  property?: string | { path?: (string | Step)[]; fromBlueprint?: string };
  relation?: string;
  targetProperty?: "$title" | "$identifier";
  propertySchema?: Json;
  blueprint?: string;
  direction?: "upstream" | "downstream";
  required?: boolean;
  value?: unknown;
}

/** One step of a path along relations. */
interface Step {
  relation: string;
  maxHops: number;
}

/** An entity by the identifiers of its blueprint and itself. */
type Ref = readonly [blueprint: string, identifier: string];

type Matcher = (blueprint: Blueprint, entity: Entity) => boolean;

const MATCH_ALL: Query = { combinator: "and", rules: [] };

/** Turns a query into a test. */
function makeMatcher(query: Query, catalogue: Catalogue): Matcher {
  const matchers = query.rules.map((rule) =>
    "rules" in rule ? makeMatcher(rule, catalogue) : makeRule(rule, catalogue)
  );
  return query.combinator === "and"
    ? (...of) => matchers.every((matches) => matches(...of))
    : (...of) => matchers.some((matches) => matches(...of));
}

function makeRule(rule: Rule, catalogue: Catalogue): Matcher {
  const { operator, value, property, propertySchema } = rule;
  if ([property, value].some((part) => "context" in Object(part))) {
    throw invalid('The local Port has no users, and so takes no "context"');
  }
  if ("scorecard" in rule) throw invalid("The local Port has no scorecards");
  if (operator === "relatedTo") return isAmong(relatedTo(rule, catalogue));
  const { path, fromBlueprint } = Object(property);
  if (path !== undefined) return makePathRule(rule, catalogue);
  if (fromBlueprint !== undefined) throw invalid('"path" is required');
  const test = OPERATORS[operator] ?? same;
  if (propertySchema !== undefined) {
    return ({ schema }, { properties }) =>
      Object.entries(properties).some(([name, actual]) =>
        isOfType(schema.properties[name], propertySchema) && test(actual, value)
      );
  }
  return (blueprint, entity) =>
    test(valueFor(rule, blueprint, entity, catalogue), value);
}

/** The value that a rule looks at. */
function valueFor(
  { property = "", relation, targetProperty }: Rule,
  blueprint: Blueprint,
  entity: Entity,
  catalogue: Catalogue,
): unknown {
  if (relation !== undefined) {
    const target = blueprint.relations?.[relation]?.target ?? "";
    const value = own(entity.relations, relation);
    if (targetProperty !== "$title" || value === undefined) return value;
    const titles = [value].flat().map((identifier) =>
      catalogue.find(target, String(identifier))?.title
    );
    return Array.isArray(value) ? titles : titles[0];
  }
  const name = String(property);
  const { identifier, title, icon, team, properties, relations } = entity;
  const meta: Json = {
    $identifier: identifier,
    $title: title,
    $icon: icon,
    $team: team,
    $blueprint: blueprint.identifier,
  };
  return own(meta, name) ?? own(properties, name) ?? own(relations, name);
}

/** Not what every object has, such as `constructor`. */
function own(values: Json, name: string): unknown {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

/** Whether a property is of a type, as far as that says. */
function isOfType(property: Property | undefined, wanted: Json): boolean {
  const { items, ...rest } = wanted;
  const actual: Json = { ...property };
  return Object.entries(rest).every(([name, value]) =>
    actual[name] === value
  ) &&
    (items === undefined || isOfType(actual.items as Property, items as Json));
}

function isAmong(refs: Ref[]): Matcher {
  const keys = new Set(refs.map((ref) => JSON.stringify(ref)));
  return (blueprint, { identifier }) =>
    keys.has(JSON.stringify([blueprint.identifier, identifier]));
}

/** All that a rule's entities depend on (upstream), and that depends on them. */
function relatedTo(rule: Rule, catalogue: Catalogue): Ref[] {
  const { blueprint = "", value, direction, required } = rule;
  const start = [value].flat().map((each): Ref => [blueprint, String(each)]);
  const reach = (next: (ref: Ref) => Ref[]) => {
    const found = new Map<string, Ref>();
    const visit = (ref: Ref) => {
      if (found.has(JSON.stringify(ref))) return;
      found.set(JSON.stringify(ref), ref);
      next(ref).forEach(visit);
    };
    start.flatMap(next).forEach(visit);
    return [...found.values()];
  };
  return [
    ...direction === "downstream"
      ? []
      : reach((ref) => catalogue.targets(ref, { required })),
    ...direction === "upstream"
      ? []
      : reach((ref) => catalogue.sources(ref, { required })),
  ];
}

/** From the entity to those named or, with `fromBlueprint`, the other way. */
function makePathRule(rule: Rule, catalogue: Catalogue): Matcher {
  const { path = [], fromBlueprint } = Object(rule.property);
  const wanted = [rule.value].flat().map(String);
  if (fromBlueprint !== undefined) {
    const start = wanted.map((each): Ref => [fromBlueprint, each]);
    return isAmong(walk(start, path, catalogue));
  }
  return (blueprint, { identifier }) =>
    walk([[blueprint.identifier, identifier]], path, catalogue)
      .some(([_, identifier]) => wanted.includes(identifier));
}

/** Where a path leads; after fixed steps, `maxHops` may also be no hop. */
function walk(start: Ref[], path: (string | Step)[], catalogue: Catalogue) {
  return path.reduce((refs: Ref[], step, index) => {
    const { relation, maxHops = 1 } = typeof step === "string"
      ? { relation: step }
      : step;
    const found = typeof step !== "string" && index > 0 ? [...refs] : [];
    for (let hop = 0; hop < maxHops; hop++) {
      refs = refs.flatMap((ref) => catalogue.targets(ref, { relation }));
      found.push(...refs);
    }
    return found;
  }, start);
}

type Operator = (actual: unknown, wanted: unknown) => boolean;

const same: Operator = (actual, wanted) =>
  JSON.stringify(actual ?? null) === JSON.stringify(wanted ?? null);
const contains: Operator = (actual, wanted) =>
  Array.isArray(actual)
    ? [wanted].flat().every((one) => actual.includes(one))
    : typeof actual === "string" && actual.includes(String(wanted));
const containsAny: Operator = (actual, wanted) =>
  [wanted].flat().some((one) => contains(actual, one));
const isIn: Operator = (actual, wanted) =>
  [wanted].flat().some((one) =>
    [actual].flat().some((each) => same(each, one))
  );
const begins: Operator = (actual, wanted) =>
  typeof actual === "string" && actual.startsWith(String(wanted));
const ends: Operator = (actual, wanted) =>
  typeof actual === "string" && actual.endsWith(String(wanted));
const isEmpty: Operator = (actual) =>
  actual === undefined || actual === null || [actual].flat().length === 0;
const isBetween: Operator = (actual, wanted) => {
  const { from, to } = rangeOf(wanted as { preset: string });
  return compare(actual, from, (sign) => sign >= 0) &&
    compare(actual, to, (sign) => sign <= 0);
};
const isEqual: Operator = (actual, wanted) =>
  "preset" in Object(wanted) || "from" in Object(wanted)
    ? isBetween(actual, wanted)
    : same(actual, wanted);

/** A range of time; presets are days of UTC, or so many days up to now. */
function rangeOf(wanted: { preset: string } | { from: string; to: string }) {
  if (!("preset" in wanted)) return wanted;
  const now = Date.now();
  const midnight = now - now % DAY;
  const { preset } = wanted;
  const [from, to] = preset === "today"
    ? [midnight, midnight + DAY]
    : preset === "tomorrow"
    ? [midnight + DAY, midnight + 2 * DAY]
    : preset === "yesterday"
    ? [midnight - DAY, midnight]
    : [now - (LAST_DAYS[preset] ?? 0) * DAY, now];
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

/** A day in milliseconds. */
const DAY = 24 * 60 * 60 * 1000;

const isExpired: Operator = (actual) =>
  compare(actual, new Date().toISOString(), (sign) => sign < 0);

/** Compares numbers with numbers and times with times; all else is false. */
function compare(
  actual: unknown,
  wanted: unknown,
  holds: (sign: number) => boolean,
): boolean {
  const toNumber = (value: unknown) =>
    typeof value === "number"
      ? value
      : typeof value === "string"
      ? Date.parse(value)
      : NaN;
  const sign = toNumber(actual) - toNumber(wanted);
  return typeof actual === typeof wanted && !Number.isNaN(sign) && holds(sign);
}

const not = (test: Operator): Operator => (actual, wanted) =>
  !test(actual, wanted);

const OPERATORS: Readonly<Record<string, Operator>> = {
  "=": isEqual,
  "!=": not(same),
  ">": (actual, wanted) => compare(actual, wanted, (sign) => sign > 0),
  ">=": (actual, wanted) => compare(actual, wanted, (sign) => sign >= 0),
  "<": (actual, wanted) => compare(actual, wanted, (sign) => sign < 0),
  "<=": (actual, wanted) => compare(actual, wanted, (sign) => sign <= 0),
  contains,
  doesNotContains: not(contains),
  containsAny,
  beginsWith: begins,
  doesNotBeginsWith: not(begins),
  endsWith: ends,
  doesNotEndsWith: not(ends),
  in: isIn,
  notIn: not(isIn),
  matchAny: isIn,
  isEmpty,
  isNotEmpty: not(isEmpty),
  between: isBetween,
  notBetween: not(isBetween),
  isExpired,
  isNotExpired: not(isExpired),
};

function ok(status: number, body: Json): Reply {
  return { status, body: { ok: true, ...body } };
}

/** The query parameters that are true or false, whatever the route. */
const SWITCHES = [
  "allow_partial_results",
  "attach_identifier_to_title_mirror_properties",
  "attach_title_to_relation",
  "create_catalog_page",
  "create_missing_related_entities",
  "delete_actions",
  "delete_dependents",
  "exclude_calculated_properties",
  "merge",
  "upsert",
  "validation_only",
];

/** Reads a query parameter that must be true or false. */
function flag(
  query: URLSearchParams,
  name: string,
  need: "required" | "optional" = "optional",
): boolean {
  const value = query.get(name);
  if (value === null && need === "optional") return false;
  if (value === "true" || value === "false") return value === "true";
  throw invalid(
    `"${name}" ${value === null ? "is required" : "must be boolean"}`,
  );
}

/** Also a member that is to be cleared must be one of the blueprint's. */
function insistOnMembers(
  { identifier, schema, relations: known = {} }: Blueprint,
  { properties = {}, relations = {} }: EntityBody,
): void {
  const insistOn = (what: string, given: Json, known: object) => {
    const name = Object.keys(given).find((name) => !Object.hasOwn(known, name));
    if (name === undefined) return;
    throw invalid(
      `${what} "${name}" does not exist in the blueprint "${identifier}"`,
    );
  };
  insistOn("Property", properties, schema.properties);
  insistOn("Relation", relations, known);
}

/** What is not played here is refused, not passed over in silence. */
function insistOnName(identifier: string, wanted: unknown): void {
  if (wanted === undefined || wanted === identifier) return;
  throw invalid(`The local Port renames nothing: "${identifier}" it stays`);
}

/** Lays what is named over what is there; `null` clears a value. */
function layOver(base: Entity | undefined, body: EntityBody): Entity {
  const { properties, relations, ...rest } = { ...base, ...body };
  const { identifier = "", title, icon, team } = rest;
  return {
    identifier,
    ...present({ title, icon, team }),
    properties: present({ ...base?.properties, ...properties }),
    relations: present({ ...base?.relations, ...relations }),
  };
}

/** Leaves out what is `null` or `undefined`. */
function present<Value>(values: Record<string, Value>): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(values).filter(([_, value]) =>
      value !== null && value !== undefined
    ),
  );
}

/** Takes the parts of an entity that `include` and `exclude` ask for. */
function pick(entity: Entity, include: string[], exclude: string[]): Json {
  const keep = (path: string) =>
    (include.length === 0 ||
      include.some((wanted) => isWithin(path, wanted))) &&
    !exclude.some((unwanted) => isWithin(path, unwanted));
  const parts = Object.entries(entity).flatMap(([name, value]) => {
    if (name !== "properties" && name !== "relations") {
      return keep(name) ? [[name, value]] : [];
    }
    const inner = Object.entries(value as Json)
      .filter(([inner]) => keep(`${name}.${inner}`));
    return inner.length > 0 || keep(name)
      ? [[name, Object.fromEntries(inner)]]
      : [];
  });
  return Object.fromEntries(parts);
}

/** Whether a path is another, or lies below it. */
function isWithin(path: string, whole: string): boolean {
  return path === whole || path.startsWith(`${whole}.`);
}

/** Counts requests; all clients of an organization share the limit. */
class RateLimiter {
  readonly #limit: RateLimit;
  #start = Date.now();
  #count = 0;

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  /** Counts a request; its headers, and the wait if it is one too many. */
  take(): { headers: Record<string, string>; wait: number } {
    const { requests, period } = this.#limit;
    const now = Date.now();
    if (now >= this.#start + period) {
      this.#start = now;
      this.#count = 0;
    }
    this.#count++;
    const reset = Math.ceil((this.#start + period) / 1000);
    const headers = {
      "x-ratelimit-period": String(period / 1000),
      "x-ratelimit-limit": String(requests),
      "x-ratelimit-remaining": String(Math.max(0, requests - this.#count)),
      "x-ratelimit-reset": String(reset),
    };
    const wait = Math.ceil((this.#start + period - now) / 1000);
    return { headers, wait: this.#count > requests ? wait : 0 };
  }
}

/** A random number generator that repeats (mulberry32). */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Decides what each request meets. */
function makeFailures(
  options: LocalPortOptions,
  random: () => number,
): () => Failure | "none" {
  const { failRate = 0 } = options;
  const planned = [...options.failures ?? []];
  return () =>
    planned.shift() ??
      (random() < failRate
        ? FAILURES[Math.floor(random() * FAILURES.length)] ?? "error"
        : "none");
}

/** Reads a body; `undefined` when it is larger than Port takes. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY) chunks.push(chunk);
  }
  if (size > MAX_BODY) return undefined;
  return await new Blob(chunks as BlobPart[]).text();
}

function parseBody(text: string | undefined): unknown {
  if (text === undefined) {
    throw new Refusal(
      413,
      "request_too_large",
      "Request body is too large (limit is 1MiB)",
    );
  }
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw invalid("The body is not valid JSON");
  }
}

function unknownRoute(path: string): never {
  throw notFound(`Route ${path} not found`);
}

function parsePath(pathname: string): string[] {
  const [_, version, ...path] = pathname.split("/");
  if (version !== "v1") unknownRoute(pathname);
  try {
    return path.map(decodeURIComponent);
  } catch {
    throw invalid(`The path ${pathname} is not valid`);
  }
}

/** What goes back over the wire. */
interface Wire {
  status: number;
  type: string;
  text: string;
  headers?: Record<string, string>;
}

function toWire({ status, body }: Reply): Wire {
  return { status, type: "application/json", text: JSON.stringify(body) };
}

function refuse(status: number, error: string, message: string): Wire {
  return toWire({ status, body: { ok: false, error, message } });
}

/** What simulated failures answers with in place of Port; nothing was acted on. */
function storm(met: Failure | "none", wait: number): Wire | undefined {
  switch (met) {
    case "rate-limited":
      return {
        ...refuse(429, "rate_limit_exceeded", "Too many requests"),
        headers: { "retry-after": String(wait || 1) },
      };
    case "error":
      return refuse(500, "internal_error", "Something went wrong");
    case "unavailable":
      return refuse(503, "unavailable", "Service temporarily unavailable");
    case "bad-gateway":
      return {
        status: 502,
        type: "text/html",
        text: "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n",
      };
  }
}

/**
 * Starts a local Port on 127.0.0.1.
 *
 * @param options How it is to behave.
 * @returns Where it listens, and how to end it.
 * @throws {Error} When a blueprint or the data file is damaged, or the TCP port
 * is in use.
 */
export async function startLocalPort(
  options: LocalPortOptions = {},
): Promise<LocalPort> {
  const catalogue = loadCatalogue(options);
  const save = makeSave(catalogue, options.data);
  const keep = () => attempt(`write the data file "${options.data}"`, save);
  keep();
  const random = makeRandom(
    options.seed ?? Math.floor(Math.random() * 2 ** 32),
  );
  const routes = new Routes(catalogue, options, random);
  const failures = makeFailures(options, random);
  const limiter = new RateLimiter(
    options.rateLimit ?? { requests: 10_000, period: 300_000 },
  );
  const { log = () => {}, latency = 0 } = options;

  const answer = (request: IncomingMessage, text: string | undefined): Wire => {
    try {
      const reply = routes.answer(readCall(request, text));
      if (request.method !== "GET") keep();
      return toWire(reply);
    } catch (error) {
      if (error instanceof Refusal) {
        return refuse(error.status, error.code, error.message);
      }
      const reason = error instanceof Error ? error.message : error;
      log(`error: ${reason}`);
      return refuse(500, "internal_error", `The local Port failed: ${reason}`);
    }
  };
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const start = performance.now();
    const text = await readBody(request);
    const left = latency - (performance.now() - start);
    if (left > 0) await new Promise((done) => setTimeout(done, left));
    const { headers, wait } = limiter.take();
    const met = wait > 0 ? "rate-limited" : failures();
    const wire = storm(met, wait) ?? answer(request, text);
    send(request, response, met, {
      ...wire,
      headers: { ...headers, ...wire.headers },
    });
    const time = `${(performance.now() - start).toFixed(0)}ms`;
    const cut = met.startsWith("cut") ? ` ${met}` : "";
    log(
      `${request.method} ${
        printable(request.url)
      } ${wire.status} ${time}${cut}`,
    );
  };
  const server = createServer((request, response) => {
    // A client that hangs up early is no reason to stop.
    serve(request, response).catch((error) => log(`error: ${error.message}`));
  });
  return await listen(server, options.port ?? 0);
}

async function listen(server: Server, port: number): Promise<LocalPort> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", ({ message }) => {
      reject(new Error(`Cannot listen on port ${port}: ${message}`));
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  const actual = typeof address === "object" ? address?.port : port;
  return {
    url: `http://127.0.0.1:${actual}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function readCall(request: IncomingMessage, text: string | undefined): Call {
  const { url = "/" } = request;
  const { pathname, searchParams } =
    URL.parse(url.startsWith("/") ? `http://local${url}` : url) ??
      unknownRoute(url);
  return {
    method: request.method ?? "GET",
    path: parsePath(pathname),
    query: searchParams,
    authorization: request.headers.authorization ?? "",
    body: parseBody(text),
  };
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  met: Failure | "none",
  { status, type, text, headers }: Wire,
): void {
  if (met === "cut-before") {
    request.socket.destroy();
    return;
  }
  const bytes = new TextEncoder().encode(text);
  response.writeHead(status, {
    ...headers,
    "content-type": type,
    "content-length": bytes.length,
  });
  if (met !== "cut-middle") {
    response.end(bytes);
    return;
  }
  const half = bytes.subarray(0, bytes.length / 2);
  response.write(half, () => request.socket.destroy());
}

/** A path in the log must not move the cursor of a terminal. */
function printable(text = ""): string {
  return text.replace(/\p{Cc}/gu, "?");
}

/** Blueprints of the data file stay as they are; the folder adds the others. */
function loadCatalogue({ data, blueprints }: LocalPortOptions): Catalogue {
  const catalogue = new Catalogue();
  if (data !== undefined) {
    attempt(`read the data file "${data}"`, () => {
      const text = readIfThere(data);
      if (text !== undefined) catalogue.load(text);
    });
  }
  const found = blueprints === undefined
    ? [ciJob, image, service, team, testBlueprint]
    : readBlueprints(blueprints);
  for (const blueprint of found) {
    if (!catalogue.hasBlueprint(String(blueprint.identifier))) {
      attempt(`use the blueprint "${blueprint.identifier}"`, () => {
        catalogue.loadBlueprint(blueprint);
      });
    }
  }
  return catalogue;
}

function readBlueprints(folder: string): Json[] {
  const files = attempt(
    `read the folder of blueprints "${folder}"`,
    () =>
      [...Deno.readDirSync(folder)].filter(({ name }) =>
        name.endsWith(".json")
      ),
  );
  return files.map(({ name }) => {
    const path = `${folder}/${name}`;
    return attempt(
      `read the blueprint "${path}"`,
      () => JSON.parse(Deno.readTextFileSync(path)),
    );
  });
}

/** Takes a step of the start; when it fails, the error says what it was. */
function attempt<Result>(what: string, step: () => Result): Result {
  try {
    return step();
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new Error(`Cannot ${what}: ${reason}`);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Makes what keeps the catalogue in a file: it writes beside the file and
 * renames, so that no crash leaves half a file, and only when there is news.
 */
function makeSave(catalogue: Catalogue, path: string | undefined): () => void {
  let saved: string | undefined;
  return () => {
    if (path === undefined) return;
    const text = catalogue.dump();
    if (text === saved) return;
    const draft = `${path}.${Deno.pid}.tmp`;
    using file = Deno.openSync(draft, {
      write: true,
      create: true,
      truncate: true,
    });
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) {
      at += file.writeSync(bytes.subarray(at));
    }
    file.syncSync();
    Deno.renameSync(draft, path);
    saved = text;
  };
}

/** The flags of the command line: the name of the value, and what it does. */
const FLAGS: Record<string, [value: string, help: string]> = {
  port: ["N", "TCP port on 127.0.0.1, 0 for a free one (default 8787)"],
  blueprints: ["DIR", "Folder of blueprints (default scripts/blueprints)"],
  data: ["FILE", "Keep the catalogue in this file over a restart"],
  latency: ["TIME", "Answer so much later, for example 50ms"],
  "fail-rate": ["SHARE", "Share of requests that fail, for example 0.2"],
  "rate-limit": ["N/TIME", "Take so many requests, for example 100/10s"],
  "token-lifetime": ["TIME", "Let tokens expire after, for example 30s"],
  seed: ["N", "Make the failures of a run repeat"],
};

const HELP = `Start a stand-in for Port's API on this machine

Usage: scripts/local_port.ts [options]

Options:
${
  Object.entries(FLAGS).map(([name, [value, help]]) =>
    `  ${`--${name} ${value}`.padEnd(22)}  ${help}`
  ).join("\n")
}
  ${"-h, --help".padEnd(22)}  Show this text

Environment:
  PORT_CLIENT_ID          the only client id taken (default local-id)
  PORT_CLIENT_SECRET      the only secret taken (default local-secret)

Examples:
  # A Port that forgets everything when it ends
  scripts/local_port.ts
  # A bad day that repeats
  scripts/local_port.ts --fail-rate 0.2 --latency 50ms --seed 7`;

/** Turns the command line into options; `undefined` when help is asked for. */
function parseCommandLine(args: string[]): LocalPortOptions | undefined {
  const flags: Record<string, unknown> = parseArgs(args, {
    string: Object.keys(FLAGS),
    collect: Object.keys(FLAGS),
    boolean: ["help"],
    alias: { h: "help" },
    unknown: (arg: string) => {
      const near = Object.keys(FLAGS).map((name) => `--${name}`)
        .find((flag) => flag.startsWith(arg.slice(0, 5)));
      const hint = near === undefined ? "" : `, did you mean ${near}?`;
      throw new Error(`Unknown argument "${arg}"${hint}`);
    },
  });
  if (flags.help) return undefined;
  const read = <Value>(name: string, parse: (text: string) => Value) => {
    const [text, second] = [flags[name] ?? []].flat().map(String);
    if (text === undefined) return undefined;
    if (second !== undefined) throw new Error(`--${name} is given twice`);
    if (text === "") throw new Error(`Missing the value of --${name}`);
    const value = parse(text);
    if (value !== undefined && !Number.isNaN(value)) return value;
    throw new Error(`Cannot use --${name} "${text}": ${FLAGS[name]?.[1]}`);
  };
  const text = (value: string) => value || undefined;
  return present<unknown>({
    port: read("port", (text) => wholeUpTo(text, 65_535)) ?? 8787,
    blueprints: read("blueprints", text),
    data: read("data", text),
    latency: read("latency", parseTime),
    failRate: read("fail-rate", parseShare),
    rateLimit: read("rate-limit", parseRateLimit),
    tokenLifetime: read("token-lifetime", parseTime),
    seed: read("seed", (text) => wholeUpTo(text, 2 ** 32)),
  });
}

/** A whole number from 0 up to a bound; NaN when it is none. */
function wholeUpTo(text: string, most: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  return number <= most ? number : NaN;
}

/** A number from 0 to 1; NaN when it is none. */
function parseShare(text: string): number {
  return /^(?:0|1|0?\.\d+|1\.0+)$/.test(text) ? Number(text) : NaN;
}

/** `500ms`, `90s`, `2m` or `1h30m` in milliseconds; NaN when it is none. */
function parseTime(text: string): number {
  const parts = /^(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(
    text,
  );
  if (parts === null) return NaN;
  const [hours = 0, minutes = 0, seconds = 0, rest = 0] = parts.slice(1)
    .map((part) => Number(part ?? 0));
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest;
}

function parseRateLimit(text: string): RateLimit | undefined {
  const [_, requests = "", time = ""] = /^(\d+)\/(.+)$/.exec(text) ?? [];
  const limit = {
    requests: wholeUpTo(requests, 1e9),
    period: parseTime(time),
  };
  return limit.requests >= 1 && limit.period > 0 ? limit : undefined;
}

/** Starts a local Port as the command line says, until it is interrupted. */
async function main(): Promise<void> {
  const options = parseCommandLine(Deno.args);
  if (options === undefined) return console.log(HELP);
  const clientId = Deno.env.get("PORT_CLIENT_ID");
  const clientSecret = Deno.env.get("PORT_CLIENT_SECRET");
  const { url, close } = await startLocalPort({
    ...options,
    ...present({ clientId, clientSecret }),
    log: console.log,
  });
  console.log(`Local Port listens on ${url}`);
  console.log(
    // A proxy must not see what is meant for this machine.
    `export API_URL=${url} NO_PROXY="127.0.0.1,$NO_PROXY"` +
      (clientId ? "" : " PORT_CLIENT_ID=local-id") +
      (clientSecret ? "" : " PORT_CLIENT_SECRET=local-secret"),
  );
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => close().then(() => Deno.exit(code)));
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(
      `error: ${error instanceof Error ? error.message : error} (see --help)`,
    );
    Deno.exit(2);
  }
}
