import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import { FAILURES } from "../../scripts/local_port/failures.ts";
import { makeClock, SERVICES, testPort } from "../support/local_port.ts";
import { type Body, withClient, withEvents } from "../support/local_port.ts";
import { SECRET } from "../support/port.ts";
import { withFolder } from "../support/run.ts";

const UPSERT = `${SERVICES}?upsert=true`;
const LOGIN = "POST /auth/access_token";
const CLIENT = { clientId: "made-up-id", clientSecret: SECRET };

testPort("lab waits for requests, those before it included", async (port) => {
  await port.send("GET /blueprints/x");
  const waiting = port.lab("GET requests/wait?count=2&path=/x&status=4xx");
  await port.send("GET /blueprints");
  await port.send("GET /blueprints/x");
  const [status, { requests }] = await waiting;
  const ids = (requests as Body[]).map(({ id }) => id);
  assertEquals([status, ids], [200, [2, 4]]);
  const [, found] = await port.lab("GET requests/wait?since=3");
  assertEquals((found.requests as Body[]).length, 1);
});

testPort(
  "lab ends a wait at its timeout with those that came",
  async (port) => {
    await port.send("GET /blueprints");
    const path = "GET requests/wait?count=9&timeout=1ms&status=2xx";
    const [status, { requests, ...rest }] = await port.lab(path);
    assertEquals([status, rest], [408, {
      ok: false,
      error: "timeout",
      message: "2 of 9 requests came in 1ms",
    }]);
    assertEquals((requests as Body[]).length, 2);
  },
);

testPort("lab refuses a wait that it cannot read", async (port) => {
  const cases: [query: string, message: string][] = [
    ["count=x", '"count" must be a whole number up to 1000'],
    ["count=1001", '"count" must be a whole number up to 1000'],
    ["timeout=10", '"timeout" must be a time up to 1h such as 500ms or 30s'],
    ["timeout=2h", '"timeout" must be a time up to 1h'],
    ["status=x", '"status" must be such as 404'],
    ["counts=2", 'Unknown parameter "counts"'],
  ];
  for (const [query, message] of cases) {
    const [status, answer] = await port.lab(`GET requests/wait?${query}`);
    assertEquals([query, status], [query, 422]);
    assertStringIncludes(String(answer.message), message);
  }
});

testPort("lab forgets clients that hang up", async (port) => {
  const hangUp = new AbortController();
  const paths = ["requests/wait?timeout=1h", "events"];
  const url = `${port.url}/__local`;
  const calls = paths.map((path) =>
    fetch(`${url}/${path}`, { signal: hangUp.signal })
      .then((response) => response.text()).catch(() => "cut")
  );
  // The lab answers in order, so it has these two by then.
  await withEvents(port, async (next) => {
    await port.lab("DELETE requests");
    assertEquals(await next(), ["clear", {}]);
  });
  hangUp.abort();
  assertEquals(await Promise.all(calls), ["cut", "cut"]);
  assertEquals((await port.send("GET /blueprints"))[0], 200);
});

testPort("lab ends a wait with the local Port", async (port) => {
  const url = `${port.url}/__local/requests/wait?timeout=1h`;
  const waiting = fetch(url).then(() => "answered", () => "cut");
  await port.lab("GET health");
  await port.close();
  assertEquals(await waiting, "cut");
});

testPort("lab resets all but the tokens", async (port) => {
  await withEvents(port, async (next) => {
    const before = (await port.must("GET /blueprints")).blueprints as Body[];
    await port.put("service", { identifier: "a" });
    await port.must("PATCH /blueprints/service", { title: "Mine" });
    await port.must("DELETE /blueprints/ciJob");
    const run = await port.startRun();
    await port.lab("PUT failures", {
      ...{ failRate: 1, kinds: ["error"], latency: 1 },
      rateLimit: { requests: 1, period: 1 },
    });
    assertEquals(await port.lab("POST reset"), [200, { ok: true }]);
    assertEquals((await port.lab("GET requests"))[1].requests, []);
    // The token of before is still the one that is sent.
    const after = (await port.must("GET /blueprints")).blueprints as Body[];
    const names = (list: Body[]) => list.map((b) => [b.identifier, b.title]);
    assertEquals(names(after), names(before));
    const found = await port.must(`GET ${SERVICES}`);
    assertEquals(found.entities, []);
    assertEquals((await port.send(`GET ${run}`))[0], 404);
    const [, failures] = await port.lab("GET failures");
    const { failRate, kinds, latency, rateLimit } = failures;
    assertEquals([failRate, latency, rateLimit], [0, 0, null]);
    assertEquals(kinds, [...FAILURES]);
    while ((await next())[0] !== "reset");
  });
});

testPort("lab resets the counters of the rate limits", async (port) => {
  const call = async () => {
    const response = await port.call("GET", "/blueprints");
    await response.body?.cancel();
    return response.status;
  };
  assertEquals([await call(), await call()], [200, 429]);
  await port.lab("POST reset");
  assertEquals([await call(), await call()], [200, 429]);
}, { rateLimits: { blueprints: { requests: 1, period: 1e9 } } });

testPort(
  "lab repeats the failures of the start after a reset",
  async (port) => {
    const run = async () => {
      for (let sent = 0; sent < 20; sent++) {
        const response = await fetch(`${port.url}/v1/x`).catch(() => null);
        await response?.text().catch(() => {});
      }
      const [, { requests }] = await port.lab("GET requests");
      return (requests as Body[]).map(({ failure }) => failure);
    };
    const first = await run();
    assertEquals(new Set(first).size > 2, true);
    await port.lab("POST reset");
    assertEquals(await run(), first);
  },
  { failRate: 0.5, seed: 7 },
);

Deno.test("local_port lab empties the data file at a reset", async () => {
  await withFolder(async (folder) => {
    const data = `${folder}/port.json`;
    await withClient({ data }, async (port) => {
      await port.put("service", { identifier: "a" });
      await port.must("PATCH /blueprints/service", { title: "Mine" });
      await port.lab("POST reset");
    });
    await withClient({ data }, async (port) => {
      assertEquals((await port.must(`GET ${SERVICES}`)).entities, []);
      const { blueprint } = await port.must("GET /blueprints/service");
      assertEquals(Object(blueprint).title, "Service");
    });
  });
});

Deno.test("local_port lab keeps all if it cannot reset", async () => {
  await withFolder(async (blueprints) => {
    const pet = { identifier: "pet", title: "Pet", schema: { properties: {} } };
    const file = `${blueprints}/pet.json`;
    await Deno.writeTextFile(file, JSON.stringify(pet));
    await withClient({ blueprints }, async (port) => {
      await port.put("pet", { identifier: "a" });
      await Deno.writeTextFile(file, "{");
      const [status, { message }] = await port.lab("POST reset");
      assertEquals(status, 500);
      assertStringIncludes(String(message), "Cannot read the blueprint");
      await port.must("GET /blueprints/pet/entities/a");
    });
  });
});

const NONE = { failRate: 0, kinds: [...FAILURES], latency: 0, rateLimit: null };

testPort("lab switches failures on and off", async (port) => {
  const set = async (change: Body) => {
    const [status, answer] = await port.lab("PUT failures", change);
    assertEquals(status, 200);
    assertEquals(answer, (await port.lab("GET failures"))[1]);
    const { ok: _, allKinds, ...settings } = answer;
    assertEquals(allKinds, [...FAILURES]);
    return settings;
  };
  const send = async (path = "/blueprints") => {
    const response = await port.call("GET", path);
    await response.body?.cancel();
    return response.status;
  };
  assertEquals(await set({}), NONE);
  assertEquals(await send(), 200);
  const change = { failRate: 1, kinds: ["unavailable"] };
  assertEquals(await set(change), { ...NONE, ...change });
  assertEquals([await send(), await send()], [503, 503]);
  await set({ failRate: 0, latency: 30 });
  assertEquals(await send(), 200);
  const [, { requests }] = await port.lab("GET requests?since=4");
  assertEquals(Number((requests as Body[])[0]?.ms) >= 30, true);
  const rateLimit = { requests: 1, period: 3_600_000 };
  assertEquals(await set({ latency: 0, rateLimit }), {
    ...{ ...NONE, rateLimit },
    kinds: change.kinds,
  });
  assertEquals([await send(), await send(), await send("/x")], [200, 429, 404]);
  await set({ rateLimit: null });
  assertEquals([await send(), await send()], [200, 200]);
});

testPort(
  "lab lets a part of many entities fail in the kinds that it has",
  async (port) => {
    const entities = [...Array(20).keys()].map((number) => ({
      identifier: `e${number}`,
    }));
    const failed = async (kinds: string[]) => {
      await port.lab("PUT failures", { failRate: 0, kinds });
      const statuses = new Set<unknown>();
      for (let sent = 0; sent < 20; sent++) {
        await port.lab("PUT failures", { failRate: 0.5 });
        const path = `POST ${SERVICES}/bulk?upsert=true`;
        const [, { errors }] = await port.send(path, { entities })
          .catch((): [number, Body] => [0, {}]);
        for (const { statusCode } of (errors ?? []) as Body[]) {
          statuses.add(statusCode);
        }
      }
      return [...statuses];
    };
    assertEquals(await failed(["unavailable"]), [503]);
    assertEquals(await failed(["cut-before"]), []);
  },
  { seed: 1 },
);

testPort(
  "lab refuses failures that it does not know, and names them",
  async (port) => {
    const cases: [body: unknown, message: string][] = [
      [{ failRate: 2 }, '"failRate" must be <= 1'],
      [{ failRate: "1" }, '"failRate" must be number'],
      [{ kinds: ["none"] }, '"kinds.0" must be equal to one of'],
      [{ kinds: [] }, '"kinds" must NOT have fewer than 1 items'],
      [{ kinds: ["error", "error"] }, '"kinds" must NOT have duplicate items'],
      [{ latency: -1 }, '"latency" must be >= 0'],
      [{ latency: 1e12 }, '"latency" must be <= 3600000'],
      [{ rateLimit: {} }, '"rateLimit" must have required property'],
      [{ rateLimit: { requests: 0, period: 1 } }, '"rateLimit.requests" must'],
      [{ rateLimit: { requests: 1, period: 0.5 } }, '"rateLimit.period" must'],
      [{ failrate: 1 }, 'must NOT have additional properties "failrate"'],
      [[], '"body" must be object'],
      [undefined, '"body" must be object'],
    ];
    for (const [body, message] of cases) {
      const [status, answer] = await port.lab("PUT failures", body);
      assertEquals([body, status], [body, 422]);
      assertStringIncludes(String(answer.message), message);
    }
    const raw: [body: BodyInit, status: number][] = [
      ["{", 422],
      [new Uint8Array([0, 255]), 422],
      ['{"__proto__": {"failRate": 1}}', 422],
      [" ".repeat(2 ** 20 + 1), 413],
    ];
    for (const [body, expected] of raw) {
      const url = `${port.url}/__local/failures`;
      const answer = await fetch(url, { method: "PUT", body });
      await answer.body?.cancel();
      assertEquals(answer.status, expected);
    }
    const [, { ok: _, allKinds: __, ...settings }] = await port.lab(
      "GET failures",
    );
    assertEquals(settings, NONE);
  },
);

const clock = makeClock("2026-01-01T00:00:00Z");

testPort("lab ends all tokens now", async (port) => {
  const { accessToken } = await port.must(LOGIN, CLIENT);
  await port.must(`POST ${UPSERT}`, {});
  assertEquals(await port.lab("POST expire-tokens"), [200, { ok: true }]);
  assertEquals((await port.send("GET /blueprints"))[0], 401);
  const second = await port.must(LOGIN, CLIENT);
  assertEquals(second.accessToken === accessToken, false);
}, clock.options);
