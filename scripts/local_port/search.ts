/**
 * Which entities a search query finds.
 *
 * @module
 */
import { Catalogue, type Ref } from "./catalogue.ts";
import type { Blueprint, Entity, Json, Property } from "./model.ts";
import { OPERATORS, same } from "./operators.ts";
import { invalid } from "./refusal.ts";

export interface SearchBody {
  query?: Query;
  include?: string[];
  exclude?: string[];
  limit?: number;
  from?: string;
}

/** The route of one blueprint takes names, with `$` before those of Port. */
export function pathOf(
  name: string,
  { identifier, schema, relations }: Blueprint,
) {
  if (name.startsWith("$")) return name.slice(1);
  if (Object.hasOwn(schema.properties, name)) return `properties.${name}`;
  if (Object.hasOwn(relations ?? {}, name)) return `relations.${name}`;
  throw invalid(
    `Property "${name}" does not exist in the blueprint "${identifier}"`,
  );
}

/** A hash of what the page before ended with; nobody is to look into it. */
export function encodePage(identifier: string): string {
  return btoa(encodeURIComponent(identifier));
}

export function decodePage(from: string): string {
  try {
    return decodeURIComponent(atob(from));
  } catch {
    throw invalid(`"from" is not valid`);
  }
}

/** A search query; its rules may be queries themselves. */
export interface Query {
  combinator: "and" | "or";
  rules: (Rule | Query)[];
}

export function isQuery(value: unknown): value is Query {
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

type Matcher = (blueprint: Blueprint, entity: Entity) => boolean;

export const MATCH_ALL: Query = { combinator: "and", rules: [] };

/** Turns a query into a test. */
export function makeMatcher(query: Query, catalogue: Catalogue): Matcher {
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
