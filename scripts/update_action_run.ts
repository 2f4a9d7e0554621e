#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Updates an action run in Port: its log, links and status.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { openInput } from "../lib/files.ts";
import {
  apiPath,
  type JsonObject,
  type Port,
  PortError,
  sleep,
} from "../lib/port.ts";
import { environmentVariable } from "../lib/settings.ts";
import { catchSignals } from "../lib/signals.ts";

const SYNCHRONIZED =
  "if it waits for approval, approve it; if its action is synchronized, Port takes the status from the answer to " +
  'the webhook: edit it in Port and set "synchronized" to false (request type async)';

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
  advice: {
    404: "check --run-id and --region",
    409: SYNCHRONIZED,
    422: SYNCHRONIZED,
  },
  async run({ options, port, print, log, warn }) {
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
    const signal = options.log === "-" ? catchSignals() : undefined;
    const runLog = new RunLog(port, runId, warn, endingOf(change));
    if (signal) await runLog.sendAll(openInput("-"), signal);
    else if (options.log !== undefined) await runLog.send(options.log);
    const path = apiPath("actions", "runs", runId);
    const answer = runLog.ended ??
      await port.request(isChange ? "PATCH" : "GET", path, {
        action: `${isChange ? "update" : "get"} action run "${runId}"`,
        ...(isChange && { body: change }),
        idempotent: true,
        expect: { run: "object" },
        // After a signal, nothing is sent: the build has not ended well.
        signal,
      }).catch((error) => {
        if (signal?.aborted) throw interrupted(signal, runLog);
        if (runLog.error) warn(runLog.error.message);
        throw error;
      });
    // Port answers a log message without the run.
    print(answer.run ?? { id: runId, ...change });
    if (isChange || !runLog.error) log(`Updated run "${runId}"`);
    if (runLog.error) throw runLog.error;
  },
});

function interrupted(signal: AbortSignal, { error }: RunLog): ScriptError {
  const outcome = error?.message ?? "the log was sent";
  return new ScriptError(
    signal.reason,
    `Interrupted: ${outcome}; the run may not be updated`,
  );
}

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

/** What a log message can change in the run, if that is all that changes. */
function endingOf(
  { status, statusLabel, ...others }: JsonObject,
): JsonObject | undefined {
  if (status === undefined || Object.keys(others).length > 0) return undefined;
  return {
    terminationStatus: status,
    ...(statusLabel !== undefined && { statusLabel }),
  };
}

/**
 * The maximum length of a message, in characters. Port accepts this length even
 * escaped in JSON.
 */
const LONGEST_MESSAGE = 150_000;

/** The maximum length of the text that waits, in characters. */
const LONGEST_WAITING = 1_000_000;

/** The time between two messages, and how it grows during an outage, in ms. */
const PERIOD = 1_000;
const LONGEST_PERIOD = 60_000;

/** After the input, this many failures in a row end the log. */
const LAST_ATTEMPTS = 4;

/** How long input is read after a signal, in milliseconds. */
const LAST_INPUT = 1_000;

/** How long requests may take after a signal, in milliseconds. */
const GRACE = 10_000;

/**
 * The log of a run. Text waits, up to a limit, until it is sent: at once if
 * there is enough for a message, otherwise once per second. Port's failures
 * stop neither the build nor the log.
 */
export class RunLog {
  readonly #port: Port;
  readonly #path: string;
  readonly #action: string;
  readonly #warn: (line: string) => void;
  readonly #cancel = new AbortController();
  #ending: JsonObject | undefined;
  #waiting = "";
  #isInputOver = false;
  /** Whether the last message ended within a line. */
  #isWithinLine = false;
  #pausing = new AbortController();
  #sender: Promise<void> | undefined;
  #sending: Promise<unknown> = Promise.resolve();
  /** Failures in a row. */
  #failures = 0;
  #firstError: PortError | undefined;
  #lostLines = 0;
  /** Port's answer to the message that ended the run. */
  ended: JsonObject | undefined;

  /** Creates a log; its last message ends the run if an `ending` is given. */
  constructor(
    port: Port,
    id: string,
    warn: (line: string) => void,
    ending?: JsonObject,
  ) {
    this.#port = port;
    this.#ending = ending;
    this.#path = apiPath("actions", "runs", id, "logs");
    this.#action = `write to the log of action run "${id}"`;
    this.#warn = warn;
  }

  /** The first failure, if a part of the log could not be sent. */
  get error(): PortError | undefined {
    if (!this.#firstError || this.#lostLines === 0) return undefined;
    const lines = this.#lostLines === 1 ? "line" : "lines";
    const note = `${this.#lostLines} ${lines} could not be sent`;
    const message = `${this.#firstError.message} (${note})`;
    return new PortError(message, this.#firstError);
  }

  /** Sends a text as one message. */
  async send(text: string): Promise<void> {
    this.#waiting = text;
    this.#isInputOver = true;
    await this.#sendNext();
    this.#lose(this.#waiting);
  }

  /** Sends a stream as it comes; after a signal, what has come until then. */
  async sendAll(
    stream: ReadableStream<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const reader = stream.getReader();
    const stop = () => reader.cancel();
    signal.addEventListener("abort", () => {
      this.#ending = undefined;
      setTimeout(stop, LAST_INPUT);
      setTimeout(() => this.#cancel.abort(), GRACE);
    });
    for await (const text of readText(reader)) {
      this.#waiting += text;
      if (!this.#sender) {
        this.#sender = this.#sendWaiting();
        // An unexpected error ends the input.
        this.#sender.catch(stop);
      }
      await this.#makeRoom();
    }
    this.#isInputOver = true;
    this.#pausing.abort();
    await this.#sender;
    await this.#flush(signal);
  }

  /** Waits until the text fits or, during an outage, drops the oldest. */
  async #makeRoom(): Promise<void> {
    if (this.#hasFullMessage) this.#pausing.abort();
    while (this.#waiting.length > LONGEST_WAITING && this.#failures === 0) {
      await this.#sending;
    }
    const excess = this.#waiting.length - LONGEST_WAITING;
    if (excess <= 0) return;
    const end = this.#waiting.indexOf("\n", excess) + 1;
    this.#lose(this.#take(end || this.#waiting.length));
  }

  /** Sends the waiting text until there is none or the input is over. */
  async #sendWaiting(): Promise<void> {
    // The line may go on.
    if (!this.#waiting.includes("\n")) await this.#pause();
    while (this.#waiting !== "" && !this.#isInputOver) {
      this.#sending = this.#sendNext();
      await this.#sending;
      await this.#pause();
    }
    this.#sender = undefined;
  }

  async #pause(): Promise<void> {
    if (this.#hasFullMessage || this.#isInputOver) return;
    const period = PERIOD * 2 ** Math.max(0, this.#failures - 1);
    this.#pausing = new AbortController();
    await sleep(Math.min(period, LONGEST_PERIOD), this.#pausing.signal);
  }

  /** After a failure, a full message waits too. */
  get #hasFullMessage(): boolean {
    return this.#failures === 0 && this.#waiting.length >= LONGEST_MESSAGE;
  }

  /** Sends what waits at the end of the input; after a signal, once. */
  async #flush(signal: AbortSignal): Promise<void> {
    for (let failures = 0; this.#waiting !== "";) {
      failures = await this.#sendNext() ? 0 : failures + 1;
      if (failures >= (signal.aborted ? 1 : LAST_ATTEMPTS)) break;
      if (failures > 0) await sleep(PERIOD * 2 ** (failures - 1), signal);
    }
    this.#lose(this.#waiting);
  }

  /** Sends the next message. Returns whether that succeeded. */
  async #sendNext(): Promise<boolean> {
    const text = this.#take(this.#nextLength());
    // The end of a line that was sent before is no empty line.
    const start = this.#isWithinLine && text.startsWith("\n") ? 1 : 0;
    const message = text.slice(start).replace(/\n$/, "");
    try {
      // Port shows no empty message.
      const isLast = this.#isInputOver && this.#waiting === "";
      if (text.length > start) await this.#post(message || " ", isLast);
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      this.#fail(error, text);
      return false;
    }
    this.#isWithinLine = !text.endsWith("\n");
    return true;
  }

  async #post(message: string, isLast: boolean): Promise<void> {
    const ending = isLast ? this.#ending : undefined;
    const answer = await this.#port.request("POST", this.#path, {
      action: this.#action,
      body: { message, ...ending },
      // A retry could log it twice.
      idempotent: false,
      signal: this.#cancel.signal,
    });
    if (ending) this.ended = answer;
    this.#failures = 0;
  }

  #fail(error: PortError, text: string): void {
    this.#firstError ??= error;
    this.#failures++;
    if (this.#failures === 1 && !this.#isInputOver) {
      this.#warn(`${error.message}; trying again at longer intervals`);
    }
    const { kind, path, maybeApplied } = error;
    const isOutage = kind === "unavailable" || kind === "network";
    // Another path is that of the login.
    const isUnsent = path !== this.#path || !maybeApplied;
    if (isOutage && isUnsent) this.#waiting = text + this.#waiting;
    else this.#lose(text);
  }

  /** A message ends with a line, unless this is longer than a message. */
  #nextLength(): number {
    const part = this.#waiting.slice(0, LONGEST_MESSAGE);
    const isRest = this.#isInputOver && part.length === this.#waiting.length;
    // During an outage, only one line is risked at a time.
    const isOutage = this.#failures > 0;
    if (isRest && !isOutage) return part.length;
    const end = isOutage ? part.indexOf("\n") : part.lastIndexOf("\n");
    if (end !== -1) return end + 1;
    // Do not split a surrogate pair.
    return part.replace(/[\ud800-\udbff]$/, "").length;
  }

  #take(length: number): string {
    const text = this.#waiting.slice(0, length);
    this.#waiting = this.#waiting.slice(length);
    return text;
  }

  #lose(text: string): void {
    const { length } = text.replace(/\n$/, "").split("\n");
    if (text !== "") this.#lostLines += length;
  }
}

/** Decodes text; each line break, also that of a progress bar, becomes `\n`. */
async function* readText(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let isAfterReturn = false;
  for (let isOver = false; !isOver;) {
    const { value, done } = await reader.read();
    isOver = done;
    const text = decoder.decode(value, { stream: !done });
    if (text === "") continue;
    const rest = isAfterReturn ? text.replace(/^\n/, "") : text;
    isAfterReturn = text.endsWith("\r");
    yield rest.replace(/\r+\n?/g, "\n");
  }
}

if (import.meta.main) await runScript(script);
