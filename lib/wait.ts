/**
 * Asking again and again, gently, until something has happened.
 *
 * @module
 */

/** The clock, given by tests. */
export interface Clock {
  /** The present time in milliseconds since 1970. */
  now(): number;
  /** Waits so many milliseconds. */
  sleep(milliseconds: number): Promise<void>;
}

/** The clock of this machine. */
export const CLOCK: Clock = {
  now: Date.now,
  sleep: (milliseconds) =>
    new Promise((resolve) => setTimeout(resolve, milliseconds)),
};

/** How long to ask, and how often. */
export interface Patience {
  /** The most to wait, in milliseconds. */
  wait: number;
  /** The first pause, in milliseconds; each is twice the one before. */
  first: number;
  /** The longest pause, in milliseconds. */
  longest: number;
}

/**
 * Gives the times to ask: at once, then after each pause, and once more when
 * the time is over.
 *
 * @param patience How long, and how often.
 * @param clock The clock.
 * @returns For each question a function that says how long the pause after it
 * is, in milliseconds; 0 when the question was the last.
 */
export async function* questions(
  { wait, first, longest }: Patience,
  { now, sleep }: Clock = CLOCK,
): AsyncGenerator<() => number> {
  const deadline = now() + wait;
  for (let pause = first;; pause = Math.min(pause * 2, longest)) {
    const next = () => Math.max(0, Math.min(pause, deadline - now()));
    yield next;
    const milliseconds = next();
    if (milliseconds === 0) return;
    await sleep(milliseconds);
  }
}
