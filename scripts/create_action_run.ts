#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Starts a self-service action in Port, and follows it to its end.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { namedValues } from "../lib/entity.ts";
import { ExpectationError, waitFor } from "../lib/poll.ts";
import { apiPath, type JsonObject, type Port } from "../lib/port.ts";
import { parseDuration } from "../lib/settings.ts";

/** The script. */
export const script = defineScript({
  name: "create_action_run",
  summary: "Start a self-service action in Port, and follow it",
  options: {
    action: {
      group: "Action",
      short: "a",
      value: "ID",
      required: true,
      help: "Identifier of the action",
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
  },
  examples: {
    "Deploy with an action in Port":
      "--action deploy --entity checkout -p version=1.4.2",
  },
  advice: { 404: "check --action and --region" },
  async run({ options, settings, port, print, log }) {
    const wait = options.wait === undefined
      ? undefined
      : parseDuration(options.wait, "--wait");
    const run = await createRun(port, options);
    log(`Started action "${options.action}": run "${run.id}"`);
    if (wait === undefined) return print(run);
    const follow = makeFollow(port, String(run.id), settings.timeout, log);
    const ended = await waitFor(follow, { wait, ...PAUSES, log: () => {} });
    print(ended);
    if (ended.status === "SUCCESS") return;
    throw new ExpectationError(
      `Cannot continue: run "${run.id}" ended with ${ended.status}` +
        (ended.statusLabel ? ` (${ended.statusLabel})` : "") +
        "; see its page in Port",
    );
  },
});

async function createRun(
  port: Port,
  { action, entity, property, runAs }: {
    action: string;
    entity: string | undefined;
    property: string[];
    runAs: string | undefined;
  },
): Promise<JsonObject> {
  const query = runAs === undefined
    ? ""
    : `?${new URLSearchParams({ run_as: runAs })}`;
  const properties = namedValues("property", property);
  const path = apiPath("actions", action, "runs") + query;
  const response = await port.request("POST", path, {
    action: `run action "${action}"`,
    // A retry could start the action twice.
    idempotent: false,
    body: { properties, ...(entity !== undefined && { entity }) },
    expect: { run: "object" },
  });
  return response.run as JsonObject;
}

/** The pauses between requests, in milliseconds. */
const PAUSES = { firstPause: 1_000, longestPause: 15_000 };

/** The statuses of a run that has not ended. */
const UNFINISHED = ["IN_PROGRESS", "WAITING_FOR_APPROVAL"];

/** Returns a function that reads a run once and logs what is new. */
function makeFollow(
  port: Port,
  id: string,
  limit: number,
  log: (line: string) => void,
): (timeout: number) => Promise<JsonObject> {
  const path = apiPath("actions", "runs", id);
  let shown = 0;
  let lastStatus: unknown;
  return async (left) => {
    const timeout = Math.min(left, limit);
    const end = Date.now() + timeout;
    const { run } = await port.request("GET", path, {
      action: `get action run "${id}"`,
      expect: { run: "object" },
      timeout,
    });
    const { status } = run as JsonObject;
    const isUnfinished = UNFINISHED.includes(String(status));
    for (let count = -1; count !== 0; shown += count) {
      // The log of an unfinished run may grow faster than it is read.
      if (isUnfinished && Date.now() > end) break;
      const page = `${path}/logs?limit=50&offset=${shown}`;
      const { runLogs } = await port.request("GET", page, {
        action: `read the log of action run "${id}"`,
        expect: { runLogs: "array" },
        timeout,
      });
      const messages = runLogs as JsonObject[];
      for (const { message } of messages) log(String(message));
      count = messages.length;
    }
    if (!isUnfinished) return run as JsonObject;
    if (status !== lastStatus) log(`Run "${id}" is ${status}`);
    lastStatus = status;
    throw new ExpectationError(
      `Cannot continue: run "${id}" is ${status}; it continues in Port`,
    );
  };
}

if (import.meta.main) await runScript(script);
