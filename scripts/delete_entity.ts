#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Deletes entities from Port.
 *
 * @module
 */
import { getBlueprint } from "../lib/blueprint.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { checkIdentifier } from "../lib/entity.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { openInput } from "../lib/files.ts";
import { apiPath, type Port, PortError } from "../lib/port.ts";
import { parseCount } from "../lib/settings.ts";

/** The script. */
export const script = defineScript({
  name: "delete_entity",
  summary: "Delete entities from Port",
  options: {
    blueprint: {
      group: "Entities",
      short: "b",
      value: "ID",
      required: true,
      help: "Blueprint of the entities",
    },
    identifier: {
      short: "i",
      value: "ID",
      repeat: true,
      help: "Identifier of an entity, or - for one per line of standard input",
    },
    deleteDependents: {
      group: "Behaviour",
      help: "Delete the entities that are related to them too",
    },
    ifExists: { help: "Succeed if an entity does not exist" },
    max: {
      value: "N",
      help: "Refuse to delete more than N entities (default 100 with -i -)",
    },
    runId: { value: "ID", help: "Action run in Port that this belongs to" },
    dryRun: { help: "Print the requests and send nothing" },
  },
  examples: {
    "One entity": "-b service -i checkout",
    "Identifiers from another program":
      "-b service -i - --if-exists <<< checkout",
  },
  advice: { 404: "check --blueprint and --region" },
  async run({ options, settings, port, print, log, warn }) {
    const { blueprint, identifier, ifExists, dryRun } = options;
    const identifiers = await readIdentifiers(identifier, options.max);
    if (identifiers.length === 0) warn("There was no identifier to read");
    checkIdentifier("blueprint", blueprint);
    for (const identifier of identifiers) checkIdentifier("entity", identifier);
    const [batches, remove] = identifier.includes("-")
      ? [inBatches(identifiers), deleteMany]
      : [identifiers.map((identifier) => [identifier]), deleteOne];
    if (dryRun) {
      return print(batches.map((batch) => {
        const [method, path, request] = toRequest(options, batch);
        return { method, url: settings.apiUrl + path, body: request?.body };
      }));
    }
    const sum: Outcome = { deleted: 0, gone: 0, missing: [] };
    try {
      for (const batch of batches) await remove(port, options, batch, sum);
    } finally {
      const all = `${identifiers.length} entities of "${blueprint}"`;
      const gone = `${sum.gone} more gone (deleted, or never there)`;
      if (sum.deleted + sum.gone + sum.missing.length > 0) {
        log(`Deleted ${sum.deleted} of ${all}${sum.gone ? `; ${gone}` : ""}`);
      }
    }
    const [first, ...more] = sum.missing;
    // Only where the blueprint exists does a 404 speak of the entity.
    if (sum.gone > 0 || (ifExists && first)) {
      await getBlueprint(port, blueprint);
    }
    if (ifExists || first === undefined) return;
    throw new ScriptError(
      4,
      `${first}; check --blueprint and --identifier, or add --if-exists` +
        (more.length > 0 ? ` (and ${more.length} more)` : ""),
    );
  },
});

/** Returns the identifiers, each once, unless there are more than expected. */
async function readIdentifiers(
  given: string[],
  max: string | undefined,
): Promise<string[]> {
  const isPiped = given.includes("-");
  if (given.length === 0) {
    throw new UsageError(
      "Missing what to delete: give --identifier ID, again for more, or - for " +
        "one per line of standard input",
    );
  }
  if (isPiped && given.length > 1) {
    throw new UsageError(
      "Cannot use --identifier - with another: write all to standard input",
    );
  }
  const usual = isPiped ? 100 : Infinity;
  const most = max === undefined ? usual : parseCount(max, "--max", 1);
  const identifiers = isPiped ? await readLines(most) : new Set(given);
  if (identifiers.size <= most) return [...identifiers];
  throw new UsageError(
    `Cannot delete more than ${most} entities: check the list, then raise --max`,
  );
}

/** How much text may come without another identifier. */
const MAX_IDLE = 2 ** 20;

/**
 * Reads identifiers from standard input, which may never end: no more chunks
 * than hold one too many.
 */
async function readLines(most: number): Promise<Set<string>> {
  // What is not UTF-8 becomes U+FFFD, which no identifier contains.
  const decoder = new TextDecoderStream();
  const identifiers = new Set<string>();
  let rest = "";
  let idle = 0;
  for await (const chunk of openInput("-").pipeThrough(decoder)) {
    const before = identifiers.size;
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    addAll(identifiers, lines);
    if (identifiers.size > most) break;
    idle = identifiers.size > before ? 0 : idle + chunk.length;
    if (idle > MAX_IDLE) {
      throw new UsageError(
        "Cannot read standard input: 1 MiB without another identifier; write " +
          "one per line",
      );
    }
  }
  addAll(identifiers, [rest]);
  return identifiers;
}

function addAll(identifiers: Set<string>, lines: string[]): void {
  for (const line of lines) {
    const identifier = line.trim();
    if (identifier !== "") identifiers.add(identifier);
  }
}

/** The most identifiers that Port accepts in one bulk deletion. */
const BATCH_SIZE = 100;

function inBatches(identifiers: string[]): string[][] {
  const batches: string[][] = [];
  for (let at = 0; at < identifiers.length; at += BATCH_SIZE) {
    batches.push(identifiers.slice(at, at + BATCH_SIZE));
  }
  return batches;
}

interface DeleteOptions {
  blueprint: string;
  identifier: string[];
  deleteDependents: boolean;
  runId: string | undefined;
}

/** The request that deletes one entity, or many from standard input. */
function toRequest(
  { blueprint, identifier, deleteDependents, runId }: DeleteOptions,
  batch: string[],
): Parameters<Port["request"]> {
  const query = new URLSearchParams({
    delete_dependents: String(deleteDependents),
    ...(runId !== undefined && { run_id: runId }),
  });
  const [one = ""] = batch;
  if (!identifier.includes("-")) {
    const path = apiPath("blueprints", blueprint, "entities", one);
    const action = `delete entity "${one}" of blueprint "${blueprint}"`;
    return ["DELETE", `${path}?${query}`, { action, idempotent: true }];
  }
  const path = apiPath("blueprints", blueprint, "bulk", "entities", "delete");
  return ["POST", `${path}?${query}`, {
    action: `delete ${batch.length} entities of "${blueprint}"`,
    body: { entities: batch },
    idempotent: true,
    // If Deno itself sent it twice, the second would find nothing.
    ownConnection: true,
    expect: { deletedEntities: "array" },
  }];
}

/** What became of entities. */
interface Outcome {
  deleted: number;
  /** Those that an attempt without an answer deleted, or that never existed. */
  gone: number;
  /** A message for each that did not exist. */
  missing: string[];
}

/** Deletes an entity, and adds what became of it to the sum. */
async function deleteOne(
  port: Port,
  options: DeleteOptions,
  batch: string[],
  sum: Outcome,
): Promise<void> {
  try {
    await port.request(...toRequest(options, batch));
    sum.deleted++;
  } catch (error) {
    if (!(error instanceof PortError) || error.kind !== "not-found") {
      throw error;
    }
    if (error.maybeApplied) sum.gone++;
    else sum.missing.push(error.message);
  }
}

/** Deletes a batch, and adds what became of it to the sum. */
async function deleteMany(
  port: Port,
  options: DeleteOptions,
  batch: string[],
  sum: Outcome,
): Promise<void> {
  const [method, path, request] = toRequest(options, batch);
  let maybeApplied = false;
  const { deletedEntities } = await port.request(method, path, {
    ...request,
    onAttempt: (attempt) => ({ maybeApplied } = attempt),
  });
  const deleted = [deletedEntities].flat();
  const missing = batch.filter((identifier) => !deleted.includes(identifier));
  sum.deleted += batch.length - missing.length;
  if (maybeApplied) {
    sum.gone += missing.length;
    return;
  }
  sum.missing.push(
    ...missing.map((identifier) =>
      `Cannot delete entity "${identifier}" of blueprint ` +
      `"${options.blueprint}": it does not exist`
    ),
  );
}

if (import.meta.main) await runScript(script);
