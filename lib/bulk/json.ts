/**
 * Splits input into its JSON values as a stream, so that memory use does not
 * grow with it.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { parseJsonObject } from "../json.ts";
import {
  Collector,
  decode,
  isSpace,
  type Opened,
  type Piece,
  readWhole,
} from "./pieces.ts";

const code = (character: string) => character.charCodeAt(0);
const [LF, CR, SPACE] = [code("\n"), code("\r"), code(" ")];
const [QUOTE, BACKSLASH, COMMA] = [code('"'), code("\\"), code(",")];
const [OPEN, CLOSE] = [code("["), code("]")];
const [OPEN_OBJECT, CLOSE_OBJECT] = [code("{"), code("}")];

/**
 * Reads JSON: an entity per line (NDJSON), an array of them, or an object on
 * several lines that is one or has a member that is such an array.
 *
 * @param chunks The input.
 * @param name Its name in errors.
 * @param start The start of the input, with its first line.
 * @returns The entities.
 * @throws {UsageError} If such an object is no JSON, or larger than 16 MiB.
 */
export async function openJson(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  start: string,
): Promise<Opened> {
  const pieces = start.trimStart().startsWith("[")
    ? splitArray(chunks)
    : isWhole(start)
    ? await splitWhole(chunks, name)
    : splitLines(chunks);
  return {
    pieces,
    parse: ({ bytes }) => parseJsonObject(decode(bytes), "the entity"),
    kept: { format: "json", header: "", prefix: "" },
  };
}

/** The first line of an object on several lines. */
const FIRST_OF_SEVERAL = /^\s*\{(?:.*[[{:]|.*[^}],)?\r?\n/;

function isWhole(start: string): boolean {
  // Other lines do not matter: one that is no entity fails by itself.
  const [line = ""] = /^\s*[^\n]*/.exec(start) ?? [];
  return FIRST_OF_SEVERAL.test(start) || listsIn(line).length > 0;
}

/** Splits an object that is an entity, or has one list of them. */
async function splitWhole(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): Promise<AsyncGenerator<Piece>> {
  const bytes = await readWhole(chunks, name);
  parseJsonObject(decode(bytes, name), name);
  const [list, ...others] = listsIn(LATIN_1.decode(bytes));
  if (others.length > 0) {
    throw new UsageError(
      `Cannot read ${name}: it has ${others.length + 1} lists of objects; ` +
        "give the one with the entities alone",
    );
  }
  return list ? splitArray([blankAround(bytes, list)]) : onlyOne(bytes);
}

/** Leaves only what is in the range; lines and columns stay what they are. */
function blankAround(bytes: Uint8Array, [from, to]: Range): Uint8Array {
  return bytes.map((byte, at) =>
    byte === LF || (at >= from && at < to) ? byte : SPACE
  );
}

async function* onlyOne(bytes: Uint8Array): AsyncGenerator<Piece> {
  const from = bytes.findIndex((byte) => !isSpace(byte));
  const before = LATIN_1.decode(bytes.subarray(0, from)).split("\n");
  yield {
    line: before.length,
    column: (before.at(-1) ?? "").length + 1,
    bytes: bytes.subarray(from),
    offset: 0,
    hasMore: false,
  };
}

const LATIN_1 = new TextDecoder("latin1");

/** From a position to another, which is not included. */
type Range = [from: number, to: number];

/** Strings are tokens, too: what is inside them has no meaning. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]/gs;

/** Finds the lists of objects that the members of an object are. */
function listsIn(text: string): Range[] {
  const lists: Range[] = [];
  let depth = 0;
  let from = -1;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === "{" || token === "[") {
      const isFirst = depth === 2 && from >= 0 &&
        text.slice(from + 1, index).trim() === "";
      if (isFirst && token === "{") lists.push([from, text.length]);
      if (depth === 1) from = token === "[" ? index : -1;
      depth++;
    } else if (token === "}" || token === "]") {
      depth--;
      const list = lists.at(-1);
      if (depth === 1 && list?.[0] === from) list[1] = index + 1;
    }
  }
  return lists;
}

async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Piece> {
  const collector = new Collector();
  let line = 1;
  const end = (bytes: Uint8Array): Piece | undefined => {
    collector.begin(line++, 1);
    const piece = collector.end(bytes);
    if (piece.bytes.at(-1) === CR) piece.bytes = piece.bytes.subarray(0, -1);
    const isBlank = piece.bytes.every(isSpace);
    return isBlank && piece.offset === 0 ? undefined : piece;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at; (at = chunk.indexOf(LF, from)) >= 0; from = at + 1) {
      const piece = end(chunk.subarray(from, at));
      if (piece) yield piece;
    }
    collector.begin(line, 1);
    const part = collector.add(chunk.subarray(from));
    if (part) yield part;
  }
  const rest = end(new Uint8Array());
  if (rest) yield rest;
}

/** What a byte means for the elements of an array. */
type Meaning = "space" | "element" | "end";

/** Follows the structure of an array, without parsing its elements. */
class ArrayScanner {
  line = 1;
  column = 0;
  #depth = 0;
  #isString = false;
  #isEscaped = false;
  /** Whether something follows the array that is no array. */
  #isOver = false;

  /** Takes the next byte. `end` is the comma or bracket after an element. */
  take(byte: number): Meaning {
    this.column++;
    if (byte === LF) {
      this.line++;
      this.column = 0;
    }
    if (this.#isString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#isString = false;
      return "element";
    }
    if (isSpace(byte)) return "space";
    return this.#isOver ? "element" : this.#takeToken(byte);
  }

  #takeToken(byte: number): Meaning {
    if (this.#depth === 0) {
      this.#isOver = byte !== OPEN;
      this.#depth = 1;
      return this.#isOver ? "element" : "space";
    }
    if (byte === COMMA && this.#depth === 1) return "end";
    if (byte === QUOTE) this.#isString = true;
    else if (byte === OPEN || byte === OPEN_OBJECT) this.#depth++;
    else if (byte === CLOSE || byte === CLOSE_OBJECT) {
      return --this.#depth === 0 ? "end" : "element";
    }
    return "element";
  }

  /** What is wrong at the end of the input, if anything is. */
  get problem(): string | undefined {
    if (this.#isOver) return "it comes after the end of the array";
    return this.#depth === 0
      ? undefined
      : "the array never ends, as a quote or bracket is not closed here";
  }
}

/** Splits at the commas between elements. */
async function* splitArray(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Piece> {
  const scanner = new ArrayScanner();
  const collector = new Collector();
  let isUnderWay = false;
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      const meaning = scanner.take(byte);
      if (meaning === "element" && !isUnderWay) {
        isUnderWay = true;
        from = at;
        collector.begin(scanner.line, scanner.column);
      } else if (meaning === "end") {
        if (!isUnderWay) collector.begin(scanner.line, scanner.column);
        // Between two commas there is an element, though an empty one.
        if (isUnderWay || byte === COMMA) {
          const bytes = chunk.subarray(isUnderWay ? from : at, at);
          const problem = isUnderWay
            ? undefined
            : "nothing is before the comma";
          yield endElement(collector, bytes, problem);
        }
        isUnderWay = false;
      }
    }
    const part = isUnderWay && collector.add(chunk.subarray(from));
    if (part) yield part;
  }
  const { problem, line, column } = scanner;
  // This need not be an element: the input may end between two of them.
  if (problem && !isUnderWay) collector.begin(line, column);
  if (problem) yield endElement(collector, new Uint8Array(), problem);
}

function endElement(
  collector: Collector,
  bytes: Uint8Array,
  problem?: string,
): Piece {
  const piece = collector.end(bytes, problem);
  const last = piece.bytes.findLastIndex((byte) => !isSpace(byte));
  return { ...piece, bytes: piece.bytes.subarray(0, last + 1) };
}
