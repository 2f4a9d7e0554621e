#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Starts a self-service action in Port, and follows its run to the end.
 *
 * @module
 */
import { type Context, defineScript, runScript } from "../lib/cli.ts";
import { namedValues } from "../lib/entity.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { ExpectationError, waitFor } from "../lib/poll.ts";
import {
  apiPath,
  isJsonObject,
  type JsonObject,
  type Port,
  PortError,
  type RequestOptions,
} from "../lib/port.ts";
import { parseDuration } from "../lib/settings.ts";
import { catchSignals } from "../lib/signals.ts";

/** The script. */
export const script = defineScript({
  name: "create_action_run",
  summary: "Start a self-service action in Port, and follow it",
  options: {
    action: {
      group: "Action",
      short: "a",
      value: "ID",
      help: "Identifier of the action (required without --run-id)",
    },
    entity: {
      short: "e",
      value: "ID",
      help: "Identifier of the entity that it is run on",
    },
    property: {
      short: "p",
      value: "NAME=TEXT",
      repeat: true,
      help: "An input of the action; NAME:=JSON if not a string",
    },
    runAs: { value: "EMAIL", help: "Port user to run it as" },
    wait: {
      group: "Behaviour",
      value: "TIME",
      help:
        "Follow the run and its log; exit with 7 unless it succeeds in time",
    },
    runId: {
      value: "ID",
      help: "Start nothing: follow this run, with --wait",
    },
  },
  examples: {
    "Deploy with an action in Port":
      "--action deploy --entity checkout -p version=1.4.2",
  },
  advice: { 404: "check --action or --run-id, and --region" },
  async run(context): Promise<void> {
    const { options, settings, port, print, log } = context;
    const wait = options.wait === undefined
      ? undefined
      : parseDuration(options.wait, "--wait");
    checkOptions(options);
    const { runId, action } = options;
    const signal = catchSignals();
    const run = runId === undefined
      ? await createRun(port, options, signal)
      : await findRun(port, runId, { timeout: settings.timeout, signal });
    const { id } = run;
    const name = id ? `: run "${id}"` : ", but Port gave its run no id";
    if (runId === undefined) log(`Started action "${action}"${name}`);
    if (wait === undefined) return print(run);
    const ended = await follow(context, run, wait, signal);
    print(ended);
    if (ended.status === "SUCCESS") return;
    throw new ExpectationError(
      `Cannot continue: run "${id}" ended with ${ended.status}` +
        (ended.statusLabel ? ` (${ended.statusLabel})` : "") +
        "; see its page in Port",
    );
  },
});

type Options = Context<typeof script.options>["options"];

function checkOptions(options: Options): void {
  const { runId, action, entity, property, runAs, wait } = options;
  if (runId === undefined && action === undefined) {
    throw new UsageError("Missing --action ID, or --run-id ID to follow a run");
  }
  if (runId === undefined) return;
  if (wait === undefined) {
    throw new UsageError("Missing --wait TIME: --run-id only follows a run");
  }
  if (property.length > 0 || (action ?? entity ?? runAs) !== undefined) {
    throw new UsageError(
      "Cannot use --run-id with --action, --entity, --property or --run-as: " +
        "it starts nothing",
    );
  }
}

async function createRun(
  port: Port,
  { action = "", entity, property, runAs }: Options,
  signal: AbortSignal,
): Promise<JsonObject> {
  const query = runAs === undefined
    ? ""
    : `?${new URLSearchParams({ run_as: runAs })}`;
  const properties = namedValues("property", property);
  const path = apiPath("actions", action, "runs") + query;
  const { run } = await port.request("POST", path, {
    action: `run action "${action}"`,
    // A retry could start the action twice.
    idempotent: false,
    body: { properties, ...(entity !== undefined && { entity }) },
    signal,
  }).catch((error) => {
    if (!signal.aborted) throw error;
    throw new ScriptError(
      signal.reason,
      `Interrupted while starting action "${action}": Port may have started ` +
        "it, look there first",
    );
  });
  if (isJsonObject(run)) return run;
  throw new ScriptError(
    6,
    `Cannot run action "${action}": unexpected response: no run; Port may have ` +
      "started it, look there first",
  );
}

/** During an outage, the run may be read later. */
async function findRun(
  port: Port,
  id: string,
  options: RequestOptions,
): Promise<JsonObject> {
  try {
    return await getRun(port, id, options);
  } catch (error) {
    const { kind } = Object(error);
    if (kind !== "unavailable" && kind !== "network") throw error;
    return { id };
  }
}

async function getRun(
  port: Port,
  id: string,
  options: RequestOptions,
): Promise<JsonObject> {
  const { run } = await port.request("GET", apiPath("actions", "runs", id), {
    action: `get action run "${id}"`,
    expect: { run: "object" },
    ...options,
  });
  return run as JsonObject;
}

/** The pauses between requests, in milliseconds. */
const PAUSES = { firstPause: 1_000, longestPause: 15_000 };

/** The statuses of a run that has not ended. */
const UNFINISHED = ["IN_PROGRESS", "WAITING_FOR_APPROVAL"];

/** How long reading the log may delay the status, in milliseconds. */
const LOG_TIMEOUT = 10_000;

/** Returns the run at its end. Whatever prevents that, the run goes on. */
async function follow(
  { options, settings, port, log, warn }: Context<typeof script.options>,
  { id }: JsonObject,
  wait: number,
  signal: AbortSignal,
): Promise<JsonObject> {
  if (typeof id !== "string" || id === "") {
    throw new ExpectationError(
      "Cannot follow the run: Port gave it no id; look there how it ends",
    );
  }
  const showLog = makeShowLog(port, id, log, warn);
  let lastStatus: unknown;
  const ask = async (left: number) => {
    const timeout = Math.min(left, settings.timeout);
    const run = await getRun(port, id, { timeout });
    const { status } = run;
    if (!UNFINISHED.includes(String(status))) {
      await showLog(timeout);
      return run;
    }
    await showLog(Math.min(timeout, LOG_TIMEOUT));
    if (status !== lastStatus) log(`Run "${id}" is ${status}`);
    lastStatus = status;
    throw new ExpectationError(`Cannot continue: run "${id}" is ${status}`);
  };
  const interrupted = new Promise<never>((_, reject) => {
    const message = `Interrupted while following run "${id}"`;
    const stop = () => reject(new ScriptError(signal.reason, message));
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
  });
  const ended = waitFor(ask, { wait, ...PAUSES, log: () => {} });
  return await Promise.race([ended, interrupted]).catch((error) => {
    const isExpected = error instanceof PortError ||
      error instanceof ScriptError;
    if (!isExpected) throw error;
    throw new ScriptError(
      signal.aborted ? signal.reason : 7,
      `${error.message}; it goes on in Port, follow it again with ` +
        `create_action_run.ts --run-id ${id} --wait ${options.wait}`,
    );
  });
}

/**
 * Returns a function that logs what is new in the log of a run. If it cannot be
 * read, that is a warning, as the status decides.
 */
function makeShowLog(
  port: Port,
  id: string,
  log: (line: string) => void,
  warn: (line: string) => void,
): (timeout: number) => Promise<void> {
  let shown = 0;
  let isReadable = true;
  return async (timeout) => {
    const deadline = Date.now() + timeout;
    try {
      // The log may grow faster than it is read.
      for (let count = -1; count !== 0; shown += count) {
        if (Date.now() > deadline) break;
        const query = `?limit=50&offset=${shown}`;
        const path = apiPath("actions", "runs", id, "logs") + query;
        const { runLogs } = await port.request("GET", path, {
          action: `read the log of action run "${id}"`,
          expect: { runLogs: "array" },
          timeout,
        });
        const messages = runLogs as JsonObject[];
        for (const entry of messages) {
          for (const line of linesOf(String(Object(entry).message))) log(line);
        }
        count = messages.length;
      }
      isReadable = true;
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      if (isReadable) warn(`${error.message}; the status of the run decides`);
      isReadable = false;
    }
  };
}

function linesOf(text: string): string[] {
  return text.replace(/\r?\n$/, "").split(/\r\n?|\n/);
}

if (import.meta.main) await runScript(script);
