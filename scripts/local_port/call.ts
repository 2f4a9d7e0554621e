/**
 * A request and its answer, as the routes see them.
 *
 * @module
 */
import type { Json } from "./model.ts";
import { invalid } from "./refusal.ts";

/** A request whose body has arrived. */
export interface Call {
  method: string;
  /** The path below `/v1/`, decoded. */
  path: string[];
  query: URLSearchParams;
  authorization: string;
  /** The parsed body; `undefined` when there is none. */
  body: unknown;
}

/** What a route answers with. */
export interface Reply {
  status: number;
  body: Json;
}

export function ok(status: number, body: Json): Reply {
  return { status, body: { ok: true, ...body } };
}

/** The query parameters that are true or false, whatever the route. */
export const SWITCHES = [
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
export function flag(
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
