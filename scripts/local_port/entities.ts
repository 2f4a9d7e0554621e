/**
 * Port's routes for the entities of a blueprint.
 *
 * @module
 */
import type { Call, Routes } from "./call.ts";
import { makePick, readRequiredSwitch, readSwitch, reply } from "./call.ts";
import { requireMembers, requireSameIdentifier } from "./catalogue.ts";
import { HttpError } from "./http_error.ts";
import type { Blueprint, EntityContent, Json } from "./model.ts";
import { omitNullish } from "./model.ts";
import { closed, makeCheck, OBJECT, TEXT } from "./schemas.ts";
import { findEntities } from "./search.ts";
import { isQuery, LOOKUP, type Query } from "./search_schemas.ts";

/** Port's pattern of an entity's identifier. */
const IDENTIFIER = {
  type: "string",
  pattern: "^(?!\\.{1,2}$)[\\p{L}0-9@_.+:\\\\/=-]+$",
  maxLength: 1000,
};

/** An entity as clients send it. */
interface EntityBody {
  identifier?: string | Query;
  title?: string | null;
  icon?: string | null;
  team?: string | string[] | null | Query;
  properties?: Json;
  relations?: Json;
}

function orLookup(schema: Json): Json {
  return { if: OBJECT, then: LOOKUP, else: schema };
}

function entityMembers(identifier: Json): Json {
  const text = { type: ["string", "null"] };
  const relation = {
    ...IDENTIFIER,
    type: ["string", "array", "null"],
    items: IDENTIFIER,
  };
  return {
    identifier,
    title: text,
    icon: text,
    team: orLookup({ type: ["string", "array", "null"], items: TEXT }),
    properties: OBJECT,
    relations: { type: "object", additionalProperties: orLookup(relation) },
  };
}

const ENTITY = {
  type: "object",
  properties: entityMembers(orLookup(IDENTIFIER)),
};
const checkEntity = makeCheck<EntityBody>(ENTITY, "entity");
const checkEntityPatch = makeCheck<EntityBody>(
  closed({}, entityMembers(IDENTIFIER)),
  "entity",
);

/** The body of a bulk request. */
function listOf(items: Json, maxItems: number): Json {
  return closed({ entities: { type: "array", items, minItems: 1, maxItems } });
}

const checkBulk = makeCheck<{ entities: EntityBody[] }>(listOf(ENTITY, 20));
const checkBulkDelete = makeCheck<{ entities: string[] }>(listOf(TEXT, 100));

export const ENTITY_ROUTES: Routes = {
  "GET blueprints/:blueprint/entities": (call, blueprint) => {
    const entities = call.catalogue.entities(blueprint);
    return reply(200, { entities: entities.map(makePick(call)) });
  },

  "GET blueprints/:blueprint/entities-count": ({ catalogue }, blueprint) =>
    reply(200, { count: catalogue.entities(blueprint).length }),

  "GET blueprints/:blueprint/entities/:entity": (call, blueprint, id) => {
    const entity = call.catalogue.entity(blueprint, id);
    return reply(200, { entity: makePick(call)(entity) });
  },

  "POST blueprints/:blueprint/entities": (call, blueprint) => {
    const target = call.catalogue.blueprint(blueprint);
    const { entity } = upsert(call, target, checkEntity(call.body));
    return reply(201, { entity });
  },

  "POST blueprints/:blueprint/entities/bulk": (call, blueprint) => {
    const target = call.catalogue.blueprint(blueprint);
    const bodies = checkBulk(call.body).entities;
    const results = bodies.map((body, index) =>
      upsertOneOfMany(call, target, body, index)
    );
    const entities = results.filter((result) => "created" in result);
    const errors = results.filter((result) => "error" in result);
    return reply(errors.length > 0 ? 207 : 200, { entities, errors });
  },

  "PATCH blueprints/:blueprint/entities/:entity": changeEntity,
  "PUT blueprints/:blueprint/entities/:entity": changeEntity,

  "DELETE blueprints/:blueprint/entities/:entity": (call, blueprint, id) => {
    call.catalogue.entity(blueprint, id);
    deleteAll(call, blueprint, [id]);
    return reply(200, {});
  },

  "POST blueprints/:blueprint/bulk/entities/delete": (call, blueprint) => {
    call.catalogue.blueprint(blueprint);
    const deletedEntities = checkBulkDelete(call.body).entities
      .filter((id) => call.catalogue.find(blueprint, id));
    deleteAll(call, blueprint, deletedEntities);
    return reply(200, { deletedEntities });
  },
};
/** PATCH keeps omitted fields, PUT removes them. */
function changeEntity(call: Call, blueprintName: string, identifier: string) {
  const before = call.catalogue.entity(blueprintName, identifier);
  const blueprint = call.catalogue.blueprint(blueprintName);
  const isPatch = call.method === "PATCH";
  const body = (isPatch ? checkEntityPatch : checkEntity)(call.body);
  const change = resolve(call, blueprint, body);
  requireSameIdentifier(identifier, change.identifier);
  const content = merge(isPatch ? before : undefined, change, identifier);
  return reply(200, { entity: store(call, blueprint, content) });
}

function upsert(call: Call, blueprint: Blueprint, body: EntityBody) {
  const change = resolve(call, blueprint, body);
  const identifier = change.identifier ?? `e_${crypto.randomUUID()}`;
  const before = call.catalogue.find(blueprint.identifier, identifier);
  if (!readRequiredSwitch(call, "upsert") && before) {
    const message =
      `Entity with identifier "${identifier}" already exists in ` +
      `the blueprint "${blueprint.identifier}"`;
    throw new HttpError(409, message);
  }
  const base = readSwitch(call.query, "merge") ? before : undefined;
  const content = merge(base, change, identifier);
  const entity = store(call, blueprint, content);
  return { entity, created: before === undefined };
}

/** Some of many entities can fail while others succeed. */
function upsertOneOfMany(
  call: Call,
  blueprint: Blueprint,
  body: EntityBody,
  index: number,
) {
  try {
    call.failSometimes();
    const { entity, created } = upsert(call, blueprint, body);
    return { created, identifier: entity.identifier, index };
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    const { status: statusCode, code, message } = error;
    const identifier = isQuery(body.identifier) ? "" : body.identifier ?? "";
    return { identifier, index, statusCode, error: code, message };
  }
}

/** Deletes all of the entities or, if one must stay, none. */
function deleteAll(call: Call, blueprint: string, ids: string[]) {
  const { catalogue } = call;
  if (!readRequiredSwitch(call, "delete_dependents")) {
    for (const id of ids) catalogue.requireNoDependents(blueprint, id);
  }
  for (const id of ids) catalogue.deleteEntity(blueprint, id);
}

/** Replaces queries with the identifiers that they find. */
function resolve(call: Call, blueprint: Blueprint, body: EntityBody) {
  const { catalogue } = call;
  noteNulls(call, body);
  if (isQuery(body.team)) {
    const message =
      'The local Port does not know queries in "team": name the teams';
    throw new HttpError(422, message);
  }
  requireMembers(blueprint, body);
  const find = (target: Blueprint, query: Query) =>
    findEntities(catalogue, target, query).map(({ identifier }) => identifier);
  const relations: Json = { ...body.relations };
  for (
    const [name, { target, many }] of Object.entries(blueprint.relations ?? {})
  ) {
    const query = relations[name];
    if (!isQuery(query)) continue;
    const found = find(catalogue.blueprint(target), query);
    relations[name] = many ? found : found[0];
  }
  let { identifier } = body;
  if (isQuery(identifier)) {
    [identifier] = find(blueprint, identifier);
    if (identifier === undefined) {
      const message = `No entity of the blueprint "${blueprint.identifier}" ` +
        "matches the query";
      throw new HttpError(404, message);
    }
  }
  return { ...body, identifier, relations };
}

/** Port accepts `null` where its document does not, as in PATCH. */
function noteNulls({ method, notes }: Call, body: EntityBody): void {
  if (method === "PATCH") return;
  for (const name of ["title", "icon", "team"] as const) {
    if (body[name] !== null) continue;
    notes.add(`Port's document allows null for "${name}" with PATCH only`);
  }
}

/** Merges a change into an entity; `null` removes a value. */
function merge(
  base: EntityContent | undefined,
  change: Omit<EntityBody, "identifier">,
  identifier: string,
): EntityContent {
  const { title, icon, team } = { ...base, ...change };
  return {
    identifier,
    ...omitNullish({ title, icon, team }),
    properties: omitNullish({ ...base?.properties, ...change.properties }),
    relations: omitNullish({ ...base?.relations, ...change.relations }),
  };
}

/** Checks an entity and stores it, unless the request is for the check only. */
function store(
  { catalogue, query }: Call,
  blueprint: Blueprint,
  content: EntityContent,
) {
  const missing = catalogue.checkEntity(blueprint, content);
  if (!readSwitch(query, "create_missing_related_entities")) {
    for (const ref of missing) catalogue.entity(...ref);
  }
  if (readSwitch(query, "validation_only")) return content;
  for (const [target, identifier] of missing) {
    const empty = { properties: {}, relations: {} };
    catalogue.setEntity(target, { identifier, title: identifier, ...empty });
  }
  return catalogue.setEntity(blueprint.identifier, content);
}
