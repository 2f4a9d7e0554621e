#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_NODE_INDEX,CIRCLE_NODE_TOTAL --allow-read=. --allow-write=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Streams many entities into Port.
 *
 * @module
 */
import { type BulkItem, bulkUpsert, Pacer } from "../lib/bulk.ts";
import { readShard, type Shard } from "../lib/circleci.ts";
import { type Context, defineScript, runScript } from "../lib/cli.ts";
import { buildEntity } from "../lib/entity.ts";
import { PartialError, ScriptError, UsageError } from "../lib/errors.ts";
import { type Piece, readJsonValues } from "../lib/input.ts";
import { parseJsonObject } from "../lib/json.ts";

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
      group: "Way",
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
    const { options, operands, port, say, settings, catchSignals } = context;
    const concurrency = parseNumber(options.concurrency ?? "5", "concurrency");
    if (concurrency > 20) {
      throw new UsageError("Cannot use --concurrency over 20");
    }
    const maxErrors = options.maxErrors === undefined
      ? Infinity
      : parseNumber(options.maxErrors, "max-errors");
    const shard = readShard(options.shard);
    checkFailedFile(options.failedFile, operands);
    const tally = new Tally(options, context.progress);
    const pacer = new Pacer();
    port.listen((attempt) => pacer.learn(attempt));
    try {
      await bulkUpsert(port, readItems(context, tally, shard), {
        ...options,
        retries: settings.retries,
        concurrency,
        signal: catchSignals(),
        whyStop: () =>
          tally.failed >= maxErrors
            ? `not sent, after ${maxErrors} failures`
            : undefined,
        onDone: (item, created) => tally.done(item, created),
        onFailed: (item, reason) =>
          tally.fail(item.blueprint, item.entity, item.place, reason),
        pacer,
      });
    } finally {
      tally.close();
      for (const line of tally.table()) say(line);
    }
    context.print(tally.summary());
    tally.insist();
  },
});

type Options = typeof bulkUpsertEntities.options;

function parseNumber(text: string, flag: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(
    `Cannot use --${flag} "${text}": write a whole number from 1 on`,
  );
}

/** Reads entity after entity; what is none is accounted for at once. */
async function* readItems(
  { operands, options, openInput }: Context<Options>,
  tally: Tally,
  shard: Shard,
): AsyncGenerator<BulkItem> {
  for (const path of operands.length > 0 ? operands : ["-"]) {
    const name = path === "-" ? "standard input" : path;
    for await (const piece of readJsonValues(openInput(path))) {
      const place = `${name}:${piece.line}`;
      try {
        const item = readItem(piece, place, options.blueprint);
        if (shard.takes(keyOf(item))) yield item;
      } catch (error) {
        if (!(error instanceof ScriptError)) throw error;
        if (!shard.takes(piece.text)) continue;
        tally.fail("", piece.text, place, error.message);
      }
    }
  }
}

function readItem(
  { text }: Piece,
  place: string,
  blueprint: string | undefined,
): BulkItem {
  const { blueprint: own = blueprint, ...rest } = parseJsonObject(text, place);
  const none = { property: [], relation: [], team: [] };
  const built = buildEntity(
    none,
    own === undefined ? rest : { blueprint: own, ...rest },
  );
  const size = new TextEncoder().encode(text).length;
  return { ...built, place, size };
}

function keyOf({ blueprint, entity }: BulkItem): string {
  return JSON.stringify([blueprint, entity.identifier ?? entity]);
}

/** What is read must not be written over. */
function checkFailedFile(path: string | undefined, inputs: string[]): void {
  if (path === undefined) return;
  const isSame = inputs.some((input) => {
    try {
      return Deno.realPathSync(input) === Deno.realPathSync(path);
    } catch {
      return false;
    }
  });
  if (!isSame) return;
  throw new UsageError(
    `Cannot use "${path}" as --failed-file: it is read too; name another file`,
  );
}

/** How many entities of a blueprint ended how. */
interface Counts {
  created: number;
  updated: number;
  failed: number;
}

/** Reasons that are shown when they are not written to a file. */
const MOST_SHOWN = 20;

/** Accounts for every entity, and keeps what did not get in. */
class Tally {
  readonly #counts = new Map<string, Counts>();
  readonly #failures: { name: string; reason: string }[] = [];
  readonly #start = Date.now();
  readonly #progress: (line: string) => void;
  readonly #junit: string | undefined;
  readonly #failedFile: string | undefined;
  readonly #inputs: Deno.FsFile | undefined;
  readonly #reasons: Deno.FsFile | undefined;
  failed = 0;
  #done = 0;

  constructor(
    { failedFile, junit }: {
      failedFile: string | undefined;
      junit: string | undefined;
    },
    progress: (line: string) => void,
  ) {
    this.#progress = progress;
    this.#junit = junit;
    this.#failedFile = failedFile;
    if (junit !== undefined) writeFile(junit, "");
    if (failedFile === undefined) return;
    this.#inputs = createFile(failedFile);
    this.#reasons = createFile(`${failedFile}.errors`);
  }

  done({ blueprint }: BulkItem, created: boolean): void {
    this.#done++;
    this.#of(blueprint)[created ? "created" : "updated"]++;
    this.#show();
  }

  /** Keeps the input as it can be run again; text that is no entity as it is. */
  fail(blueprint: string, input: unknown, place: string, reason: string): void {
    this.failed++;
    this.#of(blueprint).failed++;
    const isEntity = typeof input === "object";
    const { identifier = "?" } = Object(input);
    const name = isEntity ? `${blueprint}/${identifier}` : place;
    const line = isEntity
      ? JSON.stringify({ blueprint, ...Object(input) })
      : String(input).replaceAll("\n", " ");
    const why = reason.replace(/\s*[\r\n]+\s*/g, " ");
    writeLine(this.#inputs, line);
    writeLine(this.#reasons, `${place}: ${name}: ${why}`);
    const isShown = this.#failedFile === undefined && this.failed <= MOST_SHOWN;
    if (isShown || this.#junit !== undefined) {
      this.#failures.push({ name, reason: `${place}: ${why}` });
    }
    this.#show();
  }

  #of(blueprint: string): Counts {
    const counts = this.#counts.get(blueprint) ??
      { created: 0, updated: 0, failed: 0 };
    this.#counts.set(blueprint, counts);
    return counts;
  }

  #show(): void {
    const total = this.#done + this.failed;
    if (total % 20 !== 0) return;
    const seconds = (Date.now() - this.#start) / 1000;
    const rate = Math.round(total / Math.max(seconds, 0.001));
    this.#progress(`${total} done, ${this.failed} failed, ${rate} a second`);
  }

  close(): void {
    this.#inputs?.close();
    this.#reasons?.close();
    if (this.#junit !== undefined) writeFile(this.#junit, this.#report());
  }

  /** In CircleCI's dialect: a case for each failure, one for each success. */
  #report(): string {
    const good = [...this.#counts].flatMap(([name, { created, updated }]) =>
      created + updated > 0
        ? [
          `  <testcase classname="port" name="${
            xml(`${name}: ${created} created, ${updated} updated`)
          }"/>`,
        ]
        : []
    );
    const bad = this.#failures.map(({ name, reason }) =>
      `  <testcase classname="port" name="${xml(name)}">\n` +
      `    <failure message="${xml(reason)}"/>\n  </testcase>`
    );
    const cases = [...bad, ...good];
    return `<?xml version="1.0" encoding="UTF-8"?>\n` +
      `<testsuite name="port" tests="${cases.length}" ` +
      `failures="${bad.length}" errors="0" skipped="0">\n` +
      cases.map((line) => `${line}\n`).join("") + "</testsuite>\n";
  }

  summary() {
    return {
      created: this.#sum("created"),
      updated: this.#sum("updated"),
      failed: this.failed,
      blueprints: Object.fromEntries(
        [...this.#counts].filter(([name]) => name !== ""),
      ),
    };
  }

  #sum(name: keyof Counts): number {
    return [...this.#counts.values()].reduce((sum, of) => sum + of[name], 0);
  }

  table(): string[] {
    const rows = [...this.#counts].map(([name, of]) => [
      name || "(not an entity)",
      ...[of.created, of.updated, of.failed].map(String),
    ]);
    const all = [["blueprint", "created", "updated", "failed"], ...rows];
    const width = Math.max(...all.map(([name = ""]) => name.length));
    return all.map(([name = "", ...numbers]) =>
      name.padEnd(width) + numbers.map((text) => text.padStart(10)).join("")
    );
  }

  /** Fails unless every entity got in. */
  insist(): void {
    if (this.failed === 0) return;
    const next = this.#failedFile === undefined
      ? "give --failed-file to keep them"
      : `correct and run "${this.#failedFile}", see "${this.#failedFile}.errors"`;
    throw new PartialError(
      `Cannot upsert ${this.failed} of ${this.#done + this.failed} entities: ` +
        next,
      this.#failedFile === undefined
        ? this.#failures.slice(0, MOST_SHOWN).map(({ reason }) => reason)
        : [],
    );
  }
}

/** What XML cannot hold is shown as a question mark. */
function xml(text: string): string {
  return text
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Cs}/gu, "?")
    .replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function createFile(path: string): Deno.FsFile {
  return whenWriting(
    path,
    () => Deno.openSync(path, { write: true, create: true, truncate: true }),
  );
}

/** Writes the file and, where need be, its folder. */
function writeFile(path: string, text: string): void {
  whenWriting(path, () => {
    const [folder] = /^.*(?=\/)/s.exec(path) ?? [];
    if (folder) Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(path, text);
  });
}

function whenWriting<Result>(path: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      throw new UsageError(
        `Cannot write "${path}": this run has no right to; add ` +
          `--allow-write="${path}" after deno run`,
      );
    }
    const reason = error instanceof Error ? error.message : error;
    throw new UsageError(`Cannot write "${path}": ${reason}`);
  }
}

function writeLine(file: Deno.FsFile | undefined, line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  for (let at = 0; file && at < bytes.length;) {
    at += file.writeSync(bytes.subarray(at));
  }
}

if (import.meta.main) await runScript(bulkUpsertEntities);
