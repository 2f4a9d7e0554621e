#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_NODE_INDEX,CIRCLE_NODE_TOTAL --allow-read=. --allow-write=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Streams many entities into Port.
 *
 * @module
 */
import type { BulkItem } from "../lib/bulk/batches.ts";
import { compareItems } from "../lib/bulk/compare.ts";
import { rejectFailedFiles } from "../lib/bulk/failed_file.ts";
import { openInputs, shareRead } from "../lib/bulk/input.ts";
import { keepRest, readItems } from "../lib/bulk/items.ts";
import { MissingRelations } from "../lib/bulk/missing.ts";
import { Pacer } from "../lib/bulk/pace.ts";
import { type Plan, readPlan } from "../lib/bulk/plan.ts";
import { Inventory, prune } from "../lib/bulk/prune.ts";
import { lineOf, Report } from "../lib/bulk/report.ts";
import { Requests } from "../lib/bulk/requests.ts";
import { bulkUpsert } from "../lib/bulk/run.ts";
import { openSinks } from "../lib/bulk/sinks.ts";
import { Stop } from "../lib/bulk/stop.ts";
import { type Context, defineScript, runScript } from "../lib/cli.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { PortError } from "../lib/port.ts";
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
    changedOnly: {
      group: "Sync",
      help: "Read what Port holds, and send only what differs",
    },
    prune: {
      value: "RULE",
      repeat: true,
      help:
        "Then delete what is not in the input and matches each RULE, such " +
        "as source=circleci",
    },
    pruneMax: {
      value: "N",
      help: "Delete nothing if it were more than N, or N% of what matches " +
        "(default 10%)",
    },
    dryRun: {
      help: "Show what would be created, updated and deleted; send nothing",
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
    "In sync: send what changed, delete what is gone":
      "-b service --changed-only --prune lifecycle=from-ci - <<< " +
      `'{"identifier": "cart", "properties": {"lifecycle": "from-ci"}}'`,
    "What fails is kept, and shown in CircleCI's Tests tab":
      "-b service --failed-file failed.ndjson --junit results/port.xml " +
      `- <<< '{"identifier": "cart"}'`,
  },
  advice: { 404: "create the blueprint first" },
  async run(context) {
    const signal = catchSignals();
    try {
      await sync(context, signal);
    } catch (error) {
      if (!signal.aborted || !(error instanceof PortError)) throw error;
      throw new ScriptError(
        Number(signal.reason),
        "Interrupted, and open requests were canceled; run it again",
      );
    }
  },
});

/** How often progress is logged, in milliseconds. */
const PROGRESS_PERIOD = 10_000;

/** How long the run may go on after a signal, in milliseconds. */
const GRACE = { requests: 5_000, reading: 10_000 };

/** Returns a signal that follows another one after a time in milliseconds. */
function after(ms: number, signal: AbortSignal): AbortSignal {
  const late = new AbortController();
  const abort = () =>
    late.abort(new ScriptError(Number(signal.reason), "Interrupted"));
  signal.addEventListener("abort", () => setTimeout(abort, ms));
  return late.signal;
}

type ScriptContext = Context<typeof script.options>;

async function sync(
  context: ScriptContext,
  signal: AbortSignal,
): Promise<void> {
  const { options, log } = context;
  const plan = readPlan(options);
  const run = await openRun(context, plan, signal);
  const { inputs, report, reading, pacer, stop } = run;
  const timer = setInterval(
    () => log(report.progress(shareRead(inputs), pacer.wait)),
    PROGRESS_PERIOD,
  );
  signal.addEventListener("abort", () => {
    log("Interrupted: this ends within 10 s");
    stop.because("not sent, as the run was interrupted");
  });
  try {
    const read = readItems(inputs, reading);
    // All identifiers are remembered only if needed.
    const items = plan.rules.length > 0 ? run.inventory.watch(read) : read;
    if (options.dryRun) await showEffects(context, run, items);
    else await upsert(context, run, items);
    if (plan.rules.length > 0) await pruneAll(context, plan, run);
  } finally {
    await keepRest(inputs, reading);
    clearInterval(timer);
    report.close(run.isRead());
    printResult(context, run);
  }
  if (stop.error !== undefined) throw stop.error;
  throwIfFailed(run, signal);
}

/** Opens all that a run needs, before anything is sent or written. */
async function openRun(
  { options, operands, port, warn, explain }: ScriptContext,
  plan: Plan,
  signal: AbortSignal,
) {
  const graceOver = after(GRACE.requests, signal);
  const readingOver = after(GRACE.reading, signal);
  const pacer = new Pacer();
  const requests = new Requests(port, {
    ...{ upsert: options, rules: plan.rules, pacer, signal: graceOver },
  });
  const { blueprint } = options;
  if (plan.rules.length > 0) {
    rejectFailedFiles(operands);
    // A rule that cannot be used must not come to light after the upserts.
    if (blueprint !== undefined) await requests.rulesOf(blueprint);
  }
  const inputs = await openInputs(
    operands,
    { ...options, format: plan.format, typesOf: requests.typesOf },
    readingOver,
  );
  const { failedFile, sinks } = openSinks(options, inputs, warn);
  const report = new Report(sinks);
  const stop = new Stop(explain);
  const { isMine, maxErrors, concurrency } = plan;
  const stopAtMaxErrors = () => {
    if (report.all.failed < maxErrors) return;
    stop.because(`not sent, since --max-errors ${maxErrors} is reached`);
  };
  sinks.push({ fail: stopAtMaxErrors, close() {} });
  return {
    ...{ inputs, report, failedFile, stop, graceOver, requests, pacer },
    concurrency,
    missing: new MissingRelations(),
    inventory: new Inventory(),
    reading: { report, isMine, blueprint, stop },
    isRead: () => inputs.every(({ isRead }) => isRead === true),
  };
}

type Run = Awaited<ReturnType<typeof openRun>>;

/** Sends the entities; with `--changed-only` those that differ. */
async function upsert(
  context: ScriptContext,
  run: Run,
  items: AsyncIterable<BulkItem>,
): Promise<void> {
  const { options: { changedOnly, validateOnly }, settings } = context;
  const { report, requests, concurrency, pacer, stop, graceOver } = run;
  async function* changed() {
    for await (const [item, effect] of compare(context, run, items)) {
      if (effect === "unchanged") report.done(item, effect);
      else yield item;
    }
  }
  await bulkUpsert(changedOnly ? changed() : items, {
    ...{ concurrency, pacer, stop, graceOver, validateOnly },
    retries: settings.retries,
    send: (blueprint, entities) => requests.upsert(blueprint, entities),
    onDone: (item, isNew) => report.done(item, isNew ? "created" : "updated"),
    onFailed: (item, reason) => fail(run, item, reason),
  });
}

/** Shows what the run would do, and sends nothing but reads. */
async function showEffects(
  context: ScriptContext,
  run: Run,
  items: AsyncIterable<BulkItem>,
): Promise<void> {
  const { options: { changedOnly }, log } = context;
  for await (const [item, effect] of compare(context, run, items)) {
    const isSent = effect !== "unchanged" || !changedOnly;
    const what = isSent && effect === "unchanged" ? "updated" : effect;
    run.report.done(item, what);
    const name = `${item.blueprint}/${nameOfItem(item)}`;
    if (isSent) log(`${item.place}: ${name} would be ${what}`);
  }
}

function compare(
  { options: { replace } }: ScriptContext,
  run: Run,
  items: AsyncIterable<BulkItem>,
) {
  const { requests, concurrency, stop } = run;
  return compareItems(items, {
    ...{ typesOf: requests.typesOf, replace, concurrency },
    read: (blueprint, identifiers) => requests.read(blueprint, identifiers),
    onFailed(items, error) {
      const isMissing = error instanceof PortError &&
        error.kind === "not-found";
      if (!isMissing) stop.giveUp(error);
      for (const item of items) fail(run, item, stop.explain(error));
    },
  });
}

/** Deletes what is not in the input, unless that may be more than it seems. */
async function pruneAll(
  { options: { dryRun, runId }, settings, port, log, warn }: ScriptContext,
  { max }: Plan,
  { report, inventory, stop, graceOver, requests }: Run,
): Promise<void> {
  if (report.all.failed > 0 || stop.signal.aborted) {
    return warn(
      "Nothing was pruned, since not all entities were saved; once they are, " +
        "run the whole input again",
    );
  }
  const reason = report.total === 0
    ? "the input holds no entity"
    : inventory.unknown !== undefined
    ? `${inventory.unknown} has no identifier that is known here`
    : undefined;
  if (reason) throw new ScriptError(2, `Cannot prune: ${reason}${NOT_PRUNED}`);
  await prune(inventory.identifiers, {
    ...{ port, warn, rulesOf: requests.rulesOf, max, dryRun, runId, graceOver },
    ...{ since: requests.began, retries: settings.retries, stop: stop.signal },
    onDeleted(blueprint, identifiers) {
      const what = dryRun ? "would be deleted" : "deleted";
      for (const identifier of identifiers) {
        report.done({ blueprint }, "deleted");
        log(`${blueprint}/${identifier} ${what}`);
      }
    },
    onFailed: (blueprint, name, { message: reason }) =>
      report.fail({ place: PRUNE, blueprint, name, reason }),
  }).catch((error) => {
    if (!(error instanceof UsageError)) throw error;
    const { message } = error;
    throw new ScriptError(
      2,
      `${message}, so sync that blueprint in a run without it${NOT_PRUNED}`,
    );
  });
}

/** Completes an error of the input or the rules that shows only at the end. */
const NOT_PRUNED = "; nothing was deleted, the summary shows what was saved";

/** Stands for the place of an entity that is not in the input. */
const PRUNE = "--prune";

function fail(
  { report, missing }: Pick<Run, "report" | "missing">,
  item: BulkItem,
  reason: string,
): void {
  const { place, blueprint, entity } = item;
  const json = () => JSON.stringify({ blueprint, ...entity });
  const input = item.input ?? new TextEncoder().encode(json());
  const isSummedUp = missing.take(item, reason);
  const name = nameOfItem(item);
  report.fail({ place, blueprint, name, input, reason, isSummedUp });
}

function nameOfItem({ entity: { identifier } }: BulkItem): string {
  return typeof identifier === "string" ? identifier : "(no identifier)";
}

/** Prints what was saved and what was not. */
function printResult(
  { log, warn, print, options }: ScriptContext,
  { report, missing, failedFile }: Run,
): void {
  for (const line of missing.lines()) warn(line);
  if (report.total === 0 && !options.shard) {
    warn("There was no entity to read");
  }
  for (const line of report.table()) log(line);
  if (options.dryRun) log("Nothing was sent, as this was a dry run");
  if (options.validateOnly) log("Nothing was saved, only validated");
  if (failedFile?.summary) log(failedFile.summary);
  print(report.summary());
}

function throwIfFailed(
  { report: { all, total, first }, failedFile }: Run,
  signal: AbortSignal,
): void {
  const { aborted } = signal;
  if (first === undefined && !aborted) return;
  const exitCode = aborted ? Number(signal.reason) : 8;
  if (first === undefined) {
    const deleted = all.deleted > 0 ? `, and ${all.deleted} deleted` : "";
    throw new ScriptError(
      exitCode,
      `Interrupted, after everything was sent${deleted}; run it again to be sure`,
    );
  }
  if (first.place === PRUNE) {
    throw new ScriptError(
      exitCode,
      `Cannot delete ${all.failed} of ${
        all.deleted + all.failed
      } entities, the ` +
        `first ${lineOf(first)}; delete what relates to them first`,
    );
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
