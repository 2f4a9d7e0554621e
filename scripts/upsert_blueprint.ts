#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Creates blueprints in Port, or adds to them what they lack.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { getBlueprint } from "../lib/blueprint.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { checkIdentifier } from "../lib/entity.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
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
  type PortErrorKind,
} from "../lib/port.ts";
import { requireCredentials } from "../lib/settings.ts";

/** The script. */
export const script = defineScript({
  name: "upsert_blueprint",
  summary: "Create blueprints in Port, or add to them what they lack",
  operand: {
    value: "FILE",
    help: "A blueprint or a list of them as JSON, - for standard input",
  },
  options: {
    overwrite: {
      group: "Behaviour",
      help: "Change what differs from the file; by default it is kept",
    },
    replace: { help: "As --overwrite, and remove what the file omits" },
    dryRun: { help: "Print the difference and change nothing" },
    check: { help: "As --dry-run; exit with 7 if anything differs" },
  },
  examples: {
    "The blueprints of Port's CI examples":
      "scripts/blueprints/ci_job.json scripts/blueprints/image.json",
    "What it would change":
      "--overwrite --dry-run scripts/blueprints/service.json",
  },
  advice: {
    404: "check its identifier and --region; the targets of its " +
      "relations must exist first",
  },
  async run({ options, operands, settings, port, print, log }) {
    const { overwrite, replace, dryRun, check, verbose } = options;
    if (overwrite && replace) {
      throw new UsageError("Cannot use --overwrite with --replace: choose one");
    }
    const mode = replace ? "replace" : overwrite ? "overwrite" : "add";
    const files: Blueprint[] = [];
    for (const path of operands) files.push(...await readBlueprints(path));
    checkUnique(files);
    // Unlike in other scripts, --dry-run reads from Port.
    requireCredentials(settings);
    const changes: Change[] = [];
    for (const file of files) {
      const before = await find(port, file.identifier);
      changes.push({ file, before, after: before });
    }
    const would = dryRun || check ? "would be " : "";
    try {
      if (would) plan(changes, mode);
      else await storeAll(port, changes, mode);
    } catch (error) {
      const written = changes.filter(({ before, after }) => before !== after);
      for (const change of written) print(report(change));
      throw error;
    }
    for (const change of changes) print(report(change, would));
    if (verbose) print(changes.map(({ after }) => after));
    if (check) throwIfDifferent(changes);
    if (changes.some((change) => left(change).length > 0)) {
      log("What differs from the file was kept; --overwrite changes it");
    }
  },
});

/** A blueprint with an identifier. */
type Blueprint = JsonObject & { identifier: string };

/** What happens to what differs from the file, and to what the file omits. */
type Mode = "add" | "overwrite" | "replace";

/** A blueprint in the file, and in Port before and after the run. */
interface Change {
  file: Blueprint;
  before: JsonObject | undefined;
  after: JsonObject | undefined;
}

/** The members that depend on no other blueprint. */
const BARE = [
  ...["identifier", "title", "description", "icon"],
  ...["changelogDestination", "schema"],
];

/** The members, apart from `schema`, with entries by name. */
const GROUPS = [
  ...["relations", "calculationProperties", "mirrorProperties"],
  "aggregationProperties",
];

/** All members that Port's OpenAPI document lets a user set. */
const MEMBERS = [...BARE, ...GROUPS, "ownership"];

/** The members that only Port sets. */
const READ_ONLY = ["createdAt", "createdBy", "updatedAt", "updatedBy"];

async function readBlueprints(path: string): Promise<Blueprint[]> {
  const blueprints = [];
  for (const value of [parseJson(await readInput(path), nameOf(path))].flat()) {
    const { identifier, ...members } = isJsonObject(value) ? value : {};
    if (typeof identifier !== "string") {
      throw new UsageError(
        `Cannot use ${nameOf(path)}: it must be a blueprint or a list of ` +
          'them, each with an "identifier"',
      );
    }
    checkIdentifier("blueprint", identifier);
    await checkMembers(identifier, members);
    blueprints.push({ identifier, ...pick(members, MEMBERS) });
  }
  return blueprints;
}

/** Refuses a mistyped member: Port would ignore it. */
async function checkMembers(identifier: string, members: JsonObject) {
  const refuse = (reason: string) =>
    new UsageError(`Cannot use blueprint "${identifier}": ${reason}`);
  for (const [name, value] of Object.entries(members)) {
    if (![...MEMBERS, ...READ_ONLY].includes(name)) {
      const { suggest } = await import("../lib/suggest.ts");
      throw refuse(`unknown member "${name}"${suggest(name, MEMBERS)}`);
    }
    if ([...GROUPS, "schema"].includes(name) && !isJsonObject(value)) {
      throw refuse(`"${name}" must be a JSON object`);
    }
  }
}

function checkUnique(blueprints: Blueprint[]): void {
  const identifiers = blueprints.map(({ identifier }) => identifier);
  const twice = identifiers.find((one, at) => identifiers.indexOf(one) < at);
  if (twice === undefined) return;
  throw new UsageError(`Cannot use blueprint "${twice}": it is given twice`);
}

async function find(
  port: Port,
  identifier: string,
): Promise<JsonObject | undefined> {
  try {
    return await getBlueprint(port, identifier);
  } catch (error) {
    if (isKind(error, "not-found")) return undefined;
    throw error;
  }
}

function isKind(error: unknown, ...kinds: PortErrorKind[]): boolean {
  return error instanceof PortError && kinds.includes(error.kind);
}

/** Computes what storeAll() would store. */
function plan(changes: Change[], mode: Mode) {
  for (const change of changes) {
    change.after = merge(change.before ?? {}, change.file, mode);
  }
}

/** Which members of the blueprints are sent, and how they are merged. */
interface Step {
  members: string[];
  mode: Mode;
  /** Whether nothing follows that could make Port accept what it rejects. */
  isLast?: boolean;
}

/**
 * Adds first what other blueprints may depend on. All that changes or goes is
 * sent at the end and at once: a relation, and what is mirrored through it.
 */
async function storeAll(port: Port, changes: Change[], mode: Mode) {
  const related = [...BARE, "relations"];
  const calculated = [...related, "calculationProperties"];
  const aggregated = [...calculated, "aggregationProperties"];
  const mirrored = [...aggregated, "mirrorProperties"];
  for (const members of [BARE, related, calculated, aggregated, mirrored]) {
    await storeStep(port, changes, { members, mode: "add" });
  }
  await storeStep(port, changes, { members: MEMBERS, mode, isLast: true });
}

/** What Port rejects is sent again: it may depend on what came after it. */
async function storeStep(port: Port, changes: Change[], step: Step) {
  const rejected: Change[] = [];
  let reason: unknown;
  for (const change of changes) {
    try {
      await store(port, change, step);
    } catch (error) {
      if (!isKind(error, "rejected", "not-found")) throw error;
      rejected.push(change);
      reason ??= error;
    }
  }
  if (rejected.length === 0) return;
  if (rejected.length < changes.length) {
    return await storeStep(port, rejected, step);
  }
  if (step.isLast) throw reason;
}

/** Creates a blueprint, or sends the members that change. */
async function store(port: Port, change: Change, { members, mode }: Step) {
  const { identifier } = change.file;
  const file = pick(change.file, members);
  if (change.after === undefined) await create(port, change, file);
  const { after = {} } = change;
  const wanted = merge(after, file, mode);
  const changed = differences(after, wanted).map(({ path }) => path[0] ?? "");
  if (changed.length === 0) return;
  change.after = mode === "replace"
    ? await send(port, "PUT", identifier, wanted)
    : await send(port, "PATCH", identifier, pick(wanted, changed));
}

/** Creates a blueprint, or reads what another run has just created. */
async function create(port: Port, change: Change, body: JsonObject) {
  const { identifier } = change.file;
  try {
    change.after = await send(port, "POST", identifier, body);
  } catch (error) {
    if (isKind(error, "rejected")) {
      change.before = change.after = await find(port, identifier);
    }
    if (change.after === undefined) throw error;
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

/** Returns the blueprint as it should be in Port. */
function merge(before: JsonObject, file: JsonObject, mode: Mode): JsonObject {
  if (mode === "replace") return file;
  const merged = mergeEntries(before, file, mode);
  for (const name of GROUPS.filter((name) => Object.hasOwn(file, name))) {
    const [old, wanted] = [member(before, name), member(file, name)];
    merged[name] = mergeEntries(old, wanted, mode);
  }
  if (file.schema !== undefined) {
    const [old, wanted] = [member(before, "schema"), member(file, "schema")];
    merged.schema = mergeSchema(old, wanted, mode);
  }
  return merged;
}

/** Adds entries that are missing, and overwrites those that differ. */
function mergeEntries(before: JsonObject, file: JsonObject, mode: Mode) {
  const changed = Object.entries(file).filter(([name, entry]) =>
    !Object.hasOwn(before, name) ||
    (mode === "overwrite" && differs(before[name], entry))
  );
  return { ...before, ...Object.fromEntries(changed) };
}

/** Fields that the file omits are no difference: Port adds defaults. */
function differs(before: Json | undefined, file: Json | undefined): boolean {
  return isJsonObject(before) && isJsonObject(file)
    ? Object.entries(file).some(([name, value]) => differs(before[name], value))
    : !isDeepStrictEqual(before, file);
}

/** Whether a property is required is added, or overwritten, with it. */
function mergeSchema(before: JsonObject, file: JsonObject, mode: Mode) {
  const old = member(before, "properties");
  const wanted = member(file, "properties");
  const required = [
    ...requiredOf(before).filter((name) =>
      mode === "add" || !file.required || !Object.hasOwn(wanted, name)
    ),
    ...requiredOf(file).filter((name) =>
      mode === "overwrite" || !Object.hasOwn(old, name)
    ),
  ];
  const properties = mergeEntries(old, wanted, mode);
  return { ...file, properties, required: [...new Set(required)] };
}

function requiredOf({ required = [] }: JsonObject): string[] {
  return [required].flat().map(String);
}

/** A path with different values; `undefined` is none. */
interface Difference {
  path: string[];
  before: Json | undefined;
  after: Json | undefined;
}

function differences(before: JsonObject, after: JsonObject): Difference[] {
  return compare([], comparable(before), comparable(after));
}

/** Returns the members that a user sets; a missing group is an empty one. */
function comparable(blueprint: JsonObject): JsonObject {
  const { properties = {}, ...schema } = member(blueprint, "schema");
  const required = requiredOf(schema).map((name) => [name, true]);
  const groups = GROUPS.map((name) => [name, member(blueprint, name)]);
  return {
    ...pick(blueprint, MEMBERS),
    schema: { ...schema, properties, required: Object.fromEntries(required) },
    ...Object.fromEntries(groups),
  };
}

/** Compares values, and objects name by name. */
function compare(
  path: string[],
  before: Json | undefined,
  after: Json | undefined,
): Difference[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isJsonObject(before) || !isJsonObject(after)) {
    return [{ path, before, after }];
  }
  return Object.keys({ ...before, ...after }).flatMap((name) =>
    compare([...path, name], before[name], after[name])
  );
}

/** Lists what the file has otherwise than Port at the end of the run. */
function left({ file, after = {} }: Change): Difference[] {
  return differences(after, merge(after, file, "overwrite"));
}

/** A line for the blueprint, and one for each difference. */
function report(change: Change, would = ""): string {
  const { before, after = {}, file: { identifier } } = change;
  const done = before ? differences(before, after) : [];
  const kept = left(change);
  const added = done.filter((it) => it.before === undefined).length;
  const removed = done.filter((it) => it.after === undefined).length;
  const changed = done.length - added - removed;
  const verbs = [
    before ? "" : "created",
    added > 0 ? `extended by ${added}` : "",
    changed > 0 ? `changed in ${changed}` : "",
    removed > 0 ? `reduced by ${removed}` : "",
  ].filter(Boolean).join(", ");
  const outcome = verbs ? would + verbs : "unchanged";
  const differ = kept.length === 1 ? "differs" : "differ";
  const rest = kept.length > 0 ? `, ${kept.length} ${differ}` : "";
  return [
    `Blueprint "${identifier}": ${outcome}${rest}`,
    ...done.map((difference) => describe(difference, false)),
    ...kept.map((difference) => describe(difference, true)),
  ].join("\n");
}

/** The URL of the changelog's webhook may hold a token. */
function describe({ path, before, after }: Difference, isKept: boolean) {
  const isSecret = path[0] === "changelogDestination";
  const [old, now] = [before, after].map((value) =>
    value === undefined ? "none" : isSecret ? "(hidden)" : JSON.stringify(value)
  );
  return `  ${path.join(".")}: ` +
    (isKept ? `kept ${old}, file has ${now}` : `${old} -> ${now}`);
}

function throwIfDifferent(changes: Change[]): void {
  const different = changes.filter((change) =>
    change.before === undefined || left(change).length > 0 ||
    differences(change.before, change.after ?? {}).length > 0
  );
  if (different.length === 0) return;
  const names = different.map(({ file }) => `"${file.identifier}"`).join(", ");
  throw new ScriptError(
    7,
    `Port differs from the files: blueprints ${names}; run without --check to ` +
      "add what is missing, with --overwrite to change the rest",
  );
}

/** Returns a member if it is an object, or an empty object. */
function member(owner: JsonObject, name: string): JsonObject {
  const value = owner[name];
  return isJsonObject(value) ? value : {};
}

function pick(owner: JsonObject, names: string[]): JsonObject {
  const members = Object.entries(owner);
  return Object.fromEntries(members.filter(([name]) => names.includes(name)));
}

if (import.meta.main) await runScript(script);
