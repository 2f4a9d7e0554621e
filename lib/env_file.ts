/**
 * The settings in a `.env` file. Loaded only if there is one.
 *
 * @module
 */
import { parse } from "jsr:@std/dotenv@0.225.6/parse";
import { UsageError } from "./errors.ts";

/** The lines of the settings; all other lines are ignored. */
const LINE =
  /^\s*(?:export\s+)?(API_URL|PORT_(?:CLIENT_ID|CLIENT_SECRET|API_URL|REGION|TIMEOUT|RETRIES))\s*=(.*)$/;

/** A value that all `.env` parsers read the same way, and a comment. */
const PLAIN_VALUE = /^\s*('[^'\\`]*'|"[^"\\`$]*"|[^'"\\`$#]*?)\s*(?:#.*)?$/;

/**
 * Parses the settings in a `.env` file.
 *
 * @param text The text of the file.
 * @param path Its path, for errors.
 * @param warn Called with one line if a setting is ignored.
 * @returns The values by name.
 * @throws {UsageError} If a value is not plain, see {@linkcode settingLines}.
 */
export async function parseEnvFile(
  text: string,
  path: string,
  warn: (line: string) => void,
): Promise<Record<string, string | undefined>> {
  const lines = settingLines(text, path, warn);
  return lines === "" ? {} : await parse(lines);
}

/**
 * Returns the lines of the settings, without `export`, spaces and comments.
 *
 * @param text The text of the file.
 * @param path Its path, for errors.
 * @param warn Called with one line if a setting is ignored.
 * @returns Lines of `NAME=value` that all parsers read the same way.
 * @throws {UsageError} If parsers would read a value differently, as with `$`,
 * escapes and open quotes. The error does not show the value.
 */
export function settingLines(
  text: string,
  path: string,
  warn: (line: string) => void,
): string {
  const lines: string[] = [];
  for (const [index, line] of text.split(/\r\n|\r|\n/).entries()) {
    const [, name, value = ""] = LINE.exec(line) ?? [];
    const plain = PLAIN_VALUE.exec(value)?.[1];
    if (name === "API_URL") {
      const isPort = /\/\/api\.(us\.)?(get)?port\.io\b/.test(value);
      if (isPort) warn(`API_URL in ${path} is ignored: call it PORT_API_URL`);
    } else if (name && plain === undefined) {
      const place = `${name} in line ${index + 1} of "${path}"`;
      throw new UsageError(
        `Cannot read ${place}: use single quotes, without ', \\ or backticks`,
      );
    } else if (name) {
      lines.push(`${name}=${plain}`);
    }
  }
  return lines.join("\n");
}
