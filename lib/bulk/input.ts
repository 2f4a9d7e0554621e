/**
 * Reads input as a stream, so that memory use does not grow with it.
 *
 * @module
 */
import { decode, splitLines } from "../lines.ts";

/** A piece of the input. */
export interface Piece {
  /** The number of the line that it begins on, from 1. */
  line: number;
  /** Its text. */
  text: string;
}

/** How long input may pause after a signal, in milliseconds. */
const LONGEST_PAUSE = 1_000;

/**
 * Forwards a stream. After a signal it ends at the first pause, since the
 * program that writes to it may have ended without closing it.
 *
 * @param stream The stream.
 * @param signal The signal.
 * @param onRead Called with the number of bytes of each chunk.
 * @returns The same bytes.
 */
export function endAtPause(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  onRead: (bytes: number) => void,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream({
    async pull(controller) {
      const pause = Promise.withResolvers<void>();
      const wait = () => setTimeout(pause.resolve, LONGEST_PAUSE);
      if (signal.aborted) wait();
      else signal.addEventListener("abort", wait);
      const next = await Promise.race([reader.read(), pause.promise]);
      signal.removeEventListener("abort", wait);
      if (!next?.value) return controller.close();
      onRead(next.value.length);
      controller.enqueue(next.value);
    },
  }, { highWaterMark: 0 });
}

/**
 * Splits a stream into its JSON values: one per line (NDJSON), or the elements
 * of an array, depending on the first character.
 *
 * @param stream UTF-8 text.
 * @returns The text of each value, unchanged even if it is not JSON.
 */
export async function* readJsonValues(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Piece> {
  const chunks = resumable(decode(stream));
  let start = "";
  for await (const chunk of chunks) {
    start += chunk;
    if (start.trimStart() !== "") break;
  }
  const all = prepend(start, chunks);
  if (start.trimStart().startsWith("[")) {
    yield* splitArray(all);
    return;
  }
  let line = 0;
  for await (const text of splitLines(all)) {
    line++;
    if (text.trim() !== "") yield { line, text };
  }
}

/** Leaving a loop over a stream cancels it; after this, a second continues. */
function resumable(chunks: AsyncIterable<string>): AsyncIterable<string> {
  const iterator = chunks[Symbol.asyncIterator]();
  return {
    [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }),
  };
}

async function* prepend(start: string, rest: AsyncIterable<string>) {
  yield start;
  yield* rest;
}

/** Splits at the commas between elements, without parsing them. */
async function* splitArray(
  chunks: AsyncIterable<string>,
): AsyncGenerator<Piece> {
  let text = "";
  let line = 1;
  let depth = 0;
  let isString = false;
  let isEscaped = false;
  const cut = (part: string): Piece => {
    const whole = text + part;
    text = "";
    const leading = whole.length - whole.trimStart().length;
    const breaks = whole.slice(leading).split("\n").length - 1;
    return { line: line - breaks, text: whole.trim() };
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const character = chunk[at];
      if (character === "\n") line++;
      if (isString) {
        if (isEscaped) isEscaped = false;
        else if (character === "\\") isEscaped = true;
        else if (character === '"') isString = false;
      } else if (character === '"') {
        isString = true;
      } else if (character === "[" || character === "{") {
        if (++depth === 1) from = at + 1;
      } else if (character === "]" || character === "}") {
        if (--depth > 0) continue;
        const last = cut(chunk.slice(from, at));
        if (last.text !== "") yield last;
        from = at + 1;
      } else if (character === "," && depth === 1) {
        yield cut(chunk.slice(from, at));
        from = at + 1;
      }
    }
    text += chunk.slice(from);
  }
  const rest = cut("");
  if (rest.text !== "") yield rest;
  // Truncated between two elements. An empty piece is invalid JSON.
  if (depth === 1) yield { line, text: "" };
}
