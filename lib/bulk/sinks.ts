/**
 * Opens what failures are written to.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { FailedFile } from "./failed_file.ts";
import { formatOf } from "./format.ts";
import { type Input, isInput } from "./input.ts";
import { openJunit } from "./junit.ts";
import type { KeptFormat } from "./pieces.ts";
import { lineOf, type Sink } from "./report.ts";

/** Where the user wants failures, and what that depends on. */
export interface SinkOptions {
  /** The file that keeps failed inputs. */
  failedFile: string | undefined;
  /** The report for CircleCI. */
  junit: string | undefined;
  /** The part of the input that is read. */
  shard: string | undefined;
  /** Whether nothing is saved, but validated. */
  validateOnly: boolean;
  /** Whether nothing is sent. */
  dryRun: boolean;
}

/**
 * Opens the files for failures; without one, they go to standard error.
 *
 * @param options Where failures go.
 * @param inputs The inputs.
 * @param warn Logs a warning.
 * @returns The failed file, if there is one, and all sinks.
 * @throws {UsageError} If a file cannot be used.
 */
export function openSinks(
  options: SinkOptions,
  inputs: Input[],
  warn: (line: string) => void,
): { failedFile: FailedFile | undefined; sinks: Sink[] } {
  const { junit } = options;
  if (junit !== undefined && isInput(junit, inputs)) {
    throw new UsageError(`Cannot use "${junit}" twice: name another --junit`);
  }
  const failedFile = openFailedFile(options, inputs, warn);
  const sinks: Sink[] = [toStandardError(warn, failedFile !== undefined)];
  if (failedFile) sinks.push(failedFile);
  try {
    if (junit !== undefined) sinks.push(openJunit(junit, warn));
  } catch (error) {
    failedFile?.discard();
    throw error;
  }
  return { failedFile, sinks };
}

/**
 * Shows failures that are not kept in a file. Many in a row have the same reason:
 * the first one stands for them.
 */
function toStandardError(
  warn: (line: string) => void,
  hasFile: boolean,
): Sink {
  let last: string | undefined;
  let others = 0;
  const showOthers = () => {
    if (others > 0) warn(`${others} more failed for the same reason`);
    others = 0;
  };
  return {
    fail(failure) {
      const isKept = hasFile && failure.blueprint !== undefined;
      if (isKept || failure.isSummedUp || failure.isRest) return;
      // Each request has its own trace id.
      const reason = failure.reason.replace(/ \(trace id \S+\)$/, "");
      if (reason === last) return void others++;
      showOthers();
      last = reason;
      warn(lineOf(failure));
    },
    close: showOthers,
  };
}

function openFailedFile(
  { failedFile, shard, validateOnly, dryRun }: SinkOptions,
  inputs: Input[],
  warn: (line: string) => void,
): FailedFile | undefined {
  // A run that sends nothing replaces nothing.
  if (failedFile === undefined || dryRun) return undefined;
  const isAlsoInput = isInput(failedFile, inputs);
  if (isAlsoInput && (validateOnly || shard !== undefined)) {
    throw new UsageError(
      `Cannot use --failed-file "${failedFile}", an input, together with ` +
        "--shard or --validate-only: what is not saved now would be lost",
    );
  }
  const format = keptFormat(failedFile, inputs);
  return new FailedFile(failedFile, { isInput: isAlsoInput, format, warn });
}

/** What fails is kept in the format of the inputs, to be read in the same way. */
function keptFormat(path: string, inputs: Input[]): KeptFormat {
  const [first, ...others] = inputs.map(({ kept }) => kept);
  if (first === undefined) throw new Error("There is always an input");
  const { format, header } = first;
  if (others.some((kept) => kept.format !== format || kept.header !== header)) {
    throw new UsageError(
      `Cannot use --failed-file "${path}" for inputs of several formats or ` +
        "headers: give them one by one",
    );
  }
  const named = formatOf(path);
  if (named === undefined || named === format) return first;
  throw new UsageError(
    `Cannot use --failed-file "${path}": what fails is kept as it is, in ` +
      `${
        format === "json" ? "NDJSON" : format.toUpperCase()
      }; name it failed.` +
      (format === "json" ? "ndjson" : format),
  );
}
