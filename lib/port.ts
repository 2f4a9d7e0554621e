/**
 * Port's API: log in, send requests, retry, explain failures. This file imports
 * nothing: copy it alone, or read it before you trust it with a secret.
 *
 * ```ts
 * import { getEntity, Port, upsertEntity } from "./port.ts";
 *
 * const port = new Port({
 *   apiUrl: "https://api.port.io",
 *   clientId: Deno.env.get("PORT_CLIENT_ID"),
 *   clientSecret: Deno.env.get("PORT_CLIENT_SECRET"),
 * });
 * const properties = { version: "1.4.2" };
 * await upsertEntity(port, "service", { identifier: "cart", properties });
 * console.log(await getEntity(port, "service", "cart"));
 * ```
 *
 * @module
 */

/** The version, sent in the `User-Agent`. */
export const VERSION = "2.2.0";

/** Any value that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | JsonObject;

/** A JSON object. */
export type JsonObject = { [name: string]: Json };

/** How to reach Port, and the limits of a call. */
export interface PortOptions {
  /** Port's API, without the `/v1` that its paths begin with. */
  apiUrl: string;
  /** Client id of the credentials; not needed with an `accessToken`. */
  clientId?: string | undefined;
  /** Client secret of the credentials; not needed with an `accessToken`. */
  clientSecret?: string | undefined;
  /** A token to use first. If Port rejects it, the client logs in. */
  accessToken?: string | undefined;
  /** Time limit of a call, retries included, in milliseconds. @default {120000} */
  timeout?: number;
  /** Time limit of one attempt, in milliseconds. @default {30000} */
  attemptTimeout?: number;
  /** Further attempts after a failed one. @default {4} */
  retries?: number;
  /** Who sends the requests, for the `User-Agent`. @default {"lib"} */
  client?: string;
  /** Replaces the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Called after each attempt of each request, logins included. */
  onAttempt?: (attempt: Attempt) => void;
}

/** The methods of Port's API. */
export type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

/** Options of one request. */
export interface RequestOptions {
  /** The body, sent as JSON. Port accepts at most 1 MiB. */
  body?: unknown;
  /**
   * Whether the request is safe to repeat. If not, it is retried only if Port
   * cannot have acted on it.
   *
   * @default {false}, for GET {true}
   */
  idempotent?: boolean;
  /**
   * Whether to open a new connection for each attempt. If a reused connection
   * turns out to be closed, Deno itself sends the request again.
   *
   * @default {false}, {true} for DELETE and requests that are not idempotent
   */
  ownConnection?: boolean;
  /** Members that the response must contain, with their types. */
  expect?: Readonly<Record<string, "object" | "array" | "string">>;
  /** Completes `Cannot …` in errors. @default {"METHOD PATH"} */
  action?: string;
  /** Time limit of this call in milliseconds, instead of the client's. */
  timeout?: number;
  /** Aborts the call, and the login if this call started it. */
  signal?: AbortSignal | undefined;
  /** Called after each attempt of this request. */
  onAttempt?: (attempt: Attempt) => void;
}

/** One attempt at a request. */
export interface Attempt {
  /** The HTTP method. */
  method: Method;
  /** Path and query. */
  path: string;
  /** The number of the attempt, from 1. */
  attempt: number;
  /** The outcome on one line, for people. */
  summary: string;
  /** How long the attempt took, in milliseconds. */
  milliseconds: number;
  /** The HTTP status, if there is a response. */
  status: number | undefined;
  /** The HTTP headers, if there is a response. */
  headers: Headers | undefined;
  /** The wait before the next attempt, in milliseconds, if there is one. */
  wait: number | undefined;
  /** Whether Port may have acted on one of the failed attempts so far. */
  maybeApplied: boolean;
}

/** Why a request failed. */
export type PortErrorKind =
  /** 401: Port rejects the credentials or the token. */
  | "unauthorized"
  /** 403: the credentials lack a permission. */
  | "forbidden"
  /** 404: there is no such blueprint, entity, action or run. */
  | "not-found"
  /** Any other 4xx: Port does not accept the content. */
  | "rejected"
  /** 5xx, 408, 425 or 429. */
  | "unavailable"
  /** The response is not from Port: a redirect, a web page, no login route. */
  | "not-port"
  /** No response. */
  | "network";

/** A failed request. Its message contains neither secret nor token. */
export class PortError extends Error {
  /** The reason, for programs. */
  declare readonly kind: PortErrorKind;
  /** The HTTP method. */
  declare readonly method: Method;
  /** Path and query. */
  declare readonly path: string;
  /** Whether the request was sent as idempotent. */
  declare readonly idempotent: boolean;
  /** Whether Port may have acted on an attempt, the last included. */
  declare readonly maybeApplied: boolean;
  /** The HTTP status; `undefined` without a response. */
  declare readonly status?: number | undefined;
  /** Port's id of the request. Port's support asks for it. */
  declare readonly traceId?: string | undefined;

  /**
   * Creates the error.
   *
   * @param message What failed and why, on one line.
   * @param facts The same, for programs.
   */
  constructor(message: string, facts: Omit<PortError, keyof Error>) {
    super(message);
    Object.assign(this, facts);
  }
}

/** How one attempt ended. */
interface Outcome extends Partial<Pick<Attempt, "status" | "headers">> {
  summary: string;
  body?: unknown;
  /** Whether Port may have received the request. */
  sent: boolean;
}

/** A request in progress. */
interface Call extends RequestOptions, Pick<Attempt, "method" | "path"> {
  idempotent: boolean;
  /** In milliseconds since 1970. */
  deadline: number;
}

const LOGIN = "/v1/auth/access_token";

const LIMITS = { timeout: 120_000, attemptTimeout: 30_000, retries: 4 };

/** Port. One token serves all requests; a 401 renews it once per request. */
export class Port {
  readonly #options;
  /** Removed from all messages, since a server may echo them. */
  readonly #secrets: string[];
  #token: Promise<string> | undefined;

  /**
   * Creates a client. Nothing is sent before the first request.
   *
   * @param options How to reach Port, and the limits of a call.
   */
  constructor(options: PortOptions) {
    this.#options = { ...LIMITS, fetch: globalThis.fetch, ...options };
    const { clientSecret, accessToken } = options;
    this.#secrets = [clientSecret ?? "", accessToken ?? ""].filter(Boolean);
    if (accessToken) this.#token = Promise.resolve(accessToken);
  }

  /**
   * Sends a request with the token, and retries it if that is safe.
   *
   * @param method The HTTP method.
   * @param path Path and query, from `/v1` on; see {@linkcode apiPath}.
   * @param options Body, retries and cancellation.
   * @returns The JSON object that Port answers with.
   * @throws {PortError} If the request fails.
   */
  async request(
    method: Method,
    path: string,
    options: RequestOptions = {},
  ): Promise<JsonObject> {
    const { idempotent = method === "GET", signal } = options;
    const deadline = Date.now() + (options.timeout ?? this.#options.timeout);
    const call = { ...options, method, path, idempotent, deadline };
    const isLogin = path === LOGIN;
    let mayRenew = !isLogin && Boolean(this.#options.clientSecret);
    let maybeApplied = false;
    for (let attempt = 1;; attempt++) {
      const token = isLogin ? undefined : this.#token ??= this.#logIn(call);
      const bearer = await token;
      const start = Date.now();
      const outcome = await this.#attempt(call, bearer);
      // Retryable only if idempotent: Port may have acted on the request.
      maybeApplied ||= isRetryable(outcome, true) && !isRetryable(outcome);
      const isLast = attempt > this.#options.retries || signal?.aborted ||
        !isRetryable(outcome, idempotent);
      const delay = isLast ? Infinity : retryDelay(outcome, attempt);
      const wait = Date.now() + delay < deadline ? delay : undefined;
      const milliseconds = Date.now() - start;
      const { summary, status, headers } = outcome;
      const facts = { method, path, attempt, milliseconds, wait, maybeApplied };
      const report = { ...facts, summary, status, headers };
      for (const { onAttempt } of [this.#options, options]) onAttempt?.(report);
      if (wait !== undefined) {
        await sleep(wait, signal);
      } else if (status === 401 && mayRenew) {
        mayRenew = false;
        // Another request may have renewed it already.
        if (this.#token === token) this.#token = undefined;
      } else {
        return accept(call, outcome, maybeApplied);
      }
    }
  }

  /** Concurrent requests share one login. */
  async #logIn({ deadline, signal }: Call): Promise<string> {
    const { apiUrl, clientId, clientSecret } = this.#options;
    try {
      const { accessToken } = await this.request("POST", LOGIN, {
        action: `log in to Port at ${apiUrl}`,
        body: { clientId, clientSecret },
        idempotent: true,
        timeout: deadline - Date.now(),
        signal,
        expect: { accessToken: "string" },
      });
      this.#secrets.push(String(accessToken));
      return String(accessToken);
    } catch (error) {
      // The next request tries again.
      this.#token = undefined;
      throw error;
    }
  }

  async #attempt(call: Call, token?: string): Promise<Outcome> {
    const { method, path, body, idempotent, deadline, signal } = call;
    const { apiUrl, attemptTimeout, client = "lib", fetch } = this.#options;
    if (signal?.aborted) return { summary: "canceled", sent: false };
    const { ownConnection = !idempotent || method === "DELETE" } = call;
    const connection = ownConnection ? Deno.createHttpClient({}) : undefined;
    const limit = Math.max(0, Math.min(attemptTimeout, deadline - Date.now()));
    const timeout = AbortSignal.timeout(limit);
    let outcome: Outcome;
    try {
      const response = await fetch(apiUrl + path, {
        method,
        headers: {
          "accept": "application/json",
          "user-agent": `circleci-port/${VERSION} (${client})`,
          ...(body !== undefined && { "content-type": "application/json" }),
          ...(token && { "authorization": `Bearer ${token}` }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        // The token must not follow a redirect to another host.
        redirect: "manual",
        signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
        ...(connection && { client: connection }),
      });
      outcome = await readResponse(response);
    } catch (error) {
      if (signal?.aborted) return { summary: "canceled", sent: true };
      outcome = explainError(error, Math.ceil(limit / 1000));
    } finally {
      connection?.close();
    }
    let { summary } = outcome;
    for (const it of this.#secrets) {
      summary = summary.replaceAll(it, "[secret]");
    }
    return { ...outcome, summary: summary.slice(0, 500) };
  }
}

/** Returns the body if the request succeeded as expected, or throws. */
function accept(call: Call, last: Outcome, maybeApplied: boolean): JsonObject {
  const { method, path, idempotent, expect = {} } = call;
  const { action = `${method} ${path}` } = call;
  const { status = 0, body, headers, summary } = last;
  const isSuccess = status >= 200 && status < 300;
  const lacks = isJsonObject(body)
    ? Object.keys(expect).find((name) => typeOf(body[name]) !== expect[name])
    : "JSON object";
  if (isSuccess && isJsonObject(body) && !lacks) return body;
  const note = isSuccess ? ` without ${lacks}` : "";
  throw new PortError(`Cannot ${action}: ${summary}${note}`, {
    ...{ method, path, idempotent, status: last.status },
    kind: status ? kindOf(status, path) : "network",
    traceId: headers?.get("x-trace-id") ?? undefined,
    maybeApplied: maybeApplied || isSuccess || status > 504,
  });
}

function kindOf(status: number, path: string): PortErrorKind {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  // A success gets here if its body is not as expected.
  if (status < 400) return "not-port";
  if (status === 404) return path === LOGIN ? "not-port" : "not-found";
  return status < 500 && !RETRYABLE.has(status) ? "rejected" : "unavailable";
}

/** Reads at most 256 MiB (2^28 bytes), as a body may never end. */
async function readResponse(response: Response): Promise<Outcome> {
  const { status, headers } = response;
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    // Leaving the loop closes the connection.
    if (text.length > 2 ** 28) break;
  }
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: keep the text.
  }
  const detail = firstLine(isJsonObject(body) ? body.message : body);
  const summary = `Port answered ${status}${detail && `: ${detail}`}`;
  return { summary, status, headers, body, sent: true };
}

/** Returns the first line without HTML tags, as proxies answer in HTML. */
function firstLine(text: unknown): string {
  if (typeof text !== "string") return "";
  const plain = text.slice(0, 5000).replace(/<[/!a-z][^>]*>/gi, " ").trim();
  return plain.split(/\s*[\r\n]/, 1).join("");
}

/** Deno's errors of `fetch`, as observed with Deno 2.9.6. */
function explainError(error: unknown, seconds: number): Outcome {
  if (error instanceof DOMException) {
    return { summary: `no response within ${seconds} s`, sent: true };
  }
  if (!(error instanceof TypeError)) throw error;
  const { message } = error.cause instanceof Error ? error.cause : error;
  const [, phase, reason = message] =
    /client error \((\w+)\)(?:: (.*))?$/s.exec(message) ?? [];
  return phase === "Connect"
    ? { summary: `no connection: ${reason}`, sent: false }
    : { summary: `the connection broke: ${reason}`, sent: true };
}

/** Statuses after which a retry may succeed. */
const RETRYABLE = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Statuses that mean that Port has not acted on the request. */
const NOT_APPLIED = new Set([425, 429, 503]);

/**
 * Returns whether to retry a request.
 *
 * @param outcome The HTTP status or, without a response, whether the request
 * may have reached Port.
 * @param idempotent Whether the request is safe to repeat. If not, it is
 * retried only if Port cannot have acted on it.
 * @returns Whether to retry.
 */
export function isRetryable(
  { status, sent }: { status?: number | undefined; sent?: boolean },
  idempotent = false,
): boolean {
  if (status === undefined) return idempotent || !sent;
  return (idempotent ? RETRYABLE : NOT_APPLIED).has(status);
}

/**
 * Returns the wait before the next attempt. It is the time that the response
 * asks for, plus exponential backoff with full jitter: a random time below a
 * bound that doubles from 500 ms to 30 s. A response asks in `Retry-After`
 * (seconds or a date, RFC 9110, section 10.2.3) or, with 429, in Port's
 * `x-ratelimit-reset` (UTC epoch seconds), but for no longer than Port's
 * `x-ratelimit-period` (seconds).
 *
 * @param response Status and headers, if there is a response.
 * @param attempt The number of the last attempt, from 1.
 * @param random A random number from 0 up to 1.
 * @returns The wait, in milliseconds.
 */
export function retryDelay(
  { status, headers }: Partial<Pick<Attempt, "status" | "headers">>,
  attempt: number,
  random: number = Math.random(),
): number {
  // The local clock may be wrong.
  const now = Date.parse(headers?.get("date") ?? "") || Date.now();
  const after = headers?.get("retry-after") ?? "";
  const reset = status === 429 ? headers?.get("x-ratelimit-reset") : null;
  const period = Number(headers?.get("x-ratelimit-period")) || Infinity;
  const until = /^\d+$/.test(after)
    ? now + Number(after) * 1000
    // Date.parse() accepts almost any number as a date.
    : Date.parse(/^[a-z]/i.test(after) ? after : "") || Number(reset) * 1000;
  const backoff = Math.min(30_000, 500 * 2 ** (attempt - 1));
  const asked = Math.min(until - now || 0, period * 1000);
  return Math.max(0, asked) + random * backoff;
}

/**
 * Waits.
 *
 * @param ms How long, in milliseconds.
 * @param signal Ends the wait early.
 */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve: end } = Promise.withResolvers<unknown>();
  const timer = setTimeout(end, signal?.aborted ? 0 : ms);
  signal?.addEventListener("abort", end);
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener("abort", end);
}

/**
 * Returns whether a value is a JSON object, not an array or `null`.
 *
 * @param value The value.
 * @returns Whether it is an object.
 */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeOf(value) === "object";
}

/** Like `typeof`, but `null`, `""` and other empty values are `undefined`. */
function typeOf(value: unknown): string {
  return Array.isArray(value) ? "array" : typeof (value || undefined);
}

/**
 * Builds a path of Port's API.
 *
 * @param segments Its parts, for example `"blueprints", "service"`; each is
 * encoded.
 * @returns The path, from `/v1` on.
 * @throws {URIError} If a part is empty, `.` or `..`: it changes the path.
 */
export function apiPath(...segments: string[]): string {
  const bad = segments.find((text) => /^\.{0,2}$/.test(text));
  if (bad !== undefined) throw new URIError(`"${bad}" cannot be in a path`);
  return `/v1/${segments.map(encodeURIComponent).join("/")}`;
}

/** Options of an upsert. */
export interface UpsertOptions {
  /** Replace the whole entity. By default omitted fields are kept. */
  replace?: boolean;
  /** Let Port create related entities that do not exist. */
  createMissingRelatedEntities?: boolean;
  /** Let Port validate the entity without saving it. */
  validateOnly?: boolean;
  /** The action run that this belongs to. */
  runId?: string | undefined;
}

/**
 * Returns the query string of an upsert.
 *
 * @param options Options of the upsert.
 * @returns The query string, with `?`.
 */
export function upsertQuery(options: UpsertOptions): string {
  const query = {
    upsert: true,
    merge: !options.replace,
    create_missing_related_entities: options.createMissingRelatedEntities,
    validation_only: options.validateOnly,
    run_id: options.runId,
  };
  return "?" + Object.entries(query).filter(([, value]) => value)
    .map(([name, value]) => `${name}=${encodeURIComponent(value ?? "")}`)
    .join("&");
}

/**
 * Creates or updates an entity.
 *
 * @param port Port.
 * @param blueprint Identifier of the blueprint.
 * @param entity The entity. Without an identifier, Port generates one.
 * @param options Options of the upsert.
 * @returns The saved entity.
 * @throws {PortError} If the request fails.
 */
export async function upsertEntity(
  port: Port,
  blueprint: string,
  entity: JsonObject,
  options: UpsertOptions = {},
): Promise<JsonObject> {
  const isNamed = typeof entity.identifier === "string";
  const name = isNamed ? `entity "${entity.identifier}"` : "an entity";
  const path = apiPath("blueprints", blueprint, "entities");
  const response = await port.request("POST", path + upsertQuery(options), {
    action: `upsert ${name} in blueprint "${blueprint}"`,
    body: entity,
    // Without an identifier, a retry could create a second entity.
    idempotent: isNamed || options.validateOnly === true,
    expect: { entity: "object" },
  });
  return response.entity as JsonObject;
}

/**
 * Reads an entity.
 *
 * @param port Port.
 * @param blueprint Identifier of the blueprint.
 * @param identifier Identifier of the entity.
 * @param query The query string, for example `?include=title`.
 * @param options Time limit and cancellation.
 * @returns The entity.
 * @throws {PortError} If the request fails.
 */
export async function getEntity(
  port: Port,
  blueprint: string,
  identifier: string,
  query = "",
  options: RequestOptions = {},
): Promise<JsonObject> {
  const path = apiPath("blueprints", blueprint, "entities", identifier);
  const response = await port.request("GET", path + query, {
    action: `get entity "${identifier}" of blueprint "${blueprint}"`,
    expect: { entity: "object" },
    ...options,
  });
  return response.entity as JsonObject;
}
