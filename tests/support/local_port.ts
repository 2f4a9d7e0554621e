/**
 * A client of the local Port, for its own tests.
 *
 * @module
 */
import { assertEquals } from "jsr:@std/assert@1.0.19";
import type { LocalPortOptions } from "../../scripts/local_port/server.ts";
import { type TestPort, withPort } from "./port.ts";

/** A JSON object. */
export type Body = Record<string, unknown>;

/** Start of the error message, request body, and status (default 422). */
export type Refused = [message: string, body?: unknown, status?: number];

/** Sends requests, given as `METHOD /path`. */
export interface Client extends TestPort {
  /** Sends a request; returns the status and body of the response. */
  send(request: string, body?: unknown): Promise<[status: number, Body]>;
  /** Sends a request that must succeed; returns the body of the response. */
  must(request: string, body?: unknown): Promise<Body>;
  /** Sends each body, which must be rejected with its message. */
  refuse(request: string, cases: Refused[]): Promise<void>;
  /** Sends a request to the lab, given as `METHOD path below /__local/`. */
  lab(request: string, body?: unknown): Promise<[status: number, Body]>;
  /** Creates entities. */
  put(blueprint: string, ...entities: Body[]): Promise<void>;
  /** Starts the action `deploy`; returns the path of its run. */
  startRun(): Promise<string>;
}

/** The path of the services, a blueprint that exists from the start. */
export const SERVICES = "/blueprints/service/entities";

/**
 * Defines a test of the local Port.
 *
 * @param name What the local Port does.
 * @param test The test.
 * @param options How the local Port behaves.
 */
export function testPort(
  name: string,
  test: (client: Client) => Promise<void>,
  options: LocalPortOptions = {},
): void {
  Deno.test(`local_port ${name}`, () => withClient(options, test));
}

/**
 * Runs a test with a local Port.
 *
 * @param options How the local Port behaves.
 * @param test The test.
 */
export async function withClient<Outcome>(
  options: LocalPortOptions,
  test: (client: Client) => Promise<Outcome>,
): Promise<Outcome> {
  return await withPort(options, (port) => test(makeClient(port)));
}

const ERRORS: Record<number, string> = {
  401: "unauthorized",
  404: "not_found",
  409: "identifier_taken",
  422: "invalid_request",
  501: "not_implemented",
};

function makeClient(port: TestPort): Client {
  const send: Client["send"] = async (request, body) => {
    const [method = "", path = ""] = request.split(" ");
    const response = await port.call(method, path, body);
    return [response.status, await response.json()];
  };
  const must: Client["must"] = async (request, body) => {
    const [status, answer] = await send(request, body);
    const isFine = answer.ok === true && status < 300;
    assertEquals(isFine, true, `${request}: ${JSON.stringify(answer)}`);
    return answer;
  };
  return {
    ...port,
    send,
    must,
    async refuse(request, cases) {
      for (const [message, body, status = 422] of cases) {
        const [actual, answer] = await send(request, body);
        const start = String(answer.message).slice(0, message.length);
        assertEquals(
          [actual, answer.ok, answer.error, start],
          [status, false, ERRORS[status], message],
          JSON.stringify({ request, body, answer }),
        );
      }
    },
    async lab(request, body) {
      const [method = "", path = ""] = request.split(" ");
      const response = await fetch(`${port.url}/__local/${path}`, {
        method,
        body: body === undefined ? null : JSON.stringify(body),
      });
      return [response.status, await response.json()];
    },
    async put(blueprint, ...entities) {
      const bulk = `POST /blueprints/${blueprint}/entities/bulk?upsert=true`;
      assertEquals((await must(bulk, { entities })).errors, []);
    },
    async startRun() {
      const start = "POST /actions/deploy/runs";
      return `/actions/runs/${
        Object((await must(start, { properties: {} })).run).id
      }`;
    },
  };
}

/**
 * Creates a search query.
 *
 * @param rules Rules that must all match.
 * @returns The query.
 */
export function and(...rules: unknown[]): Body {
  return { combinator: "and", rules };
}

/**
 * Creates a search rule.
 *
 * @param property The name of a property.
 * @param value The value.
 * @param operator The operator.
 * @returns The rule.
 */
export function is(property: string, value: unknown, operator = "="): Body {
  return { property, operator, value };
}

/**
 * Returns the identifiers in a response.
 *
 * @param answer The body of the response.
 * @returns The identifiers, separated by spaces.
 */
export function identifiers({ entities }: Body): string {
  return (entities as Body[]).map(({ identifier }) => identifier).join(" ");
}

/** A clock that stands still until a test sets it. */
export interface TestClock {
  /** Lets a local Port use it; its tokens stay valid. */
  options: LocalPortOptions;
  /** Sets the time, for example `2026-01-01T00:00:00.000Z`. */
  set(time: string): void;
}

/**
 * Makes a clock that stands still until a test sets it.
 *
 * @param time The time at first.
 * @returns The clock.
 */
export function makeClock(time: string): TestClock {
  let now = Date.parse(time);
  return {
    options: { clock: () => now, tokenLifetime: 1e12 },
    set(time) {
      now = Date.parse(time);
    },
  };
}

/**
 * Runs a test with a stream of the lab's events.
 *
 * @param port The local Port.
 * @param test The test; `next()` returns the next event.
 */
export async function withEvents(
  port: Client,
  test: (next: () => Promise<[name: string, data: Body]>) => Promise<void>,
): Promise<void> {
  const response = await fetch(`${port.url}/__local/events`);
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const reader = (response.body as ReadableStream<BufferSource>)
    .pipeThrough(new TextDecoderStream()).getReader();
  let text = (await reader.read()).value ?? "";
  assertEquals(text, ":\n\n");
  text = "";
  const next = async (): Promise<[string, Body]> => {
    while (!text.includes("\n\n")) {
      const { value, done } = await reader.read();
      if (done) return ["end", {}];
      text += value;
    }
    const [event = "", ...rest] = text.split("\n\n");
    text = rest.join("\n\n");
    const [_, name = "", data = ""] = /^event: (.*)\ndata: (.*)$/.exec(event) ??
      [];
    return [name, JSON.parse(data)];
  };
  await test(next);
  await reader.cancel();
}
