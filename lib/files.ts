/**
 * Files that the user names, and what to do when one cannot be read.
 *
 * @module
 */
import { UsageError } from "./errors.ts";

/**
 * Reads a text file.
 *
 * @param path Its path.
 * @param source What to call the file in an error, for example `--env-file`.
 * @returns Its text.
 * @throws {UsageError} When it cannot be read, saying what to do.
 */
export function readTextFile(path: string, source: string): string {
  try {
    return decodeText(Deno.readFileSync(path), `${source} "${path}"`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw cannotRead(path, source, error);
  }
}

/**
 * Decodes text. A letter that is lost in silence would be a wrong value in Port.
 *
 * @param bytes The text in UTF-8.
 * @param source What to call it in an error.
 * @returns The text, without a byte order mark.
 * @throws {UsageError} When it is not UTF-8.
 */
export function decodeText(bytes: BufferSource, source: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`Cannot read ${source}: it is not UTF-8`);
  }
}

/**
 * Opens a file to be read as a stream.
 *
 * @param path Its path.
 * @param source What to call the file in an error.
 * @returns Its bytes.
 * @throws {UsageError} When it cannot be read, saying what to do.
 */
export function openFile(
  path: string,
  source: string,
): ReadableStream<Uint8Array> {
  try {
    const file = Deno.openSync(path);
    if (!file.statSync().isDirectory) return file.readable;
    file.close();
  } catch (error) {
    throw cannotRead(path, source, error);
  }
  throw new UsageError(`Cannot read ${source} "${path}": it is a folder`);
}

function cannotRead(path: string, source: string, error: unknown): UsageError {
  const reason = reasonOf(error, `--allow-read="${path}"`);
  return new UsageError(`Cannot read ${source} "${path}": ${reason}`);
}

/** A text file that is being written. */
export interface TextFile {
  /** Writes to its end; throws a `UsageError` when the disk is full. */
  write(text: string): void;
  /** Ends the writing. */
  close(): void;
}

/**
 * Makes a text file, and its folder where there is none. What it held before
 * stays until it is closed: it may be what is read at the same time. Until then
 * the text stands in a file beside it, with `.part` at the end of its name.
 *
 * @param path Its path.
 * @returns The file.
 * @throws {UsageError} When it cannot be written, saying what to do.
 */
export function createTextFile(path: string): TextFile {
  const [folder = "."] = /^.*(?=\/)/s.exec(path) ?? [];
  const part = `${path}.part`;
  const attempt = <Result>(step: () => Result): Result => {
    try {
      return step();
    } catch (error) {
      const right = `--allow-read="${folder}" --allow-write="${folder}"`;
      throw new UsageError(
        `Cannot write "${path}": ${reasonOf(error, right)}`,
      );
    }
  };
  const file = attempt(() => {
    Deno.mkdirSync(folder || "/", { recursive: true });
    Deno.openSync(path, { write: true, create: true }).close();
    return Deno.createSync(part);
  });
  return {
    write: (text) =>
      attempt(() => writeAll(file, new TextEncoder().encode(text))),
    close() {
      file.close();
      attempt(() => Deno.renameSync(part, path));
    },
  };
}

/** One write may take a part only. */
function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

function reasonOf(error: unknown, right: string): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  if (error instanceof Deno.errors.NotCapable) {
    return `this run has no right to: add ${right} after deno run`;
  }
  return error instanceof Error ? error.message : String(error);
}
