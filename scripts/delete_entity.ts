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
import { readInput } from "../lib/files.ts";
import { apiPath, type Attempt, type Port, PortError } from "../lib/port.ts";

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
    const { blueprint, identifier } = options;
    const isPiped = identifier.includes("-");
    if (identifier.length === 0 || (isPiped && identifier.length > 1)) {
      throw new UsageError(
        "Missing what to delete: give --identifier ID, again for more, or " +
          "--identifier - alone",
      );
    }
    const text = isPiped ? await readInput("-") : identifier.join("\n");
    const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
    const identifiers = [...new Set(lines)];
    if (identifiers.length === 0) warn("There was no identifier to read");
    checkIdentifier("blueprint", blueprint);
    for (const identifier of identifiers) checkIdentifier("entity", identifier);
    const batches = isPiped
      ? inBatches(identifiers)
      : identifiers.map((identifier) => [identifier]);
    if (options.dryRun) {
      return print(batches.map((batch) => {
        const [method, path, request] = toRequest(options, batch);
        return { method, url: settings.apiUrl + path, body: request?.body };
      }));
    }
    const missing: string[] = [];
    let sent = 0;
    try {
      for (const batch of batches) {
        missing.push(...await deleteBatch(port, options, batch));
        sent += batch.length;
      }
    } finally {
      const all = `${identifiers.length} entities of "${blueprint}"`;
      if (sent > 0) log(`Deleted ${sent - missing.length} of ${all}`);
    }
    const [first, ...more] = missing;
    if (first === undefined) return;
    // A blueprint that does not exist is a mistake.
    if (options.ifExists) return void await getBlueprint(port, blueprint);
    throw new ScriptError(
      4,
      `${first}; check --blueprint and --identifier, or add --if-exists` +
        (more.length > 0 ? ` (and ${more.length} more)` : ""),
    );
  },
});

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

/** Deletes a batch; returns a message for each entity that did not exist. */
async function deleteBatch(
  port: Port,
  options: DeleteOptions,
  batch: string[],
): Promise<string[]> {
  const [method, path, request] = toRequest(options, batch);
  let maybeApplied = false;
  // An earlier attempt may have deleted them: then it is fine to find none.
  const onAttempt = (attempt: Attempt) => ({ maybeApplied } = attempt);
  try {
    const { deletedEntities } = await port
      .request(method, path, { ...request, onAttempt });
    if (method === "DELETE" || maybeApplied) return [];
    const deleted = [deletedEntities].flat();
    return batch.filter((identifier) => !deleted.includes(identifier))
      .map((identifier) =>
        `Cannot delete entity "${identifier}" of blueprint ` +
        `"${options.blueprint}": it does not exist`
      );
  } catch (error) {
    if (!(error instanceof PortError) || method !== "DELETE") throw error;
    if (error.kind !== "not-found") throw error;
    return maybeApplied ? [] : [error.message];
  }
}

if (import.meta.main) await runScript(script);
