/**
 * Recognizes formats that are neither NDJSON nor a JSON array.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

/** Formats by their first line. */
const FORMATS: Readonly<Record<string, RegExp>> = {
  "UTF-16 text": /^(?:\xff\xfe|\xfe\xff)/,
  "pretty-printed JSON": /^\{(?:.*[[{]|.*[^}],)?$/s,
  "YAML": /^(?:---|%YAML|#|- |["']?[\w$.-]+["']?:(?:\s|$))/,
  "CSV": /^[\w$" .-]+(?:[,;\t][\w$" .-]*)+$/,
};

/**
 * Throws if the first line that is not blank shows another format.
 *
 * @param start The start of the input, up to the end of that line.
 * @param name The name of the input.
 * @throws {UsageError} Naming the format.
 */
export function rejectOtherFormats(start: Uint8Array, name: string): void {
  const text = new TextDecoder("latin1").decode(start);
  const [, line = ""] = /^(?:\xef\xbb\xbf)?\s*([^\n]*)\n/.exec(text) ?? [];
  const [format] = Object.entries(FORMATS)
    .find(([_, pattern]) => pattern.test(line.trimEnd())) ?? [];
  if (format === undefined) return;
  throw new UsageError(
    `Cannot read ${name}: it looks like ${format}; give one JSON object per ` +
      "line (jq -c . makes it from JSON), or a JSON array",
  );
}
