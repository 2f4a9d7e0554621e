/**
 * CircleCI: the job that runs, from CircleCI's built-in variables, and the file
 * `$BASH_ENV` by which a step hands values to the next ones.
 *
 * Facts: https://circleci.com/docs/reference/variables/ and
 * https://circleci.com/docs/guides/security/env-vars/
 *
 * @module
 */
import { missingPath, parsePath, valueAt } from "./entity.ts";
import { UsageError } from "./errors.ts";
import { environmentVariable, type ReadVariable } from "./settings.ts";

/** What a job can be, as the blueprint `ciJob` names it. */
export const JOB_STATUSES = ["running", "success", "failure", "canceled"];

/** The CI job that runs, as an entity of the blueprint `ciJob`. */
export interface CiJob {
  /** The same in all steps of a job; another for each rerun and parallel node. */
  identifier: string;
  /** Name and number of the job. */
  title: string;
  /** What CircleCI says of the job; what it does not say is left out. */
  properties: Record<string, string>;
}

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

/** What CircleCI sets for every job, whatever the project's VCS is. */
const ALWAYS_SET = [
  "CIRCLE_WORKFLOW_JOB_ID",
  "CIRCLE_WORKFLOW_ID",
  "CIRCLE_JOB",
  "CIRCLE_BUILD_NUM",
  "CIRCLE_BUILD_URL",
  "CIRCLE_SHA1",
];

/**
 * Describes the job that runs.
 *
 * @param status One of {@linkcode JOB_STATUSES}.
 * @param now The present time.
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

/** A remote may hold a token, as in `https://x:token@github.com/acme/shop`. */
function withoutCredentials(text: string): string {
  return text
    .replace(/(:\/\/)[^\s/?#]*@/g, "$1")
    // A password that nobody encoded may hold a slash; a port is no password.
    .replace(/(:\/\/)[^\s/?#@:]*:(?!\d+(?:[/?#]|$))\S*@/g, "$1")
    .replace(/^[^\s/@:]+:[^\s@]*@(?=[^\s@]+:)/, "");
}

/**
 * Finds the web page of a branch.
 *
 * @param remote The URL of the repository: HTTPS, SSH or `git@host:path`.
 * @param branch The branch.
 * @returns Its page at GitHub, GitLab or Bitbucket's cloud, or at a server of
 * one's own that is built like GitHub; `undefined` when the remote is no URL, or
 * that of Bitbucket's server, whose pages are others.
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

/** A variable for later steps, and where its value stands in the entity. */
export interface StepVariable {
  /** Name of the variable. */
  name: string;
  /** Path into the entity. */
  path: string;
}

/** Names that would change how later steps run, or that bash itself keeps. */
const RESERVED =
  /^(?:(?:BASH|CIRCLE|EPOCH|LD_).*|_|DIRSTACK|ENV|EUID|FUNCNAME|GROUPS|HISTCMD|IFS|LINENO|OPTIND|PATH|PPID|PS4|RANDOM|SECONDS|SHELLOPTS|SRANDOM|UID)$/;

/**
 * Reads `--set-env`, before anything is sent.
 *
 * @param flags Each `NAME=PATH`.
 * @param bashEnv The file that later steps read.
 * @returns The variables.
 * @throws {UsageError} When a name or path cannot be used, or outside CircleCI.
 */
export function parseStepVariables(
  flags: string[],
  bashEnv: string | undefined = environmentVariable("BASH_ENV"),
): StepVariable[] {
  const variables = flags.map(parseStepVariable);
  for (const [index, { name }] of variables.entries()) {
    if (variables.findIndex((other) => other.name === name) < index) {
      throw new UsageError(`Cannot set "${name}": it is given twice`);
    }
  }
  if (variables.length > 0) checkBashEnv(bashEnv);
  return variables;
}

function parseStepVariable(flag: string): StepVariable {
  const [, name = "", path = ""] = /^([^=]*)=(.+)$/s.exec(flag) ?? [];
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new UsageError(
      `Cannot read --set-env "${flag}": write NAME=PATH, for example ` +
        "VERSION=properties.version, with letters, digits and _ in the name",
    );
  }
  if (RESERVED.test(name)) {
    throw new UsageError(
      `Cannot set "${name}": later steps depend on it; choose another name`,
    );
  }
  parsePath(path);
  return { name, path };
}

/** Asks for the right first, so that nothing is done by halves. */
function checkBashEnv(path: string | undefined): asserts path is string {
  if (!path) {
    throw new UsageError(
      "Cannot use --set-env: BASH_ENV is not set or not readable: use it in " +
        "a step of CircleCI, with --allow-env=BASH_ENV; elsewhere use " +
        "--select PATH and $(…)",
    );
  }
  try {
    Deno.openSync(path, { append: true, create: true }).close();
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

function cannotWrite(path: string, error: unknown): UsageError {
  const reason = error instanceof Deno.errors.NotCapable
    ? 'this run has no right to; add --allow-write="$BASH_ENV" after deno run'
    : error instanceof Error
    ? error.message
    : error;
  return new UsageError(`Cannot write to "${path}": ${reason}`);
}

/**
 * Hands values of an entity to the later steps: all of them or, when one is not
 * there or cannot be handed on, none.
 *
 * @param variables The variables, as {@linkcode parseStepVariables} returns them.
 * @param entity The entity.
 * @param bashEnv The file that later steps read.
 * @throws {NotFoundError} When a path is not there.
 * @throws {UsageError} When bash cannot hold a value.
 */
export function setStepVariables(
  variables: StepVariable[],
  entity: unknown,
  bashEnv: string | undefined = environmentVariable("BASH_ENV"),
): void {
  if (variables.length === 0) return;
  const lines = variables.map(({ name, path }) => {
    const found = valueAt(entity, parsePath(path));
    if (!found.there) throw missingPath(path, found.paths);
    return exportLine(name, found.value);
  });
  checkBashEnv(bashEnv);
  // What stands there may lack its last line break.
  const text = `\n${lines.join("")}`;
  try {
    Deno.writeTextFileSync(bashEnv, text, { append: true });
  } catch (error) {
    throw cannotWrite(bashEnv, error);
  }
}

/** The most that Linux takes for one variable of a program, in bytes. */
const LONGEST_VARIABLE = 128 * 1024;

/** In single quotes nothing but the quote itself means anything to bash. */
function exportLine(name: string, value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (text.includes("\0") || !text.isWellFormed()) {
    throw new UsageError(
      `Cannot set "${name}": bash cannot hold its value, in which there is a ` +
        "NUL or half a character",
    );
  }
  const size = new TextEncoder().encode(`${name}=${text}\0`).length;
  if (size > LONGEST_VARIABLE) {
    throw new UsageError(
      `Cannot set "${name}": with ${size} bytes no later step could start a ` +
        `program (at most ${LONGEST_VARIABLE}); use --select PATH > FILE`,
    );
  }
  return `export ${name}='${text.replaceAll("'", `'\\''`)}'\n`;
}

/** One container's part of the work. */
export interface Shard {
  /** Whether what has this key is part of it. */
  takes(key: string): boolean;
}

/**
 * Reads `--shard`. The same key always meets the same shard, whatever else there
 * is, and no two shards meet the same key.
 *
 * @param text `2/8` for the third of eight parts; `auto` for the part of this
 * container under CircleCI's parallelism; all without it.
 * @param variable How to read the environment.
 * @returns The part.
 * @throws {UsageError} When it is none.
 */
export function readShard(
  text: string | undefined,
  variable: ReadVariable = environmentVariable,
): Shard {
  if (text === undefined) return { takes: () => true };
  const [index, total] = text === "auto"
    ? [variable("CIRCLE_NODE_INDEX"), variable("CIRCLE_NODE_TOTAL")]
    : /^(\d+)\/(\d+)$/.exec(text)?.slice(1) ?? [];
  const isNumber = [index, total].every((part) => /^\d{1,6}$/.test(part ?? ""));
  if (!isNumber || Number(index) >= Number(total)) {
    throw new UsageError(
      text === "auto"
        ? "Cannot use --shard auto: CIRCLE_NODE_INDEX and CIRCLE_NODE_TOTAL are " +
          "not set or not readable: use it in CircleCI, elsewhere --shard 0/2"
        : `Cannot use --shard "${text}": write I/N, for example 0/2 and 1/2`,
    );
  }
  return { takes: (key) => hash(key) % Number(total) === Number(index) };
}

/** FNV-1a, then mixed so that its remainders are even too. */
function hash(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
