#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Tells Port how an action run goes: its log, its links, its end.
 *
 * @module
 */
import { addRunLog, getRun, updateRun } from "../lib/action_runs.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
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
  async run({ options, port, print, say, warn, openInput }) {
    const runId = options.runId ?? environmentVariable("PORT_RUN_ID");
    if (!runId) {
      throw new UsageError(
        "Cannot tell the run: give --run-id ID, or set PORT_RUN_ID and run " +
          "with --allow-env=PORT_*,API_URL",
      );
    }
    const change = readChange(options);
    const isChange = Object.keys(change).length > 0;
    if (options.log === undefined && !isChange) {
      throw new UsageError(
        "Cannot tell what to update: give --log, --status or another",
      );
    }
    const log = new RunLog(port, runId, warn);
    if (options.log === "-") await log.sendAll(openInput("-"));
    else if (options.log !== undefined) await log.send(options.log);
    print(
      isChange
        ? await updateRun(port, runId, change)
        : await getRun(port, runId),
    );
    say(`Updated run "${runId}"`);
    if (log.error) throw log.error;
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

/**
 * The most of a log in one message, in characters; more has to wait. Escaped in
 * JSON it is still less than Port takes.
 */
const LONGEST = 150_000;

/** The least time between two messages, in milliseconds. */
const PERIOD = 1_000;

/** Messages that fail one after the other before no more are sent. */
const HOPELESS = 3;

/** The log of a run. What cannot be sent must not end the build, nor its report. */
class RunLog {
  readonly #port: PortClient;
  readonly #runId: string;
  readonly #warn: (line: string) => void;
  #failures = 0;
  /** Why a part of the log is not in Port. */
  error: ScriptError | undefined;

  constructor(
    port: PortClient,
    runId: string,
    warn: (line: string) => void,
  ) {
    this.#port = port;
    this.#runId = runId;
    this.#warn = warn;
  }

  async send(message: string): Promise<void> {
    if (this.#failures === HOPELESS) return;
    try {
      await addRunLog(this.#port, this.#runId, message);
      this.#failures = 0;
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      this.error ??= error;
      this.#failures++;
      this.#warn(
        error.message +
          (this.#failures === HOPELESS ? "; no more of the log is sent" : ""),
      );
    }
  }

  /**
   * Sends lines in their order: the first at once, then what has gathered in
   * each second as one message, so that a chatty build does not spend the rate
   * limit.
   */
  async sendAll(stream: ReadableStream<Uint8Array>): Promise<void> {
    let waiting = "";
    let sending: Promise<void> | undefined;
    const ended = Promise.withResolvers<void>();
    const sendWaiting = async () => {
      while (waiting !== "") {
        // A character of two parts stays whole.
        const message = waiting.slice(0, LONGEST).replace(
          /[\ud800-\udbff]$/,
          "",
        );
        waiting = waiting.slice(message.length);
        await this.send(message);
        if (this.#failures === HOPELESS) continue;
        await Promise.race([CLOCK.sleep(PERIOD), ended.promise]);
      }
      sending = undefined;
    };
    for await (const { text } of readLines(stream)) {
      waiting += (waiting && "\n") + (text || " ");
      sending ??= sendWaiting();
      if (waiting.length > LONGEST) await sending;
    }
    ended.resolve();
    await sending;
  }
}

if (import.meta.main) await runScript(updateActionRun);
