/**
 * Searches in Port, and what `get_entity.ts` shares with them.
 *
 * @module
 */
import { checkIdentifier } from "./entity.ts";
import { UsageError } from "./errors.ts";
import {
  apiPath,
  type Json,
  type JsonObject,
  type Port,
  type RequestOptions,
} from "./port.ts";

/** The parts of entities to read. */
export interface Parts {
  /** Paths to return, for example `properties.version`. @default all */
  include?: string[];
  /** Paths to omit. */
  exclude?: string[];
}

/** What to search for. */
export interface Search extends Parts {
  /** The blueprint to search; without it all of them, one page only. */
  blueprint?: string | undefined;
  /** A query in Port's search language. */
  query: JsonObject;
  /** The maximum number of entities per page. */
  limit: number;
  /** Options of each request. */
  request?: Pick<RequestOptions, "signal" | "onAttempt">;
}

/**
 * Returns the query string that selects parts of entities.
 *
 * @param parts The parts.
 * @param more Further parameters.
 * @returns The query string, with `?`; empty without parameters.
 */
export function partsQuery(
  { include = [], exclude = [] }: Parts,
  more: Record<string, string> = {},
): string {
  const query = new URLSearchParams([
    ...include.map((path) => ["include", path]),
    ...exclude.map((path) => ["exclude", path]),
    ...Object.entries(more),
  ]);
  return query.size > 0 ? `?${query}` : "";
}

/**
 * Searches for entities, page after page.
 *
 * @param port Port.
 * @param search What to search for.
 * @returns The entities.
 * @throws {PortError} If a request fails.
 */
export async function* searchEntities(
  port: Port,
  search: Search,
): AsyncGenerator<JsonObject> {
  let from: Json | undefined;
  do {
    const [path, options] = searchRequest(search, from);
    const { entities, next } = await port.request("POST", path, {
      ...search.request,
      ...options,
      idempotent: true,
      expect: { entities: "array" },
    });
    yield* entities as JsonObject[];
    from = next !== from ? next : undefined;
  } while (typeof from === "string");
}

function searchRequest(
  { blueprint, query, include = [], exclude = [], limit }: Search,
  from: Json | undefined,
): [path: string, options: RequestOptions] {
  if (blueprint === undefined) {
    const path = apiPath("entities", "search");
    return [path + partsQuery({ include, exclude }), {
      action: "search entities",
      body: query,
    }];
  }
  checkIdentifier("blueprint", blueprint);
  return [apiPath("blueprints", blueprint, "entities", "search"), {
    action: `search entities of blueprint "${blueprint}"`,
    body: {
      query,
      limit,
      ...(include.length > 0 && { include: include.map(partName) }),
      ...(exclude.length > 0 && { exclude: exclude.map(partName) }),
      ...(from !== undefined && { from }),
    },
  }];
}

/** The members of entities whose names Port's search prefixes with `$`. */
const META =
  /^(?:identifier|title|icon|team|blueprint|createdAt|createdBy|updatedAt|updatedBy)$/;

/**
 * Returns the name that Port's search has for a path.
 *
 * @param path A path, for example `title` or `properties.version`.
 * @returns The name, for example `$title` or `version`.
 */
export function searchName(path: string): string {
  return path.replace(META, "$$$&").replace(/^(?:properties|relations)\./, "");
}

function partName(path: string): string {
  if (path === "properties" || path === "relations") {
    throw new UsageError(
      `Cannot use "${path}" with --blueprint: name each of them`,
    );
  }
  return searchName(path);
}
