#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Updates an action run in Port: its log, links and status.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { UsageError } from "../lib/errors.ts";
import { openInput } from "../lib/files.ts";
import { decode, splitLines } from "../lib/lines.ts";
import {
  apiPath,
  type JsonObject,
  type Port,
  PortError,
  sleep,
} from "../lib/port.ts";
import { environmentVariable } from "../lib/settings.ts";

/** The script. */
export const script = defineScript({
  name: "update_action_run",
  summary: "Update an action run in Port: its log, links and status",
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
    status: {
      short: "s",
      value: "STATUS",
      help: "Final status: SUCCESS or FAILURE",
    },
    statusLabel: { value: "TEXT", help: "Status text in Port" },
    summary: { value: "TEXT", help: "Summary in Port" },
    link: {
      value: "URL",
      repeat: true,
      help: "Link in Port, for example to the job",
    },
    externalRunId: {
      value: "ID",
      help: "Id of the job that does the work",
    },
  },
  examples: {
    "The link of the job, when it starts": '--link "$CIRCLE_BUILD_URL"',
    "Its end, after the log of the build":
      "--log - --status SUCCESS <<< 'Deployed 1.4.2'",
  },
  advice: { 404: "check --run-id and --region" },
  async run({ options, port, print, log, warn, explain }) {
    const runId = options.runId ?? environmentVariable("PORT_RUN_ID");
    if (!runId) {
      throw new UsageError(
        "Missing the run: give --run-id ID, or set PORT_RUN_ID and run with " +
          "--allow-env=PORT_*,API_URL",
      );
    }
    const change = readChange(options);
    const isChange = Object.keys(change).length > 0;
    if (options.log === undefined && !isChange) {
      throw new UsageError(
        "Missing what to update: give --log, --status or another",
      );
    }
    const path = apiPath("actions", "runs", runId);
    const runLog = new RunLog(port, runId, (error, isLast) => {
      warn(explain(error) + (isLast ? "; no more of the log is sent" : ""));
    });
    if (options.log === "-") await runLog.sendAll(openInput("-"));
    else if (options.log !== undefined) await runLog.send(options.log);
    const { run } = await port.request(isChange ? "PATCH" : "GET", path, {
      action: `${isChange ? "update" : "get"} action run "${runId}"`,
      ...(isChange && { body: change }),
      idempotent: true,
      expect: { run: "object" },
    });
    print(run);
    log(`Updated run "${runId}"`);
    if (runLog.error) throw runLog.error;
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
 * The maximum length of a message, in characters; the rest is sent later. Port
 * accepts this length even escaped in JSON.
 */
const LONGEST_MESSAGE = 150_000;

/** The minimum time between two messages, in milliseconds. */
const PERIOD = 1_000;

/** After this many failed messages in a row, no more are sent. */
const MAX_FAILURES = 3;

/** The log of a run. A failed message does not stop the build or the log. */
class RunLog {
  readonly #port: Port;
  readonly #path: string;
  readonly #action: string;
  readonly #onError: (error: PortError, isLast: boolean) => void;
  #failures = 0;
  /** The first failure; a part of the log is missing. */
  error: PortError | undefined;

  constructor(
    port: Port,
    id: string,
    onError: (error: PortError, isLast: boolean) => void,
  ) {
    this.#port = port;
    this.#path = apiPath("actions", "runs", id, "logs");
    this.#action = `write to the log of action run "${id}"`;
    this.#onError = onError;
  }

  async send(message: string): Promise<void> {
    if (this.#failures === MAX_FAILURES) return;
    try {
      await this.#port.request("POST", this.#path, {
        action: this.#action,
        body: { message },
        // A retry could log it twice.
        idempotent: false,
      });
      this.#failures = 0;
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      this.error ??= error;
      this.#failures++;
      this.#onError(error, this.#failures === MAX_FAILURES);
    }
  }

  /**
   * Sends lines in order: the first at once, then one message per second with
   * all new lines, so that a verbose build does not use up the rate limit.
   */
  async sendAll(stream: ReadableStream<Uint8Array>): Promise<void> {
    let waiting = "";
    let sending: Promise<void> | undefined;
    const end = new AbortController();
    const sendWaiting = async () => {
      while (waiting !== "") {
        // Do not split a surrogate pair.
        const message = waiting.slice(0, LONGEST_MESSAGE)
          .replace(/[\ud800-\udbff]$/, "");
        waiting = waiting.slice(message.length);
        await this.send(message);
        if (this.#failures === MAX_FAILURES || end.signal.aborted) continue;
        await sleep(PERIOD, end.signal);
      }
      sending = undefined;
    };
    for await (const line of splitLines(decode(stream))) {
      waiting += (waiting && "\n") + (line || " ");
      sending ??= sendWaiting();
      if (waiting.length > LONGEST_MESSAGE) await sending;
    }
    end.abort();
    await sending;
  }
}

if (import.meta.main) await runScript(script);
