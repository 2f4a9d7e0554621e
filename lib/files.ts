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
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(
      `Cannot read ${source} "${path}": ${reasonOf(error, path)}`,
    );
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
    throw new UsageError(
      `Cannot read ${source} "${path}": ${reasonOf(error, path)}`,
    );
  }
  throw new UsageError(`Cannot read ${source} "${path}": it is a folder`);
}

function reasonOf(error: unknown, path: string): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  if (error instanceof Deno.errors.NotCapable) {
    return `this run has no right to: add --allow-read="${path}" after deno run`;
  }
  return error instanceof Error ? error.message : String(error);
}
