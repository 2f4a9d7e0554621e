/**
 * What happens in a local Port, for the streams of the lab.
 *
 * @module
 */

export type Listener = (name: string, data: unknown) => void;

export class Events {
  readonly #listeners = new Set<Listener>();

  emit(name: string, data: unknown = {}): void {
    for (const listener of this.#listeners) listener(name, data);
  }

  /** Returns the function that ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
