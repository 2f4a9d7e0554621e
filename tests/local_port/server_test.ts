import { Buffer } from "node:buffer";
import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import type { Failure } from "../../scripts/local_port/failures.ts";
import {
  type LocalPortOptions,
  startLocalPort,
} from "../../scripts/local_port/server.ts";
import type { Body, Refused, TestClock } from "../support/local_port.ts";
import { identifiers, makeClock, SERVICES } from "../support/local_port.ts";
import { testPort, withClient } from "../support/local_port.ts";
import { CREDENTIALS, SECRET } from "../support/port.ts";
import { withFolder } from "../support/run.ts";

const UPSERT = `${SERVICES}?upsert=true`;
const LOGIN = "POST /auth/access_token";
const CLIENT = { clientId: CREDENTIALS.PORT_CLIENT_ID, clientSecret: SECRET };

/** The tokens of most tests with a clock never end. */
function withPortsLifetime({ options }: TestClock): LocalPortOptions {
  return { ...options, tokenLifetime: 10_800_000 };
}

testPort("logs in with its credentials only", async (port) => {
  const { accessToken, ...rest } = await port.must(LOGIN, CLIENT);
  const expected = { ok: true, expiresIn: 10_800, tokenType: "Bearer" };
  assertEquals(rest, expected);
  // A JWT that anybody can tell from one of Port.
  assertMatch(String(accessToken), /^(?:[\w-]+\.){2}[\w-]+$/);
  const [{ typ }, { iss, iat, exp }] = String(accessToken).split(".", 2)
    .map((part) => JSON.parse(Buffer.from(part, "base64url").toString()));
  assertEquals([typ, iss, exp - iat], ["JWT", "local-port", 10_800]);
  const { clientSecret: __, ...half } = CLIENT;
  await port.refuse(LOGIN, [
    ["Invalid client id", { ...CLIENT, clientSecret: "other" }, 401],
    ["Invalid client id", { ...CLIENT, clientId: "other" }, 401],
    ["\"body\" must have required property 'clientSecret'", half],
    ['"body" must NOT have additional', { ...CLIENT, more: 1 }],
  ]);
}, withPortsLifetime(makeClock("2026-01-01T00:00:00Z")));

testPort("requires a token", async (port) => {
  const run = await port.startRun();
  const requests = ["GET /blueprints", `POST ${UPSERT}`, `PATCH ${run}`];
  for (const request of requests) {
    const [method = "", path] = request.split(" ");
    for (const authorization of ["", "Bearer made-up", "Basic eDp5"]) {
      const url = `${port.url}/v1${path}`;
      const response = await fetch(url, { method, headers: { authorization } });
      await response.body?.cancel();
      assertEquals([request, response.status], [request, 401]);
    }
  }
});

testPort("refuses a token that has expired", async (port) => {
  const expired: Refused = ["Missing, unknown or expired", undefined, 401];
  await port.refuse("GET /blueprints", [expired]);
}, { tokenLifetime: 0 });

testPort("refuses paths and methods that Port does not have", async (port) => {
  const entity = 'Entity with identifier "x" does not exist in the blueprint ';
  const blueprint = 'Blueprint with identifier "x" does not exist';
  const cases: [request: string, message: string, body?: unknown][] = [
    [`GET ${SERVICES}/x`, `${entity}"service"`],
    [`PATCH ${SERVICES}/x`, `${entity}"service"`, {}],
    [`DELETE ${SERVICES}/x?delete_dependents=true`, `${entity}"service"`],
    ["GET /blueprints/x/entities", blueprint],
    ["POST /blueprints/x/entities", blueprint],
    ["GET /blueprints/x/entities/y", blueprint],
    ["POST /blueprints/x/entities/bulk", blueprint],
    ["POST /blueprints/x/entities/search", blueprint, {}],
    ["POST /blueprints/x/bulk/entities/delete", blueprint],
    ["GET /blueprints/x/entities-count", blueprint],
    ["GET /nothing", "Route GET:/v1/nothing not found"],
    [`PATCH ${SERVICES}`, `Route PATCH:/v1${SERVICES} not found`],
    ["GET /entities/search", "Route GET:/v1/entities/search not found"],
    [`POST ${SERVICES}-count`, `Route POST:/v1${SERVICES}-count not found`],
    ["GET /actions/deploy/runs", "Route GET:/v1/actions/deploy/runs not"],
    ["DELETE /actions/runs/x", "Route DELETE:/v1/actions/runs/x not found"],
  ];
  for (const [request, message, body] of cases) {
    await port.refuse(request, [[message, body, 404]]);
  }
});

testPort("refuses requests that it cannot read", async (port) => {
  const cases: [path: string, body: string, status: number, message: string][] =
    [
      [`/v1${UPSERT}`, "{", 422, "The body is not valid JSON"],
      ["/v1/%ff", "{}", 422, "The path is not valid"],
      ["/v2/blueprints", "{}", 404, "Route /v2/blueprints not found"],
      ["//", "{}", 404, "Route // not found"],
      [`/v1${UPSERT}yes`, "{}", 422, '"upsert" must be boolean'],
      ["/v1/x?delete_actions=1", "{}", 422, '"delete_actions" must be boolean'],
      [
        `/v1${UPSERT}`,
        " ".repeat(2 ** 20 + 1),
        413,
        "Request body is too large",
      ],
    ];
  const { accessToken } = await port.must(LOGIN, CLIENT);
  const headers = { authorization: `Bearer ${accessToken}` };
  for (const [path, body, status, expected] of cases) {
    const url = `${port.url}${path}`;
    const response = await fetch(url, { method: "POST", headers, body });
    const { ok, message } = await response.json();
    assertEquals([response.status, ok], [status, false], path);
    assertEquals(message.startsWith(expected), true, message);
  }
});

const clock = makeClock("2026-01-01T00:00:00Z");

testPort("accepts a number of requests per period and family", async (port) => {
  for (const remaining of ["1", "0"]) {
    const { status, headers, body } = await port.call("POST", UPSERT, {});
    await body?.cancel();
    const header = headers.get("x-ratelimit-remaining");
    assertEquals([status, header], [201, remaining]);
  }
  const { status, headers, body } = await port.call("POST", UPSERT, {});
  await body?.cancel();
  const names = ["limit", "period", "reset"];
  const [limit, period, reset = 0] = names
    .map((name) => Number(headers.get(`x-ratelimit-${name}`)));
  assertEquals([status, limit, period], [429, 2, 3600]);
  assertEquals(reset, Date.parse("2026-01-01T01:00:00Z") / 1000);
  assertEquals(headers.get("retry-after"), "3600");
  // Other families have limits of their own, or none.
  await port.must("GET /blueprints");
  clock.set("2026-01-01T01:00:00Z");
  await port.must(`POST ${UPSERT}`, {});
}, {
  ...clock.options,
  rateLimits: { upsert: { requests: 2, period: 3_600_000 } },
});

testPort(
  "has the limits that Port publishes, and a trace id in each answer",
  async (port) => {
    const limits: [request: string, limit: number][] = [
      ["POST /auth/access_token", 100],
      [`POST ${UPSERT}`, 10_000],
      [`POST ${SERVICES}/bulk?upsert=true`, 35_000],
      [`POST ${SERVICES}/search`, 35_000],
      ["POST /entities/search", 35_000],
      [`GET ${SERVICES}/a%2Fb`, 35_000],
      ["GET /blueprints/service/entities-count", 35_000],
      ["POST /blueprints/service/bulk/entities/delete", 35_000],
      [`PATCH ${SERVICES}/a`, 35_000],
      ["GET /blueprints", 15_000],
      ["POST /actions/deploy/runs", 15_000],
      // Whatever their names are.
      ["GET /blueprints/entities", 15_000],
      ["POST /blueprints/entities/entities", 10_000],
      ["POST /actions/entities/runs", 15_000],
      ["GET /actions/runs/entities", 15_000],
      ["GET /nowhere", 15_000],
    ];
    const traces = new Set<string | null>();
    for (const [request, limit] of limits) {
      const [method = "", path = ""] = request.split(" ");
      const body = method === "GET" ? undefined : {};
      const { headers, body: answer } = await port.call(method, path, body);
      await answer?.cancel();
      const found = ["limit", "period"]
        .map((name) => Number(headers.get(`x-ratelimit-${name}`)));
      assertEquals([request, ...found], [request, limit, 300]);
      traces.add(headers.get("x-trace-id"));
    }
    assertEquals([traces.size, traces.has(null)], [limits.length, false]);
  },
);

const tokenClock = makeClock("2026-01-01T00:00:00Z");

testPort(
  "has one active token, with less time left at each login",
  async (port) => {
    const first = await port.must(LOGIN, CLIENT);
    tokenClock.set("2026-01-01T02:59:00Z");
    const second = await port.must(LOGIN, CLIENT);
    assertEquals(second, { ...first, expiresIn: 60 });
    tokenClock.set("2026-01-01T03:00:00Z");
    const third = await port.must(LOGIN, CLIENT);
    assertEquals(third.expiresIn, 10_800);
    assertEquals(third.accessToken === first.accessToken, false);
  },
  withPortsLifetime(tokenClock),
);

/** For each failure the status and body of the answer, and whether Port acts. */
const FAILURES: Record<Failure, [status: number, body: RegExp, acts: boolean]> =
  {
    "rate-limited": [429, /"error":"rate_limit_exceeded"/, false],
    "error": [500, /"error":"internal_error"/, false],
    "bad-gateway": [502, /^<html>/, false],
    "unavailable": [503, /"error":"unavailable"/, false],
    // No answer, or half of one.
    "cut-before": [0, /^$/, true],
    "cut-middle": [201, /^$/, true],
  };

for (const [failure, expected] of Object.entries(FAILURES)) {
  const [expectedStatus, pattern, acts] = expected;
  testPort(`simulates the failure ${failure}`, async (port) => {
    const { accessToken } = await port.must(LOGIN, CLIENT);
    // On a connection used before, Deno's fetch would repeat it by itself.
    using client = Deno.createHttpClient({});
    const request = new Request(`${port.url}/v1${UPSERT}`, {
      method: "POST",
      headers: { authorization: `Bearer ${accessToken}` },
      body: '{"identifier": "a"}',
    });
    let [status, text, retryAfter, isTraced] = [0, "", "", false];
    try {
      const response = await fetch(request, { client });
      status = response.status;
      retryAfter = response.headers.get("retry-after") ?? "";
      isTraced = response.headers.has("x-trace-id");
      text = await response.text();
    } catch {
      // The connection was cut.
    }
    assertEquals(status, expectedStatus);
    assertMatch(text, pattern);
    assertEquals(retryAfter, status === 429 ? "1" : "");
    assertEquals(isTraced, status !== 0);
    const found = identifiers(await port.must(`GET ${SERVICES}`));
    assertEquals(found, acts ? "a" : "");
  }, { failures: ["none", "none", failure as Failure] });
}

Deno.test("local_port repeats its failures with the same seed", async () => {
  const run = async (seed: number) => {
    const lines: string[] = [];
    await withClient({ failRate: 0.5, seed }, async ({ url, log }) => {
      for (let request = 0; request < 30; request++) {
        const response = await fetch(`${url}/v1/blueprints`).catch(() => null);
        await response?.text().catch(() => {});
      }
      lines.push(...log.map((line) => line.replace(/ \d+ms/, "")));
    });
    return lines;
  };
  const first = await run(1);
  assertEquals(await run(1), first);
  assertNotEquals(await run(2), first);
});

testPort("answers after its latency, and logs no secret", async (port) => {
  await port.call("GET", "/blueprints/no%1B[31m");
  assertEquals(port.log.length, 2);
  for (const line of port.log) {
    const [, time] = /^(?:POST|GET) \/v1\/\S+ \d{3} (\d+)ms$/.exec(line) ??
      [];
    assertEquals(Number(time) >= 30, true, line);
    assertEquals(line.includes(SECRET), false);
  }
}, { latency: 30 });

Deno.test("local_port keeps the catalogue in a file across restarts", async () => {
  await withFolder(async (folder) => {
    const data = `${folder}/port.json`;
    let before: unknown;
    await withClient({ data }, async (port) => {
      await port.put("service", { identifier: "a", title: "A" });
      await port.must("PATCH /blueprints/service", { title: "Mine" });
      before = (await port.must("GET /blueprints")).blueprints;
    });
    // Another name of the same file shows that it is replaced, not written to.
    const [old, text] = [`${folder}/old`, await Deno.readTextFile(data)];
    await Deno.link(data, old);
    await withClient({ data }, async (port) => {
      assertEquals((await port.must("GET /blueprints")).blueprints, before);
      assertEquals(Object(await port.entity("service", "a")).title, "A");
      await port.put("service", { identifier: "b" });
    });
    assertEquals(await Deno.readTextFile(old), text);
    assertStringIncludes(await Deno.readTextFile(data), '{"identifier":"b"');
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assertEquals(names.sort(), ["old", "port.json"]);
    await Deno.writeTextFile(data, '{"blueprints":[');
    const message = `Cannot read the data file "${data}": `;
    await assertRejects(() => startLocalPort({ data }), Error, message);
  });
});

Deno.test("local_port keeps the times of entities across restarts", async () => {
  const clock = makeClock("2026-01-01T00:00:00.000Z");
  await withFolder(async (folder) => {
    const data = `${folder}/port.json`;
    const options = { data, ...clock.options };
    const read = () =>
      withClient(options, async (port) => {
        const { entity } = await port.must(`GET ${SERVICES}/a`);
        const { blueprint, createdAt, updatedAt } = Object(entity);
        return [blueprint, createdAt.slice(0, 4), updatedAt.slice(0, 4)];
      });
    await withClient(options, async (port) => {
      await port.put("service", { identifier: "a" });
      clock.set("2027-01-01T00:00:00.000Z");
      await port.put("service", { identifier: "a" });
    });
    clock.set("2028-01-01T00:00:00.000Z");
    assertEquals(await read(), ["service", "2026", "2027"]);
    const stored = JSON.parse(await Deno.readTextFile(data));
    const [_, entities] = Object(stored).entities
      .find(([blueprint]: [string]) => blueprint === "service");
    entities[0] = { identifier: "a", properties: {}, relations: {} };
    await Deno.writeTextFile(data, JSON.stringify(stored));
    // A file of an older version has no times: those of the first start count.
    assertEquals(await read(), ["service", "2028", "2028"]);
    clock.set("2029-01-01T00:00:00.000Z");
    assertEquals(await read(), ["service", "2028", "2028"]);
  });
});

Deno.test("local_port reports that it cannot keep the catalogue", async () => {
  const folder = await Deno.makeTempDir();
  await withClient({ data: `${folder}/port.json` }, async (port) => {
    await Deno.remove(folder, { recursive: true });
    const [status, answer] = await port.send(`POST ${UPSERT}`, {});
    assertEquals([status, answer.error], [500, "internal_error"]);
    assertStringIncludes(String(answer.message), "Cannot write the data file");
  });
});

Deno.test("local_port uses the blueprints of a folder", async () => {
  await withFolder(async (blueprints) => {
    const pet = { identifier: "pet", title: "Pet", schema: { properties: {} } };
    const file = `${blueprints}/pet.json`;
    await Deno.writeTextFile(file, JSON.stringify(pet));
    await Deno.writeTextFile(`${blueprints}/README.md`, "Pets");
    await withClient({ blueprints }, async (port) => {
      const found = (await port.must("GET /blueprints")).blueprints as Body[];
      assertEquals(found.map(({ identifier }) => identifier), ["pet"]);
    });
    const damaged: [text: string, message: string][] = [
      [
        JSON.stringify({ ...pet, title: 1 }),
        'Cannot use the blueprint "pet": "title" must be string',
      ],
      ["{", `Cannot read the blueprint "${file}": `],
    ];
    for (const [text, message] of damaged) {
      await Deno.writeTextFile(file, text);
      await assertRejects(() => startLocalPort({ blueprints }), Error, message);
    }
  });
});
