/**
 * Handles Ctrl-C, and SIGTERM when CircleCI stops a job.
 *
 * @module
 */

/** Signals within this time count as one, in milliseconds. */
const ONE_PRESS = 1_000;

/**
 * Catches the first SIGINT or SIGTERM. A later one ends the process. One Ctrl-C
 * can arrive twice, from the terminal and from `deno task`.
 *
 * @returns Aborted by the first signal, with exit code 130 or 143 as reason.
 */
export function catchSignals(): AbortSignal {
  const controller = new AbortController();
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    const stop = () => controller.abort(code);
    const release = () => Deno.removeSignalListener(signal, stop);
    Deno.addSignalListener(signal, stop);
    controller.signal.addEventListener("abort", () => {
      setTimeout(release, ONE_PRESS);
    });
  }
  return controller.signal;
}
