/**
 * Writes a report for CircleCI.
 *
 * @module
 */
import { toLine } from "../errors.ts";
import { PartFile } from "./part_file.ts";
import type { Sink } from "./report.ts";

/**
 * Writes a JUnit report: a test case for each failure and one for the successes
 * of each blueprint, with the attributes in CircleCI's documentation of test
 * metadata.
 *
 * @param path The file.
 * @param warn Logs a warning.
 * @returns The sink.
 * @throws {UsageError} If the file cannot be written.
 */
export function openJunit(path: string, warn: (line: string) => void): Sink {
  const whenFull = () => "there is no report";
  const file = new PartFile(path, { warn, whenFull });
  file.write(
    '<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="port">\n',
  );
  const open = (classname: string, name: string, source: string) =>
    `  <testcase classname="${xml(classname)}" name="${xml(name)}" ` +
    `file="${xml(source)}" time="0"`;
  return {
    fail({ place, blueprint = "(not an entity)", name, reason, isRest }) {
      if (isRest) return;
      const source = place.replace(/(?::\d+){1,2}$/, "");
      const message = xml(`${place}: ${toLine(reason)}`);
      file.write(
        `${open(blueprint, name, source)}>\n` +
          `    <failure message="${message}"/>\n  </testcase>\n`,
      );
    },
    close(counts) {
      for (const [blueprint, { failed: _, ...others }] of counts) {
        const some = Object.entries(others).filter(([, count]) => count > 0);
        if (some.length === 0) continue;
        const name = some.map(([what, count]) => `${count} ${what}`).join(", ");
        file.write(`${open(blueprint, name, "")}/>\n`);
      }
      file.write("</testsuite>\n");
      if (file.isFull) file.discard();
      else file.close();
    },
  };
}

/** Escapes text for XML; characters that XML forbids become `?`. */
function xml(text: string): string {
  return text
    .replace(/(?![\t\n\r\x7f-\x9f])\p{Cc}|[\ufffe\uffff]|\p{Cs}/gu, "?")
    .replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
