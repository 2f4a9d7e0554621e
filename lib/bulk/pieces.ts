/**
 * Splits input into its JSON values as a stream, so that memory use does not
 * grow with it.
 *
 * @module
 */
import { MAX_BODY } from "./batches.ts";
import { rejectOtherFormats } from "./format.ts";

/** A value of the input. One that is too large to send comes in parts. */
export interface Piece {
  /** The line that the value begins on, from 1. */
  line: number;
  /** The column that it begins in, from 1. */
  column: number;
  /** Its bytes, unchanged even if they are not JSON. */
  bytes: Uint8Array;
  /** How many of its bytes came in earlier parts. */
  offset: number;
  /** Whether another part follows. */
  hasMore: boolean;
  /** What is wrong with it, if that is known. */
  problem?: string | undefined;
}

const code = (character: string) => character.charCodeAt(0);
const [TAB, LF, CR, SPACE] = [code("\t"), code("\n"), code("\r"), code(" ")];
const [QUOTE, BACKSLASH, COMMA] = [code('"'), code("\\"), code(",")];
const [OPEN, CLOSE] = [code("["), code("]")];
const [OPEN_OBJECT, CLOSE_OBJECT] = [code("{"), code("}")];

/** Other control characters are no white space: no input may vanish. */
function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= TAB && byte <= CR);
}

/** At most this much is read to find the first line, in bytes. */
const MAX_START = 64 * 1024;

/**
 * Splits a stream into its JSON values: one per line (NDJSON), or the elements
 * of an array, depending on the first character. Reads the first line at once.
 *
 * @param stream The input.
 * @param name Its name in errors.
 * @returns The values, read only as fast as they are used.
 * @throws {UsageError} If the first line shows that it is another format.
 */
export async function openPieces(
  stream: ReadableStream<Uint8Array>,
  name: string,
): Promise<AsyncGenerator<Piece>> {
  const chunks = stream[Symbol.asyncIterator]();
  const start = await readStart(chunks);
  rejectOtherFormats(start, name);
  const isMarked = start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf;
  const text = isMarked ? start.subarray(3) : start;
  const all = prepend(text, { [Symbol.asyncIterator]: () => chunks });
  const first = text.find((byte) => !isSpace(byte));
  return first === OPEN ? splitArray(all) : splitLines(all);
}

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

function concat(chunks: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = chunks.reduce((sum, { length }) => sum + length, 0);
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Collects a value; gives away what is too large to send part by part. */
class Collector {
  #line = 1;
  #column = 1;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #offset = 0;

  begin(line: number, column: number): void {
    this.#line = line;
    this.#column = column;
  }

  add(bytes: Uint8Array): Piece | undefined {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    return this.#offset + this.#size > MAX_BODY ? this.#take(true) : undefined;
  }

  end(bytes: Uint8Array, problem?: string): Piece {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    const piece = { ...this.#take(false), problem };
    this.#offset = 0;
    return piece;
  }

  #take(hasMore: boolean): Piece {
    const [only = new Uint8Array(), ...others] = this.#chunks;
    const bytes = others.length === 0 ? only : concat(this.#chunks);
    const offset = this.#offset;
    this.#chunks = [];
    this.#size = 0;
    this.#offset += bytes.length;
    return { line: this.#line, column: this.#column, bytes, offset, hasMore };
  }
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
  chunks: AsyncIterable<Uint8Array>,
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
