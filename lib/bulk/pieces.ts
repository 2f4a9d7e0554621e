/**
 * The values of an input, in whatever format.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import type { JsonObject } from "../port.ts";
import { MAX_BODY } from "./batches.ts";
import type { TypesOf } from "./types.ts";

/** A value of the input. One that is too large to send comes in parts. */
export interface Piece {
  /** The line that the value begins on, from 1. */
  line: number;
  /** The column that it begins in, from 1. */
  column: number;
  /** The row that it is in CSV, from 1. */
  row?: number;
  /** Its bytes, unchanged even if they are not JSON. */
  bytes: Uint8Array;
  /** How many of its bytes came in earlier parts. */
  offset: number;
  /** Whether another part follows. */
  hasMore: boolean;
  /** What is wrong with it, if that is known. */
  problem?: string | undefined;
}

/** A format; `json` stands for NDJSON too. */
export type Format = "json" | "yaml" | "csv";

/** How to read an input. */
export interface FormatOptions {
  /** Its format. @default by the ending of its name */
  format: Format | undefined;
  /** The blueprint of entities that do not name one. */
  blueprint: string | undefined;
  /** Returns the types of a blueprint. */
  typesOf: TypesOf;
  /** Whether an empty cell of CSV clears what it stands for. */
  emptyClears: boolean;
}

/** An input whose format is known. */
export interface Opened {
  /** Its values. */
  pieces: AsyncGenerator<Piece>;
  /** Returns the entity that a value is, `blueprint` included if it names one. */
  parse(piece: Piece): JsonObject | Promise<JsonObject>;
  /** How values that were not saved are kept, to be read in the same way. */
  kept: KeptFormat;
}

/** How values are written to a file, one after the other. */
export interface KeptFormat {
  /** The format of that file. */
  format: Format;
  /** What it begins with. */
  header: string;
  /** What each value begins with. */
  prefix: string;
}

const [TAB, CR, SPACE] = [0x09, 0x0d, 0x20];

/**
 * Returns whether a byte is white space. Other control characters are not: no
 * input may vanish.
 *
 * @param byte The byte.
 * @returns Whether it is.
 */
export function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= TAB && byte <= CR);
}

const UTF_8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Returns bytes as text.
 *
 * @param bytes The bytes.
 * @param what Their name in errors.
 * @returns The text.
 * @throws {UsageError} If they are not UTF-8.
 */
export function decode(bytes: Uint8Array, what = "the entity"): string {
  try {
    return UTF_8.decode(bytes);
  } catch {
    throw new UsageError(
      `Cannot read ${what}: it is not UTF-8; save the file as UTF-8`,
    );
  }
}

/**
 * Joins bytes.
 *
 * @param chunks The bytes, in their order.
 * @returns All of them.
 */
export function concat(chunks: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = chunks.reduce((sum, { length }) => sum + length, 0);
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** The most that is read at once of a format that does not stream, in bytes. */
const MAX_WHOLE = 16 * 1024 * 1024;

/**
 * Reads an input whole.
 *
 * @param chunks The input.
 * @param name Its name in errors.
 * @returns Its bytes.
 * @throws {UsageError} If it is too large for that.
 */
export async function readWhole(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    size += chunk.length;
    if (size > MAX_WHOLE) {
      throw new UsageError(
        `Cannot read ${name}: only up to 16 MiB of it can be read at once; ` +
          "give one JSON object per line, a JSON array or CSV, which have no limit",
      );
    }
  }
  return concat(parts);
}

/** Collects a value; gives away what is too large to send part by part. */
export class Collector {
  #line = 1;
  #column = 1;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #offset = 0;

  /**
   * Begins a value, or goes on with it.
   *
   * @param line The line that it begins on.
   * @param column The column that it begins in.
   */
  begin(line: number, column: number): void {
    this.#line = line;
    this.#column = column;
  }

  /**
   * Adds bytes to the value.
   *
   * @param bytes The bytes.
   * @returns What there is so far, if the value is too large to send.
   */
  add(bytes: Uint8Array): Piece | undefined {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    return this.#offset + this.#size > MAX_BODY ? this.#take(true) : undefined;
  }

  /**
   * Ends the value.
   *
   * @param bytes Its last bytes.
   * @param problem What is wrong with it, if that is known.
   * @returns The value, or its last part.
   */
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
