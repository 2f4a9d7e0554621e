/**
 * Replaces `@std/dotenv/parse` in this repository, since `npm:deno-std` does
 * not contain it, see `deno.json`.
 *
 * @module
 */

/**
 * Parses the text of a `.env` file. It loads `node:util` only when called, as
 * that is slow.
 *
 * @param text Lines of `NAME=value`.
 * @returns The values by name.
 */
export async function parse(
  text: string,
): Promise<Record<string, string | undefined>> {
  const { parseEnv } = await import("node:util");
  return parseEnv(text);
}
