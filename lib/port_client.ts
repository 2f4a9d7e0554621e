/**
 * Talks to Port: the token, requests that survive a bad day, and what to say
 * when they do not. The only file that calls `fetch`.
 *
 * @module
 */
import {
  type Answer,
  describe,
  errorFor,
  formatSeconds,
  readAnswer,
  type Silence,
  silenceFor,
  type Tried,
} from "./answer.ts";
import {
  ScriptError,
  TooLargeError,
  UnreachableError,
  UsageError,
} from "./errors.ts";
import { byteLength, isJsonObject, type JsonObject } from "./json.ts";
import { isWorthRetrying, retryDelay } from "./retry.ts";

/** What Port gives out a token for. */
export interface Credentials {
  /** Client id. */
  clientId: string;
  /** Client secret. */
  clientSecret: string;
}

/** A request, ready to be sent. */
export interface PortRequest extends Tried {
  /** The HTTP method. */
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Path and query, beginning with `/v1`. */
  path: string;
  /** The JSON text to send. */
  body?: string;
  /** Whether a repeat, though it does no harm, is answered otherwise. */
  isDeletion?: boolean;
}

/** What a {@linkcode PortClient} needs to know. */
export interface PortClientOptions {
  /** Where Port's API is, without the `/v1` of its paths. */
  apiUrl: string;
  /** Gives the credentials, when the first token is needed. */
  credentials: () => Credentials;
  /**
   * The most that one call may take, retries included, in milliseconds.
   *
   * @default {120000}
   */
  timeout?: number;
  /**
   * The most that one attempt may take, in milliseconds.
   *
   * @default {30000}
   */
  attemptTimeout?: number;
  /**
   * How many further attempts may follow a failed one.
   *
   * @default {4}
   */
  retries?: number;
  /** Sends one request; given by tests. */
  fetch?: typeof globalThis.fetch;
  /** The present time in milliseconds since 1970; given by tests. */
  now?: () => number;
  /** Waits so many milliseconds; given by tests. */
  sleep?: (milliseconds: number) => Promise<void>;
  /** A random number from 0 up to 1; given by tests. */
  random?: () => number;
}

/** One attempt at a request, and what came of it. */
export interface Attempt {
  /** The HTTP method. */
  method: string;
  /** Path and query, without the host. */
  path: string;
  /** The number of this attempt, from 1. */
  attempt: number;
  /** What Port answered, or why there is no answer, for people. */
  outcome: string;
  /** How long the attempt took, in milliseconds. */
  milliseconds: number;
  /** How long the wait before the next attempt is, in milliseconds. */
  retryIn?: number;
  /** The HTTP status; nothing without answer. */
  status?: number;
  /** What Port says of its rate limit among others; nothing without answer. */
  headers?: Headers;
}

/** An answer, and what may have happened before it came. */
export interface SentAnswer extends Answer {
  /** Whether Port may have acted on an attempt before. */
  isRepeat: boolean;
}

/** Talks to Port. One token serves all its calls. */
export class PortClient {
  readonly #options: Required<PortClientOptions>;
  /** What must not appear in an error, whatever a server writes into it. */
  readonly #secrets: string[] = [];
  readonly #listeners: ((attempt: Attempt) => void)[] = [];
  #token: Promise<string> | undefined;
  #renewAt = Infinity;
  #end = Infinity;
  #shared = { signal: AbortSignal.abort(), end: -Infinity };

  /**
   * Makes a client; nothing is sent before the first call.
   *
   * @param options Where Port is, the credentials, and the limits.
   */
  constructor(options: PortClientOptions) {
    this.#options = {
      timeout: 120_000,
      attemptTimeout: 30_000,
      retries: 4,
      fetch: globalThis.fetch,
      now: Date.now,
      sleep,
      random: Math.random,
      ...options,
    };
  }

  /**
   * Tells of each attempt, of whatever request.
   *
   * @param listener Called after each attempt.
   */
  listen(listener: (attempt: Attempt) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Lets no call go on past a time.
   *
   * @param end The time, in milliseconds since 1970.
   */
  endBy(end: number): void {
    this.#end = end;
  }

  /** Fetches the token now, so that the first request need not wait for it. */
  logInAhead(): void {
    // Why it fails is told to the first request.
    this.#accessToken(this.#deadline()).catch(() => {});
  }

  #deadline(): number {
    const { now, timeout } = this.#options;
    return Math.min(now() + timeout, this.#end);
  }

  /**
   * Sends a request, and the token with it; a token can be revoked before its
   * time, so that a 401 is worth a new one, once.
   *
   * @param request The request.
   * @returns Port's answer, a success.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async send(request: PortRequest): Promise<SentAnswer> {
    const deadline = this.#deadline();
    const token = this.#accessToken(deadline);
    const answer = await this.#sendUntilAnswered(
      request,
      deadline,
      await token,
    );
    if (answer.status !== 401) return this.#accept(request, answer);
    if (this.#token === token) this.#token = undefined;
    const renewed = await this.#accessToken(deadline);
    return this.#accept(
      request,
      await this.#sendUntilAnswered(request, deadline, renewed),
    );
  }

  /** All calls that need a token at the same time wait for the same one. */
  #accessToken(deadline: number): Promise<string> {
    if (this.#options.now() >= this.#renewAt) this.#token = undefined;
    this.#token ??= this.#logIn(deadline).catch((error) => {
      this.#token = undefined;
      throw error;
    });
    return this.#token;
  }

  async #logIn(deadline: number): Promise<string> {
    this.#renewAt = Infinity;
    const credentials = this.#options.credentials();
    this.#secrets.push(credentials.clientSecret);
    const request = loginRequest(credentials, this.#options.apiUrl);
    const answer = await this.#sendUntilAnswered(request, deadline);
    // Every Port has this route, so that it is another server.
    if (answer.status === 404) throw unusable(request, "404 and no token");
    const { body } = this.#accept(request, answer);
    const { accessToken, expiresIn } = isJsonObject(body) ? body : {};
    // A header takes no other characters, and its error would show the token.
    if (typeof accessToken !== "string" || !/^[!-~]+$/.test(accessToken)) {
      throw unusable(request, "no token");
    }
    this.#secrets.push(accessToken);
    // Port may say 0: such a token is used until it is refused.
    if (typeof expiresIn === "number" && expiresIn > 0) {
      this.#renewAt = this.#options.now() + renewalTime(expiresIn * 1000);
    }
    return accessToken;
  }

  /** Sends until there is an answer that another attempt would not change. */
  async #sendUntilAnswered(
    request: PortRequest,
    deadline: number,
    token?: string,
  ): Promise<SentAnswer> {
    const { now, random, sleep, retries } = this.#options;
    const tell = (attempt: Attempt) => {
      for (const listener of this.#listeners) listener(attempt);
    };
    let isRepeat = false;
    for (let attempt = 1;; attempt++) {
      const start = now();
      const outcome = await this.#attempt(request, deadline - start, token);
      const end = now();
      const description = this.#describe(outcome);
      const report = {
        method: request.method,
        path: request.path,
        attempt,
        outcome: description,
        milliseconds: end - start,
        ...(outcome.kind === "answered" && {
          status: outcome.status,
          headers: outcome.headers,
        }),
      };
      const wait = retryDelay(outcome, attempt, end, random());
      const passing = isWorthRetrying(outcome, request.idempotent);
      if (passing && attempt <= retries && end + wait < deadline) {
        isRepeat ||= !isWorthRetrying(outcome, false);
        tell({ ...report, retryIn: wait });
        await sleep(wait);
        continue;
      }
      tell(report);
      if (!passing && outcome.kind === "answered") {
        return { ...outcome, isRepeat };
      }
      const last = !passing
        ? ""
        : attempt > retries
        ? ` (attempt ${attempt}, the last)`
        : ` (the next attempt, in ${formatSeconds(wait)}, would come too late)`;
      throw errorFor(request, outcome, description + last);
    }
  }

  async #attempt(
    request: PortRequest,
    remaining: number,
    token?: string,
  ): Promise<Answer | Silence> {
    const { apiUrl, attemptTimeout, fetch } = this.#options;
    const timeout = Math.max(0, Math.min(attemptTimeout, remaining));
    // On a connection that was used before, Deno itself repeats a request that
    // got no answer, whatever its method; on one of its own it does not.
    const isAlone = !request.idempotent || request.isDeletion;
    const client = isAlone ? Deno.createHttpClient({}) : undefined;
    try {
      const response = await fetch(apiUrl + request.path, {
        method: request.method,
        headers: {
          "accept": "application/json",
          ...(request.body !== undefined &&
            { "content-type": "application/json" }),
          ...(token !== undefined && { "authorization": `Bearer ${token}` }),
        },
        body: request.body ?? null,
        // The token must not follow a redirect to another host.
        redirect: "manual",
        signal: this.#endAfter(timeout),
        ...(client && { client }),
      });
      return readAnswer(response, await readText(request, response));
    } catch (error) {
      if (error instanceof ScriptError) throw error;
      if (error instanceof Deno.errors.NotCapable) throw notAllowed(apiUrl);
      return silenceFor(error, timeout);
    } finally {
      client?.close();
    }
  }

  /**
   * Gives a signal for the end of an attempt. Those that begin at nearly the
   * same time share one, since it lasts longer than most of them: thousands would
   * fill the memory. (`setTimeout()` could be cleared, but loads for longer than
   * a request takes.)
   */
  #endAfter(timeout: number): AbortSignal {
    const end = this.#options.now() + timeout;
    const early = end - this.#shared.end;
    if (early < 0 || early > timeout / 50) {
      this.#shared = { signal: AbortSignal.timeout(timeout), end };
    }
    return this.#shared.signal;
  }

  #accept(request: PortRequest, answer: SentAnswer): SentAnswer {
    if (answer.status >= 200 && answer.status < 300) return answer;
    // The attempt before, whose answer was lost, has deleted it.
    const isGone = request.isDeletion && answer.status === 404;
    if (isGone && answer.isRepeat) return answer;
    throw errorFor(request, answer, this.#describe(answer));
  }

  /** Says what came back, without secrets, in 500 characters at most. */
  #describe(outcome: Answer | Silence): string {
    return this.#secrets.reduce(
      (text, secret) => text.replaceAll(secret, "[secret]"),
      describe(outcome),
    ).slice(0, 500);
  }
}

/**
 * Waits.
 *
 * @param milliseconds How long.
 */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** The largest answer that is read, in bytes; text can hold twice that. */
const MAX_ANSWER = 256 * 1024 * 1024;

/** Reads a body, but not without end; at once where its length is true. */
async function readText(
  request: PortRequest,
  response: Response,
): Promise<string> {
  const { headers } = response;
  const length = headers.get("content-length");
  // Of what is compressed, the length says nothing.
  if (length !== null && !headers.has("content-encoding")) {
    if (Number(length) <= MAX_ANSWER) return await response.text();
  }
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    // Leaving the loop ends the connection.
    if (size > MAX_ANSWER) throw unusable(request, "more than 256 MiB");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** A token is renewed a tenth of its life, at most a minute, before its end. */
function renewalTime(lifetime: number): number {
  return lifetime - Math.min(60_000, lifetime / 10);
}

/**
 * Sends a request and takes one member out of Port's answer.
 *
 * @param port Port.
 * @param name Name of the member.
 * @param request The request.
 * @returns The member.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function sendForPart(
  port: PortClient,
  name: string,
  request: PortRequest,
): Promise<JsonObject> {
  const { body } = await port.send(request);
  const part = isJsonObject(body) ? body[name] : undefined;
  if (isJsonObject(part)) return part;
  throw unusable(request, `no ${name}`);
}

/**
 * Makes the error for a success that lacks what it is for.
 *
 * @param tried The request.
 * @param what What the answer holds, for example `no entity`.
 * @returns The error.
 */
export function unusable(tried: Tried, what: string): UnreachableError {
  return new UnreachableError(
    `Cannot ${tried.action}: Port's answer holds ${what}; check the API URL`,
  );
}

/** The largest body that Port takes, in bytes (its OpenAPI document, 413). */
export const MAX_BODY = 1024 * 1024;

/**
 * Makes the body of a request, and refuses one that Port would refuse.
 *
 * @param value What to send.
 * @returns Its JSON text.
 * @throws {TooLargeError} When it is over {@linkcode MAX_BODY}.
 */
export function toBody(value: unknown): string {
  const body = JSON.stringify(value);
  const size = byteLength(body);
  if (size <= MAX_BODY) return body;
  throw new TooLargeError(
    `Cannot send ${size} bytes: Port takes at most 1 MiB in one request; send ` +
      "fewer or shorter values",
  );
}

function loginRequest(credentials: Credentials, apiUrl: string): PortRequest {
  return {
    action: `log in to Port at ${new URL(apiUrl).host}`,
    method: "POST",
    path: "/v1/auth/access_token",
    body: JSON.stringify(credentials),
    idempotent: true,
    ifMissing: "check the API URL",
  };
}

function notAllowed(apiUrl: string): UsageError {
  const { host } = new URL(apiUrl);
  return new UsageError(
    `Cannot reach "${host}": this run has no right to; add ` +
      `--allow-net=${host} after deno run`,
  );
}
