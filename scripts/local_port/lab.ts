/**
 * Answers what is below `/__local/`, for this machine only.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { parseBody, requireSmall } from "./body.ts";
import { errorReply, type Reply } from "./call.ts";
import { HttpError, orInvalid } from "./http_error.ts";
import { LAB_ROUTES, type LabOptions, requireKnown } from "./lab_routes.ts";
import { findRoute } from "./routes.ts";

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
  "content-type": "application/json",
  "x-content-type-options": "nosniff",
};

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
    const route = findRoute(LAB_ROUTES, method, path);
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
