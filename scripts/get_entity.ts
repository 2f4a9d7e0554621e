#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Reads one entity from Port, or a value out of it.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { parsePath, valueAt } from "../lib/entity.ts";
import { NotFoundError, UsageError } from "../lib/errors.ts";

/** The script, for its file and for tests. */
export const getEntity = defineScript({
  name: "get_entity",
  summary: "Read one entity from Port, or a value out of it",
  options: {
    blueprint: {
      group: "Entity",
      short: "b",
      value: "ID",
      required: true,
      help: "Blueprint of the entity",
    },
    identifier: {
      short: "i",
      value: "ID",
      required: true,
      help: "Identifier of the entity",
    },
    include: {
      group: "Result",
      value: "PATH",
      repeat: true,
      help: "Ask Port for this part only, for example properties.version",
    },
    exclude: {
      value: "PATH",
      repeat: true,
      help: "Ask Port to leave this part out",
    },
    excludeCalculatedProperties: {
      help: "Ask Port to leave calculated properties out",
    },
    select: {
      value: "PATH",
      help: "Print this value only: text as it is, anything else as JSON",
    },
    default: {
      value: "VALUE",
      help: "Print this when the path of --select is not there",
    },
  },
  examples: [
    { says: "The whole entity", args: "-b service -i checkout" },
    {
      says: "The version that is deployed",
      args: "-b service -i checkout --select properties.version",
    },
    {
      says: "The first owner, or nobody",
      args:
        "-b service -i checkout --select relations.owners.0 --default nobody",
    },
  ],
  async run({ options, port, print }) {
    const { blueprint, identifier, select } = options;
    if (select === undefined && options.default !== undefined) {
      throw new UsageError("Cannot use --default without --select PATH");
    }
    const path = select === undefined ? undefined : parsePath(select);
    const entity = await port.getEntity(blueprint, identifier, options);
    if (path === undefined) return print(entity);
    const found = valueAt(entity, path);
    if (found.there) return print(found.value);
    if (options.default !== undefined) return print(options.default);
    const paths = found.paths.join(", ") || "nothing";
    throw new NotFoundError(
      `Cannot select "${select}" of entity "${identifier}": the path is not ` +
        `there; there is ${paths} (or give --default VALUE)`,
    );
  },
});

if (import.meta.main) await runScript(getEntity);
