#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Starts a self-service action in Port, and follows it to its end.
 *
 * @module
 */
import { createRun, getRun, readRunLog } from "../lib/action_runs.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { buildEntity } from "../lib/entity.ts";
import { ExpectationError } from "../lib/errors.ts";
import type { JsonObject } from "../lib/json.ts";
import type { PortClient } from "../lib/port_client.ts";
import { parseDuration } from "../lib/settings.ts";
import { LAST_ANSWER, waitFor } from "../lib/wait.ts";

/** The script, for its file and for tests. */
export const createActionRun = defineScript({
  name: "create_action_run",
  summary: "Start a self-service action in Port, and follow it to its end",
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
      help: "Identifier of the entity that it is about",
    },
    property: {
      short: "p",
      value: "NAME=TEXT",
      repeat: true,
      help: "An input of the action; NAME:=JSON for other than text",
    },
    runAs: { value: "EMAIL", help: "User of Port to run it as" },
    wait: {
      group: "Behaviour",
      value: "TIME",
      help: "Follow the run to its end, with its log; exit with 7 unless it " +
        "succeeds in this time",
    },
  },
  examples: [
    {
      says: "A deployment by an action of Port",
      args: "--action deploy --entity checkout -p version=1.4.2",
    },
  ],
  async run({ options, port, print, progress, say }) {
    const wait = options.wait === undefined
      ? undefined
      : parseDuration(options.wait, "--wait");
    const { entity: { properties = {} } } = buildEntity({
      blueprint: "action",
      property: options.property,
      relation: [],
      team: [],
    });
    const input: JsonObject = {
      properties,
      ...(options.entity !== undefined && { entity: options.entity }),
    };
    const run = await createRun(port, options.action, input, options.runAs);
    say(`Started action "${options.action}": run "${run.id}"`);
    if (wait === undefined) return print(run);
    port.endBy(Date.now() + wait + LAST_ANSWER);
    const ended = await waitFor(
      follow(port, String(run.id), say),
      { wait, ...PAUSES },
      progress,
    );
    print(ended);
    if (ended.status === "SUCCESS") return;
    throw new ExpectationError(
      `Cannot go on: run "${run.id}" ended with ${ended.status}` +
        (ended.statusLabel ? ` (${ended.statusLabel})` : "") +
        "; see its page in Port",
      [],
    );
  },
});

/** The pauses between questions, in milliseconds: gentle on the rate limit. */
const PAUSES = { first: 1_000, longest: 15_000 };

/** What a run is before its end. */
const UNFINISHED = ["IN_PROGRESS", "WAITING_FOR_APPROVAL"];

/**
 * Makes a question for the end of a run, which also tells what is new in its log.
 *
 * @param port Port.
 * @param id Id of the run.
 * @param say Takes each message of its log as it comes.
 * @returns Asks once: for the run at its end, else it throws.
 */
function follow(
  port: PortClient,
  id: string,
  say: (line: string) => void,
): () => Promise<JsonObject> {
  let shown = 0;
  return async () => {
    const run = await getRun(port, id);
    let messages: string[];
    do {
      messages = await readRunLog(port, id, shown);
      messages.forEach(say);
      shown += messages.length;
    } while (messages.length > 0);
    if (!UNFINISHED.includes(String(run.status))) return run;
    throw new ExpectationError(
      `Cannot go on: run "${id}" is ${run.status}; it goes on in Port`,
      [],
    );
  };
}

if (import.meta.main) await runScript(createActionRun);
