/**
 * A stand-in for Port's API on this machine: the routes, checks, answers and
 * errors of Port's OpenAPI document, and simulated failures on demand.
 *
 * It shares no code with `lib/`, so that client and server cannot agree on the
 * same mistake.
 *
 * @module
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Call, Reply } from "./call.ts";
import { type Failure, makeFailures, makeRandom } from "./failures.ts";
import { type RateLimit, RateLimiter } from "./rate_limit.ts";
import { invalid, notFound, Refusal } from "./refusal.ts";
import { Routes } from "./routes.ts";
import { attempt, loadCatalogue, makeSave } from "./storage.ts";

/** How a local Port is to behave. */
export interface LocalPortOptions {
  /**
   * The TCP port; 0 for a free one.
   *
   * @default {0}
   */
  port?: number;
  /** A folder of blueprints as `*.json`; those of this repository by default. */
  blueprints?: string;
  /** A file that keeps the catalogue over a restart. */
  data?: string;
  /**
   * How long each answer takes at least, in milliseconds.
   *
   * @default {0}
   */
  latency?: number;
  /**
   * The share of requests that fail, from 0 to 1.
   *
   * @default {0}
   */
  failRate?: number;
  /** What the next requests meet, in their order; then `failRate` decides. */
  failures?: (Failure | "none")[];
  /**
   * Identifiers of the self-service actions that there are.
   *
   * @default {["deploy"]}
   */
  actions?: string[];
  /**
   * How many requests are taken in how many milliseconds.
   *
   * @default {{ requests: 10_000, period: 300_000 }}
   */
  rateLimit?: RateLimit;
  /**
   * How long a token lives, in milliseconds.
   *
   * @default {10_800_000}
   */
  tokenLifetime?: number;
  /** Makes the failures of a run repeat. */
  seed?: number;
  /**
   * The only client id taken.
   *
   * @default {"local-id"}
   */
  clientId?: string;
  /**
   * The only client secret taken.
   *
   * @default {"local-secret"}
   */
  clientSecret?: string;
  /** Takes one line for each request. */
  log?: (line: string) => void;
}

/** A local Port that runs. */
export interface LocalPort {
  /** Where it listens, for example `http://127.0.0.1:8787`. */
  url: string;
  /** Ends it, and all connections to it. */
  close(): Promise<void>;
}

/** The largest body that Port takes, in bytes. */
const MAX_BODY = 1024 * 1024;

/** Reads a body; `undefined` when it is larger than Port takes. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY) chunks.push(chunk);
  }
  if (size > MAX_BODY) return undefined;
  return await new Blob(chunks as BlobPart[]).text();
}

function parseBody(text: string | undefined): unknown {
  if (text === undefined) {
    throw new Refusal(
      413,
      "request_too_large",
      "Request body is too large (limit is 1MiB)",
    );
  }
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw invalid("The body is not valid JSON");
  }
}

function unknownRoute(path: string): never {
  throw notFound(`Route ${path} not found`);
}

function parsePath(pathname: string): string[] {
  const [_, version, ...path] = pathname.split("/");
  if (version !== "v1") unknownRoute(pathname);
  try {
    return path.map(decodeURIComponent);
  } catch {
    throw invalid(`The path ${pathname} is not valid`);
  }
}

/** What goes back over the wire. */
interface Wire {
  status: number;
  type: string;
  text: string;
  headers?: Record<string, string>;
}

function toWire({ status, body }: Reply): Wire {
  return { status, type: "application/json", text: JSON.stringify(body) };
}

function refuse(status: number, error: string, message: string): Wire {
  return toWire({ status, body: { ok: false, error, message } });
}

/** What simulated failures answers with in place of Port; nothing was acted on. */
function storm(met: Failure | "none", wait: number): Wire | undefined {
  switch (met) {
    case "rate-limited":
      return {
        ...refuse(429, "rate_limit_exceeded", "Too many requests"),
        headers: { "retry-after": String(wait || 1) },
      };
    case "error":
      return refuse(500, "internal_error", "Something went wrong");
    case "unavailable":
      return refuse(503, "unavailable", "Service temporarily unavailable");
    case "bad-gateway":
      return {
        status: 502,
        type: "text/html",
        text: "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n",
      };
  }
}

/**
 * Starts a local Port on 127.0.0.1.
 *
 * @param options How it is to behave.
 * @returns Where it listens, and how to end it.
 * @throws {Error} When a blueprint or the data file is damaged, or the TCP port
 * is in use.
 */
export async function startLocalPort(
  options: LocalPortOptions = {},
): Promise<LocalPort> {
  const catalogue = loadCatalogue(options);
  const save = makeSave(catalogue, options.data);
  const keep = () => attempt(`write the data file "${options.data}"`, save);
  keep();
  const random = makeRandom(
    options.seed ?? Math.floor(Math.random() * 2 ** 32),
  );
  const routes = new Routes(catalogue, options, random);
  const failures = makeFailures(options, random);
  const limiter = new RateLimiter(
    options.rateLimit ?? { requests: 10_000, period: 300_000 },
  );
  const { log = () => {}, latency = 0 } = options;

  const answer = (request: IncomingMessage, text: string | undefined): Wire => {
    try {
      const reply = routes.answer(readCall(request, text));
      if (request.method !== "GET") keep();
      return toWire(reply);
    } catch (error) {
      if (error instanceof Refusal) {
        return refuse(error.status, error.code, error.message);
      }
      const reason = error instanceof Error ? error.message : error;
      log(`error: ${reason}`);
      return refuse(500, "internal_error", `The local Port failed: ${reason}`);
    }
  };
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const start = performance.now();
    const text = await readBody(request);
    const left = latency - (performance.now() - start);
    if (left > 0) await new Promise((done) => setTimeout(done, left));
    const { headers, wait } = limiter.take();
    const met = wait > 0 ? "rate-limited" : failures();
    const wire = storm(met, wait) ?? answer(request, text);
    send(request, response, met, {
      ...wire,
      headers: { ...headers, ...wire.headers },
    });
    const time = `${(performance.now() - start).toFixed(0)}ms`;
    const cut = met.startsWith("cut") ? ` ${met}` : "";
    log(
      `${request.method} ${
        printable(request.url)
      } ${wire.status} ${time}${cut}`,
    );
  };
  const server = createServer((request, response) => {
    // A client that hangs up early is no reason to stop.
    serve(request, response).catch((error) => log(`error: ${error.message}`));
  });
  return await listen(server, options.port ?? 0);
}

async function listen(server: Server, port: number): Promise<LocalPort> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", ({ message }) => {
      reject(new Error(`Cannot listen on port ${port}: ${message}`));
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

function readCall(request: IncomingMessage, text: string | undefined): Call {
  const { url = "/" } = request;
  const { pathname, searchParams } =
    URL.parse(url.startsWith("/") ? `http://local${url}` : url) ??
      unknownRoute(url);
  return {
    method: request.method ?? "GET",
    path: parsePath(pathname),
    query: searchParams,
    authorization: request.headers.authorization ?? "",
    body: parseBody(text),
  };
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  met: Failure | "none",
  { status, type, text, headers }: Wire,
): void {
  if (met === "cut-before") {
    request.socket.destroy();
    return;
  }
  const bytes = new TextEncoder().encode(text);
  response.writeHead(status, {
    ...headers,
    "content-type": type,
    "content-length": bytes.length,
  });
  if (met !== "cut-middle") {
    response.end(bytes);
    return;
  }
  const half = bytes.subarray(0, bytes.length / 2);
  response.write(half, () => request.socket.destroy());
}

/** A path in the log must not move the cursor of a terminal. */
function printable(text = ""): string {
  return text.replace(/\p{Cc}/gu, "?");
}
