/**
 * The formats that entities are read from.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { openJson } from "./json.ts";
import {
  concat,
  type Format,
  type FormatOptions,
  isSpace,
  type Opened,
} from "./pieces.ts";

const ENDINGS: Readonly<Record<string, Format>> = {
  ndjson: "json",
  jsonl: "json",
  json: "json",
  yaml: "yaml",
  yml: "yaml",
  csv: "csv",
};

/**
 * Parses `--format`.
 *
 * @param text The format, for example `yaml`.
 * @returns The format.
 * @throws {UsageError} If it is no format.
 */
export function readFormat(text: string): Format {
  const format = ENDINGS[text];
  if (format !== undefined) return format;
  throw new UsageError(
    `Cannot use --format "${text}": it must be ndjson, json, yaml or csv`,
  );
}

/**
 * Returns the format that the name of a file stands for.
 *
 * @param path The file.
 * @returns The format; `undefined` if its ending names none.
 */
export function formatOf(path: string): Format | undefined {
  const [, ending = ""] = /\.(\w+)$/.exec(path) ?? [];
  return ENDINGS[ending.toLowerCase()];
}

/**
 * Opens an input in its format. Reads its first line at once.
 *
 * @param stream The input.
 * @param name Its name in errors.
 * @param options How to read it.
 * @returns Its values, read only as fast as they are used.
 * @throws {UsageError} If its start shows that it cannot be read.
 */
export async function openFormat(
  stream: ReadableStream<Uint8Array>,
  name: string,
  options: FormatOptions,
): Promise<Opened> {
  const chunks = stream[Symbol.asyncIterator]();
  const bytes = await readStart(chunks);
  const isMarked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const unmarked = isMarked ? bytes.subarray(3) : bytes;
  const start = new TextDecoder("latin1").decode(unmarked);
  const all = prepend(unmarked, { [Symbol.asyncIterator]: () => chunks });
  const { format = "json" } = options;
  rejectOtherFormats(start, name, format);
  // What is not needed is not loaded.
  if (format === "csv") {
    const { openCsv } = await import("./csv.ts");
    return await openCsv(all, name, options, start);
  }
  if (format === "yaml") {
    const { openYaml } = await import("./yaml.ts");
    return await openYaml(all, name, options);
  }
  return await openJson(all, name, start);
}

const LF = 0x0a;

/** At most this much is read to find the first line, in bytes. */
const MAX_START = 64 * 1024;

/** Reads until there is a line that is not blank. */
async function readStart(
  chunks: AsyncIterator<Uint8Array>,
): Promise<Uint8Array> {
  let start = new Uint8Array();
  while (start.length < MAX_START) {
    const first = start.findIndex((byte) => !isSpace(byte));
    if (first >= 0 && start.includes(LF, first)) break;
    const { value } = await chunks.next();
    if (value === undefined) break;
    start = concat([start, value]);
  }
  return start;
}

async function* prepend(start: Uint8Array, rest: AsyncIterable<Uint8Array>) {
  yield start;
  yield* rest;
}

/** Other formats by their first line, and how to give them. */
const OTHERS: Readonly<Record<string, [pattern: RegExp, advice: string]>> = {
  "UTF-16 text": [/^(?:\xff\xfe|\xfe\xff)/, "save it as UTF-8"],
  "YAML": [
    /^(?:---|%YAML|#|- |["']?[\w$.-]+["']?:(?:\s|$))/,
    "give --format yaml",
  ],
  "CSV": [/^[\w$" .-]+(?:[,;\t][\w$" .-]*)+$/, "give --format csv"],
};

/** Throws if the first line that is not blank shows another format. */
function rejectOtherFormats(start: string, name: string, format: Format): void {
  const [, line = ""] = /^\s*([^\n]*)\n/.exec(start) ?? [];
  for (const [other, [pattern, advice]] of Object.entries(OTHERS)) {
    const isOther = format === "json" || other === "UTF-16 text";
    if (!isOther || !pattern.test(line.trimEnd())) continue;
    throw new UsageError(
      `Cannot read ${name}: it looks like ${other}; ${advice}`,
    );
  }
}
