/**
 * The errors that a user can meet, each with the exit code it ends the run
 * with. A message is one line: what was tried, what came back, what to do next.
 *
 * @module
 */

/** An error that is explained to the user and ends the run with its exit code. */
export abstract class ScriptError extends Error {
  /** The exit code of a run that this error ends, see `help.ts`. */
  abstract readonly exitCode: number;
  /** Lines that stand before the message, for example one for each value. */
  readonly details: readonly string[] = [];
}

/** The command line, the environment or a file is wrong; nothing was sent. */
export class UsageError extends ScriptError {
  /** Ends the run with exit code 2. */
  override readonly exitCode = 2;
}

/** A body is larger than Port takes; a part of it may get in. */
export class TooLargeError extends UsageError {}

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
}
