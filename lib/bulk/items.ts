/**
 * Reads entities from the inputs.
 *
 * @module
 */
import { readEntity } from "../entity.ts";
import { ScriptError, UsageError } from "../errors.ts";
import { parseJsonObject } from "../json.ts";
import { type BulkItem, MAX_BODY } from "./batches.ts";
import type { Input } from "./input.ts";
import type { Piece } from "./pieces.ts";
import type { Failure, Report } from "./report.ts";

/** Which entities to read. */
export interface ReadOptions {
  /** Counts what is read, and what fails since it is no entity. */
  report: Report;
  /** Whether a key belongs to this part of the input. */
  isMine: (key: string) => boolean;
  /** The blueprint of entities that do not name one. */
  blueprint: string | undefined;
}

/**
 * Reads the entities. What is no entity fails at once.
 *
 * @param inputs The inputs.
 * @param options Which entities to read.
 * @returns The entities.
 */
export async function* readItems(
  inputs: Input[],
  options: ReadOptions,
): AsyncGenerator<BulkItem> {
  const { report } = options;
  for (const input of inputs) {
    try {
      yield* readInput(input, options);
      input.isRead = true;
    } catch (error) {
      // The entities before the error are still sent.
      const { name } = input;
      const reason = `Cannot read further: ${String(error)}`;
      report.read();
      report.fail({ place: name, name, reason });
    }
  }
}

async function* readInput(
  { name, pieces }: Input,
  { report, isMine, blueprint }: ReadOptions,
): AsyncGenerator<BulkItem> {
  let isLargeMine = false;
  for await (const piece of pieces) {
    const { bytes, offset, hasMore } = piece;
    if (hasMore || offset + bytes.length > MAX_BODY) {
      // All parts belong together.
      if (offset === 0) isLargeMine = isMine(toText(bytes));
      if (isLargeMine) keepPart(piece, name, report);
      continue;
    }
    const item = await readItem(piece, name, blueprint);
    const isItem = "entity" in item;
    if (!isMine(isItem ? shardKey(item) : toText(bytes))) continue;
    report.read();
    if (isItem) yield item;
    else report.fail(item);
  }
}

/** Keeps a part of a value that is too large to send; it fails with the last. */
function keepPart(piece: Piece, name: string, report: Report): void {
  report.keep(piece.bytes);
  if (piece.hasMore) return;
  const { problem = "Port accepts at most 1 MiB", offset, bytes } = piece;
  const place = placeOf(piece, name);
  const reason = `Cannot send ${offset + bytes.length} bytes: ${problem}`;
  report.read();
  report.fail({ place, name: place, reason });
}

/** Returns the entity, or why there is none. */
async function readItem(
  piece: Piece,
  name: string,
  blueprint: string | undefined,
): Promise<BulkItem | Failure> {
  const { bytes, problem } = piece;
  const size = bytes.length;
  try {
    if (problem) throw new UsageError(`Cannot read the entity: ${problem}`);
    const file = parseJsonObject(decode(bytes), "the entity");
    const whole = blueprint === undefined ? file : { blueprint, ...file };
    return { ...await readEntity(whole), place: placeOf(piece, name), size };
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    const failure = locate(piece, name, error.message);
    return { ...failure, ...(size > 0 && { input: bytes }) };
  }
}

const UTF_8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LATIN_1 = new TextDecoder("latin1");

function decode(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes);
  } catch {
    throw new UsageError("Cannot read the entity: it is not UTF-8");
  }
}

/** Returns bytes as text, whatever they are. */
function toText(bytes: Uint8Array): string {
  return LATIN_1.decode(bytes);
}

function shardKey({ blueprint, entity }: BulkItem): string {
  return JSON.stringify([blueprint, entity.identifier ?? entity]);
}

/** A position in the input, or in one of its values. */
type Position = Pick<Piece, "line" | "column">;

function placeOf({ line, column }: Position, name: string): string {
  return column === 1 ? `${name}:${line}` : `${name}:${line}:${column}`;
}

/** The position in a message of `JSON.parse()`. */
const POSITION = / at position \d+ \(line (\d+) column (\d+)\)/;

/** Turns the position in the value into one in the input. */
function locate(piece: Piece, name: string, message: string): Failure {
  const [, line = 1, column = 1] = POSITION.exec(message)?.map(Number) ?? [];
  const position = line === 1
    ? { line: piece.line, column: piece.column + column - 1 }
    : { line: piece.line + line - 1, column };
  const place = placeOf(position, name);
  return { place, name: place, reason: message.replace(POSITION, "") };
}
