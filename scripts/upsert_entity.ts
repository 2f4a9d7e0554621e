#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV --allow-read=. --allow-write=/tmp --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Creates or updates one entity in Port.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { buildEntity } from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";
import { nameOf, readInput } from "../lib/files.ts";
import { parseJsonObject } from "../lib/json.ts";
import { apiPath, upsertEntity, upsertQuery } from "../lib/port.ts";

/** The script. */
export const script = defineScript({
  name: "upsert_entity",
  summary: "Create or update an entity in Port",
  options: {
    blueprint: {
      group: "Entity",
      short: "b",
      value: "ID",
      help: "Blueprint of the entity (required here or in the file)",
    },
    identifier: { short: "i", value: "ID", help: "Identifier (else random)" },
    title: { value: "TEXT", help: "Title of the entity" },
    icon: { value: "NAME", help: "Icon of the entity" },
    team: { value: "NAME", repeat: true, help: "Team that owns the entity" },
    property: {
      short: "p",
      value: "NAME=TEXT",
      repeat: true,
      help: "A property; NAME:=JSON if not a string, NAME:=null clears it",
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
      help: "Read the entity as JSON, - for standard input; flags override it",
    },
    replace: { group: "Behaviour", help: "Remove omitted fields (else kept)" },
    createMissingRelatedEntities: { help: "Create missing related entities" },
    runId: { value: "ID", help: "Action run in Port that this belongs to" },
    validateOnly: { help: "Let Port validate the entity without saving it" },
    dryRun: { help: "Print the request and send nothing" },
    setEnv: {
      group: "Result",
      value: "NAME=PATH",
      repeat: true,
      help: "Set a variable for later steps, such as LINK=properties.url",
    },
  },
  examples: {
    "A new version": "-b service -i checkout -p version=1.4.2 -p replicas:=3",
    "What would be sent": "-b service -i checkout -p 'x:=[1, 2]' --dry-run",
    "From another program": `-b service -f - <<< '{"identifier": "cart"}'`,
  },
  advice: {
    404: "create what is missing, or use --create-missing-related-entities",
    422: "correct it (for non-string values use NAME:=JSON) and run again",
  },
  async run({ options, settings, port, print, log }) {
    const { file, setEnv, dryRun, validateOnly } = options;
    if (dryRun && setEnv.length > 0) {
      throw new UsageError("Cannot use --set-env with --dry-run: drop one");
    }
    const text = file ? await readInput(file) : "{}";
    const json = parseJsonObject(text, nameOf(file ?? ""));
    const { blueprint, entity } = await buildEntity(options, json);
    const setVariables = setEnv.length > 0
      ? (await import("../lib/set_env.ts")).prepareSetEnv(setEnv)
      : undefined;
    if (dryRun) {
      const path = apiPath("blueprints", blueprint, "entities");
      const url = settings.apiUrl + path + upsertQuery(options);
      return print({ method: "POST", url, body: entity });
    }
    const stored = await upsertEntity(port, blueprint, entity, options);
    const verb = validateOnly ? "Validated (not saved):" : "Created or updated";
    const done = `${verb} entity "${stored.identifier}" of "${blueprint}"`;
    try {
      setVariables?.(stored);
    } catch (error) {
      Object(error).message += `; before that: ${done}`;
      throw error;
    }
    print(stored);
    log(done);
  },
});

if (import.meta.main) await runScript(script);
