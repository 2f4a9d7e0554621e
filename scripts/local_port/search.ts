/**
 * Port's routes for searches, and which entities a query finds.
 *
 * @module
 */
import { makePick, reply, type Routes } from "./call.ts";
import type { Catalogue } from "./catalogue.ts";
import { HttpError, orInvalid } from "./http_error.ts";
import { type Blueprint, type Entity, type Json, META, pick } from "./model.ts";
import { OPERATORS } from "./operators.ts";
import type { Query, Rule } from "./search_schemas.ts";
import { checkQuery, checkSearch } from "./search_schemas.ts";

export const SEARCH_ROUTES: Routes = {
  // One page of entities, in the order of their identifiers.
  "POST blueprints/:blueprint/entities/search": (call, identifier) => {
    const { catalogue, body = {} } = call;
    const blueprint = catalogue.blueprint(identifier);
    const search = checkSearch(body);
    const after = search.from === undefined ? "" : decodePage(search.from);
    const found = findEntities(catalogue, blueprint, search.query)
      .filter(({ identifier }) => identifier > after)
      .sort((a, b) => a.identifier < b.identifier ? -1 : 1);
    const page = found.slice(0, search.limit ?? 200);
    const last = found.length > page.length ? page.at(-1) : undefined;
    const [include, exclude] = [search.include, search.exclude]
      .map((names = []) => names.map((name) => pathOf(name, blueprint)));
    return reply(200, {
      entities: page.map((entity) => pick(entity, include, exclude)),
      ...(last && { next: encodePage(last.identifier) }),
    });
  },

  "POST entities/search": (call) => {
    const { catalogue } = call;
    const wanted = checkQuery(call.body);
    const found = catalogue.blueprints().map((blueprint) => ({
      blueprint: blueprint.identifier,
      entities: findEntities(catalogue, blueprint, wanted),
    })).filter(({ entities }) => entities.length > 0);
    return reply(200, {
      matchingBlueprints: found.map(({ blueprint }) => blueprint),
      entities: found.flatMap(({ entities }) => entities)
        .map(makePick(call)),
    });
  },
};

/** Turns a name that the route of one blueprint takes into a path. */
function pathOf(name: string, { identifier, schema, relations }: Blueprint) {
  if (META.some((meta) => name === `$${meta}`)) return name.slice(1);
  if (Object.hasOwn(schema.properties, name)) return `properties.${name}`;
  if (Object.hasOwn(relations ?? {}, name)) return `relations.${name}`;
  throw new HttpError(
    422,
    `Property "${name}" does not exist in the blueprint "${identifier}"`,
  );
}

/** Encodes the last identifier of a page, so that clients cannot rely on it. */
function encodePage(identifier: string): string {
  return btoa(encodeURIComponent(identifier));
}

function decodePage(from: string): string {
  return orInvalid('"from" is not valid', () => decodeURIComponent(atob(from)));
}

/** Finds the entities of a blueprint that match; without a query, all. */
export function findEntities(
  catalogue: Catalogue,
  blueprint: Blueprint,
  query: Query = { combinator: "and", rules: [] },
): Entity[] {
  const now = catalogue.clock();
  return catalogue.entities(blueprint.identifier)
    .filter((entity) => matches(query, entity, now));
}

function matches(
  { combinator, rules }: Query,
  entity: Entity,
  now: number,
): boolean {
  const holds = (rule: Rule | Query): boolean => {
    if ("rules" in rule) return matches(rule, entity, now);
    const { property, operator, value } = rule;
    return OPERATORS[operator](valueOf(property, entity), value, now);
  };
  return combinator === "and" ? rules.every(holds) : rules.some(holds);
}

function valueOf(name: string, entity: Entity): unknown {
  const { properties, relations, ...meta } = entity;
  const [values, key]: [Json, string] = name.startsWith("$")
    ? [meta, name.slice(1)]
    : [{ ...relations, ...properties }, name];
  return Object.hasOwn(values, key) ? values[key] : undefined;
}
