#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_NODE_INDEX,CIRCLE_NODE_TOTAL --allow-read=. --allow-write=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Streams many entities into Port.
 *
 * @module
 */
import { type BulkItem, MAX_BODY } from "../lib/bulk/batches.ts";
import { endAtPause, type Piece, readJsonValues } from "../lib/bulk/input.ts";
import { Pacer } from "../lib/bulk/pace.ts";
import { type Failure, lineOf, Report, type Sink } from "../lib/bulk/report.ts";
import { openFailedFile, openJunit } from "../lib/bulk/report_files.ts";
import { type BulkAnswer, bulkUpsert } from "../lib/bulk/run.ts";
import { readShard } from "../lib/bulk/shard.ts";
import { type Context, defineScript, runScript } from "../lib/cli.ts";
import { readEntity } from "../lib/entity.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { nameOf, openInput } from "../lib/files.ts";
import { parseJsonObject } from "../lib/json.ts";
import { apiPath, type JsonObject, upsertQuery } from "../lib/port.ts";
import { parseCount } from "../lib/settings.ts";
import { catchSignals } from "../lib/signals.ts";

/** The script. */
export const script = defineScript({
  name: "bulk_upsert_entities",
  summary: "Create or update many entities in Port, from files or a pipe",
  operand: {
    value: "FILE",
    help: "Entities as NDJSON or a JSON array; - or none for standard input",
    isOptional: true,
  },
  // Port's rate limit may require waiting for minutes.
  defaults: { timeout: "10m", retries: "10" },
  options: {
    blueprint: {
      group: "Entities",
      short: "b",
      value: "ID",
      help: "Blueprint of entities that do not name one",
    },
    replace: {
      group: "Behaviour",
      help: "Remove omitted fields (else kept)",
    },
    createMissingRelatedEntities: {
      help: "Create missing related entities",
    },
    runId: { value: "ID", help: "Action run in Port that this belongs to" },
    validateOnly: {
      help: "Let Port validate the entities without saving them",
    },
    concurrency: {
      group: "Speed",
      value: "N",
      help: "Requests at once, 1 to 20 (default 5)",
    },
    shard: {
      value: "I/N",
      help: "Only part I of N, from 0; auto for this container's part under " +
        "CircleCI's parallelism",
    },
    maxErrors: {
      group: "Failures",
      value: "N",
      help: "Send nothing more after N failures",
    },
    failedFile: {
      value: "FILE",
      help:
        "Keep failed entities in FILE, to run again; reasons in FILE.errors",
    },
    junit: {
      value: "FILE",
      help: "Write a report for CircleCI's Tests tab (JUnit XML)",
    },
  },
  examples: {
    "A list that another program makes":
      `- <<< '[{"blueprint": "service", "identifier": "cart"}]'`,
    "What fails is kept, and shown in CircleCI's Tests tab":
      "-b service --failed-file failed.ndjson --junit results/port.xml " +
      `- <<< '{"identifier": "cart"}'`,
  },
  advice: { 404: "create the blueprint first" },
  async run(context) {
    const { options, settings, log, warn, print, explain } = context;
    const { concurrency: requests = "5" } = options;
    const concurrency = parseCount(requests, "--concurrency", 1);
    if (concurrency > 20) {
      throw new UsageError("Cannot use --concurrency over 20");
    }
    const maxErrors = options.maxErrors === undefined
      ? Infinity
      : parseCount(options.maxErrors, "--max-errors", 1);
    const isMine = readShard(options.shard);
    const signal = catchSignals();
    const inputs = openInputs(context.operands, signal);
    const report = new Report(openSinks(context));
    const pacer = new Pacer();
    const timer = setInterval(
      () => log(report.progress(shareRead(inputs))),
      PROGRESS_PERIOD,
    );
    signal.addEventListener("abort", () => {
      log("Interrupted: finishing the requests under way, at most 10 s");
    });
    try {
      await bulkUpsert(readItems(inputs, report, isMine, options.blueprint), {
        ...{ concurrency, pacer, signal, explain, retries: settings.retries },
        send: makeSend(context, pacer),
        validateOnly: options.validateOnly,
        whyStop: () =>
          report.all.failed >= maxErrors
            ? `not sent, after ${maxErrors} failures`
            : undefined,
        onDone: (item, created) => report.done(item, created),
        onFailed: (item, reason) => report.fail(ofItem(item, reason)),
      });
    } finally {
      clearInterval(timer);
      report.close();
      if (report.total === 0 && !options.shard) {
        warn("There was no entity to read");
      }
      for (const line of report.table()) log(line);
      print(report.summary());
    }
    throwIfFailed(report, signal, options.failedFile);
  },
});

/** How often progress is logged, in milliseconds. */
const PROGRESS_PERIOD = 10_000;

type ScriptContext = Context<typeof script.options>;

/** Returns a function that sends one request with entities of a blueprint. */
function makeSend({ options, port }: ScriptContext, pacer: Pacer) {
  return async (
    blueprint: string,
    entities: JsonObject[],
    signal: AbortSignal,
  ): Promise<BulkAnswer> => {
    const path = apiPath("blueprints", blueprint, "entities", "bulk");
    const answer = await port.request("POST", path + upsertQuery(options), {
      action: `upsert ${entities.length} entities in blueprint "${blueprint}"`,
      body: { entities },
      idempotent: options.validateOnly ||
        entities.every(({ identifier }) => typeof identifier === "string"),
      expect: { entities: "array", errors: "array" },
      signal,
      onAttempt: (attempt) => pacer.learn(attempt),
    });
    return answer as JsonObject & BulkAnswer;
  };
}

/** An input, and how much of it was read. */
interface Input {
  name: string;
  stream: ReadableStream<Uint8Array>;
  /** In bytes; `NaN` for standard input. */
  size: number;
  bytesRead: number;
}

/** Opens all inputs before anything is sent or written. */
function openInputs(paths: string[], signal: AbortSignal): Input[] {
  return (paths.length > 0 ? paths : ["-"]).map((path) => {
    const input: Input = {
      name: path === "-" ? nameOf(path) : path,
      // This locks the stream, so that it is not opened twice.
      stream: endAtPause(openInput(path), signal, (bytes) => {
        input.bytesRead += bytes;
      }),
      size: path === "-" ? NaN : Deno.statSync(path).size,
      bytesRead: 0,
    };
    return input;
  });
}

function shareRead(inputs: Input[]): number {
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  return sum(inputs.map(({ bytesRead }) => bytesRead)) /
    sum(inputs.map(({ size }) => size));
}

/** Reads the entities; any other input fails at once. */
async function* readItems(
  inputs: Input[],
  report: Report,
  isMine: (key: string) => boolean,
  blueprint: string | undefined,
): AsyncGenerator<BulkItem> {
  for (const { name, stream } of inputs) {
    try {
      for await (const piece of readJsonValues(stream)) {
        const place = `${name}:${piece.line}`;
        try {
          const item = await readItem(piece, place, blueprint);
          if (isMine(shardKey(item))) yield item;
        } catch (error) {
          if (!(error instanceof ScriptError)) throw error;
          if (isMine(piece.text)) report.fail(ofText(piece, place, error));
        }
      }
    } catch (error) {
      // The entities before the error are still sent.
      const reason = new UsageError(`Cannot read further: ${String(error)}`);
      report.fail(ofText({ line: 0, text: "" }, name, reason));
    }
  }
}

async function readItem(
  { text }: Piece,
  place: string,
  blueprint: string | undefined,
): Promise<BulkItem> {
  // The decoder replaces invalid bytes with this character.
  if (text.includes("\ufffd")) {
    throw new UsageError("Cannot read the entity: it is not UTF-8");
  }
  const size = new TextEncoder().encode(text).length;
  if (size > MAX_BODY) {
    throw new UsageError(
      `Cannot send ${size} bytes: Port accepts at most 1 MiB`,
    );
  }
  const file = parseJsonObject(text, "the entity");
  const whole = blueprint === undefined ? file : { blueprint, ...file };
  return { ...await readEntity(whole), place, size };
}

function shardKey({ blueprint, entity }: BulkItem): string {
  return JSON.stringify([blueprint, entity.identifier ?? entity]);
}

function ofItem(
  { place, blueprint, entity }: BulkItem,
  reason: string,
): Failure {
  const { identifier } = entity;
  const name = typeof identifier === "string" ? identifier : "(no identifier)";
  const input = JSON.stringify({ blueprint, ...entity });
  return { place, blueprint, name, input, reason };
}

/** Joins lines, as an element of an array may have several. */
function ofText({ text }: Piece, place: string, error: ScriptError): Failure {
  const input = text.replace(/[\r\n]+/g, " ");
  return { place, name: place, input, reason: error.message };
}

/** Writes failures to files, or else to standard error. */
function openSinks({ options, operands, warn }: ScriptContext): Sink[] {
  const { failedFile, junit } = options;
  if (junit !== undefined && [failedFile, ...operands].includes(junit)) {
    throw new UsageError(`Cannot use "${junit}" twice: name another --junit`);
  }
  const files = [
    ...(failedFile !== undefined ? [openFailedFile(failedFile)] : []),
    ...(junit !== undefined ? [openJunit(junit)] : []),
  ];
  const fail = (failure: Failure) => {
    const isKept = failedFile !== undefined && failure.blueprint !== undefined;
    if (!isKept) warn(lineOf(failure));
  };
  return [{ fail, close() {} }, ...files.map((sink) => guard(sink, warn))];
}

/** Continues if the disk is full, and logs what was not written. */
function guard(sink: Sink, warn: (line: string) => void): Sink {
  let isFull = false;
  const attempt = (step: () => void) => {
    try {
      if (!isFull) step();
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      isFull = true;
      warn(error.message);
    }
  };
  return {
    fail(failure) {
      attempt(() => sink.fail(failure));
      if (isFull) warn(`${lineOf(failure)}: ${failure.input}`);
    },
    close: (counts) => attempt(() => sink.close(counts)),
  };
}

function throwIfFailed(
  { all, total, first }: Report,
  signal: AbortSignal,
  failedFile: string | undefined,
): void {
  const exitCode = signal.aborted ? Number(signal.reason) : 8;
  if (first === undefined && !signal.aborted) return;
  if (first === undefined) {
    throw new ScriptError(exitCode, "Interrupted, after everything was sent");
  }
  const next = failedFile === undefined
    ? "give --failed-file to keep them"
    : `see "${failedFile}.errors", correct "${failedFile}" and run it`;
  throw new ScriptError(
    exitCode,
    `Cannot upsert ${all.failed} of ${total} entities, the first ` +
      `${lineOf(first)}; ${next}`,
  );
}

if (import.meta.main) await runScript(script);
