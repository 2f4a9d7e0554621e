/**
 * Why a run sends nothing more.
 *
 * @module
 */

/** Ends a run: on a signal, after too many failures, or with an error. */
export class Stop {
  readonly #controller = new AbortController();
  /** The error that the run ends with. */
  error: unknown;

  /**
   * Creates it; the run goes on.
   *
   * @param explain Returns the message of an error.
   */
  constructor(readonly explain: (error: unknown) => string) {}

  /** Aborted once nothing more is sent; its reason says why. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * Stops sending.
   *
   * @param reason Why, for each entity that is not sent.
   */
  because(reason: string): void {
    this.#controller.abort(reason);
  }

  /**
   * Stops sending, since no other request can succeed.
   *
   * @param error What the run ends with.
   */
  giveUp(error: unknown): void {
    if (this.signal.aborted) return;
    this.error = error;
    this.because(`not sent, since: ${this.explain(error)}`);
  }
}
