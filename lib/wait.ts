/**
 * Asking again and again, gently, until something has happened.
 *
 * @module
 */
import {
  ExpectationError,
  NotFoundError,
  type ScriptError,
  UnreachableError,
} from "./errors.ts";
import { sleep } from "./port_client.ts";

/** The clock, given by tests. */
export interface Clock {
  /** The present time in milliseconds since 1970. */
  now(): number;
  /** Waits so many milliseconds. */
  sleep(milliseconds: number): Promise<void>;
}

/** The clock of this machine. */
export const CLOCK: Clock = { now: Date.now, sleep };

/** How long to ask, and how often. */
export interface Patience {
  /** The most to wait, in milliseconds. */
  wait: number;
  /** The first pause, in milliseconds; each is twice the one before. */
  first: number;
  /** The longest pause, in milliseconds. */
  longest: number;
}

/** How long Port has for the answer to the last question, in milliseconds. */
export const LAST_ANSWER = 5_000;

/**
 * Asks until the answer is as expected: at once, after each pause, and once more
 * when the time is over.
 *
 * @param ask Asks once; throws when the answer is not yet as expected.
 * @param patience How long, and how often.
 * @param say Takes a line before each pause.
 * @param clock The clock.
 * @returns The answer.
 * @throws {ExpectationError} When the time is over.
 * @throws {ScriptError} When the answer is one that waiting does not change.
 */
export async function waitFor<Answer>(
  ask: () => Promise<Answer>,
  { wait, first, longest }: Patience,
  say: (line: string) => void,
  { now, sleep }: Clock = CLOCK,
): Promise<Answer> {
  const deadline = now() + wait;
  for (let pause = first;; pause = Math.min(pause * 2, longest)) {
    try {
      return await ask();
    } catch (error) {
      if (!mayPass(error)) throw error;
      const left = deadline - now();
      if (left <= 0) throw timeIsOver(error, wait);
      const next = Math.min(pause, left);
      const reason = error.details.join(", ") || error.message;
      say(`Waiting: ${reason}; asking again in ${Math.ceil(next / 1000)} s`);
      await sleep(next);
    }
  }
}

/** Whether waiting may change it. */
function mayPass(error: unknown): error is ScriptError {
  return error instanceof ExpectationError ||
    error instanceof NotFoundError || error instanceof UnreachableError;
}

function timeIsOver(error: ScriptError, wait: number): ExpectationError {
  const message = `${error.message} (waited ${Math.round(wait / 1000)} s)`;
  return new ExpectationError(message, error.details);
}
