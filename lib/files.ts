/**
 * Reads input: a file, or `-` for standard input.
 *
 * @module
 */
import { UsageError } from "./errors.ts";

/**
 * Opens a file or standard input as a stream.
 *
 * @param path The path, or `-`.
 * @returns Its bytes.
 * @throws {UsageError} If it cannot be read.
 */
export function openInput(path: string): ReadableStream<Uint8Array> {
  if (path === "-" && Deno.stdin.readable.locked) {
    throw new UsageError("Cannot read standard input twice: give - once");
  }
  if (path === "-") return Deno.stdin.readable;
  try {
    if (Deno.statSync(path).isDirectory) throw new Error("it is a folder");
    return Deno.openSync(path).readable;
  } catch (error) {
    throw fileError("read", path, error);
  }
}

/**
 * Explains an error of the file system.
 *
 * @param verb What failed, for example `read`.
 * @param path The file, or `-`.
 * @param error The error.
 * @returns The error to throw. `cli.ts` explains a missing permission.
 */
export function fileError(verb: string, path: string, error: unknown): unknown {
  if (error instanceof Deno.errors.NotCapable) return error;
  const [reason] = String(Object(error).message).split(" (os error", 1);
  return new UsageError(`Cannot ${verb} ${nameOf(path)}: ${reason}`);
}

/**
 * Reads a file or standard input as text.
 *
 * @param path The path, or `-`.
 * @returns The text, without a byte order mark.
 * @throws {UsageError} If it cannot be read, or is not UTF-8.
 */
export async function readInput(path: string): Promise<string> {
  const bytes = await new Response(openInput(path)).bytes();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`Cannot read ${nameOf(path)}: it is not UTF-8`);
  }
}

/**
 * Returns the name of an input in messages.
 *
 * @param path The path, or `-`.
 * @returns For example `"entity.json"` or `standard input`.
 */
export function nameOf(path: string): string {
  return path === "-" ? "standard input" : `"${path}"`;
}
