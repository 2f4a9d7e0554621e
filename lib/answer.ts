/**
 * What came back for a request, and how to tell the user: one line with what
 * was tried, what came back and what to do next.
 *
 * @module
 */
import {
  AccessError,
  NotFoundError,
  RejectedError,
  type ScriptError,
  UnreachableError,
} from "./errors.ts";
import { isJsonObject } from "./json.ts";
import { isPassing, type Outcome } from "./retry.ts";

/** An answer that arrived whole. */
export interface Answer {
  /** Tells it from a {@linkcode Silence}. */
  kind: "answered";
  /** The HTTP status. */
  status: number;
  /** The HTTP headers. */
  headers: Headers;
  /** The body, parsed; its text when it is no JSON. */
  body: unknown;
}

/** An attempt that brought no answer. */
export type Silence = Exclude<Outcome, { kind: "answered" }>;

/** What an error needs to know of the request that failed. */
export interface Tried {
  /** What the request does, to complete the sentence `Cannot …`. */
  action: string;
  /** Whether Port may act on it twice without harm. */
  idempotent: boolean;
  /** What to do when Port answers 404. */
  ifMissing: string;
  /** What to do when Port answers 422, if there is more to say than that. */
  ifInvalid?: string;
}

/**
 * Reads an answer whose body has arrived.
 *
 * @param response The answer.
 * @param text Its body.
 * @returns The answer; a success that holds no JSON counts as none.
 */
export function readAnswer(response: Response, text: string): Answer | Silence {
  const { status, headers } = response;
  try {
    return { kind: "answered", status, headers, body: JSON.parse(text) };
  } catch {
    if (!response.ok) return { kind: "answered", status, headers, body: text };
    const reason = `Port answered ${status} with a body that is not JSON`;
    return { kind: "lost", reason: reason + firstLine(text) };
  }
}

/**
 * Tells from the error of `fetch` whether the request can have arrived.
 *
 * @param error What `fetch` threw.
 * @param timeout How long it was given, in milliseconds.
 * @returns Why there is no answer.
 * @throws What it cannot explain.
 */
export function silenceFor(error: unknown, timeout: number): Silence {
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return {
      kind: "lost",
      reason: `no answer within ${formatSeconds(timeout)}`,
    };
  }
  if (!(error instanceof TypeError)) throw error;
  const text = error.cause instanceof Error
    ? error.cause.message
    : error.message;
  const [, phase, reason = text] =
    /client error \((\w+)\)(?:: (.*))?$/s.exec(text) ?? [];
  return phase === "Connect"
    ? { kind: "unreached", reason: `no connection: ${reason}` }
    : { kind: "lost", reason: `the connection broke: ${reason}` };
}

/**
 * Says what came back.
 *
 * @param outcome How the attempt ended.
 * @returns A part of a sentence, with Port's own message where there is one.
 */
export function describe(outcome: Answer | Silence): string {
  if (outcome.kind !== "answered") return outcome.reason;
  const { status, body } = outcome;
  const said = isJsonObject(body) ? body.message ?? body.error : body;
  return `Port answered ${status}` +
    (typeof said === "string" ? firstLine(said) : "");
}

/** A proxy in between answers in HTML; its first words are what matters. */
function firstLine(text: string): string {
  const line = text.replace(/<[^>]*>/g, " ").trim().split(/\s*[\r\n]/, 1)[0];
  return line ? `: ${line}` : "";
}

/**
 * Makes the error for a request that failed for good.
 *
 * @param tried The request.
 * @param outcome How its last attempt ended.
 * @param description What came back, see {@linkcode describe}.
 * @returns The error, with the exit code that fits.
 */
export function errorFor(
  tried: Tried,
  outcome: Answer | Silence,
  description: string,
): ScriptError {
  return new (errorClass(outcome))(
    `Cannot ${tried.action}: ${description}; ${nextStep(tried, outcome)}`,
  );
}

type ErrorClass = new (message: string) => ScriptError;

function errorClass(outcome: Answer | Silence): ErrorClass {
  if (outcome.kind !== "answered") return UnreachableError;
  const { status } = outcome;
  if (status === 401 || status === 403) return AccessError;
  if (status === 404) return NotFoundError;
  // 407 is a proxy's word.
  const temporary = status < 400 || status >= 500 ||
    [407, 408, 425, 429].includes(status);
  return temporary ? UnreachableError : RejectedError;
}

/** What to do next, as the end of an error's line. */
function nextStep(tried: Tried, outcome: Answer | Silence): string {
  if (outcome.kind === "unreached") {
    return "check the API URL and the network (HTTPS_PROXY, DENO_CERT)";
  }
  if (outcome.kind === "answered") {
    const { status } = outcome;
    if (status === 401) {
      return "check PORT_CLIENT_ID and PORT_CLIENT_SECRET, and that they are " +
        "of this region (--region eu or us)";
    }
    if (status === 403) {
      return "let an admin of Port give these credentials the right to it";
    }
    if (status === 404) return tried.ifMissing;
    if (status === 407) return "give HTTPS_PROXY the proxy's user and password";
    if (isPassing(status, false)) return "run it again later";
    if (status < 400) return "check the API URL";
    if (errorClass(outcome) === RejectedError) {
      const hint = status === 422 ? tried.ifInvalid : undefined;
      return hint ?? "correct it and run again";
    }
  }
  return tried.idempotent
    ? "run it again later"
    : "it was not repeated, as Port may have acted on it: look there first";
}

/**
 * Formats a time for people.
 *
 * @param milliseconds The time.
 * @returns For example `1.5 s`.
 */
export function formatSeconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
