/**
 * Runs a job of a CircleCI configuration as CircleCI does: commands and
 * parameters expanded, each step in a shell of its own, `$BASH_ENV` and `when`
 * honoured.
 *
 * @module
 */
import { parse } from "npm:yaml@2.9.1";
import { CIRCLECI } from "./calls.ts";
import { type TestPort } from "./port.ts";
import { withShell } from "./shell.ts";

/** Anything that YAML can hold. */
type Value = string | number | boolean | null | Value[] | Config;

/** A mapping of YAML, such as the whole configuration. */
export interface Config {
  [name: string]: Value;
}

/** What a `run` step comes to when it is expanded. */
export interface Step {
  /** As it is shown in CircleCI. */
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
  /** Whether it is red. */
  isFailed: boolean;
  /** The steps that ran, by name. */
  ran: string[];
  /** What they wrote to standard output. */
  stdout: string;
  /** What they wrote to standard error. */
  stderr: string;
}

/** What CircleCI knows of a pipeline; made up. */
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
 * @param parameters What a workflow gives it.
 * @param port The local Port, and the credentials as of a context.
 * @param pipeline Values of the pipeline on top of those that are made up.
 * @returns How it ended.
 */
export async function runJob(
  config: Config,
  name: string,
  parameters: Config,
  port: TestPort,
  pipeline: Config = {},
): Promise<JobResult> {
  const job = mapping(mapping(config.jobs)[name]);
  const values = { ...withDefaults(job, parameters), ...pipeline };
  const variables = toStrings(fill(job.environment ?? {}, values));
  const result = { isFailed: false, ran: [], stdout: "", stderr: "" };
  return await withShell(port, async (shell) => {
    const bashEnv = await Deno.makeTempFile();
    try {
      const env = { ...CIRCLECI, ...variables, BASH_ENV: bashEnv };
      for (const step of expand(config, list(job.steps), values)) {
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
  });
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

/**
 * Expands steps to those that run something.
 *
 * @param config The configuration with the commands.
 * @param steps The steps of a job or a command.
 * @param values The parameters by name.
 * @returns The `run` steps; others, such as `checkout`, are left out.
 */
export function expand(config: Config, steps: Value[], values: Config): Step[] {
  const commands = mapping(config.commands ?? {});
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
    const command = commands[kind];
    if (command === undefined) return [];
    return expand(
      config,
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
    command: String(command),
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
    if (!known.includes(name)) throw new Error(`No parameter ${name}`);
  }
  return values;
}

/** Only what `when` of this project's configuration uses. */
function holds(condition: Value): boolean {
  const [first, ...others] = list(mapping(condition).equal);
  return others.every((other) => other === first);
}

/** Puts values for `<< name >>`; a tag that stands alone keeps their type. */
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
  if (value === undefined) throw new Error(`Nothing known as << ${name} >>`);
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
      // CircleCI makes 1 and 0 of booleans.
      String(typeof item === "boolean" ? Number(item) : item),
    ]),
  );
}
