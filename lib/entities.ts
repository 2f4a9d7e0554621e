/**
 * Port's operations on entities. Paths, parameters, bodies and answers are those
 * of Port's OpenAPI document.
 *
 * @module
 */
import {
  checkBlueprintIdentifier,
  checkEntityIdentifier,
  type Entity,
} from "./entity.ts";
import { UsageError } from "./errors.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
import {
  type PortClient,
  type PortRequest,
  sendForPart,
  toBody,
  unusable,
} from "./port_client.ts";

/** How an upsert treats what is there. */
export interface UpsertOptions {
  /** Replace the whole entity; without it, what is not named stays. */
  replace?: boolean;
  /** Let Port create related entities that are not there yet. */
  createMissingRelatedEntities?: boolean;
  /** The action run that this belongs to. */
  runId?: string | undefined;
  /** Let Port check the entity and write nothing. */
  validateOnly?: boolean;
}

/** Which part of an entity to read. */
export interface GetOptions {
  /** Paths to return, for example `properties.version`; none means all. */
  include?: string[];
  /** Paths to leave out. */
  exclude?: string[];
  /** Leave calculated properties out. */
  excludeCalculatedProperties?: boolean;
}

/** What goes with a deletion. */
export interface DeleteOptions {
  /** Delete the entities that are related to it too. */
  deleteDependents?: boolean;
  /** The action run that this belongs to. */
  runId?: string | undefined;
}

/** What to look for, and which page of it. */
export interface Search {
  /** Only in this blueprint; without it, in all, on one page. */
  blueprint?: string | undefined;
  /** A query in Port's search language. */
  query: JsonObject;
  /** Paths to return; none means all. */
  include?: string[];
  /** Paths to leave out. */
  exclude?: string[];
  /** The most entities on a page. */
  limit?: number | undefined;
}

/** What became of the entities of one bulk request. */
export interface BulkAnswer {
  /** Those that got in, each with its index in the request. */
  entities: { index: number; created: boolean }[];
  /** Those that did not. */
  errors: { index: number; statusCode: number; message: string }[];
}

/** The most entities that Port takes in one bulk request. */
export const BULK_SIZE = 20;

/** The most identifiers that Port takes in one bulk deletion. */
export const BULK_DELETE_SIZE = 100;

/** What may be wrong when there is no such blueprint. */
const CHECK_BLUEPRINT = "check --blueprint and the region (--region eu or us)";

/**
 * Makes the request that creates or updates an entity.
 *
 * @param blueprint Identifier of the blueprint.
 * @param entity The entity.
 * @param options How to treat what is there.
 * @returns The request.
 * @throws {UsageError} When an identifier or the size breaks Port's rules.
 */
export function upsertRequest(
  blueprint: string,
  entity: Entity,
  options: UpsertOptions = {},
): PortRequest {
  const { identifier } = entity;
  const named = typeof identifier === "string";
  return {
    action: (options.validateOnly ? "validate " : "upsert ") +
      (named ? `entity "${identifier}"` : "an entity") +
      ` in blueprint "${blueprint}"`,
    method: "POST",
    path: `${entitiesOf(blueprint)}?${upsertQuery(options)}`,
    body: toBody(entity),
    // Without an identifier Port makes one up: twice means two entities.
    idempotent: named || options.validateOnly === true,
    ifMissing: "create what is missing first; related entities also by " +
      "--create-missing-related-entities",
    ifInvalid: "correct it (numbers, lists, true and false are written " +
      "NAME:=JSON) and run again",
  };
}

/**
 * Creates an entity or updates the one that is there.
 *
 * @param port Port.
 * @param blueprint Identifier of the blueprint.
 * @param entity The entity.
 * @param options How to treat what is there.
 * @returns The entity as Port holds it now.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function upsertEntity(
  port: PortClient,
  blueprint: string,
  entity: Entity,
  options: UpsertOptions = {},
): Promise<JsonObject> {
  return await sendForPart(
    port,
    "entity",
    upsertRequest(blueprint, entity, options),
  );
}

/**
 * Creates or updates many entities of one blueprint.
 *
 * @param port Port.
 * @param blueprint Identifier of the blueprint.
 * @param entities At most {@linkcode BULK_SIZE}.
 * @param options How to treat what is there.
 * @returns What became of each.
 * @throws {ScriptError} Telling what Port or the network had against all.
 */
export async function upsertEntities(
  port: PortClient,
  blueprint: string,
  entities: Entity[],
  options: UpsertOptions = {},
): Promise<BulkAnswer> {
  const request: PortRequest = {
    action: `upsert ${entities.length} entities in blueprint "${blueprint}"`,
    method: "POST",
    path: `${entitiesOf(blueprint)}/bulk?${upsertQuery(options)}`,
    body: toBody({ entities }),
    idempotent: options.validateOnly === true ||
      entities.every(({ identifier }) => typeof identifier === "string"),
    ifMissing: "create the blueprint first",
  };
  const body = (await port.send(request)).body as Partial<BulkAnswer> | null;
  if (Array.isArray(body?.entities) && Array.isArray(body.errors)) {
    return { entities: body.entities, errors: body.errors };
  }
  throw unusable(request, "no entities");
}

/**
 * Reads an entity.
 *
 * @param port Port.
 * @param blueprint Identifier of the blueprint.
 * @param identifier Identifier of the entity.
 * @param options Which part of it.
 * @returns The entity.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function getEntity(
  port: PortClient,
  blueprint: string,
  identifier: string,
  options: GetOptions = {},
): Promise<JsonObject> {
  const query = partQuery(options);
  if (options.excludeCalculatedProperties) {
    query.set("exclude_calculated_properties", "true");
  }
  return await sendForPart(port, "entity", {
    action: `get entity "${identifier}" of blueprint "${blueprint}"`,
    method: "GET",
    path: withQuery(oneOf(blueprint, identifier), query),
    idempotent: true,
    ifMissing:
      "check --blueprint, --identifier and the region (--region eu or us)",
  });
}

/**
 * Makes the request that deletes one entity.
 *
 * @param blueprint Identifier of the blueprint.
 * @param identifier Identifier of the entity.
 * @param options What goes with it.
 * @returns The request.
 * @throws {UsageError} When an identifier breaks Port's rules.
 */
export function deleteRequest(
  blueprint: string,
  identifier: string,
  options: DeleteOptions = {},
): PortRequest {
  return {
    action: `delete entity "${identifier}" of blueprint "${blueprint}"`,
    method: "DELETE",
    path: `${oneOf(blueprint, identifier)}?${deleteQuery(options)}`,
    idempotent: true,
    isDeletion: true,
    ifMissing: "check --blueprint and --identifier, or add --if-exists",
  };
}

/**
 * Makes the request that deletes many entities of one blueprint.
 *
 * @param blueprint Identifier of the blueprint.
 * @param identifiers At most {@linkcode BULK_DELETE_SIZE}.
 * @param options What goes with them.
 * @returns The request.
 * @throws {UsageError} When an identifier or the size breaks Port's rules.
 */
export function bulkDeleteRequest(
  blueprint: string,
  identifiers: string[],
  options: DeleteOptions = {},
): PortRequest {
  checkBlueprintIdentifier(blueprint);
  identifiers.forEach(checkEntityIdentifier);
  return {
    action: `delete ${identifiers.length} entities of "${blueprint}"`,
    method: "POST",
    path: `/v1/blueprints/${encodeURIComponent(blueprint)}/bulk/entities/` +
      `delete?${deleteQuery(options)}`,
    body: toBody({ entities: identifiers }),
    idempotent: true,
    isDeletion: true,
    ifMissing: CHECK_BLUEPRINT,
  };
}

/**
 * Deletes many entities of one blueprint.
 *
 * @param port Port.
 * @param blueprint Identifier of the blueprint.
 * @param identifiers At most {@linkcode BULK_DELETE_SIZE}.
 * @param options What goes with them.
 * @returns The identifiers of those that were deleted.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function deleteEntities(
  port: PortClient,
  blueprint: string,
  identifiers: string[],
  options: DeleteOptions = {},
): Promise<string[]> {
  const request = bulkDeleteRequest(blueprint, identifiers, options);
  const { body, isRepeat } = await port.send(request);
  // The attempt before, whose answer was lost, may have deleted them.
  if (isRepeat) return identifiers;
  const deleted = isJsonObject(body) ? body.deletedEntities : undefined;
  if (Array.isArray(deleted)) return deleted.map(String);
  throw unusable(request, "no identifiers");
}

/**
 * Searches for entities, page after page.
 *
 * @param port Port.
 * @param search What to look for.
 * @returns The entities.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function* searchEntities(
  port: PortClient,
  search: Search,
): AsyncGenerator<JsonObject> {
  let from: string | undefined;
  do {
    const request = searchRequest(search, from);
    const { body } = await port.send(request);
    const { entities, next } = isJsonObject(body) ? body : {};
    if (!Array.isArray(entities)) throw unusable(request, "no entities");
    yield* entities.filter(isJsonObject);
    from = typeof next === "string" && next !== from ? next : undefined;
  } while (from !== undefined);
}

function searchRequest(search: Search, from: string | undefined): PortRequest {
  const { blueprint, query, include = [], exclude = [], limit } = search;
  const common = {
    method: "POST",
    idempotent: true,
    ifMissing: CHECK_BLUEPRINT,
  } as const;
  if (blueprint === undefined) {
    return {
      ...common,
      action: "search entities",
      path: withQuery("/v1/entities/search", partQuery(search)),
      body: toBody(query),
    };
  }
  return {
    ...common,
    action: `search entities of blueprint "${blueprint}"`,
    path: `${entitiesOf(blueprint)}/search`,
    body: toBody({
      query,
      ...(include.length > 0 && { include: include.map(nameOf) }),
      ...(exclude.length > 0 && { exclude: exclude.map(nameOf) }),
      ...(limit !== undefined && { limit }),
      ...(from !== undefined && { from }),
    }),
  };
}

/** The members of an entity that this one route wants a `$` before. */
const META =
  /^(?:identifier|title|icon|team|createdAt|createdBy|updatedAt|updatedBy)$/;

/** The route of one blueprint wants names where all others want paths. */
function nameOf(path: string): string {
  if (path === "properties" || path === "relations") {
    throw new UsageError(
      `Cannot use "${path}" with --blueprint: Port wants each by its name there`,
    );
  }
  return path.replace(META, "$$$&").replace(/^(?:properties|relations)\./, "");
}

function entitiesOf(blueprint: string): string {
  checkBlueprintIdentifier(blueprint);
  return `/v1/blueprints/${encodeURIComponent(blueprint)}/entities`;
}

function oneOf(blueprint: string, identifier: string): string {
  checkEntityIdentifier(identifier);
  return `${entitiesOf(blueprint)}/${encodeURIComponent(identifier)}`;
}

function withQuery(path: string, query: URLSearchParams): string {
  return query.size > 0 ? `${path}?${query}` : path;
}

function partQuery({ include = [], exclude = [] }: GetOptions) {
  return new URLSearchParams([
    ...include.map((path) => ["include", path]),
    ...exclude.map((path) => ["exclude", path]),
  ]);
}

function upsertQuery(options: UpsertOptions): URLSearchParams {
  const query = new URLSearchParams({ upsert: "true" });
  if (!options.replace) query.set("merge", "true");
  if (options.createMissingRelatedEntities) {
    query.set("create_missing_related_entities", "true");
  }
  if (options.validateOnly) query.set("validation_only", "true");
  if (options.runId !== undefined) query.set("run_id", options.runId);
  return query;
}

function deleteQuery({ deleteDependents, runId }: DeleteOptions) {
  const query = new URLSearchParams({
    delete_dependents: String(deleteDependents === true),
  });
  if (runId !== undefined) query.set("run_id", runId);
  return query;
}
