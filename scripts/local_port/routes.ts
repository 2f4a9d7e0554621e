/**
 * Finds the route of a request.
 *
 * @module
 */
import { ACTION_RUN_ROUTES } from "./action_runs.ts";
import { BLUEPRINT_ROUTES } from "./blueprints.ts";
import type { Call, Reply, Routes } from "./call.ts";
import { readSwitch, reply } from "./call.ts";
import { ENTITY_ROUTES } from "./entities.ts";
import { HttpError } from "./http_error.ts";
import { SEARCH_ROUTES } from "./search.ts";

/** The only path that needs no token. */
const LOGIN = "auth/access_token";

const ROUTES: Routes = {
  [`POST ${LOGIN}`]: ({ login, body }) => reply(200, login.logIn(body)),
  ...BLUEPRINT_ROUTES,
  ...SEARCH_ROUTES,
  ...ENTITY_ROUTES,
  ...ACTION_RUN_ROUTES,
};

/** The query parameters that are `true` or `false`, whatever the route. */
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

export function route(call: Call): Reply {
  const { method, query, login, authorization } = call;
  const path = call.path.join("/");
  for (const name of SWITCHES) readSwitch(query, name);
  if (path !== LOGIN) login.requireToken(authorization);
  const found = findRoute(ROUTES, method, call.path);
  if (!found) {
    throw new HttpError(404, `Route ${method}:/v1/${path} not found`);
  }
  const [handler, segments] = found;
  return handler(call, ...segments);
}

/** Finds the first route that matches, and the segments for its handler. */
export function findRoute<Handler>(
  routes: Record<string, Handler>,
  method: string,
  path: string[],
): [Handler, segments: string[]] | undefined {
  for (const [name, handler] of Object.entries(routes)) {
    const segments = match(name.split(/[ /]/), [method, ...path]);
    if (segments) return [handler, segments];
  }
  return undefined;
}

/** The segments in place of those with a colon; `undefined` without a match. */
function match(pattern: string[], path: string[]): string[] | undefined {
  const isOpen = (index: number) => pattern[index]?.startsWith(":") ?? false;
  const matches = pattern.length === path.length &&
    path.every((segment, index) => isOpen(index) || segment === pattern[index]);
  return matches ? path.filter((_, index) => isOpen(index)) : undefined;
}
