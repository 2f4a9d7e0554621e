#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLE* --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Reports the running CI job to Port, at its start and at its end.
 *
 * @module
 */
import { ciJobIdentifier } from "../lib/ci_job.ts";
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
    job: {
      value: "NAME",
      help: "Name of the job, so that close_ci_job.ts can close its report",
    },
    map: {
      value: "NAME=VARIABLE",
      repeat: true,
      help:
        "Send this property from a variable; those of ciJob only with --only",
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
    404: "create what is missing, or use --create-missing-related-entities",
    422: "correct it (for non-string values use NAME:=JSON) and run again",
  },
  async run({ options, settings, port, print, log, warn }) {
    checkOneOf(JOB_STATUSES, options.status, "--status");
    for (const name of options.only) checkOneOf(JOB_PROPERTIES, name, "--only");
    if (options.job !== undefined && options.identifier !== undefined) {
      throw new UsageError("Cannot use --job with --identifier: drop one");
    }
    const job = readCiJob(
      options.status,
      new Date(),
      environmentVariable,
      options.job,
    );
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
    const sent = { ...Object(entity.properties), ...Object(entity.relations) };
    if (Object.keys(sent).length === 0) {
      throw new UsageError(
        "Cannot report the CI job: there is nothing to send, no chosen " +
          "variable is set; add --only status to send the status",
      );
    }
    if (options.dryRun) {
      const path = apiPath("blueprints", blueprint, "entities");
      const url = settings.apiUrl + path + upsertQuery(options);
      return print({ method: "POST", url, body: entity });
    }
    print(await upsertEntity(port, blueprint, entity, options));
    const { status } = Object(entity.properties);
    const what = status ?? Object.keys(sent).join(", ");
    log(
      `Reported "${what}" of "${job.title}" to "${blueprint}"` +
        (status ? "" : "; the status is not sent without --only status"),
    );
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
  const variables = new Map<string, string>();
  for (const [name, variable] of map.map(parseMapping)) {
    if (variables.has(name)) {
      throw new UsageError(`Cannot use --map: "${name}" is given twice`);
    }
    variables.set(name, variable);
  }
  const mapped = [...variables].flatMap(([name, variable]) => {
    const value = environmentVariable(variable);
    if (value) return [[name, checkValue(variable, value)]];
    warn(`${variable} is not set: "${name}" is left out`);
    return [];
  });
  const isAll = map.length === 0 && only.length === 0;
  const chosen = Object.entries(properties)
    .filter(([name]) => isAll || only.includes(name));
  return Object.fromEntries([...chosen, ...mapped]);
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
    throw refuseSecret(variable, "its name suggests a secret");
  }
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  if (state === "granted") return [property, variable];
  throw new UsageError(
    `Cannot read ${variable}: permission denied; add it to --allow-env=`,
  );
}

/** CircleCI's own URLs lose their credentials; others are refused with them. */
function checkValue(variable: string, value: string): string {
  const clean = withoutCredentials(value);
  if (clean === value || variable.startsWith("CIRCLE_")) return clean;
  throw refuseSecret(variable, "its value is a URL with credentials");
}

function refuseSecret(variable: string, reason: string): UsageError {
  return new UsageError(
    `Cannot send ${variable} as a property: ${reason}; if it is not one, use ` +
      `--property NAME="$${variable}"`,
  );
}

/**
 * Names of variables, and of parameters in a URL, that suggest a secret. Other
 * words contain `KEY` or `PASS` too: `MONKEY`, `KEYCLOAK_URL`, `TESTS_PASSED`.
 */
const SECRET =
  /^PORT_CLIENT_|TOKEN|SECRET|PASS(?:W|PHRASE|CODE)|CREDENTIAL|CREDS|WEBHOOK|DATABASE_URL|(?:(?<![A-Z])|ACCESS|ACCOUNT|ADMIN|API|APP|AUTH|DB|DEPLOY|ENCRYPTION|HOST|LICEN[CS]E|MASTER|PRIVATE|ROOT|SIGNING|SQL|SSH|STORAGE|USER)(?:KEYS?|PASS|PWD|DSN)(?![A-Z])/i;

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
 * @param job The name of the job, if other jobs must know its identifier.
 * @returns The job.
 * @throws {UsageError} Outside CircleCI, naming the variables that are missing.
 */
export function readCiJob(
  status: string,
  now: Date,
  variable: ReadVariable = environmentVariable,
  job?: string,
): CiJob {
  const missing = ALWAYS_SET.filter((name) => !variable(name));
  if (missing.length > 0) {
    throw new UsageError(
      `Cannot report the CI job: ${missing.join(", ")} not set or not ` +
        "readable: run it in a job of CircleCI, with --allow-env=CIRCLE*",
    );
  }
  const [id = "", workflow = "", name, number, nodes, node] = [
    "CIRCLE_WORKFLOW_JOB_ID",
    "CIRCLE_WORKFLOW_ID",
    "CIRCLE_JOB",
    "CIRCLE_BUILD_NUM",
    "CIRCLE_NODE_TOTAL",
    "CIRCLE_NODE_INDEX",
  ].map((name) => variable(name) ?? "");
  const isParallel = Number(nodes) > 1;
  const time = status === "running" ? "startedAt" : "finishedAt";
  const ofNode = isParallel ? `${id}-${node}` : id;
  return {
    identifier: job === undefined
      ? ofNode
      : ciJobIdentifier(workflow, job, Number(node)),
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
  variable: ReadVariable,
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

const SECRET_PARAMETER = new RegExp(
  `[?&#;][^\\s=&#;]*(?:${SECRET.source})[^\\s=&#;]*=\\S*`,
  "gi",
);

/**
 * Removes credentials from URLs: `https://x:token@github.com/acme/shop`. A
 * password may contain an unencoded `/` or `@`, so all from the first colon to
 * the last `@` may belong to it. Neither the user of SSH is a credential, nor
 * what precedes the digest of an image.
 */
function withoutCredentials(text: string): string {
  return text
    .replace(/(:\/\/)[^\s/?#@:]*:\S*@(?!sha256:)/g, "$1")
    .replace(/(?<!ssh)(:\/\/)[^\s/?#]*@/g, "$1")
    .replace(/^[^\s/@:]+:(?!\/\/)\S*@(?!sha256:)(?=[^\s@:/]+[:/])/, "")
    .replace(SECRET_PARAMETER, "");
}

/**
 * Returns the web page of a branch.
 *
 * @param remote The URL of the repository: HTTPS, SSH or `git@host:path`.
 * @param branch The branch.
 * @returns Its page on GitHub, GitLab, Bitbucket Cloud or a server with the
 * paths of GitHub; `undefined` if the remote is not a URL or a Bitbucket
 * Server, which has other paths, or if the branch is the pull request of a fork.
 */
export function branchPage(remote: string, branch: string): string | undefined {
  const clean = withoutCredentials(remote);
  const short = /^(?:[^@/]+@)?([^@/:]+):(?!\/\/)(.+)$/.exec(clean);
  const url = URL.parse(short ? `ssh://${short[1]}/${short[2]}` : clean);
  if (
    !url?.hostname || !branch || /^pull\/\d+(?:\/(?:head|merge))?$/.test(branch)
  ) {
    return undefined;
  }
  const path = url.pathname.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
  // Neither the port of SSH nor its host for port 443 are those of the web.
  const host = url.hostname.replace(/^(?:alt)?ssh\./, "");
  const isBitbucketServer = path.startsWith("scm/") || url.port === "7999" ||
    (host.includes("bitbucket") && host !== "bitbucket.org");
  if (isBitbucketServer) return undefined;
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
