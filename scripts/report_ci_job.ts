#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLE* --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Reports the running CI job to Port, at its start and at its end.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { buildEntity } from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";
import { apiPath, upsertEntity, upsertQuery } from "../lib/port.ts";
import { environmentVariable, type ReadVariable } from "../lib/settings.ts";

/** The statuses of a job in the blueprint `ciJob`. */
export const JOB_STATUSES = ["running", "success", "failure", "canceled"];

/** The properties that are the value of one variable. */
const FROM_VARIABLE: Readonly<Record<string, string>> = {
  triggeredBy: "CIRCLE_USERNAME",
  commitHash: "CIRCLE_SHA1",
  runLink: "CIRCLE_BUILD_URL",
  job: "CIRCLE_JOB",
  workflow: "CIRCLE_WORKFLOW_ID",
  tag: "CIRCLE_TAG",
  pullRequest: "CIRCLE_PULL_REQUEST",
};

/** All properties of {@linkcode CiJob}. */
export const JOB_PROPERTIES: readonly string[] = [
  ...Object.keys(FROM_VARIABLE),
  "project",
  "jobBranch",
  "status",
  "startedAt",
  "finishedAt",
];

/** The script. */
export const script = defineScript({
  name: "report_ci_job",
  summary: "Report the running CircleCI job as an entity in Port",
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
      help: "Send this property from a variable, not those of ciJob",
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
      help: "An additional property; NAME:=JSON if not a string",
    },
    relation: {
      short: "r",
      value: "NAME=ID",
      repeat: true,
      help: "A relation; NAME:=JSON for many",
    },
    createMissingRelatedEntities: {
      group: "Behaviour",
      help: "Create missing related entities",
    },
    dryRun: { help: "Print the request and send nothing" },
  },
  examples: {
    "At the start of the job": "--status running",
    "At its end, with the image that it built":
      "--status success -r 'image:=[\"checkout-1.4.2\"]' " +
      "--create-missing-related-entities",
    "Another blueprint":
      "--status running -b service -i checkout --map commitHash=CIRCLE_SHA1",
  },
  advice: {
    404: "create what is missing first; related entities also with " +
      "--create-missing-related-entities",
    422: "correct it (for non-string values use NAME:=JSON) and run again",
  },
  async run({ options, settings, port, print, log, warn }) {
    checkOneOf(JOB_STATUSES, options.status, "--status");
    for (const name of options.only) checkOneOf(JOB_PROPERTIES, name, "--only");
    const job = readCiJob(options.status, new Date());
    const { blueprint, entity } = await buildEntity({
      blueprint: options.blueprint ?? "ciJob",
      identifier: options.identifier ?? job.identifier,
      property: options.property,
      relation: options.relation,
    }, {
      // An entity that the user names has a title of its own.
      ...(options.identifier === undefined && { title: job.title }),
      properties: chooseProperties(job.properties, options, warn),
    });
    if (options.dryRun) {
      const path = apiPath("blueprints", blueprint, "entities");
      const url = settings.apiUrl + path + upsertQuery(options);
      return print({ method: "POST", url, body: entity });
    }
    print(await upsertEntity(port, blueprint, entity, options));
    const { status, ...others } = Object(entity.properties);
    const what = status ?? Object.keys(others).join(", ");
    log(`Reported "${what}" of "${job.title}" to "${blueprint}"`);
  },
});

function checkOneOf(known: readonly string[], text: string, flag: string) {
  if (known.includes(text)) return;
  throw new UsageError(
    `Cannot use ${flag} "${text}": it must be one of ${known.join(", ")}`,
  );
}

/** Returns the properties of `ciJob`, or those that the user chose. */
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
    `Cannot read ${variable}: permission denied; add it to --allow-env=`,
  );
}

/** Variables whose names suggest a secret. */
const SECRET = /^PORT_CLIENT_|TOKEN|SECRET|PASSWORD/i;

/** The running CI job, as an entity of the blueprint `ciJob`. */
export interface CiJob {
  /** Equal in all steps of a job; differs per rerun and parallel node. */
  identifier: string;
  /** Name and number of the job. */
  title: string;
  /** The variables of CircleCI that are set, as properties. */
  properties: Record<string, string>;
}

/** The variables that CircleCI sets in every job. */
const ALWAYS_SET = [
  "CIRCLE_WORKFLOW_JOB_ID",
  "CIRCLE_WORKFLOW_ID",
  "CIRCLE_JOB",
  "CIRCLE_BUILD_NUM",
  "CIRCLE_BUILD_URL",
  "CIRCLE_SHA1",
];

/**
 * Describes the running job.
 *
 * @param status One of {@linkcode JOB_STATUSES}.
 * @param now The current time.
 * @param variable How to read the environment.
 * @returns The job.
 * @throws {UsageError} Outside CircleCI, naming the variables that are missing.
 */
export function readCiJob(
  status: string,
  now: Date,
  variable: ReadVariable = environmentVariable,
): CiJob {
  const missing = ALWAYS_SET.filter((name) => !variable(name));
  if (missing.length > 0) {
    throw new UsageError(
      `Cannot report the CI job: ${missing.join(", ")} not set or not ` +
        "readable: run it in a job of CircleCI, with --allow-env=CIRCLE*",
    );
  }
  const [id, name, number, nodes, node] = [
    "CIRCLE_WORKFLOW_JOB_ID",
    "CIRCLE_JOB",
    "CIRCLE_BUILD_NUM",
    "CIRCLE_NODE_TOTAL",
    "CIRCLE_NODE_INDEX",
  ].map((name) => variable(name) ?? "");
  const isParallel = Number(nodes) > 1;
  const time = status === "running" ? "startedAt" : "finishedAt";
  return {
    identifier: isParallel ? `${id}-${node}` : `${id}`,
    title: `${name} #${number}` + (isParallel ? ` (${node})` : ""),
    properties: {
      ...readVariables(FROM_VARIABLE, variable),
      ...readPlaces(variable),
      status,
      [time]: now.toISOString(),
    },
  };
}

/**
 * Reads properties from variables; one that is not set leaves its property out.
 *
 * @param names The variable of each property.
 * @param variable How to read the environment.
 * @returns The properties, without credentials in a URL.
 */
export function readVariables(
  names: Readonly<Record<string, string>>,
  variable: ReadVariable = environmentVariable,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(names).flatMap(([property, name]) => {
      const value = variable(name);
      return value ? [[property, withoutCredentials(value)]] : [];
    }),
  );
}

/** Project and branch; some VCS have no variables for them. */
function readPlaces(variable: ReadVariable): Record<string, string> {
  const [owner, repository, remote, branch] = [
    "CIRCLE_PROJECT_USERNAME",
    "CIRCLE_PROJECT_REPONAME",
    "CIRCLE_REPOSITORY_URL",
    "CIRCLE_BRANCH",
  ].map((name) => variable(name) ?? "");
  const page = branchPage(remote ?? "", branch ?? "");
  return {
    ...(repository && {
      project: owner ? `${owner}/${repository}` : repository,
    }),
    ...(page && { jobBranch: page }),
  };
}

/** A remote may contain a token: `https://x:token@github.com/acme/shop`. */
function withoutCredentials(text: string): string {
  return text
    .replace(/(:\/\/)[^\s/?#]*@/g, "$1")
    // A password may contain an unencoded slash; a port is not a password.
    .replace(/(:\/\/)[^\s/?#@:]*:(?!\d+(?:[/?#]|$))\S*@/g, "$1")
    .replace(/^[^\s/@:]+:[^\s@]*@(?=[^\s@]+:)/, "");
}

/**
 * Returns the web page of a branch.
 *
 * @param remote The URL of the repository: HTTPS, SSH or `git@host:path`.
 * @param branch The branch.
 * @returns Its page on GitHub, GitLab, Bitbucket Cloud or a server with the
 * paths of GitHub; `undefined` if the remote is not a URL, or is a Bitbucket
 * Server, which has other paths.
 */
export function branchPage(remote: string, branch: string): string | undefined {
  const short = /^(?:[^@/]+@)?([^@/:]+):(?!\/\/)(.+)$/.exec(remote);
  const url = URL.parse(short ? `ssh://${short[1]}/${short[2]}` : remote);
  if (!url?.hostname || !branch) return undefined;
  const path = url.pathname.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
  if (path.startsWith("scm/")) return undefined;
  // Neither the port of SSH nor its host for port 443 are those of the web.
  const host = url.hostname.replace(/^(?:alt)?ssh\./, "");
  const isWeb = /^https?:$/.test(url.protocol);
  const origin = isWeb ? url.origin : `https://${host}`;
  const between = host === "bitbucket.org"
    ? "branch"
    : host.includes("gitlab")
    ? "-/tree"
    : "tree";
  const name = branch.split("/").map(encodeURIComponent).join("/");
  return `${origin}/${path}/${between}/${name}`;
}

if (import.meta.main) await runScript(script);
