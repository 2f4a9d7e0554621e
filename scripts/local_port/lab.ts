/**
 * The routes below `/__local/`: the page, and what tests ask and set.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { parseBody, requireSmall } from "./body.ts";
import { errorReply, type Reply, reply } from "./call.ts";
import { draw } from "./drawing.ts";
import type { Events } from "./events.ts";
import { FAILURES, type FailureSettings } from "./failures.ts";
import { makeBlueprintGraph, makeEntityGraph } from "./graph.ts";
import { HttpError, orInvalid } from "./http_error.ts";
import { type Json, parseTime } from "./model.ts";
import { PAGE } from "./page.ts";
import { MAX_REQUESTS, readFilter } from "./request_log.ts";
import { readWhole, type RequestLog, waitForRequests } from "./request_log.ts";
import type { RateLimit } from "./rate_limit.ts";
import { findRoute } from "./routes.ts";
import { closed, makeCheck } from "./schemas.ts";
import type { Secrets } from "./secrets.ts";
import { findIncoming, viewCatalogue } from "./views.ts";
import type { World } from "./world.ts";

/** What the lab shows and changes. */
export interface LabOptions {
  world: World;
  requests: RequestLog;
  events: Events;
  secrets: Secrets;
  /** The version of the local Port. */
  version: string;
}

/** A request to the lab. */
interface Ask extends LabOptions {
  query: URLSearchParams;
  body: unknown;
  startedAt: string;
  /** Ends with the connection. */
  signal: AbortSignal;
}

type Handler = (ask: Ask, ...segments: string[]) => Reply | Promise<Reply>;

/** The longest time that can be asked for, in milliseconds. */
const MAX_TIME = 60 * 60 * 1000;

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'self'; frame-ancestors 'none'",
  "content-type": "application/json",
  "x-content-type-options": "nosniff",
};

const PAGE_ROUTES = Object.entries(PAGE).map(([name, [type, body]]) => {
  const headers = { "content-type": `${type}; charset=utf-8` };
  const handler: Handler = () => ({ status: 200, body, headers });
  return [`GET ${name}`, handler];
});

const ROUTES: Record<string, Handler> = {
  ...Object.fromEntries(PAGE_ROUTES),

  "GET health": ({ version, startedAt }) => reply(200, { version, startedAt }),

  "GET requests": ({ query, requests }) =>
    reply(200, {
      requests: requests.list(readFilter(query)),
      last: requests.last,
    }),

  "GET requests/wait": async ({ query, requests, events, signal }) => {
    const filter = readFilter(query);
    const count = readWhole(query, "count", 1, MAX_REQUESTS);
    const timeout = readTime(query, "timeout", "10s");
    const wait = { count, timeout, signal };
    const found = await waitForRequests(requests, events, filter, wait);
    if (found.length >= count) return reply(200, { requests: found });
    const message = `${found.length} of ${count} requests came in ${timeout}ms`;
    return failWith(408, message, { requests: found });
  },

  "GET requests/:id": ({ requests }, id) =>
    reply(200, { ...requests.get(Number(id)) }),

  "DELETE requests": ({ requests, events }) => {
    requests.clear();
    events.emit("clear");
    return reply(200, {});
  },

  "POST reset": ({ world, requests, events }) => {
    world.reset();
    requests.clear();
    events.emit("reset");
    return reply(200, {});
  },

  "GET failures": ({ world }) => reply(200, viewFailures(world)),

  "PUT failures": ({ world, body, events }) => {
    const { rateLimit, ...settings } = checkFailures(body);
    Object.assign(world.failures.settings, settings);
    if (rateLimit !== undefined) world.setRateLimit(rateLimit);
    events.emit("failures");
    return reply(200, viewFailures(world));
  },

  "POST expire-tokens": ({ world }) => {
    world.login.expire();
    return reply(200, {});
  },

  "GET catalogue": ({ world }) =>
    reply(200, { blueprints: viewCatalogue(world.catalogue) }),

  "GET entities": ({ query, world }) =>
    reply(200, {
      entities: world.catalogue.entities(read(query, "blueprint")),
    }),

  "GET graph.svg": showGraph,

  "GET entity": ({ query, world: { catalogue }, requests }) => {
    const ref = [read(query, "blueprint"), read(query, "identifier")] as const;
    return reply(200, {
      entity: catalogue.entity(...ref),
      incoming: findIncoming(catalogue, ...ref),
      requests: requests.changesOf(...ref),
    });
  },
};

const checkFailures = makeCheck<
  Partial<FailureSettings & { rateLimit: RateLimit | null }>
>(closed({}, {
  failRate: { type: "number", minimum: 0, maximum: 1 },
  kinds: {
    type: "array",
    items: { enum: FAILURES },
    minItems: 1,
    uniqueItems: true,
  },
  latency: { type: "number", minimum: 0, maximum: MAX_TIME },
  rateLimit: {
    ...closed({
      requests: { type: "integer", minimum: 1 },
      period: { type: "integer", minimum: 1 },
    }),
    type: ["object", "null"],
  },
}));

function viewFailures({ failures, rateLimit }: World): Json {
  return { ...failures.settings, rateLimit, allKinds: FAILURES };
}

/** The most nodes that a drawing can have and be read. */
const MAX_NODES = 40;

function showGraph({ query, world: { catalogue }, secrets }: Ask): Reply {
  const graph = query.size === 0
    ? makeBlueprintGraph(catalogue)
    : makeEntityGraph(
      catalogue,
      read(query, "blueprint"),
      read(query, "identifier"),
    );
  if (graph.nodes.length <= MAX_NODES) {
    const headers = { "content-type": "image/svg+xml; charset=utf-8" };
    return { status: 200, body: draw(graph, secrets.hide), headers };
  }
  const nodes = graph.nodes.map(({ href, label }) => ({ href, label }));
  const message = `${nodes.length} nodes are too many for a drawing ` +
    `(at most ${MAX_NODES})`;
  return failWith(413, message, { nodes });
}

/** An error with more than a message. */
function failWith(status: number, message: string, more: Json): Reply {
  const { body } = errorReply(new HttpError(status, message));
  return { status, body: { ...Object(body), ...more } };
}

/** The query parameters of routes that have some. */
const QUERIES: Record<string, string[]> = {
  requests: ["path", "status", "since"],
  "requests/wait": ["path", "status", "since", "count", "timeout"],
  entities: ["blueprint"],
  "graph.svg": ["blueprint", "identifier"],
  entity: ["blueprint", "identifier"],
};

function read(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value) return value;
  throw new HttpError(422, `Missing the parameter "${name}"`);
}

function readTime(query: URLSearchParams, name: string, byDefault: string) {
  const text = query.get(name) || byDefault;
  const time = parseTime(text);
  if (time <= MAX_TIME) return time;
  throw new HttpError(
    422,
    `"${name}" must be a time up to 1h such as 500ms or 30s, not "${text}"`,
  );
}

/** A parameter with a typing error must not be taken for no parameter. */
function requireKnown(path: string, query: URLSearchParams): void {
  const known = QUERIES[path];
  const wrong = known &&
    [...query.keys()].find((name) => !known.includes(name));
  if (wrong === undefined) return;
  throw new HttpError(
    422,
    `Unknown parameter "${wrong}", the known ones are ${known?.join(", ")}`,
  );
}

/** Whether a request is one for the lab. */
export function isForLab({ url = "" }: IncomingMessage): boolean {
  return /^\/__local(?:[/?]|$)/.test(url);
}

/** Makes the function that answers the requests for the lab. */
export function makeLab(
  options: LabOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const startedAt = new Date().toISOString();
  const answer = async (request: IncomingMessage, signal: AbortSignal) => {
    requireSameSite(request);
    const { pathname, searchParams } = new URL(`http://local${request.url}`);
    const [_, __, ...path] = pathname.split("/")
      .map((part) =>
        orInvalid("The path is not valid", () => decodeURIComponent(part))
      );
    if (path.length === 0) {
      return { status: 308, body: "", headers: { location: "/__local/" } };
    }
    const { method = "GET" } = request;
    const route = findRoute(ROUTES, method, path);
    if (!route) {
      throw new HttpError(404, `Route ${method}:${pathname} not found`);
    }
    const bytes = await buffer(request);
    requireSmall(bytes);
    requireKnown(path.join("/"), searchParams);
    const body = parseBody(bytes);
    const ask = { ...options, query: searchParams, body, startedAt, signal };
    const [handler, segments] = route;
    return await handler(ask, ...segments);
  };
  return async (request, response) => {
    const hangUp = new AbortController();
    response.on("close", () => hangUp.abort());
    try {
      if (isForEvents(request)) return stream(request, response, options);
      send(response, options, await answer(request, hangUp.signal));
    } catch (error) {
      if (hangUp.signal.aborted) return;
      send(response, options, errorReply(toHttpError(error)));
    }
  };
}

function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  const reason = error instanceof Error ? error.message : error;
  return new HttpError(500, `The local Port failed: ${reason}`);
}

/** A page of another site must neither read nor change anything. */
function requireSameSite({ headers, socket }: IncomingMessage): void {
  const hosts = ["127.0.0.1", "localhost"]
    .map((name) => `${name}:${socket.localPort}`);
  const { host = "", origin, "sec-fetch-site": site = "none" } = headers;
  const isOwn = origin === undefined
    ? ["none", "same-origin"].includes(String(site))
    : hosts.some((host) => origin === `http://${host}`);
  if (hosts.includes(host) && isOwn) return;
  throw new HttpError(
    403,
    `Only requests to and from ${hosts.join(" and ")} are accepted`,
  );
}

function isForEvents({ method, url = "" }: IncomingMessage): boolean {
  return method === "GET" && /^\/__local\/events(?:\?|$)/.test(url);
}

/** Sends what happens, until the client hangs up. */
function stream(
  request: IncomingMessage,
  response: ServerResponse,
  { events, secrets }: LabOptions,
): void {
  requireSameSite(request);
  response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
  // Lets the client see that the stream has begun.
  response.write(":\n\n");
  const stop = events.listen((name, data) => {
    const text = secrets.stringify({ ...Object(data) });
    response.write(`event: ${name}\ndata: ${text}\n\n`);
  });
  response.on("close", stop);
}

function send(
  response: ServerResponse,
  { secrets }: LabOptions,
  { status, body, headers }: Reply,
): void {
  if (response.destroyed) return;
  response.writeHead(status, { ...HEADERS, ...headers });
  response.end(typeof body === "string" ? body : secrets.stringify(body));
}
