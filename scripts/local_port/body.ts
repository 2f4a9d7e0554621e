/**
 * The bodies of requests.
 *
 * @module
 */
import { HttpError, orInvalid } from "./http_error.ts";

/** The largest body that Port accepts, in bytes. */
const MAX_BODY = 1024 * 1024;

export function requireSmall(bytes: Uint8Array): void {
  if (bytes.length <= MAX_BODY) return;
  throw new HttpError(413, "Request body is too large (limit is 1MiB)");
}

/** Returns `undefined` without a body. */
export function parseBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  const parse = () => JSON.parse(new TextDecoder().decode(bytes));
  return orInvalid("The body is not valid JSON", parse);
}
