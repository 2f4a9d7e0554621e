#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Tells Port how an action run goes: its log, its links, its end.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { UsageError } from "../lib/errors.ts";
import { readLines } from "../lib/input.ts";
import type { JsonObject } from "../lib/json.ts";
import type { PortClient } from "../lib/port_client.ts";
import { environmentVariable } from "../lib/settings.ts";
import { CLOCK } from "../lib/wait.ts";

/** The script, for its file and for tests. */
export const updateActionRun = defineScript({
  name: "update_action_run",
  summary: "Tell Port how an action run goes: its log, its links, its end",
  options: {
    runId: {
      group: "Run",
      value: "ID",
      help: "Id of the run (default the variable PORT_RUN_ID)",
    },
    log: {
      value: "TEXT",
      help: "Add to the log, or - for standard input as it comes",
    },
    status: { short: "s", value: "STATUS", help: "End it: SUCCESS or FAILURE" },
    statusLabel: { value: "TEXT", help: "What Port shows as its status" },
    summary: { value: "TEXT", help: "What Port shows as its summary" },
    link: {
      value: "URL",
      repeat: true,
      help: "A link that Port shows, for example to the job",
    },
    externalRunId: {
      value: "ID",
      help: "Id of the job that does the work, where it runs",
    },
  },
  examples: [
    {
      says: "The link of the job, when it starts",
      args: '--link "$CIRCLE_BUILD_URL"',
    },
    {
      says: "Its end, after the log of the build",
      args: "--log - --status SUCCESS <<< 'Deployed 1.4.2'",
    },
  ],
  async run({ options, port, print, say, openInput }) {
    const runId = options.runId ?? environmentVariable("PORT_RUN_ID");
    if (!runId) {
      throw new UsageError(
        "Cannot tell the run: give --run-id ID, or set PORT_RUN_ID",
      );
    }
    const change = readChange(options);
    const isChange = Object.keys(change).length > 0;
    if (options.log === undefined && !isChange) {
      throw new UsageError(
        "Cannot tell what to update: give --log, --status or another",
      );
    }
    if (options.log === "-") {
      await sendLines(port, runId, openInput("-"));
    } else if (options.log !== undefined) {
      await port.addRunLog(runId, options.log);
    }
    print(await port.run(runId, isChange ? change : undefined));
    say(`Updated run "${runId}"`);
  },
});

function readChange(
  options: {
    status: string | undefined;
    statusLabel: string | undefined;
    summary: string | undefined;
    link: string[];
    externalRunId: string | undefined;
  },
): JsonObject {
  const { status, link } = options;
  if (status !== undefined && status !== "SUCCESS" && status !== "FAILURE") {
    throw new UsageError(
      `Cannot use --status "${status}": it must be SUCCESS or FAILURE`,
    );
  }
  const { statusLabel, summary, externalRunId } = options;
  const all = { status, statusLabel, summary, externalRunId };
  return {
    ...Object.fromEntries(
      Object.entries(all).filter((entry): entry is [string, string] =>
        entry[1] !== undefined
      ),
    ),
    ...(link.length > 0 && { link }),
  };
}

/** The most of a log that gathers before the build has to wait, in characters. */
const MOST_WAITING = 32_000;

/** The least time between two messages, in milliseconds. */
const PERIOD = 1_000;

/**
 * Sends lines in their order: the first at once, then what has gathered in each
 * second as one message, so that a chatty build does not spend the rate limit.
 */
async function sendLines(
  port: PortClient,
  runId: string,
  stream: ReadableStream<Uint8Array>,
): Promise<void> {
  let waiting = "";
  let sending: Promise<void> | undefined;
  const ended = Promise.withResolvers<void>();
  const send = async () => {
    while (waiting !== "") {
      const message = waiting;
      waiting = "";
      await port.addRunLog(runId, message);
      await Promise.race([CLOCK.sleep(PERIOD), ended.promise]);
    }
    sending = undefined;
  };
  for await (const { text } of readLines(stream)) {
    waiting += (waiting && "\n") + (text || " ");
    sending ??= send();
    // Told to whoever waits for it below.
    sending.catch(() => {});
    if (waiting.length > MOST_WAITING) await sending;
  }
  ended.resolve();
  await sending;
}

if (import.meta.main) await runScript(updateActionRun);
