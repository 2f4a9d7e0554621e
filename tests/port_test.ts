import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import {
  apiPath,
  type Attempt,
  getEntity,
  isJsonObject,
  isRetryable,
  type JsonObject,
  Port,
  PortError,
  type PortOptions,
  type RequestOptions,
  retryDelay,
  sleep,
  upsertEntity,
  type UpsertOptions,
  upsertQuery,
  VERSION,
} from "../lib/port.ts";
import { CREDENTIALS, withPort } from "./support/port.ts";
import { ROOT, runProcess, withFolder } from "./support/run.ts";
import { type Answer, type Received, withHandler } from "./support/server.ts";

// The waits between attempts are 10, 20, 40, … ms instead of random ones.
Math.random = () => 0.02;

const NOW = Date.UTC(2026, 10, 23, 12, 0, 0);
const PERIOD = { "x-ratelimit-period": "300" };
const LOGIN = "/v1/auth/access_token";
const PATH = "/v1/x";
/** Nothing listens there. */
const DEAD = "http://127.0.0.1:2";
const SECRETS = { clientId: "id", clientSecret: "hush-hush" };

/** Lets a test use a client of a server with this handler. */
function withClient<Result>(
  handler: (request: Received) => Answer,
  options: Partial<PortOptions>,
  test: (port: Port, requests: Received[]) => Promise<Result>,
): Promise<Result> {
  return withHandler(handler, (apiUrl, requests) => {
    const login = !options.clientSecret && { accessToken: "token-0" };
    return test(new Port({ apiUrl, ...login, ...options }), requests);
  });
}

/** What happens to an attempt. */
type Step = Answer | "refused";

/** One request, and what happens to its attempts, logins included. */
interface Exchange extends RequestOptions {
  steps: Step[];
  method?: Attempt["method"];
  port?: Partial<PortOptions>;
}

/** Sends one request and returns what came of it. */
function exchange({ steps, method = "GET", port, ...request }: Exchange) {
  const attempts: Attempt[] = [];
  const options: Partial<PortOptions> = {
    onAttempt: (attempt) => attempts.push(attempt),
    fetch: (url, init) =>
      fetch(steps[0] === "refused" && steps.shift() ? DEAD : url, init),
    ...port,
  };
  const next = () => steps.shift() as Answer ?? 418;
  return withClient(next, options, async (client, requests) => {
    const sent = client.request(method, PATH, request);
    const result = await sent.catch((error: PortError) => error);
    const calls = requests.map(({ path }) => path);
    return { attempts, requests, calls, result };
  });
}

function json(body: unknown, status = 200, headers: HeadersInit = {}) {
  return Response.json(body, { status, headers });
}

function token(accessToken: unknown = "token-1") {
  return json({ ok: true, accessToken });
}

function letIn({ path }: Received) {
  return path === LOGIN ? token() : 200;
}

function tokensOf(requests: Received[]) {
  return requests.map(({ headers }) => headers.get("authorization"));
}

Deno.test("retryDelay() doubles the bound of a random wait from 500 ms to 30 s", () => {
  const bounds = [1, 2, 3, 6, 7, 50].map((n) => retryDelay({}, n, 1));
  assertEquals(bounds, [500, 1000, 2000, 16_000, 30_000, 30_000]);
  const waits = [0, 0.25].map((random) => retryDelay({}, 3, random));
  assertEquals(waits, [0, 500]);
});

Deno.test("retryDelay() adds what the response asks for", () => {
  const date = (ms: number) => new Date(NOW + ms).toUTCString();
  const epoch = (seconds: number) => String(NOW / 1000 + seconds);
  const cases: [number, HeadersInit, wait: number][] = [
    [429, { "retry-after": "7" }, 7000],
    [503, { "retry-after": "7" }, 7000],
    [503, { "retry-after": "99999999999" }, 99_999_999_999_000],
    [503, { "retry-after": date(90_000) }, 90_000],
    [503, { "retry-after": date(-90_000) }, 0],
    [429, { "x-ratelimit-reset": epoch(12) }, 12_000],
    [503, { "x-ratelimit-reset": epoch(12) }, 0],
    [429, { "x-ratelimit-reset": epoch(-12) }, 0],
    [429, { "x-ratelimit-reset": "tomorrow" }, 0],
    [429, { "retry-after": "3", "x-ratelimit-reset": epoch(12) }, 3000],
    [429, { "retry-after": "soon", "x-ratelimit-reset": epoch(12) }, 12_000],
    [429, { "x-ratelimit-reset": epoch(3602), ...PERIOD }, 300_000],
    [429, { "x-ratelimit-reset": epoch(12), ...PERIOD }, 12_000],
    [503, { "retry-after": "3602", ...PERIOD }, 300_000],
  ];
  for (const value of ["", "0", "soon", "-5", "1.5", "0x10", "2099-01-01"]) {
    cases.push([503, { "retry-after": value }, 0]);
  }
  for (const [status, init, wait] of cases) {
    // The local clock shows another time.
    const headers = new Headers({ date: date(0), ...init });
    const response = { status, headers };
    const waits = [0, 1].map((random) => retryDelay(response, 1, random));
    assertEquals(waits, [wait, wait + 500], JSON.stringify([status, init]));
  }
});

Deno.test("isRetryable() knows which failures are temporary, and which show that Port has not acted", () => {
  const statuses = Array.from({ length: 400 }, (_, index) => 200 + index);
  const retryable = (safe?: boolean) =>
    statuses.filter((status) => isRetryable({ status }, safe));
  assertEquals(retryable(true), [408, 425, 429, 500, 502, 503, 504]);
  assertEquals(retryable(), [425, 429, 503]);
  assertEquals(isRetryable({ sent: true }, true), true);
  assertEquals(isRetryable({ sent: true }), false);
  assertEquals(isRetryable({ sent: false }, true), true);
  assertEquals(isRetryable({ sent: false }), true);
});

Deno.test("apiPath() encodes each segment", () => {
  assertEquals(apiPath("a/b ?#%..@x"), "/v1/a%2Fb%20%3F%23%25..%40x");
  assertEquals(apiPath("...", "дім"), "/v1/.../%D0%B4%D1%96%D0%BC");
});

Deno.test("apiPath() refuses segments that lead elsewhere or cannot be encoded", () => {
  for (const segment of ["", ".", "..", "\ud800", "a\udc00"]) {
    assertThrows(() => apiPath("blueprints", segment), URIError);
  }
});

Deno.test("upsertQuery() merges unless it is told to replace", () => {
  const create = { createMissingRelatedEntities: true };
  const cases: [UpsertOptions, query: string][] = [
    [{}, "&merge=true"],
    [{ replace: false, runId: undefined }, "&merge=true"],
    [{ replace: true }, ""],
    [{ runId: "r_1&x" }, "&merge=true&run_id=r_1%26x"],
    [create, "&merge=true&create_missing_related_entities=true"],
    [{ replace: true, validateOnly: true }, "&validation_only=true"],
  ];
  for (const [options, query] of cases) {
    assertEquals(upsertQuery(options), `?upsert=true${query}`);
  }
});

Deno.test("isJsonObject() tells objects from arrays, null and the rest", () => {
  const values = [{}, { a: null }, [], [{}], null, undefined, "{}", 0, true];
  assertEquals(values.filter(isJsonObject), [{}, { a: null }]);
});

const NO_LEAK = { sanitizeOps: true } as const;
Deno.test("sleep() ends early with its signal", NO_LEAK, async () => {
  const start = Date.now();
  const controller = new AbortController();
  const asleep = sleep(60_000, controller.signal);
  controller.abort();
  await asleep;
  await sleep(60_000, controller.signal);
  assertEquals(Date.now() - start < 60_000, true);
});

Deno.test("upsertEntity() logs in first and sends what Port's document says", async () => {
  const entity = { identifier: "cart", properties: { version: "1.4.2" } };
  const answer = ({ path }: Received) =>
    path === LOGIN ? token() : json({ ok: true, entity: { icon: "Cart" } });
  const client = { ...SECRETS, client: "a test" };
  await withClient(answer, client, async (port, requests) => {
    const options = { replace: true, runId: "r_1" };
    const saved = await upsertEntity(port, "a/b", entity, options);
    assertEquals(saved, { icon: "Cart" });
    const calls = requests.map((r) => [r.method, r.path, JSON.parse(r.body)]);
    const path = "/v1/blueprints/a%2Fb/entities?upsert=true&run_id=r_1";
    assertEquals(calls, [["POST", LOGIN, SECRETS], ["POST", path, entity]]);
    assertEquals(tokensOf(requests), [null, "Bearer token-1"]);
    for (const { headers } of requests) {
      assertEquals(headers.get("accept"), "application/json");
      assertEquals(headers.get("content-type"), "application/json");
      const agent = `circleci-port/${VERSION} (a test)`;
      assertEquals(headers.get("user-agent"), agent);
    }
  });
});

Deno.test("upsertEntity() and getEntity() are repeated unless that could create a second entity", async () => {
  const upsert =
    (entity: JsonObject, options?: UpsertOptions) => (port: Port) =>
      upsertEntity(port, "service", entity, options);
  const get = (options: RequestOptions) => (port: Port) =>
    getEntity(port, "service", "a", "", options);
  const cases: [(port: Port) => Promise<unknown>, number, action: string][] = [
    [upsert({ identifier: "a" }), 2, 'upsert entity "a" in'],
    [upsert({ title: "A" }), 1, "upsert an entity in"],
    [upsert({ identifier: {} }), 1, "upsert an entity in"],
    [upsert({}, { validateOnly: true }), 2, "upsert an entity in"],
    [get({}), 2, 'get entity "a" of'],
    [get({ idempotent: false }), 1, 'get entity "a" of'],
  ];
  for (const [call, attempts, action] of cases) {
    await withClient(() => 500, { retries: 1 }, async (port, requests) => {
      const message = `Cannot ${action} blueprint "service": Port answered 500`;
      await assertRejects(() => call(port), PortError, message);
      assertEquals(requests.length, attempts, action);
    });
  }
});

Deno.test("getEntity() sends what Port's document says, with a ready token", async () => {
  const answer = () => json({ ok: true, entity: { icon: "Cart" } });
  await withClient(answer, {}, async (port, requests) => {
    const query = "?include=identifier&exclude_calculated_properties=true";
    const entity = await getEntity(port, "service", "a/b", query);
    assertEquals(entity, { icon: "Cart" });
    const calls = requests.map((r) => [r.method, r.path, r.body]);
    const path = `/v1/blueprints/service/entities/a%2Fb${query}`;
    assertEquals(calls, [["GET", path, ""]]);
    assertEquals(tokensOf(requests), ["Bearer token-0"]);
    assertEquals(requests[0]?.headers.get("accept"), "application/json");
    assertEquals(requests[0]?.headers.get("content-type"), null);
  });
});

Deno.test("Port.request() logs in once for many requests at once", async () => {
  await withClient(letIn, SECRETS, async (port, requests) => {
    const call = () => port.request("GET", PATH);
    await Promise.all(Array.from({ length: 50 }, call));
    await call();
    const tokens = new Array(51).fill("Bearer token-1");
    assertEquals(tokensOf(requests), [null, ...tokens]);
  });
});

Deno.test("Port.request() renews a token after a 401 and sends again", async () => {
  const cases: [Partial<PortOptions>, Step[], tokens: (string | null)[]][] = [
    [SECRETS, [token(), 401], [null, "Bearer token-1"]],
    [{ ...SECRETS, accessToken: "stale" }, [401], ["Bearer stale"]],
  ];
  for (const [port, steps, tokens] of cases) {
    steps.push(token("token-2"), 200);
    const { result, requests } = await exchange({ steps, port });
    assertEquals(result, { ok: true });
    assertEquals(tokensOf(requests), [...tokens, null, "Bearer token-2"]);
  }
});

Deno.test("Port.request() shares one renewal among requests that are rejected together", async () => {
  let logins = 0;
  const answer = ({ path, headers }: Received) => {
    if (path === LOGIN) return token(`token-${++logins}`);
    return headers.get("authorization") === "Bearer token-1" ? 401 : 200;
  };
  await withClient(answer, SECRETS, async (port) => {
    const call = () => port.request("GET", PATH);
    await Promise.all(Array.from({ length: 5 }, call));
    assertEquals(logins, 2);
  });
});

Deno.test("Port.request() takes a second 401 in a row as final", async () => {
  const steps = [token(), 401, token(), 401];
  const { result, calls } = await exchange({ steps, port: SECRETS });
  assertEquals(result.message, "Cannot GET /v1/x: Port answered 401: Why");
  assertEquals(calls, [LOGIN, PATH, LOGIN, PATH]);
});

Deno.test("Port.request() logs in again after a failed login", async () => {
  const steps = [401, token(), 200];
  const next = () => steps.shift() ?? 418;
  await withClient(next, SECRETS, async (port, requests) => {
    const call = () => port.request("GET", PATH);
    const error = await assertRejects(call, PortError);
    assertMatch(
      error.message,
      /^Cannot log in to Port at http:\/\/[\d.]+:\d+: /,
    );
    assertEquals([error.kind, error.path], ["unauthorized", LOGIN]);
    assertEquals(await call(), { ok: true });
    assertEquals(requests.map(({ path }) => path), [LOGIN, LOGIN, PATH]);
  });
});

const CUTS = ["cut before", "cut in the middle"] as const;
/** Temporary failures after which Port may have acted on the request. */
const MAYBE_APPLIED: Step[] = [408, 500, 502, 504, ...CUTS];
/** Temporary failures that show that Port has not acted on the request. */
const NOT_APPLIED: Step[] = [425, 429, 503, "refused"];

Deno.test("Port.request() repeats an idempotent request after each temporary failure", async () => {
  for (const step of [...MAYBE_APPLIED, ...NOT_APPLIED]) {
    const { attempts, result } = await exchange({ steps: [step, 200] });
    const found = attempts.map((a) => [a.wait, a.maybeApplied]);
    const maybeApplied = MAYBE_APPLIED.includes(step);
    const expected = [[10, maybeApplied], [undefined, maybeApplied]];
    assertEquals([found, result], [expected, { ok: true }], `${step}`);
  }
});

Deno.test("Port.request() repeats any other request only if Port has not acted on it", async () => {
  const method = "POST";
  for (const step of [...MAYBE_APPLIED, 520]) {
    const { attempts, result } = await exchange({ steps: [step, 200], method });
    const message = `Cannot POST /v1/x: ${attempts[0]?.summary}`;
    assertEquals([result.message, result.maybeApplied], [message, true]);
    assertEquals(attempts.length, 1);
  }
  for (const step of NOT_APPLIED) {
    const { attempts, result } = await exchange({ steps: [step, 200], method });
    assertEquals([result, attempts.length], [{ ok: true }, 2]);
  }
});

Deno.test("Port.request() reports each attempt, logins to the client only", async () => {
  const own: Attempt[] = [];
  const created = json({}, 201, { "x": "y" });
  const { attempts } = await exchange({
    steps: [503, token(), 429, "cut in the middle", 500, created],
    port: SECRETS,
    onAttempt: (attempt) => own.push(attempt),
  });
  assertEquals(own, attempts.slice(2));
  const rows = attempts.map((
    { path, attempt, status, wait, maybeApplied },
  ) => [path, attempt, status, wait, maybeApplied]);
  assertEquals(rows, [
    [LOGIN, 1, 503, 10, false],
    [LOGIN, 2, 200, undefined, false],
    [PATH, 1, 429, 10, false],
    [PATH, 2, undefined, 20, true],
    [PATH, 3, 500, 40, true],
    [PATH, 4, 201, undefined, true],
  ]);
  assertEquals(own.map(({ summary }) => summary), [
    "Port answered 429: Why",
    "the connection broke: error reading a body from connection",
    "Port answered 500: Why",
    "Port answered 201",
  ]);
  assertEquals(own.at(-1)?.headers?.get("x"), "y");
});

Deno.test("Port.request() gives up after the last attempt and says how many there were", async () => {
  for (const [count, port] of [[5, {}], [1, { retries: 0 }]] as const) {
    const steps = [500, 500, 500, 500, 500, 500];
    const { result, calls } = await exchange({ steps, port });
    const cause = `Port answered 500: Why`;
    assertEquals(result.message, `Cannot GET /v1/x: ${cause}`);
    assertEquals(calls.length, count);
  }
});

Deno.test("Port.request() tells whether a failed attempt may have deleted what is not found", async () => {
  const cases: [Step[], maybeApplied: boolean][] = [
    [[404], false],
    [["cut before", 404], true],
    [["cut in the middle", "refused", 404], true],
    [[500, 503, 404], true],
    [[503, "refused", 429, 404], false],
  ];
  const deletion = { method: "DELETE", idempotent: true } as const;
  for (const [steps, maybeApplied] of cases) {
    const { result } = await exchange({ steps, ...deletion });
    assertEquals([result.status, result.maybeApplied], [404, maybeApplied]);
  }
});

Deno.test("Port.request() uses a connection of its own for what Deno must not send again", async () => {
  const cases: [Attempt["method"], RequestOptions, connections: number][] = [
    ["GET", {}, 1],
    ["GET", { ownConnection: true }, 3],
    ["POST", { idempotent: true }, 1],
    ["POST", {}, 3],
    ["DELETE", { idempotent: true }, 3],
    ["DELETE", { idempotent: true, ownConnection: false }, 1],
  ];
  for (const [method, options, connections] of cases) {
    await withClient(letIn, SECRETS, async (port, requests) => {
      await port.request(method, PATH, options);
      await port.request(method, PATH, options);
      const found = new Set(requests.map(({ connection }) => connection));
      assertEquals([requests.length, found.size], [3, connections], method);
    });
  }
});

Deno.test("Port.request() ends with its time limit, the client's or its own", async () => {
  const limits: Partial<Exchange>[] = [
    { port: { timeout: 100 } },
    { timeout: 100, port: { timeout: 60_000 } },
    { timeout: 100, port: SECRETS },
  ];
  for (const limit of limits) {
    const { attempts, result } = await exchange({ steps: ["none"], ...limit });
    assertMatch(String(result), /: no response within 1 s$/);
    assertEquals(attempts.length, 1);
  }
});

Deno.test("Port.request() starts no attempt after its time limit", async () => {
  const steps = [503, 503, 503, 503, 503, 503, 503, 503, 503, 503];
  const request = { steps, timeout: 200, port: { retries: 9 } };
  const { attempts } = await exchange(request);
  assertEquals(attempts.length < 10, true);
  const last = attempts.at(-1);
  assertEquals([last?.status, last?.wait], [503, undefined]);
});

Deno.test("Port.request() does not wait for a Retry-After past its time limit", async () => {
  for (const after of ["60", "99999999999"]) {
    const busy = json({}, 503, { "retry-after": after });
    const steps = [busy, 200];
    const { attempts } = await exchange({ steps, timeout: 30_000 });
    assertEquals(attempts.map((a) => [a.status, a.wait]), [[503, undefined]]);
  }
});

Deno.test("Port.request() limits each attempt", async () => {
  const port = { attemptTimeout: 30, retries: 1 };
  const { attempts } = await exchange({ steps: ["none", "none"], port });
  const summary = "no response within 1 s";
  assertEquals(attempts.map((a) => a.summary), [summary, summary]);
});

Deno.test("Port.request() is canceled by its signal while it waits for a response", async () => {
  const controller = new AbortController();
  const answer = (): Answer => {
    controller.abort();
    return "none";
  };
  await withClient(answer, {}, async (port, requests) => {
    const { signal } = controller;
    const call = () => port.request("GET", PATH, { signal });
    await assertRejects(call, PortError, "canceled");
    assertEquals(requests.length, 1);
  });
});

Deno.test("Port.request() is canceled by its signal between two attempts", async () => {
  const start = Date.now();
  const controller = new AbortController();
  const { attempts, result, calls } = await exchange({
    steps: [json({}, 503, { "retry-after": "60" }), 200],
    signal: controller.signal,
    // The wait begins when this returns.
    onAttempt: () => queueMicrotask(() => controller.abort()),
  });
  assertEquals(Date.now() - start < 60_000, true);
  assertEquals(attempts.map(({ wait }) => wait), [60_010, undefined]);
  assertStringIncludes(String(result), "canceled");
  assertEquals(calls, [PATH]);
});

Deno.test("Port.request() follows no redirect, so that the token does not travel", async () => {
  await withHandler(() => 200, async (location, others) => {
    for (const status of [301, 302, 303, 307, 308]) {
      const steps = [json({}, status, { location })];
      const { result, calls } = await exchange({ steps });
      assertEquals([result.status, calls], [status, [PATH]]);
    }
    assertEquals(others, []);
  });
});

Deno.test("Port.request() reads no response without end", async () => {
  let chunks = 0;
  function* body() {
    for (; chunks < 20; chunks++) yield new Uint8Array(16 * 1024 * 1024);
  }
  const zipped = { "content-length": "9", "content-encoding": "gzip" };
  for (const headers of [{}, { "content-length": `${2 ** 40}` }, zipped]) {
    chunks = 0;
    const response = new Response(ReadableStream.from(body()), { headers });
    const fetch = () => Promise.resolve(response);
    const { result } = await exchange({ steps: [], port: { fetch } });
    assertStringIncludes(String(result), "Port answered 200");
    assertEquals(chunks < 20, true);
  }
});

Deno.test("Port.request() shows the first words of a response that it cannot use", async () => {
  const html = "<html>\r\n<h1>400 Bad Request</h1>\r\n<p>nginx</p></html>";
  const cases: [Response, message: string][] = [
    [new Response("<p>Log in"), "200: Log in without JSON object"],
    [new Response('{"entity":'), '200: {"entity": without JSON object'],
    [new Response(html, { status: 400 }), "400: 400 Bad Request"],
    [new Response("", { status: 400 }), "400"],
    [json(null, 400), "400"],
    [json({ ok: false }, 400), "400"],
    [json({ message: "One  \r\ntwo" }, 400), "400: One"],
    [json({ message: "must be < 5 and > 3" }, 400), "400: must be < 5 and > 3"],
    [json({ message: "x".repeat(501) }, 400), `400: ${"x".repeat(500 - 19)}`],
  ];
  for (const [response, message] of cases) {
    const { result } = await exchange({ steps: [response] });
    assertEquals(result.message, `Cannot GET /v1/x: Port answered ${message}`);
  }
});

Deno.test("Port.request() requires what it expects of a success", async () => {
  const expect = { entity: "object", next: "string", log: "array" } as const;
  const whole = { entity: {}, next: "n", log: [], ok: true };
  const cases: [body: unknown, lacks: string][] = [
    [null, "JSON object"],
    [[], "JSON object"],
    [{}, "entity"],
    [{ ...whole, entity: null }, "entity"],
    [{ ...whole, entity: [] }, "entity"],
    [{ ...whole, entity: "cart" }, "entity"],
    [{ ...whole, next: 7 }, "next"],
    [{ ...whole, log: {} }, "log"],
  ];
  for (const [body, lacks] of cases) {
    const { result, calls } = await exchange({ steps: [json(body)], expect });
    assertStringIncludes(String(result), `answered 200 without ${lacks}`);
    assertEquals([result.kind, calls], ["not-port", [PATH]]);
    assertEquals(result.maybeApplied, true);
  }
  const { result } = await exchange({ steps: [json(whole)], expect });
  assertEquals(result, whole);
});

Deno.test("PortError tells what kind of failure a status is", async () => {
  const kinds = {
    "unauthorized": [401],
    "forbidden": [403],
    "not-found": [404],
    "rejected": [400, 402, 405, 409, 410, 413, 415, 422],
    "not-port": [301, 302],
    "unavailable": [408, 425, 429, 500, 501, 502, 503, 504, 520],
  };
  for (const [kind, statuses] of Object.entries(kinds)) {
    for (const status of statuses) {
      const port = { retries: 0 };
      const { result, calls } = await exchange({ steps: [status], port });
      // After 401 too, as there are no credentials for a new token.
      assertEquals([result.kind, calls], [kind, [PATH]], `${status}`);
    }
  }
});

Deno.test("PortError holds the facts of the request", async () => {
  const { result } = await exchange({
    steps: [json({ message: "Not so" }, 422, { "x-trace-id": "trace-1" })],
    method: "PATCH",
    idempotent: true,
    action: "update x",
  });
  assertEquals(result.message, "Cannot update x: Port answered 422: Not so");
  const sent = { method: "PATCH", path: PATH, idempotent: true };
  const found = { kind: "rejected", status: 422, traceId: "trace-1" };
  const facts = { maybeApplied: false, ...sent, ...found };
  assertEquals({ ...result }, facts);
});

Deno.test("PortError has neither status nor trace id without a response", async () => {
  const port = { retries: 0 };
  const { result } = await exchange({ steps: ["refused"], port });
  assertMatch(String(result), /: no connection: tcp connect error: /);
  const found = [result.kind, result.status, result.traceId];
  assertEquals(found, ["network", undefined, undefined]);
});

Deno.test("Port.request() needs a token from a login, and a login that exists", async () => {
  for (const step of [404, token(7), token(null), token({})]) {
    const { result, calls } = await exchange({ steps: [step], port: SECRETS });
    const cause = step === 404 ? "404: Why" : "200 without accessToken";
    assertMatch(
      String(result),
      /: Cannot log in to Port at http:\/\/[\d.]+:\d+: /,
    );
    assertStringIncludes(String(result), `Port answered ${cause}`);
    assertEquals([result.kind, calls], ["not-port", [LOGIN]]);
  }
});

Deno.test("Port.request() shows neither secret nor token, though a server sends them back", async () => {
  const echo = (message = "hush-hush token-0 token-1") =>
    json({ message }, 422);
  const long = "x".repeat(478);
  const cases: [Step[], Partial<PortOptions>, summary: string][] = [
    [[echo()], SECRETS, "422: [secret] token-0 token-1"],
    [[token(), echo()], SECRETS, "422: [secret] token-0 [secret]"],
    [[echo()], {}, "422: hush-hush [secret] token-1"],
    // Cut to 500 characters after the token is removed.
    [[echo(`${long}token-0`)], {}, `422: ${long}[se`],
    [[token("to\nken")], SECRETS, 'Invalid header value: "Bearer [secret]"'],
  ];
  for (const [steps, port, summary] of cases) {
    const { attempts, result } = await exchange({ steps, port });
    assertStringIncludes(attempts.at(-1)?.summary ?? "", summary);
    assertStringIncludes(String(result), summary);
  }
});

Deno.test("Port.request() sends nothing if its signal is aborted before", async () => {
  const signal = AbortSignal.abort(130);
  const { requests, result } = await exchange({ steps: [200], signal });
  assertEquals(requests.length, 0);
  assertEquals([result.kind, result.maybeApplied], ["network", false]);
});

Deno.test("Port.request() reports no body: that of the login is the token", async () => {
  const { attempts } = await exchange({ steps: [token(), 200], port: SECRETS });
  assertEquals(attempts.length, 2);
  assertEquals(JSON.stringify(attempts).includes("token-1"), false);
});

const NO_NET = { permissions: { net: false } } as const;
Deno.test("Port.request() throws NotCapable as it is", NO_NET, async () => {
  const port = new Port({ apiUrl: DEAD, accessToken: "token-0" });
  const call = () => port.request("GET", PATH);
  await assertRejects(call, Deno.errors.NotCapable);
});

Deno.test("Port.request() throws an unknown error as it is", async () => {
  const port = { fetch: () => Promise.reject(new RangeError("A bug")) };
  const { result } = await exchange({ steps: [], port });
  assertEquals(String(result), "RangeError: A bug");
});

Deno.test("port.ts, copied alone, runs the example of its module comment", async () => {
  const source = await Deno.readTextFile(new URL("lib/port.ts", ROOT));
  const [, example = ""] = source.match(/```ts\n(.*?) \* ```/s) ?? [];
  const main = example.replace(/^ \* ?/gm, "");
  const flags = ["--no-config", "--no-remote", "--allow-env", "--allow-net"];
  const args = ["run", ...flags, "main.ts"];
  await withPort({ failures: ["none", "unavailable"] }, async (port) => {
    await withFolder(async (cwd) => {
      const text = main.replace("https://api.port.io", port.url);
      await Deno.writeTextFile(`${cwd}/port.ts`, source);
      await Deno.writeTextFile(`${cwd}/main.ts`, text);
      const options = { cwd, env: CREDENTIALS };
      const result = await runProcess(Deno.execPath(), args, options);
      assertEquals([result.code, result.stderr], [0, ""]);
      assertMatch(result.stdout, /identifier: "cart",.*version: "1\.4\.2"/s);
    });
    const calls = port.log.map((line) => line.replace(/ \S+ (\d+).*/, " $1"));
    assertEquals(calls, ["POST 200", "POST 503", "POST 201", "GET 200"]);
  });
});
