#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Creates or updates blueprints in Port.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { getBlueprint } from "../lib/blueprint.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { checkIdentifier } from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";
import { nameOf, readInput } from "../lib/files.ts";
import { parseJson } from "../lib/json.ts";
import {
  apiPath,
  isJsonObject,
  type Json,
  type JsonObject,
  type Method,
  type Port,
  PortError,
} from "../lib/port.ts";

/** The script. */
export const script = defineScript({
  name: "upsert_blueprint",
  summary: "Create or update blueprints in Port",
  operand: {
    value: "FILE",
    help: "A blueprint or a list of them as JSON, - for standard input",
  },
  options: {
    replace: {
      group: "Behaviour",
      help: "Remove properties that the file omits; by default they are kept",
    },
  },
  examples: {
    "The blueprints of Port's CI examples":
      "scripts/blueprints/ci_job.json scripts/blueprints/image.json",
  },
  advice: {
    404: "check its identifier and --region; the targets of its " +
      "relations must exist first",
  },
  async run({ options, operands, port, print, log }) {
    const blueprints: Blueprint[] = [];
    for (const path of operands) {
      blueprints.push(...readBlueprints(await readInput(path), nameOf(path)));
    }
    checkUnique(blueprints);
    const sorted = sortByTarget(blueprints);
    print(await storeAll(port, sorted, { replace: options.replace, log }));
  },
});

/** A blueprint with an identifier. */
type Blueprint = JsonObject & { identifier: string };

function readBlueprints(text: string, source: string): Blueprint[] {
  return [parseJson(text, source)].flat().map((value) => {
    const { identifier } = isJsonObject(value) ? value : {};
    if (typeof identifier === "string") {
      checkIdentifier("blueprint", identifier);
      return { ...Object(value), identifier };
    }
    throw new UsageError(
      `Cannot use ${source}: it must be a blueprint or a list of them, each ` +
        'with an "identifier"',
    );
  });
}

function checkUnique(blueprints: Blueprint[]): void {
  const identifiers = blueprints.map(({ identifier }) => identifier);
  const twice = identifiers.find((one, at) => identifiers.indexOf(one) < at);
  if (twice === undefined) return;
  throw new UsageError(`Cannot use blueprint "${twice}": it is given twice`);
}

/** Puts targets of relations first; in a cycle, one of them comes later. */
function sortByTarget(blueprints: Blueprint[]): Blueprint[] {
  const sorted = new Set<Blueprint>();
  const visited = new Set<Blueprint>();
  const visit = (blueprint: Blueprint) => {
    if (visited.has(blueprint)) return;
    visited.add(blueprint);
    const targets = Object.values(member(blueprint, "relations")).map(targetOf);
    blueprints.filter(({ identifier }) => targets.includes(identifier))
      .forEach(visit);
    sorted.add(blueprint);
  };
  blueprints.forEach(visit);
  return [...sorted];
}

function targetOf(relation: Json | undefined): Json | undefined {
  return isJsonObject(relation) ? relation.target : undefined;
}

/** Returns a member if it is an object, or an empty object. */
function member(owner: JsonObject, name: string): JsonObject {
  const value = owner[name];
  return isJsonObject(value) ? value : {};
}

interface StoreOptions {
  replace: boolean;
  log: (line: string) => void;
}

/** Creates missing blueprints first: the others may be related to them. */
async function storeAll(
  port: Port,
  blueprints: Blueprint[],
  options: StoreOptions,
): Promise<JsonObject[]> {
  const existing = new Map<Blueprint, JsonObject | undefined>();
  for (const blueprint of blueprints) {
    existing.set(blueprint, await find(port, blueprint.identifier));
  }
  const isNew = (blueprint: Blueprint) => existing.get(blueprint) === undefined;
  const stored = await createAll(port, blueprints.filter(isNew), options);
  for (const [blueprint, before] of existing) {
    if (before === undefined) continue;
    stored.push(await change(port, before, blueprint, options));
  }
  return stored;
}

/** In a cycle of relations, one is added once its target exists. */
async function createAll(
  port: Port,
  blueprints: Blueprint[],
  { log }: StoreOptions,
): Promise<JsonObject[]> {
  const stored = new Map<string, JsonObject>();
  const incomplete: Blueprint[] = [];
  for (const [index, blueprint] of blueprints.entries()) {
    const { identifier } = blueprint;
    const later = blueprints.slice(index + 1).map((next) => next.identifier);
    const relations = Object.entries(member(blueprint, "relations"));
    const ready = relations.filter(([_, relation]) =>
      !later.includes(String(targetOf(relation)))
    );
    if (ready.length < relations.length) incomplete.push(blueprint);
    const body = { ...blueprint, relations: Object.fromEntries(ready) };
    stored.set(identifier, await send(port, "POST", identifier, body));
    log(`Created blueprint "${identifier}"`);
  }
  for (const { identifier, relations } of incomplete) {
    const body = { relations: relations ?? {} };
    stored.set(identifier, await send(port, "PATCH", identifier, body));
  }
  return [...stored.values()];
}

async function find(
  port: Port,
  identifier: string,
): Promise<JsonObject | undefined> {
  try {
    return await getBlueprint(port, identifier);
  } catch (error) {
    const isMissing = error instanceof PortError && error.kind === "not-found";
    if (isMissing) return undefined;
    throw error;
  }
}

const VERBS = { POST: "create", PATCH: "update", PUT: "replace" };

/** Sends a blueprint or a part of it. */
async function send(
  port: Port,
  method: keyof typeof VERBS & Method,
  identifier: string,
  body: JsonObject,
): Promise<JsonObject> {
  const path = method === "POST"
    ? apiPath("blueprints")
    : apiPath("blueprints", identifier);
  const { blueprint } = await port.request(method, path, {
    action: `${VERBS[method]} blueprint "${identifier}"`,
    body,
    // A retry would be rejected if the blueprint was created.
    idempotent: method !== "POST",
    expect: { blueprint: "object" },
  });
  return blueprint as JsonObject;
}

/** Replaces a blueprint, or updates it if a merge changes anything. */
async function change(
  port: Port,
  before: JsonObject,
  blueprint: Blueprint,
  { replace, log }: StoreOptions,
): Promise<JsonObject> {
  const { identifier } = blueprint;
  const wanted = replace ? blueprint : merge(before, blueprint);
  const changes = compare(before, wanted, replace).join(", ");
  if (!changes && !replace) {
    log(`Blueprint "${identifier}" is up to date`);
    return before;
  }
  const method = replace ? "PUT" : "PATCH";
  const stored = await send(port, method, identifier, wanted);
  const verb = replace ? "Replaced" : "Updated";
  log(`${verb} blueprint "${identifier}": ${changes || "no change"}`);
  return stored;
}

/** Members with named entries; a merge keeps entries that the file omits. */
const NAMED = [
  "relations",
  "calculationProperties",
  "mirrorProperties",
  "aggregationProperties",
];

function merge(existing: JsonObject, blueprint: Blueprint): JsonObject {
  const merged: JsonObject = { ...blueprint };
  for (const name of NAMED) {
    if (blueprint[name] === undefined) continue;
    merged[name] = { ...member(existing, name), ...member(blueprint, name) };
  }
  if (blueprint.schema !== undefined) {
    const before = member(existing, "schema");
    const after = member(blueprint, "schema");
    const required = [before.required ?? [], after.required ?? []].flat();
    merged.schema = {
      ...before,
      ...after,
      properties: {
        ...member(before, "properties"),
        ...member(after, "properties"),
      },
      required: [...new Set(required)],
    };
  }
  return merged;
}

/** Lists what is added, changed and, in a replacement, removed. */
function compare(
  existing: JsonObject,
  wanted: JsonObject,
  replace: boolean,
): string[] {
  const before = flatten(existing);
  const after = flatten(wanted);
  const added = [...after.keys()].filter((path) => !before.has(path));
  const changed = [...after.keys()].filter((path) =>
    before.has(path) && !isDeepStrictEqual(before.get(path), after.get(path))
  );
  const removed = [...before.keys()].filter((path) =>
    replace && path.includes(".") && !after.has(path)
  );
  return Object.entries({ added, changed, removed }).flatMap(([verb, paths]) =>
    paths.length > 0 ? [`${verb} ${paths.join(" ")}`] : []
  );
}

/** Maps paths to values: each member, each entry (`properties.version`). */
function flatten(blueprint: JsonObject): Map<string, unknown> {
  const { schema: _, ...rest } = blueprint;
  const { properties = {}, required = [] } = member(blueprint, "schema");
  const paths = new Map<string, unknown>(
    blueprint.schema === undefined ? [] : [["required", required]],
  );
  for (const [group, value] of Object.entries({ ...rest, properties })) {
    if (group !== "properties" && !NAMED.includes(group)) {
      paths.set(group, value);
      continue;
    }
    for (const [name, thing] of Object.entries(Object(value))) {
      paths.set(`${group}.${name}`, thing);
    }
  }
  return paths;
}

if (import.meta.main) await runScript(script);
