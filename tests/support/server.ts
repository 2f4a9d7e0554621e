/**
 * A small HTTP server with a handler per test. Unlike the local Port, it can break
 * connections and responses, and it records each request.
 *
 * @module
 */
import { CREDENTIALS } from "./port.ts";
import { createServer, type IncomingMessage } from "node:http";
import { once } from "node:events";

/** A request that the server received. */
export interface Received {
  method: string;
  /** Path and query. */
  path: string;
  headers: Headers;
  body: string;
  /** The client's TCP port: the same for two requests on one connection. */
  connection: number;
}

/**
 * A response; a status, for a simple response; no response; or a connection that
 * closes before or in the middle of the response.
 */
export type Answer =
  | Response
  | number
  | "none"
  | "cut before"
  | "cut in the middle";

/**
 * Runs a test with a server on 127.0.0.1.
 *
 * @param handler Answers each request.
 * @param test Called with the server's URL and the requests received so far.
 * @returns What the test returns.
 */
export async function withHandler<Result>(
  handler: (request: Received) => Answer,
  test: (url: string, requests: Received[]) => Promise<Result>,
): Promise<Result> {
  const requests: Received[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const request = await receive(incoming);
    requests.push(request);
    const answer = handler(request);
    if (answer === "none") return;
    if (answer === "cut before") {
      incoming.socket.destroy();
    } else if (answer === "cut in the middle") {
      outgoing.writeHead(200, { "content-length": 100 });
      outgoing.write('{"entity":', () => incoming.socket.destroy());
    } else {
      const response = typeof answer === "number" ? plain(answer) : answer;
      const bytes = await response.bytes();
      const headers = [...response.headers].flat();
      headers.push("content-length", String(bytes.length));
      outgoing.writeHead(response.status, headers).end(bytes);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address() as { port: number };
  try {
    return await test(`http://127.0.0.1:${address.port}`, requests);
  } finally {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  }
}

function plain(status: number): Response {
  const body = status < 300 ? { ok: true } : { message: "Why" };
  return Response.json(body, { status });
}

async function receive(incoming: IncomingMessage): Promise<Received> {
  let body = "";
  for await (const chunk of incoming.setEncoding("utf8")) body += chunk;
  return {
    method: incoming.method ?? "",
    path: incoming.url ?? "",
    headers: new Headers(incoming.headers as Record<string, string>),
    body,
    connection: incoming.socket.remotePort ?? 0,
  };
}

/**
 * Runs a test with a Port that answers logins, and never one kind of request.
 *
 * @param part What the path of those requests contains.
 * @param test Called with the variables to connect with, and a promise that is
 * kept when the first of them has arrived.
 */
export async function withHangingPort(
  part: string,
  test: (env: Record<string, string>, arrived: Promise<void>) => Promise<void>,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const hang = ({ path }: { path: string }) => {
    if (!path.includes(part)) return Response.json({ accessToken: "x" });
    resolve();
    return "none";
  };
  await withHandler(
    hang,
    (API_URL) => test({ ...CREDENTIALS, API_URL }, promise),
  );
}

/**
 * Runs a test with a proxy, which can act before a request arrives.
 *
 * @param upstream The URL that requests go to.
 * @param before Called with each request before it is passed on.
 * @param test Called with the proxy's URL.
 */
export async function withProxy(
  upstream: string,
  before: (request: Received) => Promise<void>,
  test: (url: string) => Promise<void>,
): Promise<void> {
  const server = createServer(async (incoming, outgoing) => {
    const request = await receive(incoming);
    await before(request);
    const { method, path, headers, body } = request;
    try {
      const response = await fetch(upstream + path, {
        method,
        headers: {
          "content-type": "application/json",
          "authorization": headers.get("authorization") ?? "",
        },
        body: method === "GET" ? null : body,
      });
      const bytes = await response.bytes();
      const { status } = response;
      outgoing.writeHead(status, [...response.headers].flat()).end(bytes);
    } catch {
      incoming.socket.destroy();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  try {
    await test(`http://127.0.0.1:${port}`);
  } finally {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  }
}
