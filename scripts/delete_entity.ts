#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Deletes entities from Port.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { checkEntityIdentifier } from "../lib/entity.ts";
import { NotFoundError, UsageError } from "../lib/errors.ts";
import { readLines } from "../lib/input.ts";
import type { PortClient } from "../lib/port_client.ts";
import {
  BULK_DELETE_SIZE,
  bulkDeleteRequest,
  type DeleteOptions,
  deleteRequest,
} from "../lib/requests.ts";

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
      group: "Way",
      help: "Delete the entities that are related to them too",
    },
    ifExists: { help: "Do not mind when an entity is gone already" },
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
  async run({ options, settings, port, print, say, openInput }) {
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
      : identifier;
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
    const remove = isPiped ? removeMany : removeOne;
    let count = 0;
    for (const batch of batches) {
      count += await remove(port, blueprint, batch, options);
    }
    say(`Deleted ${count} of ${identifiers.length} entities of "${blueprint}"`);
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

type Options = DeleteOptions & { ifExists: boolean };

async function removeOne(
  port: PortClient,
  blueprint: string,
  [identifier = ""]: string[],
  options: Options,
): Promise<number> {
  try {
    await port.deleteEntity(blueprint, identifier, options);
    return 1;
  } catch (error) {
    if (error instanceof NotFoundError && options.ifExists) return 0;
    throw error;
  }
}

async function removeMany(
  port: PortClient,
  blueprint: string,
  batch: string[],
  options: Options,
): Promise<number> {
  const deleted = await port.bulkDelete(blueprint, batch, options);
  const gone = batch.filter((identifier) => !deleted.includes(identifier));
  if (gone.length === 0 || options.ifExists) return deleted.length;
  throw new NotFoundError(
    `Cannot delete ${gone.length} entities of "${blueprint}": not there: ` +
      `${gone.slice(0, 5).join(", ")}; the others are deleted; add --if-exists`,
  );
}

if (import.meta.main) await runScript(deleteEntity);
