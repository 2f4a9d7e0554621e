#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Deletes entities from Port.
 *
 * @module
 */
import { getBlueprint } from "../lib/blueprints.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import {
  BULK_DELETE_SIZE,
  bulkDeleteRequest,
  deleteEntities,
  type DeleteOptions,
  deleteRequest,
} from "../lib/entities.ts";
import { checkEntityIdentifier } from "../lib/entity.ts";
import { NotFoundError, UsageError } from "../lib/errors.ts";
import { readLines } from "../lib/input.ts";
import type { PortClient } from "../lib/port_client.ts";

/** The script, for its file and for tests. */
export const deleteEntity = defineScript({
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
      help: "Identifier of an entity, or - for one a line from standard input",
    },
    deleteDependents: {
      group: "Behaviour",
      help: "Delete the entities that are related to them too",
    },
    ifExists: { help: "Succeed when an entity does not exist" },
    runId: { value: "ID", help: "Action run in Port that this belongs to" },
    dryRun: { help: "Print the requests and send nothing" },
  },
  examples: [
    { says: "One entity", args: "-b service -i checkout" },
    {
      says: "All that another program names",
      args: "-b service -i - --if-exists <<< checkout",
    },
  ],
  async run({ options, settings, port, print, say, warn, openInput }) {
    const { blueprint, identifier } = options;
    const isPiped = identifier.includes("-");
    if (identifier.length === 0 || (isPiped && identifier.length > 1)) {
      throw new UsageError(
        "Cannot tell what to delete: give --identifier ID, again for more, " +
          "or --identifier - alone",
      );
    }
    const identifiers = isPiped
      ? await readIdentifiers(openInput("-"))
      : [...new Set(identifier)];
    if (identifiers.length === 0) warn("There was no identifier to read");
    identifiers.forEach(checkEntityIdentifier);
    const batches = isPiped
      ? inBatches(identifiers)
      : identifiers.map((one) => [one]);
    if (options.dryRun) {
      return print(batches.map((batch) => {
        const { method, path, body } = isPiped
          ? bulkDeleteRequest(blueprint, batch, options)
          : deleteRequest(blueprint, batch[0] ?? "", options);
        const url = settings.apiUrl + path;
        return { method, url, ...(body && { body: JSON.parse(body) }) };
      }));
    }
    const gone: NotFoundError[] = [];
    let asked = 0;
    try {
      for (const batch of batches) {
        gone.push(
          ...isPiped
            ? await removeMany(port, blueprint, batch, options)
            : await removeOne(port, blueprint, batch, options),
        );
        asked += batch.length;
      }
    } finally {
      const all = `${identifiers.length} entities of "${blueprint}"`;
      if (asked > 0) say(`Deleted ${asked - gone.length} of ${all}`);
    }
    const [first, ...more] = gone;
    if (first === undefined) return;
    // A blueprint that is not there is a mistake.
    if (options.ifExists) return void await getBlueprint(port, blueprint);
    throw new NotFoundError(
      first.message + (more.length > 0 ? ` (and ${more.length} more)` : ""),
    );
  },
});

async function readIdentifiers(
  stream: ReadableStream<Uint8Array>,
): Promise<string[]> {
  const identifiers = new Set<string>();
  for await (const { text } of readLines(stream)) {
    if (text.trim() !== "") identifiers.add(text.trim());
  }
  return [...identifiers];
}

function inBatches(identifiers: string[]): string[][] {
  const size = BULK_DELETE_SIZE;
  const count = Math.ceil(identifiers.length / size);
  return Array.from(
    { length: count },
    (_, index) => identifiers.slice(index * size, (index + 1) * size),
  );
}

/** Deletes one; returns the error when it was not there. */
async function removeOne(
  port: PortClient,
  blueprint: string,
  [identifier = ""]: string[],
  options: DeleteOptions,
): Promise<NotFoundError[]> {
  try {
    await port.send(deleteRequest(blueprint, identifier, options));
    return [];
  } catch (error) {
    if (error instanceof NotFoundError) return [error];
    throw error;
  }
}

/** Deletes many; returns an error for each that was not there. */
async function removeMany(
  port: PortClient,
  blueprint: string,
  batch: string[],
  options: DeleteOptions,
): Promise<NotFoundError[]> {
  const deleted = new Set(
    await deleteEntities(port, blueprint, batch, options),
  );
  return batch.filter((identifier) => !deleted.has(identifier))
    .map((identifier) =>
      new NotFoundError(
        `Cannot delete entity "${identifier}" of blueprint "${blueprint}": it ` +
          "is not there; add --if-exists if that is fine",
      )
    );
}

if (import.meta.main) await runScript(deleteEntity);
