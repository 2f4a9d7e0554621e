#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLE* --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Reports the CI job that runs to Port: at its start, and at its end.
 *
 * @module
 */
import {
  JOB_PROPERTIES,
  JOB_STATUSES,
  readCiJob,
  readVariables,
} from "../lib/circleci.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { upsertEntity, upsertRequest } from "../lib/entities.ts";
import { buildEntity } from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";

/** The script, for its file and for tests. */
export const reportCiJob = defineScript({
  name: "report_ci_job",
  summary: "Report the CircleCI job that runs as an entity in Port",
  options: {
    status: {
      group: "Job",
      short: "s",
      value: "STATUS",
      required: true,
      help: JOB_STATUSES.join(", "),
    },
    blueprint: {
      short: "b",
      value: "ID",
      help: "Blueprint of the entity (default ciJob)",
    },
    identifier: {
      short: "i",
      value: "ID",
      help: "Identifier of the entity (default the id of the job)",
    },
    map: {
      value: "NAME=VARIABLE",
      repeat: true,
      help: "A property from a variable, in place of those of ciJob",
    },
    only: {
      value: "NAME",
      repeat: true,
      help: "Send this property of ciJob only",
    },
    property: {
      short: "p",
      value: "NAME=TEXT",
      repeat: true,
      help: "An additional property; NAME:=JSON for other than text",
    },
    relation: {
      short: "r",
      value: "NAME=ID",
      repeat: true,
      help: "A relation; NAME:=JSON for many",
    },
    createMissingRelatedEntities: {
      group: "Behaviour",
      help: "Let Port create related entities that are not there yet",
    },
    dryRun: { help: "Print the request and send nothing" },
  },
  examples: [
    { says: "At the start of the job", args: "--status running" },
    {
      says: "At its end, with the image that it built",
      args: "--status success -r 'image:=[\"checkout-1.4.2\"]' " +
        "--create-missing-related-entities",
    },
    {
      says: "Into a blueprint of another shape",
      args: "--status running -b service -i checkout " +
        "--map commitHash=CIRCLE_SHA1",
    },
  ],
  async run({ options, settings, port, print, say, warn }) {
    checkOneOf(JOB_STATUSES, options.status, "--status");
    for (const name of options.only) checkOneOf(JOB_PROPERTIES, name, "--only");
    const job = readCiJob(options.status, new Date());
    const { blueprint, entity } = buildEntity({
      blueprint: options.blueprint ?? "ciJob",
      identifier: options.identifier ?? job.identifier,
      property: options.property,
      relation: options.relation,
      team: [],
    }, {
      // An entity that the user names has a title of its own.
      ...(options.identifier === undefined && { title: job.title }),
      properties: chooseProperties(job.properties, options, warn),
    });
    if (options.dryRun) {
      const { method, path } = upsertRequest(blueprint, entity, options);
      return print({ method, url: settings.apiUrl + path, body: entity });
    }
    print(await upsertEntity(port, blueprint, entity, options));
    const what = entity.properties?.status ??
      Object.keys(entity.properties ?? {}).join(", ");
    say(`Reported "${what}" of "${job.title}" to "${blueprint}"`);
  },
});

function checkOneOf(known: readonly string[], text: string, flag: string) {
  if (known.includes(text)) return;
  throw new UsageError(
    `Cannot use ${flag} "${text}": it must be one of ${known.join(", ")}`,
  );
}

/** Those of `ciJob`, unless the user names others; those are never left out. */
function chooseProperties(
  properties: Record<string, string>,
  { map, only }: { map: string[]; only: string[] },
  warn: (line: string) => void,
): Record<string, string> {
  const variables = Object.fromEntries(map.map(parseMapping));
  const mapped = readVariables(variables);
  for (const [name, variable] of Object.entries(variables)) {
    if (Object.hasOwn(mapped, name)) continue;
    warn(`${variable} is not set: "${name}" is left out`);
  }
  const isWanted = (name: string) =>
    only.length > 0 ? only.includes(name) : map.length === 0;
  const chosen = Object.entries(properties).filter(([name]) => isWanted(name));
  return { ...Object.fromEntries(chosen), ...mapped };
}

function parseMapping(text: string): [property: string, variable: string] {
  const [, property, variable] = /^([^=]+)=(\w+)$/.exec(text) ?? [];
  if (property === undefined || variable === undefined) {
    throw new UsageError(
      `Cannot read --map "${text}": write NAME=VARIABLE, for example ` +
        "sha=CIRCLE_SHA1",
    );
  }
  if (SECRET.test(variable)) {
    throw new UsageError(
      `Cannot use --map "${text}": a secret must not be sent as a property`,
    );
  }
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  if (state === "granted") return [property, variable];
  throw new UsageError(
    `Cannot read ${variable}: this run has no right to; add it to ` +
      "--allow-env= after deno run",
  );
}

/** Names of variables that nobody may read in Port. */
const SECRET = /^PORT_CLIENT_|TOKEN|SECRET|PASSWORD/i;

if (import.meta.main) await runScript(reportCiJob);
