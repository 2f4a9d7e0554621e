/**
 * Errors that a client sees, as Port sends them.
 *
 * @module
 */

const CODES: Readonly<Record<number, string>> = {
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  408: "timeout",
  409: "identifier_taken",
  413: "request_too_large",
  422: "invalid_request",
  429: "rate_limit_exceeded",
  501: "not_implemented",
  503: "unavailable",
};

/** Ends a request with an error in place of its reply. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string = CODES[status] ?? "internal_error",
  ) {
    super(message);
  }
}

/** Runs a step that fails if the request is invalid. */
export function orInvalid<Result>(message: string, step: () => Result): Result {
  try {
    return step();
  } catch {
    throw new HttpError(422, message);
  }
}
