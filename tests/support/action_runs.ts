/**
 * What the tests of the action run scripts share.
 *
 * @module
 */
import { assertEquals } from "jsr:@std/assert@1.0.19";
import type { Failure } from "../../scripts/local_port/failures.ts";
import { type TestPort, withPort } from "./port.ts";
import { type Args, readOutput, type Result, start, words } from "./run.ts";

export const CREATE = "create_action_run";
export const UPDATE = "update_action_run";

export type Body = Record<string, unknown>;

export async function create(port: TestPort, args = ""): Promise<Result> {
  return await port.run(CREATE, `--action deploy ${args}`);
}

export async function update(
  port: TestPort,
  id: string,
  args: Args,
  stdin?: string,
) {
  return await port.run(UPDATE, ["--run-id", id, ...words(args)], { stdin });
}

/** Reads or changes a part of the catalogue past the scripts. */
export async function must(
  port: TestPort,
  method: string,
  path: string,
  body?: Body,
) {
  const answer = await (await port.call(method, `/actions/${path}`, body))
    .json();
  assertEquals(answer.ok, true, JSON.stringify(answer));
  return answer as Body;
}

export async function runOf(port: TestPort, id: string): Promise<Body> {
  return (await must(port, "GET", `runs/${id}`)).run as Body;
}

/** The messages in the log of a run. */
export async function logOf(port: TestPort, id: string): Promise<string[]> {
  const { runLogs } = await must(port, "GET", `runs/${id}/logs`);
  return (runLogs as Body[]).map(({ message }) => String(message));
}

export async function addLog(
  port: TestPort,
  id: string,
  ...messages: string[]
) {
  for (const message of messages) {
    await must(port, "POST", `runs/${id}/logs`, { message });
  }
}

/** Lets a test report on a run; failures begin after the script's log-in. */
export async function withRun(
  failures: (Failure | "none")[],
  test: (port: TestPort, id: string) => Promise<void>,
) {
  const before = ["none", "none", "none"] as const;
  await withPort({ failures: [...before, ...failures] }, async (port) => {
    const { run } = await must(port, "POST", "deploy/runs", { properties: {} });
    await test(port, String((run as Body).id));
  });
}

/** The statuses of the requests of a kind that arrived. */
export function statuses(
  { log }: TestPort,
  pattern: RegExp,
): (string | undefined)[] {
  return log.filter((line) => pattern.test(line))
    .map((line) => line.split(" ")[2]);
}

export const STARTED = /^POST \S+\/actions\/deploy\/runs/;
export const LOGGED = /^POST \S+\/logs /;
export const CHANGED = /^PATCH /;

export const NOT_REPEATED =
  "it was not sent again: Port may have acted on it, look there first";

/** A script that runs while its test goes on. */
export interface Running {
  /** Waits for something, or for the script's end if that comes first. */
  until(event: Promise<void>): Promise<unknown>;
  /** Waits until standard error holds a text. */
  said(text: string): Promise<void>;
  /** Writes to its standard input. */
  write(text: string): Promise<void>;
  /** Sends it a signal. */
  kill(signal: Deno.Signal): void;
  /** Its end. */
  ended: Promise<unknown>;
}

/** Runs a script while a test acts. */
export async function runAlong(
  port: Pick<TestPort, "env">,
  name: string,
  args: Args,
  act: (script: Running) => Promise<void>,
): Promise<Result> {
  const child = await start(name, args, { env: port.env, stdin: "" });
  const { said, result } = readOutput(child);
  const input = child.stdin.getWriter();
  try {
    await act({
      until: (event) => Promise.race([event, child.status]),
      said,
      write: (text) => input.write(new TextEncoder().encode(text)),
      kill: (signal) => child.kill(signal),
      ended: child.status,
    });
  } finally {
    await input.close().catch(() => {});
    await result;
  }
  return await result;
}

/** Signals that end a script, with its exit code. */
export const SIGNALS: [Deno.Signal, number][] = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
];
