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
import { parseBody, requireSmall } from "./body.ts";
import { errorReply, type Reply } from "./call.ts";
import { Events } from "./events.ts";
import { FAILED, type Failure } from "./failures.ts";
import { HttpError, orInvalid } from "./http_error.ts";
import { isForLab, makeLab } from "./lab.ts";
import type { Clock } from "./model.ts";
import { RequestLog } from "./request_log.ts";
import { route } from "./routes.ts";
import { makeSecrets } from "./secrets.ts";
import { makeWorld, type World, type WorldOptions } from "./world.ts";

/** How a local Port behaves. */
export interface LocalPortOptions extends WorldOptions {
  /**
   * The TCP port; 0 for a free one.
   *
   * @default {0}
   */
  port?: number;
  /**
   * The clock of entities, tokens and the rate limit.
   *
   * @default {Date.now}
   */
  clock?: Clock;
  /** The version that the lab reports. */
  version?: string;
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
  const { log = () => {}, clock = Date.now, version = "unknown" } = options;
  const world = makeWorld(clock, options);
  const secrets = makeSecrets(world.login.clientSecret);
  const [requests, events] = [new RequestLog(secrets), new Events()];
  const serve = makeServe(world, log, requests, events);
  const lab = makeLab({ world, requests, events, secrets, version });
  const server = createServer((request, response) => {
    const answered = isForLab(request)
      ? lab(request, response)
      : serve(request, response);
    // A client that hangs up early must not end the server.
    answered.catch((error) => log(`error: ${error.message}`));
  });
  return await listen(server, options.port ?? 0);
}

/** Makes the function that serves Port's routes, and keeps what they got. */
function makeServe(
  world: World,
  log: (line: string) => void,
  requests: RequestLog,
  events: Events,
) {
  const answer = makeAnswer(world, log);
  return async (request: IncomingMessage, response: ServerResponse) => {
    const [start, time] = [performance.now(), new Date().toISOString()];
    const { method = "GET", url = "/" } = request;
    const { "user-agent": client = "" } = request.headers;
    const body = await buffer(request);
    const { latency } = world.failures.settings;
    const left = latency - (performance.now() - start);
    if (left > 0) await new Promise((done) => setTimeout(done, left));
    const { headers, isOver } = world.count(method, url);
    const failure = isOver ? "none" : world.failures.next();
    const reply = FAILED[isOver ? "rate-limited" : failure] ??
      answer(request, body);
    const traceId = crypto.randomUUID();
    const ms = Math.round(performance.now() - start);
    const changes = world.catalogue.takeChanges();
    const summary = requests.add({
      ...{ time, method, url, ms, client, failure, body, reply, traceId },
      changed: changes.filter((change) => change.length === 2),
    });
    events.emit("request", summary);
    for (const [blueprint, identifier] of changes) {
      events.emit("catalogue", { blueprint, identifier });
    }
    for (const id of world.runs.takeChanges()) events.emit("run", { id });
    send(response, failure, {
      ...reply,
      headers: { ...reply.headers, ...headers, "x-trace-id": traceId },
    });
    const cut = failure.startsWith("cut") ? ` ${failure}` : "";
    log(`${method} ${url} ${reply.status} ${ms}ms${cut}`);
  };
}

/** Makes the function that replies as Port does. */
function makeAnswer(
  world: World,
  log: (line: string) => void,
): (request: IncomingMessage, body: Uint8Array) => Reply {
  return (request, body) => {
    const notes = new Set<string>();
    const { failSometimes } = world.failures;
    try {
      const call = { ...readCall(request, body), ...world };
      const reply = route({ ...call, failSometimes, notes });
      if (request.method !== "GET") world.save();
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

function readCall(request: IncomingMessage, bytes: Uint8Array) {
  const { method = "GET", url = "/", headers } = request;
  const parsed = URL.parse(url.startsWith("/") ? `http://local${url}` : url);
  const [_, version, ...path] = parsed?.pathname.split("/") ?? [];
  if (!parsed || version !== "v1") {
    throw new HttpError(404, `Route ${url} not found`);
  }
  requireSmall(bytes);
  return {
    method,
    path: orInvalid(
      "The path is not valid",
      () => path.map(decodeURIComponent),
    ),
    query: parsed.searchParams,
    authorization: headers.authorization ?? "",
    body: parseBody(bytes),
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
