/**
 * Opens the inputs, and keeps track of how far they were read.
 *
 * @module
 */
import { ScriptError } from "../errors.ts";
import { fileError, nameOf, openInput } from "../files.ts";
import { openPieces, type Piece } from "./pieces.ts";

/** How long input may pause after a signal, in milliseconds. */
const LONGEST_PAUSE = 1_000;

/** An input. */
export interface Input {
  /** Its name in reports. */
  name: string;
  /** The file; `undefined` for a pipe. */
  file: Deno.FileInfo | undefined;
  /** Its values. */
  pieces: AsyncIterable<Piece>;
  /** How much of it was read, in bytes. */
  bytesRead: number;
  /** Whether it was read to its end. */
  isRead: boolean;
}

/**
 * Opens all inputs, before anything is sent or written.
 *
 * @param paths Their paths; none for standard input.
 * @param signal Ends the ones that pause.
 * @returns The inputs.
 * @throws {UsageError} If one cannot be read, or is in another format.
 */
export async function openInputs(
  paths: string[],
  signal: AbortSignal,
): Promise<Input[]> {
  const opened = (paths.length > 0 ? paths : ["-"]).map((path) => {
    const stream = openInput(path);
    const info = path === "-" ? undefined : Deno.statSync(path);
    const file = info?.isFile ? info : undefined;
    const name = path === "-" ? nameOf(path) : path;
    const input = { name, file, bytesRead: 0, isRead: false };
    // This locks standard input, so that it is not opened twice.
    const chunks = endAtPause(stream, file ? undefined : signal, (bytes) => {
      input.bytesRead += bytes;
    });
    return { path, input, chunks };
  });
  const inputs: Input[] = [];
  for (const { path, input, chunks } of opened) {
    try {
      const pieces = await openPieces(chunks, nameOf(path));
      inputs.push(Object.assign(input, { pieces }));
    } catch (error) {
      if (error instanceof ScriptError) throw error;
      throw fileError("read", path, error);
    }
  }
  return inputs;
}

/**
 * Returns how much of the inputs was read.
 *
 * @param inputs The inputs.
 * @returns The share; `NaN` if that is unknown, as one of them is a pipe.
 */
export function shareRead(inputs: Input[]): number {
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  return sum(inputs.map(({ bytesRead }) => bytesRead)) /
    sum(inputs.map(({ file }) => file?.size ?? NaN));
}

/**
 * Returns whether a file is one of the inputs.
 *
 * @param path The file; it need not exist.
 * @param inputs The inputs.
 * @returns Whether it is, under whatever name.
 */
export function isInput(path: string, inputs: Input[]): boolean {
  try {
    const { dev, ino } = Deno.statSync(path);
    return inputs.some(({ name, file }) =>
      name === path || (file && ino && file.ino === ino && file.dev === dev)
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw fileError("write", path, error);
  }
}

/**
 * Forwards a stream, and calls `onRead` with the size of each chunk. After a
 * signal it ends at the first pause, since the program that writes to it may
 * have ended without closing it.
 */
function endAtPause(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
  onRead: (bytes: number) => void,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream({
    async pull(controller) {
      const pause = Promise.withResolvers<void>();
      const wait = () => setTimeout(pause.resolve, LONGEST_PAUSE);
      if (signal?.aborted) wait();
      else signal?.addEventListener("abort", wait);
      const next = await Promise.race([reader.read(), pause.promise]);
      signal?.removeEventListener("abort", wait);
      if (!next?.value) return controller.close();
      onRead(next.value.length);
      controller.enqueue(next.value);
    },
  }, { highWaterMark: 0 });
}
