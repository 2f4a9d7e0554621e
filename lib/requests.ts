/**
 * Port's operations as requests: path, parameters, body, and whether a repeat
 * can do harm. Nothing is sent here.
 *
 * Paths, parameters, bodies and answers are those of Port's OpenAPI document.
 *
 * @module
 */
import {
  checkBlueprintIdentifier,
  checkEntityIdentifier,
  type Entity,
} from "./entity.ts";
import { UsageError } from "./errors.ts";
import type { JsonObject } from "./json.ts";

/** What Port gives out a token for. */
export interface Credentials {
  /** Client id. */
  clientId: string;
  /** Client secret. */
  clientSecret: string;
}

/** How `upsertEntity()` treats what is there. */
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

/** Which part of an entity `getEntity()` asks for. */
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
  /** Where the page begins: `next` of the one before. */
  from?: string | undefined;
}

/** The most entities that Port takes in one bulk request. */
export const BULK_SIZE = 20;

/** The most identifiers that Port takes in one bulk deletion. */
export const BULK_DELETE_SIZE = 100;

/** A request, ready to be sent. */
export interface PortRequest {
  /** What it does, to complete the sentence `Cannot …`. */
  action: string;
  /** The HTTP method. */
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Path and query, beginning with `/v1`. */
  path: string;
  /** The JSON text to send. */
  body?: string;
  /** Whether Port may act on it twice without harm. */
  idempotent: boolean;
  /** What to do when Port answers 404. */
  ifMissing: string;
}

/** The largest body that Port takes, in bytes (its OpenAPI document, 413). */
export const MAX_BODY = 1024 * 1024;

/**
 * Makes the request for a token.
 *
 * @param credentials What Port gives it out for.
 * @returns The request.
 */
export function loginRequest(credentials: Credentials): PortRequest {
  return {
    action: "log in to Port",
    method: "POST",
    path: "/v1/auth/access_token",
    body: JSON.stringify(credentials),
    idempotent: true,
    ifMissing: "check the API URL",
  };
}

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
  checkBlueprintIdentifier(blueprint);
  const { identifier } = entity;
  const named = typeof identifier === "string";
  return {
    action: (options.validateOnly ? "validate " : "upsert ") +
      (named ? `entity "${identifier}"` : "an entity") +
      ` in blueprint "${blueprint}"`,
    method: "POST",
    path: `/v1/blueprints/${encodeURIComponent(blueprint)}/entities?${
      upsertQuery(options)
    }`,
    body: bodyOf(entity),
    // Without an identifier Port makes one up: twice means two entities.
    idempotent: named || options.validateOnly === true,
    ifMissing: "create what is missing first; related entities also by " +
      "--create-missing-related-entities",
  };
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

/**
 * Makes the request that reads an entity.
 *
 * @param blueprint Identifier of the blueprint.
 * @param identifier Identifier of the entity.
 * @param options Which part of it.
 * @returns The request.
 * @throws {UsageError} When an identifier breaks Port's rules.
 */
export function getRequest(
  blueprint: string,
  identifier: string,
  options: GetOptions,
): PortRequest {
  checkBlueprintIdentifier(blueprint);
  checkEntityIdentifier(identifier);
  const query = new URLSearchParams();
  for (const path of options.include ?? []) query.append("include", path);
  for (const path of options.exclude ?? []) query.append("exclude", path);
  if (options.excludeCalculatedProperties) {
    query.set("exclude_calculated_properties", "true");
  }
  const path = `/v1/blueprints/${encodeURIComponent(blueprint)}` +
    `/entities/${encodeURIComponent(identifier)}`;
  return {
    action: `get entity "${identifier}" of blueprint "${blueprint}"`,
    method: "GET",
    path: query.size > 0 ? `${path}?${query}` : path,
    idempotent: true,
    ifMissing:
      "check --blueprint, --identifier and the region (--region eu or us)",
  };
}

/**
 * Makes a request for one blueprint.
 *
 * @param verb What it does, for people.
 * @param method The HTTP method.
 * @param identifier Identifier of the blueprint.
 * @param blueprint What to send of it.
 * @returns The request.
 * @throws {UsageError} When the identifier or the size breaks Port's rules.
 */
export function blueprintRequest(
  verb: string,
  method: PortRequest["method"],
  identifier: string,
  blueprint?: JsonObject,
): PortRequest {
  checkBlueprintIdentifier(identifier);
  return {
    action: `${verb} blueprint "${identifier}"`,
    method,
    path: `/v1/blueprints/${encodeURIComponent(identifier)}`,
    ...(blueprint && { body: bodyOf(blueprint) }),
    idempotent: true,
    ifMissing: "check its identifier and the region (--region eu or us); the " +
      "targets of its relations must be there first",
  };
}

/**
 * Makes the request that creates or updates many entities of one blueprint.
 *
 * @param blueprint Identifier of the blueprint.
 * @param entities At most {@linkcode BULK_SIZE}.
 * @param options How to treat what is there.
 * @returns The request.
 * @throws {UsageError} When an identifier or the size breaks Port's rules.
 */
export function bulkUpsertRequest(
  blueprint: string,
  entities: Entity[],
  options: UpsertOptions = {},
): PortRequest {
  checkBlueprintIdentifier(blueprint);
  const path = `/v1/blueprints/${encodeURIComponent(blueprint)}/entities/bulk`;
  return {
    action: `upsert ${entities.length} entities in blueprint "${blueprint}"`,
    method: "POST",
    path: `${path}?${upsertQuery(options)}`,
    body: bodyOf({ entities }),
    idempotent: options.validateOnly === true ||
      entities.every(({ identifier }) => typeof identifier === "string"),
    ifMissing: "create the blueprint first",
  };
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
  checkBlueprintIdentifier(blueprint);
  checkEntityIdentifier(identifier);
  return {
    action: `delete entity "${identifier}" of blueprint "${blueprint}"`,
    method: "DELETE",
    path: `/v1/blueprints/${encodeURIComponent(blueprint)}/entities/` +
      `${encodeURIComponent(identifier)}?${deleteQuery(options)}`,
    idempotent: true,
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
    body: bodyOf({ entities: identifiers }),
    idempotent: true,
    ifMissing: "check --blueprint and the region (--region eu or us)",
  };
}

function deleteQuery({ deleteDependents, runId }: DeleteOptions) {
  const query = new URLSearchParams({
    delete_dependents: String(deleteDependents === true),
  });
  if (runId !== undefined) query.set("run_id", runId);
  return query;
}

/**
 * Makes the request for one page of a search.
 *
 * @param search What to look for.
 * @returns The request.
 * @throws {UsageError} When the blueprint's identifier breaks Port's rules.
 */
export function searchRequest(search: Search): PortRequest {
  const { blueprint, query, include = [], exclude = [], limit, from } = search;
  const common = {
    method: "POST" as const,
    idempotent: true,
    ifMissing: "check --blueprint and the region (--region eu or us)",
  };
  if (blueprint === undefined) {
    const parts = new URLSearchParams([
      ...include.map((path) => ["include", path]),
      ...exclude.map((path) => ["exclude", path]),
    ]);
    return {
      ...common,
      action: "search entities",
      path: "/v1/entities/search" + (parts.size > 0 ? `?${parts}` : ""),
      body: bodyOf(query),
    };
  }
  checkBlueprintIdentifier(blueprint);
  return {
    ...common,
    action: `search entities of blueprint "${blueprint}"`,
    path: `/v1/blueprints/${encodeURIComponent(blueprint)}/entities/search`,
    body: bodyOf({
      query,
      ...(include.length > 0 && { include }),
      ...(exclude.length > 0 && { exclude }),
      ...(limit !== undefined && { limit }),
      ...(from !== undefined && { from }),
    }),
  };
}

/**
 * Makes the request that starts a self-service action.
 *
 * @param action Identifier of the action.
 * @param input What the action asks for, and the entity that it is about.
 * @param runAs The e-mail address of the user to run it as.
 * @returns The request; a repeat would start the action again.
 */
export function createRunRequest(
  action: string,
  input: JsonObject,
  runAs?: string,
): PortRequest {
  const query = runAs === undefined
    ? ""
    : `?${new URLSearchParams({ run_as: runAs })}`;
  return {
    action: `run action "${action}"`,
    method: "POST",
    path: `/v1/actions/${encodeURIComponent(action)}/runs${query}`,
    body: bodyOf(input),
    idempotent: false,
    ifMissing: "check --action and the region (--region eu or us)",
  };
}

/**
 * Makes a request about one action run.
 *
 * @param id Id of the run.
 * @param change What to change; nothing reads it.
 * @returns The request.
 */
export function runRequest(id: string, change?: JsonObject): PortRequest {
  return {
    action: `${change ? "update" : "get"} action run "${id}"`,
    method: change ? "PATCH" : "GET",
    path: `/v1/actions/runs/${encodeURIComponent(id)}`,
    ...(change && { body: bodyOf(change) }),
    idempotent: true,
    ifMissing: "check --run-id and the region (--region eu or us)",
  };
}

/**
 * Makes a request about the log of an action run.
 *
 * @param id Id of the run.
 * @param content A line to add; or from which line on to read.
 * @returns The request; a line that is sent again would stand there twice.
 */
export function runLogRequest(
  id: string,
  content: { message: string } | { offset: number },
): PortRequest {
  const path = `/v1/actions/runs/${encodeURIComponent(id)}/logs`;
  const ifMissing = "check --run-id and the region (--region eu or us)";
  return "message" in content
    ? {
      action: `write to the log of action run "${id}"`,
      method: "POST",
      path,
      body: bodyOf(content),
      idempotent: false,
      ifMissing,
    }
    : {
      action: `read the log of action run "${id}"`,
      method: "GET",
      path: `${path}?limit=50&offset=${content.offset}`,
      idempotent: true,
      ifMissing,
    };
}

/** Refuses a body that Port would refuse, before anything is sent. */
function bodyOf(value: unknown): string {
  const body = JSON.stringify(value);
  const size = new TextEncoder().encode(body).length;
  if (size <= MAX_BODY) return body;
  throw new UsageError(
    `Cannot send ${size} bytes: Port takes at most ${MAX_BODY} (1 MiB) in one ` +
      "request; send fewer or shorter values",
  );
}
