/**
 * Handles Ctrl-C, a closed terminal, and SIGTERM when CircleCI stops a job.
 *
 * @module
 */

/** The signals that end a process, with its exit codes. */
const SIGNALS = [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const;

/** Signals within this time count as one, in milliseconds. */
const ONE_PRESS = 1_000;

/**
 * Catches the first SIGINT, SIGTERM or SIGHUP. A later one ends the process. One
 * Ctrl-C can arrive twice, from the terminal and from `deno task`.
 *
 * @returns Aborted by the first signal, with its exit code as reason.
 */
export function catchSignals(): AbortSignal {
  const controller = new AbortController();
  for (const [signal, code] of SIGNALS) {
    const stop = () => controller.abort(code);
    const release = () => Deno.removeSignalListener(signal, stop);
    Deno.addSignalListener(signal, stop);
    controller.signal.addEventListener("abort", () => {
      setTimeout(release, ONE_PRESS);
    });
  }
  return controller.signal;
}
