/**
 * An answer that is no success.
 *
 * @module
 */

/** An answer that is no success. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export const notFound = (message: string) =>
  new Refusal(404, "not_found", message);

export const invalid = (message: string) =>
  new Refusal(422, "invalid_request", message);

export const taken = (message: string) =>
  new Refusal(409, "identifier_taken", message);
