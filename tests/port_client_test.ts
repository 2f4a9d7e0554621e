import {
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import {
  AccessError,
  NotFoundError,
  RejectedError,
  type ScriptError,
  UnreachableError,
  UsageError,
} from "../lib/errors.ts";
import {
  type Attempt,
  PortClient,
  type PortClientOptions,
} from "../lib/port_client.ts";
import { addRunLog, createRun, readRunLog } from "../lib/action_runs.ts";
import {
  deleteEntities,
  deleteRequest,
  getEntity,
  searchEntities,
  upsertEntities,
  upsertEntity,
  upsertRequest,
} from "../lib/entities.ts";

const NOW = Date.UTC(2026, 10, 23, 12, 0, 0);

/** What the fake network does with the next request. */
type Step = Response | Error | ((sent: Sent) => Response | Promise<Response>);

interface Sent {
  method: string;
  url: string;
  token: string | null;
  body: string | null;
}

/** A client whose network, clock and dice are ours; waits only move the clock. */
function makeClient(steps: Step[], options: Partial<PortClientOptions> = {}) {
  const sent: Sent[] = [];
  const waits: number[] = [];
  const attempts: Attempt[] = [];
  const clock = { now: NOW };
  const client = new PortClient({
    apiUrl: "https://port.test",
    credentials: () => ({ clientId: "id", clientSecret: "hush-hush" }),
    now: () => clock.now,
    random: () => 0.5,
    sleep: (milliseconds) => {
      waits.push(milliseconds);
      clock.now += milliseconds;
      return Promise.resolve();
    },
    fetch: async (url, init) => {
      const request = {
        method: init?.method ?? "GET",
        url: String(url),
        token: new Headers(init?.headers).get("authorization"),
        body: init?.body ? String(init.body) : null,
      };
      sent.push(request);
      const step = steps.shift();
      if (!step) throw new RangeError(`No answer left for ${request.url}`);
      if (step instanceof Error) throw step;
      return typeof step === "function" ? await step(request) : step;
    },
    ...options,
  });
  client.listen((attempt) => attempts.push(attempt));
  return { client, sent, waits, attempts, clock };
}

function json(
  body: unknown,
  status = 200,
  headers: HeadersInit = {},
): Response {
  return Response.json(body, { status, headers });
}

function token(accessToken = "token-1", expiresIn = 10_800): Response {
  return json({ ok: true, accessToken, expiresIn, tokenType: "Bearer" });
}

function entity(identifier = "checkout"): Response {
  return json({ ok: true, entity: { identifier } });
}

function refusal(status: number, message: string): Response {
  return json({ ok: false, error: "code", message }, status);
}

/** The errors of Deno's fetch, as observed with Deno 2.9.6. */
function networkError(phase: string, reason: string): TypeError {
  const text = `error sending request for url (https://port.test/): ` +
    `client error (${phase}): ${reason}`;
  return new TypeError("fetch failed", { cause: new Error(text) });
}
const NEVER_CONNECTED = () => networkError("Connect", "connection refused");
const CUT = () =>
  networkError("SendRequest", "connection closed before message completed");

Deno.test("getEntity() logs in first and sends what Port's document says", async () => {
  const { client, sent } = makeClient([token(), entity("a/b")]);
  const got = await getEntity(client, "service", "a/b", {
    include: ["identifier", "properties.version"],
    exclude: ["team"],
    excludeCalculatedProperties: true,
  });
  assertEquals(got, { identifier: "a/b" });
  assertEquals(sent, [{
    method: "POST",
    url: "https://port.test/v1/auth/access_token",
    token: null,
    body: '{"clientId":"id","clientSecret":"hush-hush"}',
  }, {
    method: "GET",
    url: "https://port.test/v1/blueprints/service/entities/a%2Fb" +
      "?include=identifier&include=properties.version&exclude=team" +
      "&exclude_calculated_properties=true",
    token: "Bearer token-1",
    body: null,
  }]);
});

Deno.test("getEntity() encodes identifiers and refuses those that would leave the path", async () => {
  const { client, sent } = makeClient([token(), entity()]);
  await getEntity(client, "сервис", "каса/1");
  assertEquals(
    sent[1]?.url,
    "https://port.test/v1/blueprints/%D1%81%D0%B5%D1%80%D0%B2%D0%B8%D1%81" +
      "/entities/%D0%BA%D0%B0%D1%81%D0%B0%2F1",
  );
  for (const identifier of ["..", ".", "", "a b", "50%"]) {
    await assertRejects(
      () => getEntity(client, "service", identifier),
      UsageError,
    );
    await assertRejects(
      () => getEntity(client, identifier, "checkout"),
      UsageError,
    );
  }
  assertEquals(sent.length, 2);
});

Deno.test("upsertEntity() merges unless it is told to replace", async () => {
  const { client, sent } = makeClient([token(), entity(), entity()]);
  await upsertEntity(client, "service", { identifier: "checkout" });
  await upsertEntity(client, "service", { identifier: "checkout" }, {
    replace: true,
    createMissingRelatedEntities: true,
    validateOnly: true,
    runId: "r_1&x",
  });
  const path = "https://port.test/v1/blueprints/service/entities";
  assertEquals(sent[1]?.url, `${path}?upsert=true&merge=true`);
  assertEquals(
    sent[2]?.url,
    `${path}?upsert=true&create_missing_related_entities=true` +
      "&validation_only=true&run_id=r_1%26x",
  );
  assertEquals(sent[2]?.body, '{"identifier":"checkout"}');
});

Deno.test("upsertRequest() refuses a body over 1 MiB and takes one of 1 MiB", () => {
  const frame = '{"properties":{"text":""}}'.length;
  const fits = "x".repeat(1024 * 1024 - frame);
  const request = upsertRequest("service", { properties: { text: fits } });
  assertEquals(request.body?.length, 1024 * 1024);
  assertThrows(
    () => upsertRequest("service", { properties: { text: fits + "x" } }),
    UsageError,
    "Cannot send 1048577 bytes",
  );
  assertThrows(
    () =>
      upsertRequest("service", { properties: { text: "ü".repeat(600_000) } }),
    UsageError,
  );
});

Deno.test("PortClient fetches one token for all requests at once", async () => {
  const entities = Array.from({ length: 50 }, () => entity());
  const { client, sent } = makeClient([token(), ...entities]);
  await Promise.all(
    entities.map(() => getEntity(client, "service", "checkout")),
  );
  assertEquals(
    sent.filter(({ url }) => url.endsWith("access_token")).length,
    1,
  );
  assertEquals(sent.length, 51);
});

Deno.test("PortClient renews the token shortly before it expires", async () => {
  const { client, sent, clock } = makeClient([
    token("token-1", 3600),
    entity(),
    entity(),
    token("token-2", 3600),
    entity(),
  ]);
  await getEntity(client, "service", "checkout");
  clock.now += 3_539_000;
  await getEntity(client, "service", "checkout");
  clock.now += 1000;
  await getEntity(client, "service", "checkout");
  const tokens = sent.map((request) => request.token);
  assertEquals(tokens, [
    null,
    "Bearer token-1",
    "Bearer token-1",
    null,
    "Bearer token-2",
  ]);
});

Deno.test("PortClient renews a short-lived token after nine tenths of its life", async () => {
  const { client, sent, clock } = makeClient([
    token("token-1", 30),
    entity(),
    token("token-2", 30),
    entity(),
  ]);
  await getEntity(client, "service", "checkout");
  clock.now += 27_000;
  await getEntity(client, "service", "checkout");
  assertEquals(sent.at(-1)?.token, "Bearer token-2");
});

Deno.test("PortClient uses a token that expires in 0 seconds, or says nothing of it", async () => {
  for (const life of [0, undefined]) {
    const login = json({ ok: true, accessToken: "token-1", expiresIn: life });
    const { client, sent } = makeClient([login, entity(), entity()]);
    await getEntity(client, "service", "checkout");
    await getEntity(client, "service", "checkout");
    assertEquals(sent.length, 3);
  }
});

Deno.test("PortClient gets a new token after a 401 and sends again", async () => {
  const { client, sent } = makeClient([
    token("token-1"),
    refusal(401, "Token revoked"),
    token("token-2"),
    entity(),
  ]);
  assertEquals(await getEntity(client, "service", "checkout"), {
    identifier: "checkout",
  });
  assertEquals(sent.at(-1)?.token, "Bearer token-2");
});

Deno.test("PortClient takes a second 401 in a row as final", async () => {
  const { client, sent } = makeClient([
    token("token-1"),
    refusal(401, "No"),
    token("token-2"),
    refusal(401, "Still no"),
  ]);
  const error = await assertRejects(
    () => getEntity(client, "service", "checkout"),
    AccessError,
  );
  assertStringIncludes(
    error.message,
    "Port answered 401: Still no; check PORT_CLIENT_ID",
  );
  assertEquals(sent.length, 4);
});

Deno.test("PortClient shares one renewal among requests that are refused together", async () => {
  const answer = ({ token }: Sent) =>
    token === "Bearer token-1" ? refusal(401, "No") : entity();
  const { client, sent } = makeClient([
    token("token-1"),
    ...Array.from({ length: 5 }, () => answer),
    () => token("token-2"),
    ...Array.from({ length: 5 }, () => answer),
  ]);
  await Promise.all(
    Array.from({ length: 5 }, () => getEntity(client, "service", "checkout")),
  );
  assertEquals(
    sent.filter(({ url }) => url.endsWith("access_token")).length,
    2,
  );
});

Deno.test("PortClient tries to log in again after a failed login", async () => {
  const { client } = makeClient([
    refusal(401, "Wrong secret"),
    token(),
    entity(),
  ]);
  const error = await assertRejects(
    () => getEntity(client, "service", "checkout"),
    AccessError,
  );
  assertStringIncludes(
    error.message,
    "Cannot log in to Port at port.test: Port answered 401: Wrong secret",
  );
  assertEquals(await getEntity(client, "service", "checkout"), {
    identifier: "checkout",
  });
});

Deno.test("PortClient asks for the credentials only when it needs them", async () => {
  const { client, sent } = makeClient([], {
    credentials: () => {
      throw new UsageError("Nothing set");
    },
  });
  await assertRejects(
    () => getEntity(client, "service", "checkout"),
    UsageError,
    "Nothing set",
  );
  assertEquals(sent, []);
});

Deno.test("PortClient waits and tries again after passing failures", async () => {
  const { client, waits, attempts } = makeClient([
    NEVER_CONNECTED(),
    token(),
    refusal(429, "Slow down"),
    refusal(503, "Busy"),
    CUT(),
    new TypeError("error reading a body from connection"),
    entity(),
  ]);
  assertEquals(await getEntity(client, "service", "checkout"), {
    identifier: "checkout",
  });
  assertEquals(waits, [250, 250, 500, 1000, 2000]);
  assertEquals(
    attempts.map((
      { attempt, outcome, retryIn },
    ) => [attempt, outcome, retryIn]),
    [
      [1, "no connection: connection refused", 250],
      [2, "Port answered 200", undefined],
      [1, "Port answered 429: Slow down", 250],
      [2, "Port answered 503: Busy", 500],
      [
        3,
        "the connection broke: connection closed before message completed",
        1000,
      ],
      [4, "the connection broke: error reading a body from connection", 2000],
      [5, "Port answered 200", undefined],
    ],
  );
});

Deno.test("PortClient gives up after the last attempt and says how many there were", async () => {
  const busy = Array.from({ length: 3 }, () => refusal(500, "Oops"));
  const { client, sent } = makeClient([token(), ...busy], { retries: 2 });
  const error = await assertRejects(
    () => getEntity(client, "service", "checkout"),
    UnreachableError,
  );
  assertEquals(
    error.message,
    'Cannot get entity "checkout" of blueprint "service": Port answered 500: Oops ' +
      "(attempt 3, the last); run it again later",
  );
  assertEquals(sent.length, 4);
});

Deno.test("PortClient keeps the deadline: it does not wait past it", async () => {
  for (const after of ["121", "99999999999"]) {
    const { client, waits, clock } = makeClient([
      token(),
      json({ message: "Busy" }, 503, { "retry-after": after }),
    ]);
    const error = await assertRejects(
      () => getEntity(client, "service", "checkout"),
      UnreachableError,
    );
    assertStringIncludes(error.message, "would come too late");
    assertEquals(waits, []);
    assertEquals(clock.now, NOW);
  }
});

Deno.test("PortClient counts logging in and waiting towards the deadline", async () => {
  const { client, waits } = makeClient([
    refusal(503, "Busy"),
    token(),
    ...Array.from({ length: 9 }, () => json({}, 503, { "retry-after": "40" })),
  ], { retries: 9 });
  await assertRejects(
    () => getEntity(client, "service", "checkout"),
    UnreachableError,
  );
  assertEquals(waits, [250, 40_250, 40_500]);
});

Deno.test("PortClient waits as Retry-After says, in seconds, as a date, in the past", async () => {
  const cases: [string, number][] = [
    ["7", 7250],
    [new Date(NOW + 9000).toUTCString(), 9250],
    [new Date(NOW - 9000).toUTCString(), 250],
  ];
  for (const [value, wait] of cases) {
    const { client, waits } = makeClient([
      token(),
      json({}, 429, { "retry-after": value }),
      entity(),
    ]);
    await getEntity(client, "service", "checkout");
    assertEquals(waits, [wait]);
  }
});

Deno.test("PortClient repeats an upsert without identifier only when Port cannot have acted", async () => {
  const safe = [
    NEVER_CONNECTED(),
    refusal(429, "Slow down"),
    refusal(503, "Busy"),
  ];
  for (const step of safe) {
    const { client, sent } = makeClient([token(), step, entity("e_1")]);
    await upsertEntity(client, "service", { title: "x" });
    assertEquals(sent.length, 3);
  }
  const unsafe = [
    CUT(),
    new TypeError("error reading a body from connection"),
    new DOMException("Signal timed out", "TimeoutError"),
    refusal(500, "Oops"),
    refusal(502, "Oops"),
    new Response("{", { status: 201 }),
  ];
  for (const step of unsafe) {
    const { client, sent } = makeClient([token(), step]);
    const error = await assertRejects(
      () => upsertEntity(client, "service", { title: "x" }),
      UnreachableError,
    );
    assertStringIncludes(error.message, "Port may have acted on it");
    assertEquals(sent.length, 2);
  }
});

Deno.test("PortClient repeats an upsert with an identifier, or one that writes nothing", async () => {
  const { client, sent } = makeClient([
    token(),
    CUT(),
    entity(),
    CUT(),
    entity(),
  ]);
  await upsertEntity(client, "service", { identifier: "checkout" });
  await upsertEntity(client, "service", { title: "x" }, { validateOnly: true });
  assertEquals(sent.length, 5);
});

Deno.test("PortClient gives each attempt the time that is left, 30 s at most", async () => {
  const fetch: typeof globalThis.fetch = (url, init) =>
    String(url).endsWith("access_token")
      ? Promise.resolve(token())
      : new Promise((_, reject) => {
        const { signal } = init ?? {};
        signal?.addEventListener("abort", () => reject(signal.reason));
      });
  const { client } = makeClient([], { fetch, attemptTimeout: 20, retries: 1 });
  const error = await assertRejects(
    () => getEntity(client, "service", "checkout"),
    UnreachableError,
  );
  assertStringIncludes(
    error.message,
    "no answer within 0.0 s (attempt 2, the last)",
  );
});

Deno.test("PortClient follows no redirect", async () => {
  const elsewhere = new Response(null, {
    status: 302,
    headers: { location: "https://evil.test/" },
  });
  const { client, sent } = makeClient([token(), elsewhere]);
  const error = await assertRejects(
    () => getEntity(client, "service", "checkout"),
    UnreachableError,
  );
  assertStringIncludes(error.message, "Port answered 302; check the API URL");
  assertEquals(sent.length, 2);
});

/** A final status, the error it becomes, and what the line says. */
const FINAL: [Response, new (message: string) => ScriptError, string][] = [
  [refusal(403, "Not yours"), AccessError, "403: Not yours; let an admin"],
  [refusal(404, "No such"), NotFoundError, "404: No such; check --blueprint"],
  [refusal(400, "Bad"), RejectedError, "400: Bad; correct it"],
  [refusal(409, "Taken"), RejectedError, "409: Taken; correct it"],
  [refusal(413, "Big"), RejectedError, "413: Big; correct it"],
  [refusal(422, "Not so"), RejectedError, "422: Not so; correct it"],
  [refusal(501, "What"), UnreachableError, "501: What; run it again later"],
  [
    json({ ok: false, error: "only_code" }, 422),
    RejectedError,
    "422: only_code;",
  ],
  [new Response("", { status: 404 }), NotFoundError, "answered 404; check"],
  [new Response("null", { status: 404 }), NotFoundError, "answered 404; check"],
];

Deno.test("PortClient tells each refusal with its own error and Port's message", async () => {
  for (const [answer, type, text] of FINAL) {
    const { client, sent } = makeClient([token(), answer]);
    const error = await assertRejects(
      () => getEntity(client, "service", "checkout"),
      type,
    );
    assertStringIncludes(error.message, text);
    assertEquals(sent.length, 2);
  }
});

Deno.test("PortClient shows the first words of a proxy's HTML", async () => {
  const html =
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body></html>";
  const { client } = makeClient(
    [token(), new Response(html, { status: 502 })],
    { retries: 0 },
  );
  const error = await assertRejects(
    () => getEntity(client, "service", "checkout"),
    UnreachableError,
  );
  assertStringIncludes(
    error.message,
    "Port answered 502: 502 Bad Gateway (attempt 1",
  );
});

Deno.test("PortClient takes a success that is no JSON for a broken answer", async () => {
  const page = () =>
    new Response("<p>Please log in to the network", { status: 200 });
  const { client, sent } = makeClient([token(), page(), page()], {
    retries: 1,
  });
  const error = await assertRejects(
    () => getEntity(client, "service", "checkout"),
    UnreachableError,
  );
  assertStringIncludes(
    error.message,
    "200 with a body that is not JSON: Please log in",
  );
  assertEquals(sent.length, 3);
});

Deno.test("PortClient refuses an answer without an entity", async () => {
  for (const body of [{}, [], null, { entity: [] }]) {
    const { client } = makeClient([token(), json(body)]);
    const error = await assertRejects(
      () => getEntity(client, "service", "checkout"),
      UnreachableError,
    );
    assertStringIncludes(error.message, "Port's answer holds no entity");
  }
});

Deno.test("PortClient refuses a token that no header can hold, and does not show it", async () => {
  for (const accessToken of ["", "a b", "a\nb", "ü", 7, null, undefined]) {
    const { client } = makeClient([json({ accessToken, expiresIn: 1 })]);
    const error = await assertRejects(
      () => getEntity(client, "service", "checkout"),
      UnreachableError,
    );
    assertEquals(
      error.message,
      "Cannot log in to Port at port.test: Port's answer holds no token; check the API URL",
    );
  }
});

Deno.test("PortClient hides secret and token in what a server says", async () => {
  const { client, attempts } = makeClient([
    token("token-1"),
    refusal(422, "Your hush-hush and Bearer token-1 are wrong"),
  ]);
  const error = await assertRejects(
    () => getEntity(client, "service", "checkout"),
    RejectedError,
  );
  assertStringIncludes(
    error.message,
    "Your [secret] and Bearer [secret] are wrong",
  );
  const seen = error.message + JSON.stringify(attempts);
  assertEquals(/hush-hush|token-1/.test(seen), false);
});

Deno.test("PortClient says which right a run lacks", async () => {
  const denied = new Deno.errors.NotCapable("Requires net access");
  const { client } = makeClient([denied], { apiUrl: "https://port.test:8443" });
  await assertRejects(
    () => getEntity(client, "service", "checkout"),
    UsageError,
    "add --allow-net=port.test:8443 after deno run",
  );
});

Deno.test("PortClient does not hide an error that it cannot explain", async () => {
  const { client } = makeClient([new RangeError("A bug")]);
  await assertRejects(
    () => getEntity(client, "service", "checkout"),
    RangeError,
    "A bug",
  );
});

Deno.test("PortClient takes a login that is not there for another server", async () => {
  const { client } = makeClient([refusal(404, "Route not found")]);
  await assertRejects(
    () => getEntity(client, "service", "a"),
    UnreachableError,
    "Cannot log in to Port at port.test: Port's answer holds 404 and no token; check the API",
  );
});

Deno.test("PortClient tells a proxy that wants a password from Port", async () => {
  const { client } = makeClient([refusal(407, "Proxy")]);
  await assertRejects(
    () => getEntity(client, "service", "a"),
    UnreachableError,
    "Port answered 407: Proxy; give HTTPS_PROXY the proxy's user and password",
  );
});

Deno.test("PortClient takes 404 for success when it repeats a deletion", async () => {
  const gone = () => refusal(404, "Not there");
  const { client } = makeClient([token(), CUT(), gone(), gone()]);
  await client.send(deleteRequest("service", "a"));
  await assertRejects(
    () => client.send(deleteRequest("service", "a")),
    NotFoundError,
    "Not there",
  );
  const deleted = json({ ok: true, deletedEntities: ["a"] });
  const cut = makeClient([token(), CUT(), deleted]).client;
  assertEquals(await deleteEntities(cut, "service", ["a", "b"]), ["a", "b"]);
});

Deno.test("PortClient reads no answer without end", async () => {
  let pulled = 0;
  const endless = new ReadableStream({
    pull(controller) {
      pulled++;
      controller.enqueue(new Uint8Array(16 * 1024 * 1024));
    },
  });
  const { client } = makeClient([token(), new Response(endless)]);
  await assertRejects(
    () => getEntity(client, "service", "a"),
    UnreachableError,
    "Port's answer holds more than 256 MiB",
  );
  assertEquals(pulled < 20, true);
});

Deno.test("PortClient lets no call go past the end that it is given", async () => {
  const { client, waits } = makeClient([token(), refusal(503, "Busy")]);
  client.endBy(NOW + 100);
  await assertRejects(
    () => getEntity(client, "service", "a"),
    UnreachableError,
    "would come too late",
  );
  assertEquals(waits, []);
});

Deno.test("searchEntities() follows the pages, with the names that each route wants", async () => {
  const page = (identifier: string, next?: string) =>
    json({ ok: true, entities: [{ identifier }], ...(next && { next }) });
  const { client, sent } = makeClient([token(), page("a", "n"), page("b")]);
  const search = {
    query: { combinator: "and", rules: [] },
    include: ["identifier", "properties.version", "relations.image"],
    exclude: ["updatedAt"],
    limit: 1,
  };
  const found = await Array.fromAsync(
    searchEntities(client, { ...search, blueprint: "service" }),
  );
  assertEquals(found, [{ identifier: "a" }, { identifier: "b" }]);
  const { query } = search;
  const body = { query, include: ["$identifier", "version", "image"] };
  const rest = { exclude: ["$updatedAt"], limit: 1 };
  assertEquals(sent.slice(1).map(({ body }) => JSON.parse(body ?? "")), [
    { ...body, ...rest },
    { ...body, ...rest, from: "n" },
  ]);
  const all = makeClient([token(), page("a")]);
  await Array.fromAsync(searchEntities(all.client, search));
  assertEquals(
    all.sent[1]?.url,
    "https://port.test/v1/entities/search?include=identifier" +
      "&include=properties.version&include=relations.image&exclude=updatedAt",
  );
  assertEquals(JSON.parse(all.sent[1]?.body ?? ""), query);
});

Deno.test("PortClient refuses answers that lack what they are for", async () => {
  const lacking = () => makeClient([token(), json({ ok: true })]).client;
  const query = { combinator: "and", rules: [] };
  const calls: [call: () => Promise<unknown>, what: string][] = [
    [() => upsertEntities(lacking(), "service", [{}]), "no entities"],
    [() => deleteEntities(lacking(), "service", ["a"]), "no identifiers"],
    [
      () => Array.fromAsync(searchEntities(lacking(), { query })),
      "no entities",
    ],
    [() => readRunLog(lacking(), "r", 0), "no log"],
    [() => createRun(lacking(), "deploy", {}), "no run"],
  ];
  for (const [call, what] of calls) {
    await assertRejects(call, UnreachableError, `Port's answer holds ${what}`);
  }
});

Deno.test("createRun() and addRunLog() are repeated only when Port cannot have acted", async () => {
  const run = () => json({ ok: true, run: { id: "r" } }, 202);
  const starts = makeClient([token(), refusal(503, "Busy"), run()]);
  assertEquals(await createRun(starts.client, "deploy", {}), { id: "r" });
  for (const step of [CUT, () => refusal(500, "Down")]) {
    const { client, sent } = makeClient([token(), step(), step()]);
    await assertRejects(
      () => createRun(client, "deploy", {}),
      UnreachableError,
      "it was not repeated",
    );
    await assertRejects(() => addRunLog(client, "r", "x"), UnreachableError);
    assertEquals(sent.length, 3);
  }
});
