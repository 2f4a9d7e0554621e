#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV --allow-read=. --allow-write=/tmp --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Creates or updates one entity in Port.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import * as entities from "../lib/entities.ts";
import { buildEntity } from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";
import { parseJsonObject } from "../lib/json.ts";
import { prepareStepVariables } from "../lib/step_variables.ts";

/** The script, for its file and for tests. */
export const upsertEntity = defineScript({
  name: "upsert_entity",
  summary: "Create one entity in Port, or update the one that is there",
  options: {
    blueprint: {
      group: "Entity",
      short: "b",
      value: "ID",
      help: "Blueprint of the entity (required here or in the file)",
    },
    identifier: {
      short: "i",
      value: "ID",
      help: "Identifier of the entity; without it, Port generates one",
    },
    title: { value: "TEXT", help: "Title of the entity" },
    icon: { value: "NAME", help: "Icon of the entity" },
    team: { value: "NAME", repeat: true, help: "Team that owns the entity" },
    property: {
      short: "p",
      value: "NAME=TEXT",
      repeat: true,
      help: "A property; NAME:=JSON for other than text, NAME:=null clears it",
    },
    properties: { value: "JSON", help: "Many properties as one JSON object" },
    relation: {
      short: "r",
      value: "NAME=ID",
      repeat: true,
      help: "A relation; NAME:=JSON for many, NAME:=null clears it",
    },
    relations: { value: "JSON", help: "Many relations as one JSON object" },
    file: {
      short: "f",
      value: "FILE",
      help: "Read the entity as JSON from a file, or - for standard input; " +
        "flags win over it",
    },
    replace: {
      group: "Behaviour",
      help: "Replace the whole entity: what is not named is lost (without " +
        "it, it stays)",
    },
    createMissingRelatedEntities: {
      help: "Let Port create related entities that are not there yet",
    },
    runId: { value: "ID", help: "Action run in Port that this belongs to" },
    validateOnly: { help: "Let Port check the entity and write nothing" },
    dryRun: { help: "Print the request and send nothing" },
    setEnv: {
      group: "Result",
      value: "NAME=PATH",
      repeat: true,
      help: "Set a variable for later steps in CircleCI, for example " +
        "LINK=properties.url",
    },
  },
  examples: [
    {
      says: "A new version of a service; its other properties stay",
      args: "-b service -i checkout -p version=1.4.2 -p replicas:=3",
    },
    {
      says: "What would be sent",
      args: "-b service -i checkout --title Checkout " +
        `-p 'tags:=["go","api"]' --dry-run`,
    },
    {
      says: "An entity made by another program",
      args: `-b service -f - <<< '{"identifier": "cart", "title": "Cart"}'`,
    },
  ],
  async run({ options, settings, port, print, say, readInput }) {
    const file = options.file === undefined ? {} : parseJsonObject(
      await readInput(options.file),
      options.file === "-" ? "standard input" : `file "${options.file}"`,
    );
    const { blueprint, entity } = buildEntity(options, file);
    const setVariables = await prepareStepVariables(options.setEnv);
    if (options.dryRun) {
      if (options.setEnv.length > 0) {
        throw new UsageError("Cannot use --set-env with --dry-run: drop one");
      }
      const { method, path } = entities.upsertRequest(
        blueprint,
        entity,
        options,
      );
      return print({ method, url: settings.apiUrl + path, body: entity });
    }
    const stored = await entities.upsertEntity(
      port,
      blueprint,
      entity,
      options,
    );
    print(stored);
    say(`${done(options)} entity "${stored.identifier}" of "${blueprint}"`);
    setVariables(stored);
  },
});

function done(options: { validateOnly: boolean; replace: boolean }): string {
  if (options.validateOnly) return "Checked, and wrote nothing of,";
  return options.replace ? "Created or replaced" : "Created or updated";
}

if (import.meta.main) await runScript(upsertEntity);
