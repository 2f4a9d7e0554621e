#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Creates or updates blueprints in Port.
 *
 * @module
 */
import {
  createBlueprint,
  getBlueprint,
  replaceBlueprint,
  updateBlueprint,
} from "../lib/blueprints.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { NotFoundError, UsageError } from "../lib/errors.ts";
import {
  isJsonObject,
  isSameJson,
  type Json,
  type JsonObject,
  parseJson,
} from "../lib/json.ts";
import type { PortClient } from "../lib/port_client.ts";

/** The script, for its file and for tests. */
export const upsertBlueprint = defineScript({
  name: "upsert_blueprint",
  summary: "Create blueprints in Port, or update those that are there",
  operand: {
    value: "FILE",
    help: "A blueprint or a list of them as JSON, - for standard input",
  },
  options: {
    replace: {
      group: "Behaviour",
      help: "Replace the whole blueprint: properties that are not named are " +
        "lost (without it, they stay)",
    },
  },
  examples: [
    {
      says: "The blueprints of Port's CI examples",
      args: "scripts/blueprints/ci_job.json scripts/blueprints/image.json",
    },
  ],
  async run({ options, operands, port, print, say, readInput }) {
    const blueprints: Blueprint[] = [];
    for (const path of operands) {
      blueprints.push(...readBlueprints(await readInput(path), path));
    }
    checkUnique(blueprints);
    const stored = await storeAll(port, sortByTarget(blueprints), {
      replace: options.replace,
      say,
    });
    print(stored);
  },
});

/** A blueprint, as far as this script looks into it. */
type Blueprint = JsonObject & { identifier: string };

function readBlueprints(text: string, path: string): Blueprint[] {
  const source = path === "-" ? "standard input" : `file "${path}"`;
  return [parseJson(text, source)].flat().map((value) => {
    if (isJsonObject(value) && typeof value.identifier === "string") {
      return { ...value, identifier: value.identifier };
    }
    throw new UsageError(
      `Cannot use ${source}: it must hold a blueprint or a list of them, each ` +
        'with an "identifier"',
    );
  });
}

function checkUnique(blueprints: Blueprint[]): void {
  const seen = new Set<string>();
  for (const { identifier } of blueprints) {
    if (seen.has(identifier)) {
      throw new UsageError(
        `Cannot use blueprint "${identifier}": it is given twice`,
      );
    }
    seen.add(identifier);
  }
}

/** Puts the targets of relations first; in a circle, one of them must wait. */
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

/** A member that is an object of named things; empty when there is none. */
function member(owner: JsonObject, name: string): JsonObject {
  const value = owner[name];
  return isJsonObject(value) ? value : {};
}

interface StoreOptions {
  replace: boolean;
  say: (line: string) => void;
}

/** Creates what is not there first, as all others may be related to it. */
async function storeAll(
  port: PortClient,
  blueprints: Blueprint[],
  options: StoreOptions,
): Promise<JsonObject[]> {
  const there = new Map<Blueprint, JsonObject | undefined>();
  for (const blueprint of blueprints) {
    there.set(blueprint, await find(port, blueprint.identifier));
  }
  const isNew = (blueprint: Blueprint) => there.get(blueprint) === undefined;
  const stored = await createAll(port, blueprints.filter(isNew), options);
  for (const [blueprint, before] of there) {
    if (before === undefined) continue;
    stored.push(await change(port, before, blueprint, options));
  }
  return stored;
}

/** In a circle of relations, one must wait until its target is there. */
async function createAll(
  port: PortClient,
  blueprints: Blueprint[],
  { say }: StoreOptions,
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
    stored.set(identifier, await createBlueprint(port, identifier, body));
    say(`Created blueprint "${identifier}"`);
  }
  for (const { identifier, relations } of incomplete) {
    const body = { relations: relations ?? {} };
    stored.set(identifier, await updateBlueprint(port, identifier, body));
  }
  return [...stored.values()];
}

async function find(
  port: PortClient,
  identifier: string,
): Promise<JsonObject | undefined> {
  try {
    return await getBlueprint(port, identifier);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** Changes what is there; a merge that would change nothing is not sent. */
async function change(
  port: PortClient,
  there: JsonObject,
  blueprint: Blueprint,
  { replace, say }: StoreOptions,
): Promise<JsonObject> {
  const { identifier } = blueprint;
  const wanted = replace ? blueprint : merge(there, blueprint);
  const changes = compare(there, wanted, replace).join(", ");
  if (!changes && !replace) {
    say(`Blueprint "${identifier}" is as it should be`);
    return there;
  }
  const stored = replace
    ? await replaceBlueprint(port, identifier, wanted)
    : await updateBlueprint(port, identifier, wanted);
  const verb = replace ? "Replaced" : "Updated";
  say(`${verb} blueprint "${identifier}": ${changes || "no change"}`);
  return stored;
}

/** The members that hold named things; in a merge the user's own stay. */
const NAMED = [
  "relations",
  "calculationProperties",
  "mirrorProperties",
  "aggregationProperties",
];

function merge(there: JsonObject, blueprint: Blueprint): JsonObject {
  const merged: JsonObject = { ...blueprint };
  for (const name of NAMED) {
    if (blueprint[name] === undefined) continue;
    merged[name] = { ...member(there, name), ...member(blueprint, name) };
  }
  if (blueprint.schema !== undefined) {
    const before = member(there, "schema");
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

/** Names what is new, other and, in a replacement, gone. */
function compare(
  there: JsonObject,
  wanted: JsonObject,
  replace: boolean,
): string[] {
  const before = flatten(there);
  const after = flatten(wanted);
  const added = [...after.keys()].filter((path) => !before.has(path));
  const changed = [...after.keys()].filter((path) =>
    before.has(path) && !isSameJson(before.get(path), after.get(path))
  );
  const removed = [...before.keys()].filter((path) =>
    replace && path.includes(".") && !after.has(path)
  );
  return Object.entries({ added, changed, removed }).flatMap(([verb, paths]) =>
    paths.length > 0 ? [`${verb} ${paths.join(" ")}`] : []
  );
}

/** Each member, and each named thing by its path, as `properties.version`. */
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

if (import.meta.main) await runScript(upsertBlueprint);
