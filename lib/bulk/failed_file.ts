/**
 * Keeps the inputs that were not saved, to run again.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { fileError } from "../files.ts";
import { PartFile } from "./part_file.ts";
import { concat, type KeptFormat } from "./pieces.ts";
import { type Counts, type Failure, lineOf, type Sink } from "./report.ts";

const [LF, SPACE] = [0x0a, 0x20];

/** How to write a failed file. */
export interface FailedFileOptions {
  /** Whether it is also an input. */
  isInput: boolean;
  /** How inputs are written to it. */
  format: KeptFormat;
  /** Logs a warning. */
  warn: (line: string) => void;
}

/**
 * The failed inputs, one per line, with the reasons in `FILE.errors`. What a
 * full disk cannot hold is logged.
 */
export class FailedFile implements Sink {
  readonly #inputs: PartFile;
  readonly #reasons: PartFile;
  readonly #isInput: boolean;
  readonly #format: KeptFormat;
  readonly #warn: (line: string) => void;
  /** Whether the last line is a large input that is still being read. */
  #isOpen = false;
  /** What failed in the meantime. */
  readonly #waiting: Failure[] = [];
  /** What the file is called; `FILE.part` if it could not be renamed. */
  #name: string;
  #hasReasons = false;
  #kept = 0;
  #shown = 0;

  /**
   * Opens the files.
   *
   * @param path The file.
   * @param options How to write it.
   * @throws {UsageError} If it exists and is no failed file, if another run
   * writes it, or if it cannot be written.
   */
  constructor(
    readonly path: string,
    { isInput, format, warn }: FailedFileOptions,
  ) {
    throwIfNotReplaceable(path);
    this.#name = path;
    this.#isInput = isInput;
    this.#format = format;
    this.#warn = warn;
    const whenFull = () =>
      `it holds ${countInputs(this.#kept)}, the others are shown here`;
    this.#inputs = new PartFile(path, { warn, whenFull });
    try {
      this.#reasons = new PartFile(`${path}.errors`, {
        warn,
        whenFull: () => "the other reasons are shown here",
        isExclusive: false,
      });
    } catch (error) {
      this.#inputs.discard();
      throw error;
    }
    this.#inputs.write(format.header);
  }

  /**
   * Writes a part of an input that is too large to hold.
   *
   * @param part The part.
   */
  keep(part: Uint8Array): void {
    const start = this.#isOpen ? "" : this.#format.prefix;
    this.#isOpen = true;
    if (!this.#write(start, part, "")) this.#warn(show(part));
  }

  /**
   * Writes a failed input. One without input ends the large one.
   *
   * @param failure The failure.
   */
  fail(failure: Failure): void {
    if (this.#isOpen && failure.input) {
      this.#waiting.push(failure);
      return;
    }
    if (!failure.isRest) this.#explain(lineOf(failure));
    if (failure.input || this.#isOpen) this.#endInput(failure);
    this.#isOpen = false;
    for (const other of this.#waiting.splice(0)) this.fail(other);
  }

  #explain(line: string): void {
    if (this.#reasons.write(`${line}\n`)) this.#hasReasons = true;
    else this.#warn(line);
  }

  #endInput({ place, input = new Uint8Array() }: Failure): void {
    const start = this.#isOpen ? "" : this.#format.prefix;
    if (this.#write(start, input, "\n")) {
      this.#kept++;
    } else {
      this.#shown++;
      this.#warn(`${place}: ${show(input)}`);
    }
  }

  /** Outside CSV, a line break inside an entity is as good as a space. */
  #write(start: string, input: Uint8Array, end: string): boolean {
    const encoder = new TextEncoder();
    const isCsv = this.#format.format === "csv";
    const body = isCsv || !input.includes(LF)
      ? input
      : input.map((byte) => byte === LF ? SPACE : byte);
    return this.#inputs.write(
      concat([encoder.encode(start), body, encoder.encode(end)]),
    );
  }

  /**
   * Closes the files. An input that was not read to its end is not replaced.
   *
   * @param _ The counts of each blueprint, not needed here.
   * @param isComplete Whether all inputs were read to their end.
   */
  close(_: ReadonlyMap<string, Counts>, isComplete: boolean): void {
    this.#reasons.close();
    const isKept = this.#isInput && !isComplete;
    this.#name = isKept ? this.#inputs.leave() : this.#inputs.close();
    if (!isKept) return;
    this.#warn(`"${this.path}" was not read to its end, and stays as it was`);
  }

  /** Removes the files. */
  discard(): void {
    this.#inputs.discard();
    this.#reasons.discard();
  }

  /** What the file holds now, if that is of interest. */
  get summary(): string | undefined {
    const count = countInputs(this.#kept);
    if (this.#isInput && this.#name === this.path) {
      return `"${this.path}" was an input; now it holds only what was not ` +
        `saved: ${count}`;
    }
    return this.#kept === 0
      ? undefined
      : `"${this.#name}" holds what was not saved: ${count}`;
  }

  /**
   * Returns what to do next.
   *
   * @param isInterrupted Whether most inputs failed only because of a signal.
   * @returns For example `see "f.errors", correct "f" and run it`.
   */
  advice(isInterrupted: boolean): string {
    const next = isInterrupted
      ? `run "${this.#name}" to send the rest`
      : `correct "${this.#name}" and run it`;
    return [
      ...(this.#hasReasons ? [`see "${this.path}.errors"`] : []),
      ...(this.#kept > 0 ? [next] : []),
      ...(this.#shown > 0 ? ["the other inputs are shown above"] : []),
    ].join(", ");
  }
}

function countInputs(count: number): string {
  return count === 1 ? "1 input" : `${count} inputs`;
}

/** Returns bytes as text, even if they are not UTF-8. */
function show(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}

/** Throws if another file than that of an earlier run would be lost. */
function throwIfNotReplaceable(path: string): void {
  const info = statOf(path);
  const isEmpty = info?.isFile && info.size === 0;
  if (!info || isEmpty || (info.isFile && statOf(`${path}.errors`))) return;
  throw new UsageError(
    `Cannot use --failed-file "${path}": it exists, and without ` +
      `"${path}.errors" it is no failed file of an earlier run; name another`,
  );
}

/**
 * Throws if an input of a run that prunes holds only what an earlier run did not
 * save: all the rest would be deleted.
 *
 * @param paths The inputs.
 * @throws {UsageError} If one is the failed file of an earlier run.
 */
export function rejectFailedFiles(paths: string[]): void {
  const failed = paths.find((path) => isThere(`${path}.errors`));
  if (failed === undefined) return;
  throw new UsageError(
    `Cannot use --prune with "${failed}": it holds what an earlier run did not ` +
      "save; run it without --prune, then the whole input again",
  );
}

/** What may not be read was not written by a run like this either. */
function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError("write", path, error);
  }
}
