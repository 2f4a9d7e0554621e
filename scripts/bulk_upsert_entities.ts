#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_NODE_INDEX,CIRCLE_NODE_TOTAL --allow-read=. --allow-write=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Streams many entities into Port.
 *
 * @module
 */
import { getBlueprint } from "../lib/blueprint.ts";
import type { BulkItem } from "../lib/bulk/batches.ts";
import type { FailedFile } from "../lib/bulk/failed_file.ts";
import { readFormat } from "../lib/bulk/format.ts";
import { openInputs, shareRead } from "../lib/bulk/input.ts";
import { keepRest, readItems } from "../lib/bulk/items.ts";
import { MissingRelations } from "../lib/bulk/missing.ts";
import { Pacer } from "../lib/bulk/pace.ts";
import { type Failure, lineOf, Report } from "../lib/bulk/report.ts";
import { type BulkAnswer, bulkUpsert } from "../lib/bulk/run.ts";
import { readShard } from "../lib/bulk/shard.ts";
import { openSinks } from "../lib/bulk/sinks.ts";
import { makeTypesOf } from "../lib/bulk/types.ts";
import { type Context, defineScript, runScript } from "../lib/cli.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { apiPath, type JsonObject, upsertQuery } from "../lib/port.ts";
import { parseCount } from "../lib/settings.ts";
import { catchSignals } from "../lib/signals.ts";

/** The script. */
export const script = defineScript({
  name: "bulk_upsert_entities",
  summary: "Create or update many entities in Port, from files or a pipe",
  operand: {
    value: "FILE",
    help: "Entities as NDJSON, JSON, YAML or CSV; - or none for standard input",
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
    format: {
      value: "FORMAT",
      help: "ndjson, json, yaml or csv (default by the ending of FILE)",
    },
    emptyClears: { help: "An empty cell of CSV clears the value in Port" },
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
    const { options, operands, settings, port, log, warn, explain } = context;
    const { concurrency, maxErrors } = readLimits(options);
    const { blueprint, shard, emptyClears } = options;
    const format = options.format === undefined
      ? undefined
      : readFormat(options.format);
    const isMine = shard === undefined ? undefined : readShard(shard);
    const signal = catchSignals();
    const graceOver = after(GRACE.requests, signal);
    const typesOf = makeTypesOf((blueprint) =>
      getBlueprint(port, blueprint, { signal: graceOver })
    );
    const inputs = await openInputs(
      operands,
      { blueprint, format, typesOf, emptyClears },
      after(GRACE.reading, signal),
    );
    const missing = new MissingRelations();
    const { failedFile, sinks } = openSinks(options, inputs, warn);
    const report = new Report(sinks);
    const pacer = new Pacer();
    const stop = new AbortController();
    let fatal: unknown;
    const giveUp = (error: unknown) => {
      fatal = error;
      stop.abort(`not sent, since: ${explain(error)}`);
    };
    const reading = {
      ...{ report, isMine, blueprint, explain, giveUp },
      stop: stop.signal,
    };
    const stopAtMaxErrors = () => {
      if (report.all.failed < maxErrors) return;
      stop.abort(`not sent, since --max-errors ${maxErrors} is reached`);
    };
    sinks.push({ fail: stopAtMaxErrors, close() {} });
    const timer = setInterval(
      () => log(report.progress(shareRead(inputs), pacer.wait)),
      PROGRESS_PERIOD,
    );
    signal.addEventListener("abort", () => {
      log("Interrupted: this ends within 10 s");
      stop.abort("not sent, as the run was interrupted");
    });
    try {
      await bulkUpsert(readItems(inputs, reading), {
        ...{ concurrency, pacer, stop, explain, retries: settings.retries },
        graceOver,
        send: makeSend(context, pacer),
        validateOnly: options.validateOnly,
        onDone: (item, created) => report.done(item, created),
        onFailed: (item, reason) => {
          const isSummedUp = missing.take(item, reason);
          report.fail({ ...ofItem(item, reason), isSummedUp });
        },
      });
    } finally {
      await keepRest(inputs, reading);
      clearInterval(timer);
      report.close(inputs.every(({ isRead }) => isRead === true));
      printResult(context, report, missing, failedFile);
    }
    if (fatal !== undefined) throw fatal;
    throwIfFailed(report, signal, failedFile);
  },
});

/** How often progress is logged, in milliseconds. */
const PROGRESS_PERIOD = 10_000;

/** How long the run may go on after a signal, in milliseconds. */
const GRACE = { requests: 5_000, reading: 10_000 };

/** Returns a signal that follows another one after a time in milliseconds. */
function after(ms: number, signal: AbortSignal): AbortSignal {
  const late = new AbortController();
  const abort = () => late.abort(new Error("the run was interrupted"));
  signal.addEventListener("abort", () => setTimeout(abort, ms));
  return late.signal;
}

type ScriptContext = Context<typeof script.options>;

function readLimits(
  { concurrency: requests = "5", maxErrors }: ScriptContext["options"],
) {
  const concurrency = parseCount(requests, "--concurrency", 1);
  if (concurrency > 20) {
    throw new UsageError("Cannot use --concurrency over 20");
  }
  const isLimited = maxErrors !== undefined;
  return {
    concurrency,
    maxErrors: isLimited ? parseCount(maxErrors, "--max-errors", 1) : Infinity,
  };
}

/** Returns a function that sends one request with entities of a blueprint. */
function makeSend({ options, port }: ScriptContext, pacer: Pacer) {
  return async (
    blueprint: string,
    entities: JsonObject[],
    signal: AbortSignal,
  ): Promise<BulkAnswer> => {
    const path = apiPath("blueprints", blueprint, "entities", "bulk");
    const { length } = entities;
    const count = length === 1 ? "1 entity" : `${length} entities`;
    const answer = await port.request("POST", path + upsertQuery(options), {
      action: `upsert ${count} in blueprint "${blueprint}"`,
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

function ofItem(
  { place, blueprint, entity, input }: BulkItem,
  reason: string,
): Failure {
  const { identifier } = entity;
  const name = typeof identifier === "string" ? identifier : "(no identifier)";
  const json = () => JSON.stringify({ blueprint, ...entity });
  const kept = input ?? new TextEncoder().encode(json());
  return { place, blueprint, name, input: kept, reason };
}

/** Prints what was saved and what was not. */
function printResult(
  { log, warn, print, options }: ScriptContext,
  report: Report,
  missing: MissingRelations,
  failedFile: FailedFile | undefined,
): void {
  for (const line of missing.lines()) warn(line);
  if (report.total === 0 && !options.shard) {
    warn("There was no entity to read");
  }
  for (const line of report.table()) log(line);
  if (failedFile?.summary) log(failedFile.summary);
  print(report.summary());
}

function throwIfFailed(
  { all, total, first }: Report,
  signal: AbortSignal,
  failedFile: FailedFile | undefined,
): void {
  const { aborted } = signal;
  if (first === undefined && !aborted) return;
  const exitCode = aborted ? Number(signal.reason) : 8;
  if (first === undefined) {
    throw new ScriptError(exitCode, "Interrupted, after everything was sent");
  }
  const next = failedFile?.advice(aborted) ??
    `${aborted ? "run it again, " : ""}give --failed-file to keep them`;
  throw new ScriptError(
    exitCode,
    `Cannot upsert ${all.failed} of ${total} entities, the first ` +
      `${lineOf(first)}; ${next}`,
  );
}

if (import.meta.main) await runScript(script);
