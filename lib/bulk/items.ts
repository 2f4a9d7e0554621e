/**
 * Reads entities from the inputs.
 *
 * @module
 */
import { readEntity } from "../entity.ts";
import { ScriptError, UsageError } from "../errors.ts";
import { PortError } from "../port.ts";
import { type BulkItem, MAX_BODY } from "./batches.ts";
import type { Input } from "./input.ts";
import type { Piece } from "./pieces.ts";
import type { Failure, Report } from "./report.ts";
import type { Stop } from "./stop.ts";

/** Which entities to read. */
export interface ReadOptions {
  /** Counts what is read, and what fails since it is no entity. */
  report: Report;
  /** Whether a key belongs to this part of the input. @default all do */
  isMine: ((key: string) => boolean) | undefined;
  /** The blueprint of entities that do not name one. */
  blueprint: string | undefined;
  /** Ends the run; what follows is only kept. */
  stop: Stop;
}

/**
 * Reads the entities, until the run stops. What is no entity fails at once.
 *
 * @param inputs The inputs.
 * @param options Which entities to read.
 * @returns The entities.
 */
export async function* readItems(
  inputs: Input[],
  options: ReadOptions,
): AsyncGenerator<BulkItem> {
  const { report, stop } = options;
  for (const input of inputs) {
    for await (const piece of readPieces(input, options, stop.signal)) {
      const item = await readItem(piece, input, options);
      if (isOther(item, piece, options)) continue;
      report.read();
      if ("entity" in item) yield item;
      else report.fail(item);
    }
  }
}

/**
 * Keeps what was not read before the run stopped.
 *
 * @param inputs The inputs.
 * @param options Those of `readItems()`.
 */
export async function keepRest(
  inputs: Input[],
  options: ReadOptions,
): Promise<void> {
  const { report, isMine, stop } = options;
  const reason = `${stop.signal.reason}; the same holds for all that follows`;
  for (const input of inputs) {
    let isRest = false;
    for await (const piece of readPieces(input, options)) {
      // Only a part of the input needs to know what it is: that takes time.
      if (isMine) {
        const item = await readItem(piece, input, options);
        if (isOther(item, piece, options)) continue;
      }
      const place = placeOf(piece, input.name);
      report.read();
      const bytes = piece.bytes.length > 0 ? { input: piece.bytes } : {};
      report.fail({ place, name: place, ...bytes, reason, isRest });
      isRest = true;
    }
  }
}

/** Reads the values that are small enough to send; keeps the others. */
async function* readPieces(
  input: Input,
  { report, isMine = () => true }: ReadOptions,
  stop?: AbortSignal,
): AsyncGenerator<Piece> {
  const { name } = input;
  let isLargeMine = false;
  try {
    for (let isInside = false; isInside || !stop?.aborted;) {
      const piece = await input.next();
      if (piece === undefined) return;
      const { bytes, offset, hasMore } = piece;
      isInside = hasMore;
      if (hasMore || offset + bytes.length > MAX_BODY) {
        // All parts belong together.
        if (offset === 0) isLargeMine = isMine(toText(bytes));
        if (isLargeMine) keepPart(piece, name, report);
      } else yield piece;
    }
  } catch (error) {
    input.isRead = false;
    // The entities before the error are still sent.
    const why = error instanceof Error ? error.message : error;
    const reason = `Cannot read further: ${why}; run this input again`;
    report.read();
    report.fail({ place: name, name, reason });
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
  { name, parse, kept }: Input,
  { blueprint, stop }: ReadOptions,
): Promise<BulkItem | Failure> {
  const { bytes, problem } = piece;
  try {
    if (problem) throw new UsageError(`Cannot read the entity: ${problem}`);
    const parsed = await parse(piece);
    const whole = blueprint === undefined ? parsed : { blueprint, ...parsed };
    const item = { ...await readEntity(whole), place: placeOf(piece, name) };
    if (kept.format === "json") return { ...item, size: bytes.length };
    const { length: size } = new TextEncoder().encode(JSON.stringify(whole));
    // The rest of the chunk need not stay in memory.
    return {
      ...item,
      size,
      ...(kept.format === "csv" && { input: bytes.slice() }),
    };
  } catch (error) {
    const isFromPort = error instanceof PortError;
    if (!isFromPort && !(error instanceof ScriptError)) throw error;
    if (isFromPort && error.kind !== "not-found") stop.giveUp(error);
    const message = isFromPort ? stop.explain(error) : error.message;
    const place = placeOf(piece, name);
    const failure = kept.format === "json"
      ? locate(piece, name, message)
      : { place, name: place, reason: message };
    return { ...failure, ...(bytes.length > 0 && { input: bytes }) };
  }
}

const LATIN_1 = new TextDecoder("latin1");

/** Returns bytes as text, whatever they are. */
function toText(bytes: Uint8Array): string {
  return LATIN_1.decode(bytes);
}

/**
 * Returns whether a value belongs to another part of the input. If its types
 * cannot be read, its key is not known, and it is kept here too.
 */
function isOther(
  item: BulkItem | Failure,
  piece: Piece,
  { isMine, stop }: ReadOptions,
): boolean {
  const isUnknown = stop.error !== undefined && !("entity" in item);
  return isMine !== undefined && !isUnknown && !isMine(keyOf(item, piece));
}

/** Returns what decides which part of the input a value belongs to. */
function keyOf(item: BulkItem | Failure, { bytes }: Piece): string {
  if (!("entity" in item)) return toText(bytes);
  const { blueprint, entity } = item;
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
