/**
 * Writes failures to files: the inputs to run again, and a report for CircleCI.
 *
 * @module
 */
import { toLine } from "../errors.ts";
import { fileError } from "../files.ts";
import { lineOf, type Sink } from "./report.ts";

/**
 * Writes the failed inputs, one per line and ready to be run again, and the
 * reasons to `FILE.errors`.
 *
 * @param path The file.
 * @returns The sink.
 * @throws {UsageError} If a file cannot be written.
 */
export function openFailedFile(path: string): Sink {
  const inputs = createTextFile(path);
  const reasons = createTextFile(`${path}.errors`);
  return {
    fail(failure) {
      inputs.write(`${failure.input}\n`);
      reasons.write(`${lineOf(failure)}\n`);
    },
    close() {
      inputs.close();
      reasons.close();
    },
  };
}

/**
 * Writes a JUnit report: a test case for each failure and one for the successes
 * of each blueprint, with the attributes in CircleCI's documentation of test
 * metadata.
 *
 * @param path The file.
 * @returns The sink.
 * @throws {UsageError} If the file cannot be written.
 */
export function openJunit(path: string): Sink {
  const file = createTextFile(path);
  file.write(
    '<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="port">\n',
  );
  const open = (classname: string, name: string, source: string) =>
    `  <testcase classname="${xml(classname)}" name="${xml(name)}" ` +
    `file="${xml(source)}" time="0"`;
  return {
    fail({ place, blueprint = "(not an entity)", name, reason }) {
      const source = place.replace(/:[^:]*$/, "");
      const message = xml(`${place}: ${toLine(reason)}`);
      file.write(
        `${open(blueprint, name, source)}>\n` +
          `    <failure message="${message}"/>\n  </testcase>\n`,
      );
    },
    close(counts) {
      for (const [blueprint, { created, updated }] of counts) {
        if (created + updated === 0) continue;
        const name = `${created} created, ${updated} updated`;
        file.write(`${open(blueprint, name, "")}/>\n`);
      }
      file.write("</testsuite>\n");
      file.close();
    },
  };
}

/** Escapes text for XML; characters that XML forbids become `?`. */
function xml(text: string): string {
  return text
    .replace(/(?![\t\n\r\x7f-\x9f])\p{Cc}|[\ufffe\uffff]|\p{Cs}/gu, "?")
    .replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

interface TextFile {
  write(text: string): void;
  close(): void;
}

/**
 * Creates a text file and its folder. Until it is closed, the text is in
 * `FILE.part`, since the file may be the input.
 */
function createTextFile(path: string): TextFile {
  const part = `${path}.part`;
  const attempt = <Result>(step: () => Result): Result => {
    try {
      return step();
    } catch (error) {
      throw fileError("write", path, error);
    }
  };
  const file = attempt(() => {
    const [folder = "."] = /^.*(?=\/)/s.exec(path) ?? [];
    Deno.mkdirSync(folder || "/", { recursive: true });
    Deno.openSync(path, { write: true, create: true }).close();
    return Deno.createSync(part);
  });
  return {
    write: (text) => attempt(() => writeAll(file, text)),
    close() {
      file.close();
      attempt(() => Deno.renameSync(part, path));
    },
  };
}

/** A single write may be partial. */
function writeAll(file: Deno.FsFile, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
