#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_NODE_INDEX,CIRCLE_NODE_TOTAL --allow-read=. --allow-write=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Streams many entities into Port.
 *
 * @module
 */
import {
  type BulkItem,
  bulkUpsert,
  Pacer,
  type SendBatch,
} from "../lib/bulk.ts";
import { readShard, type Shard } from "../lib/circleci.ts";
import { type Context, defineScript, harmless, runScript } from "../lib/cli.ts";
import { upsertEntities } from "../lib/entities.ts";
import { readEntity } from "../lib/entity.ts";
import { PartialError, ScriptError, UsageError } from "../lib/errors.ts";
import { createTextFile } from "../lib/files.ts";
import { endWhenSilent, type Piece, readJsonValues } from "../lib/input.ts";
import { byteLength, parseJsonObject } from "../lib/json.ts";
import { parseMost } from "../lib/settings.ts";

/** The script, for its file and for tests. */
export const bulkUpsertEntities = defineScript({
  name: "bulk_upsert_entities",
  summary: "Create or update many entities in Port, from files or a pipe",
  operand: {
    value: "FILE",
    help: "Entities as NDJSON or a JSON array; - or none for standard input",
    isOptional: true,
  },
  // Port's rate limit may ask for minutes of patience.
  defaults: { timeout: "10m", retries: "10" },
  options: {
    blueprint: {
      group: "Entities",
      short: "b",
      value: "ID",
      help: "Blueprint of entities that name none",
    },
    replace: {
      group: "Behaviour",
      help: "Replace whole entities: what is not named is lost (without it, " +
        "it stays)",
    },
    createMissingRelatedEntities: {
      help: "Let Port create related entities that are not there yet",
    },
    runId: { value: "ID", help: "Action run in Port that this belongs to" },
    validateOnly: { help: "Let Port check the entities and write nothing" },
    concurrency: {
      group: "Speed",
      value: "N",
      help: "Requests at once, 1 to 20 (default 5)",
    },
    shard: {
      value: "I/N",
      help: "Take part I of N only, from 0; auto for this container's part " +
        "under CircleCI's parallelism",
    },
    maxErrors: {
      group: "Failures",
      value: "N",
      help: "Send nothing more after so many failures",
    },
    failedFile: {
      value: "FILE",
      help: "Keep what did not get in here, ready to be run again, and the " +
        "reasons in FILE.errors",
    },
    junit: {
      value: "FILE",
      help: "Write a report for CircleCI's Tests tab (JUnit XML)",
    },
  },
  examples: [
    {
      says: "A list that another program makes",
      args: `- <<< '[{"blueprint": "service", "identifier": "cart"}]'`,
    },
    {
      says: "What fails is kept, and shown in CircleCI's Tests tab",
      args: "-b service --failed-file failed.ndjson --junit results/port.xml " +
        `- <<< '{"identifier": "cart"}'`,
    },
  ],
  async run(context) {
    const { options, port, say, settings } = context;
    const concurrency = parseMost(options.concurrency ?? "5", "--concurrency");
    if (concurrency > 20) {
      throw new UsageError("Cannot use --concurrency over 20");
    }
    const maxErrors = parseMost(options.maxErrors, "--max-errors");
    const shard = readShard(options.shard);
    const signal = context.catchSignals();
    const inputs = openInputs(context, signal);
    const tally = new Tally(inputs, openSinks(context));
    const sendBatch: SendBatch = (...batch) => upsertEntities(port, ...batch);
    const pacer = new Pacer();
    port.listen((attempt) => pacer.learn(attempt));
    port.logInAhead();
    const timer = setInterval(() => context.progress(tally.progress()), 1000);
    signal.addEventListener("abort", () => {
      say("Interrupted: finishing what is under way, at most 10 s");
    });
    try {
      await bulkUpsert(sendBatch, readItems(inputs, tally, shard, options), {
        ...options,
        retries: settings.retries,
        concurrency,
        signal,
        whyStop: () =>
          tally.all.failed >= maxErrors
            ? `not sent, after ${maxErrors} failures`
            : undefined,
        onDone: (item, created) => tally.done(item, created),
        onFailed: (item, reason) => tally.fail(ofItem(item, reason)),
        pacer,
      });
    } finally {
      clearInterval(timer);
      tally.close();
      if (tally.total === 0 && !options.shard) {
        context.warn("There was no entity to read");
      }
      for (const line of tally.table()) say(line);
      context.print(tally.summary());
    }
    insist(tally, options.failedFile);
  },
});

type Options = typeof bulkUpsertEntities.options;

/** What is read, and how far. */
interface Input {
  name: string;
  stream: ReadableStream<Uint8Array>;
  /** In bytes; nobody knows of standard input. */
  size: number | undefined;
  bytesRead(): number;
}

/** Opens all of them before anything is sent or written. */
function openInputs(
  { operands, openInput }: Context<Options>,
  signal: AbortSignal,
): Input[] {
  const paths = operands.length > 0 ? operands : ["-"];
  return paths.map((path) => {
    let bytesRead = 0;
    return {
      name: path === "-" ? "standard input" : path,
      // This takes hold of the stream, so that it is not opened twice.
      stream: endWhenSilent(openInput(path), signal, (bytes) => {
        bytesRead += bytes;
      }),
      size: path === "-" ? undefined : Deno.statSync(path).size,
      bytesRead: () => bytesRead,
    };
  });
}

/** Reads entity after entity; what is none is accounted for at once. */
async function* readItems(
  inputs: Input[],
  tally: Tally,
  shard: Shard,
  { blueprint }: { blueprint: string | undefined },
): AsyncGenerator<BulkItem> {
  for (const input of inputs) {
    try {
      for await (const piece of readJsonValues(input.stream)) {
        const place = `${input.name}:${piece.line}`;
        try {
          const item = readItem(piece, place, blueprint);
          if (shard.takes(keyOf(item))) yield item;
        } catch (error) {
          if (!(error instanceof ScriptError)) throw error;
          if (shard.takes(piece.text)) tally.fail(ofText(piece, place, error));
        }
      }
    } catch (error) {
      // What was read before is sent all the same.
      const reason = new UsageError(`Cannot read on: ${String(error)}`);
      tally.fail(ofText({ line: 0, text: "" }, input.name, reason));
    }
  }
}

function readItem(
  { text }: Piece,
  place: string,
  blueprint: string | undefined,
): BulkItem {
  // What the decoder of a stream puts in place of other bytes.
  if (text.includes("\ufffd")) {
    throw new UsageError("Cannot read the entity: it is not UTF-8");
  }
  const built = readEntity(parseJsonObject(text, "the entity"), blueprint);
  return { ...built, place, size: byteLength(text) };
}

function keyOf({ blueprint, entity }: BulkItem): string {
  return JSON.stringify([blueprint, entity.identifier ?? entity]);
}

/** An input that did not get in. */
interface Failure {
  /** Where it stands, for example `orders.ndjson:12`. */
  place: string;
  /** Its blueprint, or {@linkcode NO_ENTITY}. */
  blueprint: string;
  /** What to call it. */
  name: string;
  /** The input, as it can be run again. */
  input: string;
  reason: string;
}

function ofItem({ place, blueprint, entity }: BulkItem, reason: string) {
  const { identifier } = entity;
  return {
    place,
    blueprint,
    name: typeof identifier === "string" ? identifier : "(no identifier)",
    input: JSON.stringify({ blueprint, ...entity }),
    reason,
  };
}

/** In one line even where an array spread it over many. */
function ofText({ text }: Piece, place: string, { message }: ScriptError) {
  const input = text.replace(/[\r\n]+/g, " ");
  return { place, blueprint: NO_ENTITY, name: place, input, reason: message };
}

/** Takes one kind of news. */
interface Sink {
  fail(failure: Failure): void;
  close(counts: ReadonlyMap<string, Counts>): void;
}

/** What did not get in goes to files or, at least, to standard error. */
function openSinks({ options, operands, warn }: Context<Options>): Sink[] {
  const { failedFile, junit } = options;
  if (junit !== undefined && [failedFile, ...operands].includes(junit)) {
    throw new UsageError(`Cannot use "${junit}" twice: name another --junit`);
  }
  const files = [
    ...(failedFile !== undefined ? [openFailedFile(failedFile)] : []),
    ...(junit !== undefined ? [openJunit(junit)] : []),
  ];
  return [
    {
      fail(failure) {
        const isKept = failedFile !== undefined;
        if (!isKept || failure.blueprint === NO_ENTITY) warn(lineOf(failure));
      },
      close() {},
    },
    ...files.map((sink) => guarded(sink, warn)),
  ];
}

/** A full disk must not end the run; what it cannot hold is shown. */
function guarded(sink: Sink, warn: (line: string) => void): Sink {
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

/** Keeps the inputs, each on a line as it can be run again, and the reasons. */
function openFailedFile(path: string): Sink {
  const inputs = createTextFile(path);
  const reasons = createTextFile(`${path}.errors`);
  return {
    fail(failure) {
      inputs.write(`${failure.input}\n`);
      reasons.write(`${lineOf(failure)}\n`);
    },
    close() {
      inputs.close();
      reasons.close();
    },
  };
}

/**
 * Writes a report in CircleCI's dialect: a test case for each failure and one
 * for each blueprint's successes, with the attributes that its page on test
 * summaries names.
 */
function openJunit(path: string): Sink {
  const file = createTextFile(path);
  file.write(
    '<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="port">\n',
  );
  const open = (classname: string, name: string, source: string) =>
    `  <testcase classname="${xml(classname)}" name="${xml(name)}" ` +
    `file="${xml(source)}" time="0"`;
  return {
    fail({ place, blueprint, name, reason }) {
      const [source = ""] = /^.*(?=:)/.exec(place) ?? [];
      const message = xml(`${place}: ${harmless(reason)}`);
      file.write(
        `${open(blueprint, name, source)}>\n` +
          `    <failure message="${message}"/>\n  </testcase>\n`,
      );
    },
    close(counts) {
      for (const [blueprint, { created, updated }] of counts) {
        if (created + updated === 0) continue;
        const name = `${created} created, ${updated} updated`;
        file.write(`${open(blueprint, name, "")}/>\n`);
      }
      file.write("</testsuite>\n");
      file.close();
    },
  };
}

/** Says what did not get in, and why. */
function lineOf({ place, blueprint, name, reason }: Failure): string {
  const who = blueprint === NO_ENTITY ? "" : `${blueprint}/${name}: `;
  return `${place}: ${who}${harmless(reason)}`;
}

/** Stands for the blueprint of what is no entity. */
const NO_ENTITY = "(not an entity)";

/** What XML cannot hold is shown as a question mark. */
function xml(text: string): string {
  return text
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Cs}/gu, "?")
    .replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** How many entities of a blueprint ended how. */
interface Counts {
  created: number;
  updated: number;
  failed: number;
}

/** Accounts for every entity. */
class Tally {
  readonly #inputs: Input[];
  readonly #sinks: Sink[];
  readonly #counts = new Map<string, Counts>();
  readonly #start = Date.now();
  /** All of them together. */
  readonly all: Counts = { created: 0, updated: 0, failed: 0 };
  /** The first failure, for the last line of the run. */
  first: Failure | undefined;

  constructor(inputs: Input[], sinks: Sink[]) {
    this.#inputs = inputs;
    this.#sinks = sinks;
  }

  done({ blueprint }: BulkItem, created: boolean): void {
    this.#count(blueprint, created ? "created" : "updated");
  }

  fail(failure: Failure): void {
    this.first ??= failure;
    this.#count(failure.blueprint, "failed");
    for (const sink of this.#sinks) sink.fail(failure);
  }

  #count(blueprint: string, what: keyof Counts): void {
    const counts = this.#counts.get(blueprint) ??
      { created: 0, updated: 0, failed: 0 };
    this.#counts.set(blueprint, counts);
    counts[what]++;
    this.all[what]++;
  }

  close(): void {
    for (const sink of this.#sinks) sink.close(this.#counts);
  }

  get total(): number {
    const { created, updated, failed } = this.all;
    return created + updated + failed;
  }

  /** How far it is and, where the size of the input is known, how long yet. */
  progress(): string {
    const seconds = Math.max(1, Date.now() - this.#start) / 1000;
    let read = 0;
    let size = 0;
    for (const input of this.#inputs) {
      read += input.bytesRead();
      size += input.size ?? NaN;
    }
    const left = seconds * (size - read) / read;
    return `${this.total} done, ${this.all.failed} failed, ` +
      `${Math.round(this.total / seconds)} a second` +
      (Number.isFinite(left) ? `, about ${Math.ceil(left)} s left` : "");
  }

  summary(): Counts & { blueprints: Record<string, Counts> } {
    return { ...this.all, blueprints: Object.fromEntries(this.#counts) };
  }

  table(): string[] {
    if (this.total === 0) return [];
    const rows = [
      ["blueprint", ...Object.keys(this.all)],
      ...[...this.#counts].map(([name, of]) => [name, ...Object.values(of)]),
    ];
    const width = Math.max(...rows.map(([name = ""]) => name.length));
    return rows.map(([name = "", ...columns]) =>
      name.padEnd(width) +
      columns.map((column) => String(column).padStart(10)).join("")
    );
  }
}

/** Fails unless every entity got in. */
function insist(tally: Tally, failedFile: string | undefined) {
  const { all: { failed }, total, first } = tally;
  if (first === undefined) return;
  const next = failedFile === undefined
    ? "give --failed-file to keep them"
    : `see "${failedFile}.errors", correct "${failedFile}" and run it`;
  throw new PartialError(
    `Cannot upsert ${failed} of ${total} entities, the first ` +
      `${lineOf(first)}; ${next}`,
  );
}

if (import.meta.main) await runScript(bulkUpsertEntities);
