/**
 * Reads entities from CSV (RFC 4180), one per row, as a stream. The blueprint
 * decides what a cell means.
 *
 * @module
 */
import { parse } from "jsr:@std/csv@1.0.6/parse";
import { UsageError } from "../errors.ts";
import { parseJson } from "../json.ts";
import type { Json, JsonObject } from "../port.ts";
import {
  Collector,
  decode,
  type FormatOptions,
  isSpace,
  type Opened,
  type Piece,
} from "./pieces.ts";
import { type EntityTypes, readText, type ValueType } from "./types.ts";

const [LF, QUOTE] = [0x0a, 0x22];

/**
 * Reads CSV with a header row.
 *
 * @param chunks The input.
 * @param name Its name in errors.
 * @param options What the rows mean.
 * @param start The start of the input, with its first line.
 * @returns The entities.
 * @throws {UsageError} If the header cannot be used.
 */
export async function openCsv(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  options: FormatOptions,
  start: string,
): Promise<Opened> {
  // Spreadsheets write ; where the comma belongs to numbers.
  const [separator = ","] = /[,;\t]/.exec(start.replace(/"[^"]*"/g, "")) ?? [];
  const pieces = splitRecords(chunks, separator.charCodeAt(0));
  const { value: header } = await pieces.next();
  const what = `the header of ${name}`;
  if (header === undefined || header.hasMore) {
    const problem = header ? "it is over 1 MiB" : "the file is empty";
    throw new UsageError(`Cannot read ${what}: ${problem}`);
  }
  const columns = readHeader(parseRecord(header, separator, what), what);
  await checkColumns(columns, what, options);
  return {
    pieces,
    parse: (piece) => {
      const cells = parseRecord(piece, separator, `row ${piece.row}`);
      return readRow(piece, cells, columns, options);
    },
    kept: { format: "csv", header: decode(header.bytes) + "\n", prefix: "" },
  };
}

/** A column of the header. */
interface Column {
  /** As written. */
  title: string;
  /** Where a cell belongs, for example `properties.replicas`. */
  path: string;
}

/** What is no property of an entity. */
const MEMBER = /^(?:identifier|title|icon|team|blueprint)$|^relations\./;

function readHeader(titles: string[], what: string): Column[] {
  const columns = titles.map((written) => {
    const title = written.trim();
    const property = title.replace(/^(?:properties\.)?/, "properties.");
    return { title, path: MEMBER.test(title) ? title : property };
  });
  const paths = columns.map(({ path }) => path);
  const known = new Set<string>();
  const twice = paths.find((path) => known.size === known.add(path).size);
  const nameless = paths.findIndex((path) => /^\w+\.$/.test(path));
  const problem = /^sep=/.test(titles[0] ?? "")
    ? "remove the line sep=, since the separator is recognized"
    : titles.some((title) => /[\r\n]/.test(title))
    ? "a name has a line break; if this is every line of the file, save it " +
      "with the line breaks of Windows or Unix"
    : nameless >= 0
    ? `column ${nameless + 1} has no name`
    : twice !== undefined
    ? `two columns are ${twice}`
    : !paths.includes("identifier")
    ? `no column is called identifier, but ${titles.slice(0, 5).join(", ")}`
    : undefined;
  if (problem === undefined) return columns;
  throw new UsageError(`Cannot use ${what}: ${problem}`);
}

/** If all rows are of one blueprint, it shows at once what no row can use. */
async function checkColumns(
  columns: Column[],
  what: string,
  { blueprint, typesOf }: FormatOptions,
): Promise<void> {
  const hasOthers = columns.some(({ path }) => path === "blueprint");
  if (blueprint === undefined || hasOthers) return;
  const types = await typesOf(blueprint);
  const wrong = columns.find(({ path }) =>
    path.includes(".") && !types.has(path)
  );
  if (wrong === undefined) return;
  const refuse = (reason: string) =>
    new UsageError(`Cannot use ${what}, column ${wrong.title}: ${reason}`);
  throw await unknownColumn(refuse, wrong.path, types);
}

/** One record at a time: what is broken costs no other. */
function parseRecord(
  { bytes }: Piece,
  separator: string,
  what: string,
): string[] {
  const text = decode(bytes, what);
  try {
    return parse(text, { separator })[0] ?? [];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(
      `Cannot read ${what}: a quote is in the wrong place; put the whole cell ` +
        'in quotes, and write "" for a quote inside it',
    );
  }
}

async function readRow(
  { row }: Piece,
  cells: string[],
  columns: Column[],
  { blueprint: usual, typesOf, emptyClears }: FormatOptions,
): Promise<JsonObject> {
  if (cells.length !== columns.length) {
    throw new UsageError(
      `Cannot read row ${row}: it has ${cells.length} cells, but the header ` +
        `has ${columns.length}`,
    );
  }
  const at = columns.findIndex(({ path }) => path === "blueprint");
  const blueprint = cells[at] || usual;
  const types = blueprint === undefined ? undefined : await typesOf(blueprint);
  const values: [path: string, Json][] = [];
  for (const [index, { title, path }] of columns.entries()) {
    const text = cells[index] ?? "";
    const refuse = (reason: string) =>
      new UsageError(`Cannot use row ${row}, column ${title}: ${reason}`);
    if (text !== "") {
      const type = path.includes(".") ? types?.get(path) : {};
      if (types && !type) throw await unknownColumn(refuse, path, types);
      values.push([path, readCell(text, path, type ?? {}, refuse)]);
    } else if (path === "identifier") {
      throw refuse("it is empty");
    } else if (emptyClears && path !== "blueprint") {
      values.push([path, null]);
    }
  }
  return toEntity(values);
}

function readCell(
  text: string,
  path: string,
  type: ValueType,
  refuse: (reason: string) => UsageError,
): Json {
  const read = (text: string, type: ValueType): Json => {
    try {
      if (type.type === "object") return parseJson(text, "the JSON");
      return readText(text, type);
    } catch (error) {
      throw refuse(Object(error).message);
    }
  };
  const isList = type.type === "array" || (path === "team" && /\|/.test(text));
  if (!isList) return read(text, type);
  return text.split("|").map((each) => {
    if (each.trim() !== "") return read(each.trim(), type.items ?? {});
    throw refuse("an element of the list is empty");
  });
}

/** Loaded only on an error: the nearest name. */
async function unknownColumn(
  refuse: (reason: string) => UsageError,
  path: string,
  types: EntityTypes,
): Promise<UsageError> {
  const { suggest } = await import("../suggest.ts");
  const relation = path.replace("properties.", "relations.");
  const hint = types.has(relation)
    ? `, did you mean ${relation}?`
    : types.size > 0
    ? suggest(nameIn(path), [...types.keys()].map(nameIn))
    : "";
  return refuse(`the blueprint has no ${path}${hint}`);
}

const nameIn = (path: string) => path.slice(path.indexOf(".") + 1);

function toEntity(values: [path: string, Json][]): JsonObject {
  const members: [string, Json][] = [];
  const groups = new Map<string, [string, Json][]>();
  for (const [path, value] of values) {
    const dot = path.indexOf(".");
    if (dot < 0) members.push([path, value]);
    else {
      const group = groups.get(path.slice(0, dot)) ?? [];
      groups.set(path.slice(0, dot), group);
      group.push([path.slice(dot + 1), value]);
    }
  }
  for (const [name, group] of groups) {
    members.push([name, Object.fromEntries(group)]);
  }
  return Object.fromEntries(members);
}

/** What a byte is part of. */
type State = "start of a cell" | "cell" | "quoted" | "after a quote";

/** Splits at the line breaks that are in no quoted cell. */
async function* splitRecords(
  chunks: AsyncIterable<Uint8Array>,
  separator: number,
): AsyncGenerator<Piece> {
  const collector = new Collector();
  let state: State = "start of a cell";
  let [line, begin, row] = [1, 1, 1];
  const end = (bytes: Uint8Array, problem?: string): Piece | undefined => {
    collector.begin(begin, 1);
    const piece = { ...collector.end(bytes, problem), row: row++ };
    begin = line;
    // Spreadsheets leave rows of empty cells.
    const isBlank = piece.offset === 0 &&
      piece.bytes.every((byte) => isSpace(byte) || byte === separator);
    return isBlank ? undefined : piece;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (byte === LF) line++;
      if (state === "quoted") {
        if (byte === QUOTE) state = "after a quote";
      } else if (byte === LF) {
        state = "start of a cell";
        const piece = end(chunk.subarray(from, at));
        from = at + 1;
        if (piece) yield piece;
      } else if (byte === separator) state = "start of a cell";
      // A doubled quote is part of a quoted cell; one amid a cell is broken.
      else if (byte === QUOTE && state !== "cell") state = "quoted";
      else state = "cell";
    }
    collector.begin(begin, 1);
    const part = collector.add(chunk.subarray(from));
    if (part) yield part;
  }
  const problem = state === "quoted" ? "a quote is never closed" : undefined;
  const rest = end(new Uint8Array(), problem);
  if (rest) yield rest;
}
