/**
 * Polls Port until a condition is met.
 *
 * @module
 */
import { ScriptError } from "./errors.ts";
import { PortError, sleep } from "./port.ts";

/** An expectation is not met; it may be met later. */
export class ExpectationError extends ScriptError {
  /**
   * Creates the error.
   *
   * @param message One line.
   * @param reason Why it is not met, for the lines during the wait.
   */
  constructor(message: string, readonly reason: string = message) {
    super(7, message);
  }
}

/** How long to poll, and how often. */
export interface WaitOptions {
  /** The longest time to wait, in milliseconds. */
  wait: number;
  /** The first pause, in milliseconds; each is twice the one before. */
  firstPause: number;
  /** The longest pause, in milliseconds. */
  longestPause: number;
  /** Called with one line before each pause. */
  log: (line: string) => void;
}

/** Time limit of the last request after the wait, in milliseconds. */
const LAST_ANSWER = 5_000;

/**
 * Asks at once, after each pause, and once more at the end.
 *
 * @param ask Asks once, within a time limit in milliseconds; throws if the
 * answer is not as expected.
 * @param options How long to poll, and how often.
 * @returns The answer.
 * @throws {ExpectationError} If the time is over. An error that waiting cannot
 * fix is thrown at once.
 */
export async function waitFor<Answer>(
  ask: (timeout: number) => Promise<Answer>,
  { wait, firstPause, longestPause, log }: WaitOptions,
): Promise<Answer> {
  const end = Date.now() + wait;
  for (let pause = firstPause;; pause = Math.min(pause * 2, longestPause)) {
    try {
      return await ask(end + LAST_ANSWER - Date.now());
    } catch (error) {
      if (!mayChange(error)) throw error;
      const left = end - Date.now();
      if (left <= 0) {
        const waited = `(waited ${Math.round(wait / 1000)} s)`;
        throw new ExpectationError(`${error.message} ${waited}`);
      }
      const next = Math.min(pause, left);
      const isUnmet = error instanceof ExpectationError;
      const reason = isUnmet ? error.reason : error.message;
      log(`Waiting: ${reason}; asking again in ${Math.ceil(next / 1000)} s`);
      await sleep(next);
    }
  }
}

function mayChange(error: unknown): error is Error {
  const kinds = ["not-found", "unavailable", "network"];
  return error instanceof ExpectationError ||
    (error instanceof PortError && kinds.includes(error.kind));
}
