/**
 * The errors that a user can meet, each with the exit code it ends the run
 * with. A message is one line: what was tried, what came back, what to do next.
 *
 * @module
 */

/** What each exit code means: the one list that `--help` and README show. */
export const EXIT_CODES: Readonly<Record<number, string>> = {
  0: "done",
  1: "a bug here: unexpected error",
  2: "bad usage or bad input; nothing was sent",
  3: "no credentials, or Port refused them or their rights (401, 403)",
  4: "blueprint, entity or path not found (404)",
  5: "Port rejected the content (400, 409, 413, 422)",
  6: "Port could not be reached or kept failing (network, timeout, 408, 429, 5xx)",
  7: "an expectation did not hold (--expect, --wait)",
  8: "some of many failed (bulk)",
};

/** An error that is explained to the user and ends the run with its exit code. */
export abstract class ScriptError extends Error {
  /** The exit code of a run that this error ends, see {@linkcode EXIT_CODES}. */
  abstract readonly exitCode: number;
  /** Lines that stand before the message, for example one for each value. */
  readonly details: readonly string[] = [];
}

/** The command line, the environment or a file is wrong; nothing was sent. */
export class UsageError extends ScriptError {
  /** Ends the run with exit code 2. */
  override readonly exitCode = 2;
}

/** No credentials, or Port refused them or their rights (401, 403). */
export class AccessError extends ScriptError {
  /** Ends the run with exit code 3. */
  override readonly exitCode = 3;
}

/** What was asked for is not in Port (404), or a path is not in the entity. */
export class NotFoundError extends ScriptError {
  /** Ends the run with exit code 4. */
  override readonly exitCode = 4;
}

/** Port understood the request and rejected its content (400, 409, 413, 422). */
export class RejectedError extends ScriptError {
  /** Ends the run with exit code 5. */
  override readonly exitCode = 5;
}

/** Port could not be reached, or kept failing until the attempts were used up. */
export class UnreachableError extends ScriptError {
  /** Ends the run with exit code 6. */
  override readonly exitCode = 6;
}

/** What is in Port is not what `--expect` says. */
export class ExpectationError extends ScriptError {
  /** Ends the run with exit code 7. */
  override readonly exitCode = 7;

  /**
   * Makes the error.
   *
   * @param message What was expected, in one line.
   * @param details A line for each expectation that does not hold.
   */
  constructor(message: string, override readonly details: readonly string[]) {
    super(message);
  }
}

/** Some of many entities did not get in. */
export class PartialError extends ScriptError {
  /** Ends the run with exit code 8. */
  override readonly exitCode = 8;

  /**
   * Makes the error.
   *
   * @param message How many failed, in one line.
   * @param details A line for each of them that is worth showing.
   */
  constructor(message: string, override readonly details: readonly string[]) {
    super(message);
  }
}
