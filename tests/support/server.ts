/**
 * A small HTTP server with a handler per test, for what a local Port does not
 * do: broken connections and answers, and a look at each request.
 *
 * @module
 */
import { createServer, type IncomingMessage } from "node:http";
import { once } from "node:events";

/** A request as it arrived. */
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
 * A response; a status, for a plain one; nothing; or a connection that closes
 * before or in the middle of a response.
 */
export type Answer =
  | Response
  | number
  | "none"
  | "cut before"
  | "cut in the middle";

/**
 * Starts a server on 127.0.0.1, lets a test use it and ends it.
 *
 * @param handler Answers a request.
 * @param test The test; it gets the server's URL and what has arrived so far.
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
