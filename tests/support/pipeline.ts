/**
 * Runs the jobs and workflows of a CircleCI configuration as CircleCI does: it
 * expands commands, inline orbs and parameters, runs each step in its own shell,
 * and supports `$BASH_ENV`, `when`, `requires` and `context`.
 *
 * @module
 */
import { parse } from "npm:yaml@2.9.1";
import { CIRCLECI } from "./calls.ts";
import type { TestPort } from "./port.ts";
import { copyRepository, withShell } from "./shell.ts";

/** Anything that YAML can hold. */
type Value = string | number | boolean | null | Value[] | Config;

/** A mapping of YAML, such as the whole configuration. */
export interface Config {
  [name: string]: Value;
}

/** An expanded `run` step. */
interface Step {
  /** The name shown in CircleCI. */
  name: string;
  /** The shell commands. */
  command: string;
  /** The variables of this step. */
  environment: Record<string, string>;
  /** `on_success`, `on_fail` or `always`. */
  when: string;
}

/** How a job ended. */
export interface JobResult {
  /** Whether it failed. */
  isFailed: boolean;
  /** The steps that ran, by name. */
  ran: string[];
  /** What they wrote to standard output. */
  stdout: string;
  /** What they wrote to standard error. */
  stderr: string;
}

/** The pipeline values of CircleCI; made up. */
const PIPELINE: Config = {
  "pipeline.git.revision": CIRCLECI.CIRCLE_SHA1,
  "pipeline.project.git_url": "https://github.com/acme/shop",
};

/** Reads a configuration; `<<:` merges, as in CircleCI. */
export function parseConfig(text: string): Config {
  return parse(text, { merge: true });
}

/**
 * Runs a job to its end.
 *
 * @param config The configuration with the job and the commands that it uses.
 * @param name The job.
 * @param parameters Its parameters, which a workflow sets.
 * @param port The local Port, with the variables of the context.
 * @param pipeline Pipeline values that override the made-up ones.
 * @param files Further files of the repository, by their paths.
 * @returns How it ended.
 */
export async function runJob(
  config: Config,
  name: string,
  parameters: Config,
  port: TestPort,
  pipeline: Config = {},
  files: Record<string, string> = {},
): Promise<JobResult> {
  const [scope, own] = find(config, name);
  const job = mapping(mapping(scope.jobs)[own]);
  const values = { ...withDefaults(job, parameters), ...pipeline };
  const variables = toStrings(fill(job.environment ?? {}, values));
  const result = { isFailed: false, ran: [], stdout: "", stderr: "" };
  // Without a checkout, a job begins in an empty folder.
  const hasCheckout = list(job.steps).includes("checkout");
  return await withShell(port, async (shell) => {
    const bashEnv = await Deno.makeTempFile();
    try {
      const env = { ...CIRCLECI, ...variables, BASH_ENV: bashEnv };
      for (const step of expand(scope, list(job.steps), values)) {
        await runStep(
          step,
          result,
          (commands) => shell(commands, { ...env, ...step.environment }),
        );
      }
    } finally {
      await Deno.remove(bashEnv);
    }
    return result;
  }, async (folder) => {
    if (!hasCheckout) return await Deno.mkdir(folder);
    await copyRepository(folder);
    for (const [path, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${path}`, text);
    }
  });
}

/** An element, such as `port/gate`, is found in its orb, or in the file itself. */
function find(config: Config, name: string): [scope: Config, own: string] {
  const [prefix = "", own] = name.split("/");
  if (own === undefined) return [config, name];
  const { orbs = {} } = config;
  return [{ ...mapping(mapping(orbs)[prefix]), orbs }, own];
}

/**
 * Runs the jobs of a workflow, each after the jobs that it requires.
 *
 * @param config The configuration.
 * @param name The workflow.
 * @param port The local Port, with the variables of the context.
 * @param options Pipeline values that override the made-up ones; jobs that are
 * assumed to succeed and do not run.
 * @returns How each job ended that ran, in this order.
 */
export async function runWorkflow(
  config: Config,
  name: string,
  port: TestPort,
  { pipeline = {}, skip = [] }: { pipeline?: Config; skip?: string[] } = {},
): Promise<Map<string, JobResult>> {
  const { when, jobs } = mapping(mapping(config.workflows)[name]);
  const defaults = Object.entries(mapping(config.parameters ?? {}))
    .map((
      [id, it],
    ) => [`pipeline.parameters.${id}`, mapping(it).default ?? ""]);
  const values = { ...PIPELINE, ...Object.fromEntries(defaults), ...pipeline };
  const results = new Map<string, JobResult>();
  if (when !== undefined && !holds(fill(when, values))) return results;
  const uses: Config = Object.assign(
    {},
    ...list(jobs).map((job) => typeof job === "string" ? { [job]: {} } : job),
  );
  const succeeds = async (job: string): Promise<boolean> => {
    if (skip.includes(job)) return true;
    if (!results.has(job)) {
      const { requires = [], context, filters: _, ...parameters } = mapping(
        fill(mapping(uses[job]), values),
      );
      for (const required of list(requires)) {
        if (!await succeeds(String(required))) return false;
      }
      const given = context === "port" ? port : { ...port, env: {} };
      const result = await runJob(config, job, parameters, given, values);
      results.set(job, result);
    }
    return results.get(job)?.isFailed === false;
  };
  for (const job of Object.keys(uses)) await succeeds(job);
  return results;
}

async function runStep(
  step: Step,
  result: JobResult,
  run: (commands: string) => Promise<
    { code: number; stdout: string; stderr: string }
  >,
): Promise<void> {
  const state = result.isFailed ? "on_fail" : "on_success";
  if (step.when !== "always" && step.when !== state) return;
  const { code, stdout, stderr } = await run(step.command);
  result.ran.push(step.name);
  result.stdout += stdout;
  result.stderr += stderr;
  result.isFailed ||= code !== 0;
}

/** Expands steps into `run` steps; others, such as `checkout`, are left out. */
function expand(config: Config, steps: Value[], values: Config): Step[] {
  return steps.flatMap((step) => {
    const [kind = "", raw = {}] = typeof step === "string"
      ? [step]
      : Object.entries(mapping(step))[0] ?? [];
    const within = (inner: Value | undefined) =>
      expand(config, list(inner), values);
    if (kind === "steps") return within(fill(raw, values));
    if (kind === "when" || kind === "unless") {
      const { condition, steps } = mapping(raw);
      return holds(fill(condition ?? null, values)) === (kind === "when")
        ? within(steps)
        : [];
    }
    const body = fill(raw, values);
    if (kind === "run") return [toStep(body)];
    const [scope, own] = find(config, kind);
    const command = mapping(scope.commands ?? {})[own];
    if (command === undefined) return [];
    return expand(
      scope,
      list(mapping(command).steps),
      withDefaults(mapping(command), mapping(body)),
    );
  });
}

function toStep(body: Value): Step {
  const { name, command, environment = {}, when = "on_success" } =
    typeof body === "string" ? { command: body } as Config : mapping(body);
  return {
    name: String(name ?? command),
    command: String(command).replaceAll("\\<<", "<<"),
    environment: toStrings(environment),
    when: String(when),
  };
}

function withDefaults(owner: Config, given: Config): Config {
  const declared = Object.entries(mapping(owner.parameters ?? {}));
  const values: Config = { ...PIPELINE };
  for (const [name, declaration] of declared) {
    const value = given[name] ?? mapping(declaration).default;
    if (value === undefined) throw new Error(`Parameter ${name} is missing`);
    values[`parameters.${name}`] = value;
  }
  const known = declared.map(([name]) => name);
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw new Error(`Unknown parameter ${name}`);
  }
  return values;
}

/** Evaluates the logic statements that this project uses. */
function holds(condition: Value): boolean {
  const { not, equal } = mapping(condition);
  if (not !== undefined) return !holds(not);
  const [first, ...others] = list(equal);
  return others.every((other) => other === first);
}

/** Replaces `<< name >>`; a value that consists only of it keeps its type. */
function fill(value: Value, values: Config): Value {
  if (Array.isArray(value)) return value.map((item) => fill(item, values));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, fill(item, values)]),
    );
  }
  if (typeof value !== "string") return value;
  const alone = /^<<\s*([\w.-]+)\s*>>$/.exec(value)?.[1];
  if (alone !== undefined) return lookUp(alone, values);
  return value.replace(
    /<<\s*([\w.-]+)\s*>>/g,
    (_, name) => String(lookUp(name, values)),
  );
}

function lookUp(name: string, values: Config): Value {
  const value = values[name];
  if (value === undefined) throw new Error(`Unknown value << ${name} >>`);
  return value;
}

function mapping(value: Value | undefined): Config {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value;
  }
  throw new Error(`Not a mapping: ${JSON.stringify(value)}`);
}

function list(value: Value | undefined): Value[] {
  if (Array.isArray(value)) return value;
  throw new Error(`Not a list: ${JSON.stringify(value)}`);
}

function toStrings(value: Value): Record<string, string> {
  return Object.fromEntries(
    Object.entries(mapping(value)).map(([name, item]) => [
      name,
      // CircleCI turns booleans into 1 and 0.
      String(typeof item === "boolean" ? Number(item) : item),
    ]),
  );
}
