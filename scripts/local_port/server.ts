/**
 * Port's API on this machine: the routes, checks, answers and
 * errors of Port's OpenAPI document, and simulated failures on demand.
 *
 * It shares no code with `lib/`, so that client and server cannot agree on the
 * same mistake.
 *
 * @module
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { errorReply, type Reply } from "./call.ts";
import type { Failure, FailureOptions, Failures } from "./failures.ts";
import { FAILED, makeFailures } from "./failures.ts";
import { HttpError, orInvalid } from "./http_error.ts";
import { type LoginOptions, makeLogin } from "./login.ts";
import type { Clock } from "./model.ts";
import { makeRateLimiter, type RateLimits } from "./rate_limit.ts";
import { route } from "./routes.ts";
import { loadCatalogue, makeSave, type StorageOptions } from "./storage.ts";

/** How a local Port behaves. */
export interface LocalPortOptions
  extends FailureOptions, LoginOptions, StorageOptions {
  /**
   * The TCP port; 0 for a free one.
   *
   * @default {0}
   */
  port?: number;
  /**
   * How long each answer takes at least, in milliseconds.
   *
   * @default {0}
   */
  latency?: number;
  /**
   * The identifiers of the self-service actions.
   *
   * @default {["deploy"]}
   */
  actions?: string[];
  /** Those of them that are synchronized, so that runs cannot be updated. */
  synchronized?: string[];
  /** The limits of each family of routes. @default those of Port */
  rateLimits?: RateLimits;
  /**
   * The clock of entities, tokens and the rate limit.
   *
   * @default {Date.now}
   */
  clock?: Clock;
  /** Called with one line for each request. */
  log?: (line: string) => void;
}

/** A local Port that runs. */
export interface LocalPort {
  /** Where it listens, for example `http://127.0.0.1:8787`. */
  url: string;
  /** Ends it, and all connections to it. */
  close(): Promise<void>;
}

/**
 * Starts a local Port on 127.0.0.1.
 *
 * @param options How it behaves.
 * @returns Where it listens, and how to end it.
 * @throws {Error} If a blueprint or the data file is damaged, or the TCP port
 * is in use.
 */
export async function startLocalPort(
  options: LocalPortOptions = {},
): Promise<LocalPort> {
  const { log = () => {}, latency = 0, clock = Date.now } = options;
  const failures = makeFailures(options);
  const answer = makeAnswer({ ...options, log, clock }, failures);
  const count = makeRateLimiter(clock, options.rateLimits);
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const start = performance.now();
    const { method = "GET", url = "/" } = request;
    const body = await buffer(request);
    const left = latency - (performance.now() - start);
    if (left > 0) await new Promise((done) => setTimeout(done, left));
    const { headers, isOver } = count(method, url);
    const failure = isOver ? "rate-limited" : failures.next();
    const reply = FAILED[failure] ?? answer(request, body);
    send(response, failure, {
      ...reply,
      headers: {
        ...reply.headers,
        ...headers,
        "x-trace-id": crypto.randomUUID(),
      },
    });
    const time = `${(performance.now() - start).toFixed(0)}ms`;
    const cut = failure.startsWith("cut") ? ` ${failure}` : "";
    log(`${method} ${url} ${reply.status} ${time}${cut}`);
  };
  const server = createServer((request, response) => {
    // A client that hangs up early must not end the server.
    serve(request, response).catch((error) => log(`error: ${error.message}`));
  });
  return await listen(server, options.port ?? 0);
}

/** Makes the function that replies as Port does. */
function makeAnswer(
  options: LocalPortOptions & { log: (line: string) => void; clock: Clock },
  failures: Failures,
): (request: IncomingMessage, body: Uint8Array) => Reply {
  const { log, clock } = options;
  const catalogue = loadCatalogue(clock, options);
  const save = makeSave(catalogue, options.data);
  save();
  const state = {
    login: makeLogin(clock, options),
    catalogue,
    actions: options.actions ?? ["deploy"],
    synchronized: options.synchronized ?? [],
    runs: new Map(),
    failSometimes: failures.failSometimes,
  };
  return (request, body) => {
    const notes = new Set<string>();
    try {
      const reply = route({ ...readCall(request, body), ...state, notes });
      if (request.method !== "GET") save();
      return reply;
    } catch (error) {
      if (error instanceof HttpError) return errorReply(error);
      const reason = error instanceof Error ? error.message : error;
      log(`error: ${reason}`);
      return errorReply(new HttpError(500, `The local Port failed: ${reason}`));
    } finally {
      for (const note of notes) {
        log(`${request.method} ${request.url}: ${note}`);
      }
    }
  };
}

async function listen(server: Server, port: number): Promise<LocalPort> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", ({ message }) => {
      reject(
        new Error(
          `Cannot listen on port ${port}: ${message}; use --port 0 for a free one`,
        ),
      );
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  const actual = typeof address === "object" ? address?.port : port;
  return {
    url: `http://127.0.0.1:${actual}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The largest body that Port accepts, in bytes. */
const MAX_BODY = 1024 * 1024;

function readCall(request: IncomingMessage, bytes: Uint8Array) {
  const { method = "GET", url = "/", headers } = request;
  const parsed = URL.parse(url.startsWith("/") ? `http://local${url}` : url);
  const [_, version, ...path] = parsed?.pathname.split("/") ?? [];
  if (!parsed || version !== "v1") {
    throw new HttpError(404, `Route ${url} not found`);
  }
  if (bytes.length > MAX_BODY) {
    throw new HttpError(413, "Request body is too large (limit is 1MiB)");
  }
  const parse = () => JSON.parse(new TextDecoder().decode(bytes));
  return {
    method,
    path: orInvalid(
      "The path is not valid",
      () => path.map(decodeURIComponent),
    ),
    query: parsed.searchParams,
    authorization: headers.authorization ?? "",
    body: bytes.length === 0
      ? undefined
      : orInvalid("The body is not valid JSON", parse),
  };
}

/** Sends a reply, or as much of it as a simulated failure lets through. */
function send(
  response: ServerResponse,
  failure: Failure | "none",
  { status, body, headers }: Reply,
): void {
  const hangUp = () => response.socket?.destroy();
  if (failure === "cut-before") return void hangUp();
  const isHtml = typeof body === "string";
  const bytes = new TextEncoder().encode(isHtml ? body : JSON.stringify(body));
  response.writeHead(status, {
    ...headers,
    "content-type": isHtml ? "text/html" : "application/json",
    "content-length": bytes.length,
  });
  if (failure === "cut-middle") {
    response.write(bytes.subarray(0, bytes.length / 2), hangUp);
  } else response.end(bytes);
}
