/**
 * Opens the inputs, and keeps track of how far they were read.
 *
 * @module
 */
import { ScriptError } from "../errors.ts";
import { fileError, nameOf, openInput } from "../files.ts";
import { PortError } from "../port.ts";
import { formatOf, openFormat } from "./format.ts";
import type { FormatOptions, Opened, Piece } from "./pieces.ts";

/** An input. */
export interface Input extends Pick<Opened, "parse" | "kept"> {
  /** Its name in reports. */
  name: string;
  /** The file; `undefined` for a pipe. */
  file: Deno.FileInfo | undefined;
  /** Reads its next value; `undefined` at the end. */
  next: () => Promise<Piece | undefined>;
  /** How much of it was read, in bytes. */
  bytesRead: number;
  /** Whether it was read to its end; `undefined` before that. */
  isRead?: boolean;
}

/**
 * Opens all inputs, before anything is sent or written.
 *
 * @param paths Their paths; none for standard input.
 * @param options How to read them.
 * @param signal Ends reading with an error, its reason.
 * @returns The inputs.
 * @throws {UsageError} If one cannot be read, or is in another format.
 */
export async function openInputs(
  paths: string[],
  options: FormatOptions,
  signal: AbortSignal,
): Promise<Input[]> {
  const opened = (paths.length > 0 ? paths : ["-"]).map((path) => {
    const stream = openInput(path);
    const info = path === "-" ? undefined : Deno.statSync(path);
    const file = info?.isFile ? info : undefined;
    const name = path === "-" ? nameOf(path) : path;
    const input = { name, file, bytesRead: 0 };
    // This locks standard input, so that it is not opened twice.
    const chunks = stream.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>(),
      { signal },
    );
    return { path, input, chunks };
  });
  const inputs: Input[] = [];
  for (const { path, input, chunks } of opened) {
    try {
      const { pieces, ...opened } = await openFormat(chunks, nameOf(path), {
        ...options,
        format: options.format ?? formatOf(path),
      });
      inputs.push(
        Object.assign(input, opened, { next: makeNext(input, pieces) }),
      );
    } catch (error) {
      if (error instanceof ScriptError || error instanceof PortError) {
        throw error;
      }
      throw fileError("read", path, error);
    }
  }
  return inputs;
}

/** Makes the function that reads the next value. */
function makeNext(
  input: Pick<Input, "bytesRead" | "isRead">,
  pieces: AsyncGenerator<Piece>,
): Input["next"] {
  return async () => {
    const { value, done = false } = await pieces.next();
    // After an error, there is no next value either.
    if (done) input.isRead ??= true;
    // With the line break or comma; what is read ahead does not count.
    input.bytesRead += (value?.bytes.length ?? 0) + 1;
    return value;
  };
}

/**
 * Returns how much of the inputs was read.
 *
 * @param inputs The inputs.
 * @returns The share; `NaN` if that is unknown, as one of them is a pipe or YAML.
 */
export function shareRead(inputs: Input[]): number {
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  return sum(inputs.map(({ bytesRead }) => bytesRead)) /
    sum(
      inputs.map(({ file, kept }) =>
        file && kept.format !== "yaml" ? file.size : NaN
      ),
    );
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
