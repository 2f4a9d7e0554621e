import { connect } from "node:net";
import { text } from "node:stream/consumers";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { type Body, type Client, SERVICES } from "../support/local_port.ts";
import { testPort, withEvents } from "../support/local_port.ts";
import { SECRET } from "../support/port.ts";

const UPSERT = `${SERVICES}?upsert=true`;

/** The requests that the lab lists, without those that a test has made before. */
async function list(port: Client, query = ""): Promise<Body[]> {
  const [status, { requests }] = await port.lab(`GET requests${query}`);
  assertEquals(status, 200);
  return requests as Body[];
}

/** Sends a request as it stands, and returns the whole answer. */
async function sendRaw(port: Client, lines: string[]): Promise<string> {
  const socket = connect(Number(new URL(port.url).port), "127.0.0.1");
  socket.write([...lines, "connection: close", "", ""].join("\r\n"));
  return await text(socket);
}

testPort(
  "lab shows its page, with what it loads, and runs no other code",
  async (port) => {
    const files: [path: string, type: string, content: string][] = [
      ["", "text/html; charset=utf-8", "<!DOCTYPE html>"],
      ["page.css", "text/css; charset=utf-8", "{"],
      ["page.js", "text/javascript; charset=utf-8", "document"],
    ];
    for (const [path, type, content] of files) {
      const { headers, ...answer } = await fetch(`${port.url}/__local/${path}`)
        .then(async (response) => ({
          headers: response.headers,
          status: response.status,
          text: await response.text(),
        }));
      assertEquals([answer.status, headers.get("content-type")], [200, type]);
      assertStringIncludes(answer.text, content);
      assertEquals(headers.get("cache-control"), "no-store");
      const policy = headers.get("content-security-policy") ?? "";
      assertStringIncludes(policy, "default-src 'self'");
      assertEquals(policy.includes("unsafe"), false);
    }
    const moved = await fetch(`${port.url}/__local`, { redirect: "manual" });
    await moved.body?.cancel();
    const location = moved.headers.get("location");
    assertEquals([moved.status, location], [308, "/__local/"]);
  },
);

testPort("lab reports its health", async (port) => {
  const [status, { startedAt, ...rest }] = await port.lab("GET health");
  assertEquals([status, rest], [200, { ok: true, version: "1.2.3" }]);
  assertMatch(String(startedAt), /^\d{4}-\S+Z$/);
}, { version: "1.2.3" });

testPort(
  "lab accepts requests to and from this machine's names only",
  async (port) => {
    const { host, port: number } = new URL(port.url);
    const local = `localhost:${number}`;
    const cases: [status: number, ...headers: string[]][] = [
      [200, `host: ${host}`],
      [200, `host: ${local}`],
      [200, `host: ${local}`, `origin: http://${host}`],
      [200, `host: ${host}`, "sec-fetch-site: same-origin"],
      [200, `host: ${host}`, "sec-fetch-site: none"],
      [403, "host: attacker.example"],
      [403, `host: attacker.example:${number}`],
      [403, "host: 127.0.0.1"],
      [403, "host: localhost:1"],
      [403, `host: ${host}.attacker.example`],
      [403, `host: ${host}`, "origin: http://attacker.example"],
      [403, `host: ${host}`, `origin: https://${host}`],
      [403, `host: ${host}`, "origin: http://localhost:1"],
      [403, `host: ${host}`, "origin: null"],
      [403, `host: ${host}`, "sec-fetch-site: cross-site"],
      [403, `host: ${host}`, "sec-fetch-site: same-site"],
    ];
    const paths = "GET health,GET events,GET ,DELETE requests,PUT failures";
    for (const [status, ...headers] of cases) {
      for (
        const request of status === 200 ? ["GET health"] : paths.split(",")
      ) {
        const [method, path] = request.split(" ");
        const line = `${method} /__local/${path} HTTP/1.1`;
        const answer = await sendRaw(port, [line, ...headers]);
        assertStringIncludes(answer, ` ${status} `, `${request} ${headers}`);
        assertEquals(answer.includes("access-control"), false);
      }
    }
  },
);

testPort(
  "lab lists the requests of Port's routes, not its own",
  async (port) => {
    await port.send(`POST ${UPSERT}`, { identifier: "a" });
    await port.send(`POST ${UPSERT}`, { properties: { none: 1 } });
    await port.lab("GET health");
    const [login, saved, refused, ...more] = await list(port);
    assertEquals(more, []);
    const { time, ms, client, ...rest } = Object(saved);
    assertEquals(rest, {
      id: 2,
      method: "POST",
      path: `/v1${UPSERT}`,
      status: 201,
      changed: [["service", "a"]],
      failed: 0,
    });
    assertMatch(`${time} ${ms} ${client}`, /^\d{4}-\S+Z \d+ Deno\/\S+$/);
    assertEquals([login?.path, login?.changed], ["/v1/auth/access_token", []]);
    const reason = 'Property "none" does not exist in the blueprint "service"';
    assertEquals([refused?.status, refused?.reason], [422, reason]);
    assertEquals(port.log.length, 3);
  },
);

testPort("lab finds requests by path, status and id", async (port) => {
  const requests = [`POST ${UPSERT}`, "GET /x", "GET /y", `GET ${SERVICES}`];
  for (const request of requests) await port.send(request);
  const cases: [query: string, ids: number[]][] = [
    ["", [1, 2, 3, 4, 5]],
    ["?path=service", [2, 5]],
    ["?path=upsert%3Dtrue", [2]],
    ["?status=404", [3, 4]],
    ["?status=4xx", [2, 3, 4]],
    ["?status=404,2xx", [1, 3, 4, 5]],
    ["?since=3", [4, 5]],
    ["?since=9", []],
    ["?status=4xx&since=2&path=x", [3]],
    ["?status=&path=&since=", [1, 2, 3, 4, 5]],
  ];
  for (const [query, ids] of cases) {
    assertEquals((await list(port, query)).map(({ id }) => id), ids, query);
  }
  assertEquals((await port.lab("GET requests"))[1].last, 5);
  const wrong: [request: string, message: string, status?: number][] = [
    ["requests?status=40", '"status" must be such as 404, 4xx or'],
    ["requests?status=4XX,x", '"status" must be such as'],
    ["requests?since=-1", '"since" must be a whole number'],
    ["requests?since=x", '"since" must be a whole number'],
    ["requests?stauts=404", 'Unknown parameter "stauts", the known ones are'],
    ["requests/9", "The request does not exist", 404],
    ["requests/x", "The request does not exist", 404],
    ["nothing", "Route GET:/__local/nothing not found", 404],
    ["%ff", "The path is not valid"],
  ];
  for (const [request, message, expected = 422] of wrong) {
    const [status, answer] = await port.lab(`GET ${request}`);
    assertEquals([request, status], [request, expected]);
    assertStringIncludes(String(answer.message), message);
  }
});

testPort(
  "lab shows a request with its body and answer, and clears all",
  async (port) => {
    await port.put("service", { identifier: "a" });
    const properties = { none: 1 };
    const entities = [{ identifier: "b" }, { identifier: "c", properties }];
    await port.send(`POST ${SERVICES}/bulk?upsert=true`, { entities });
    const [status, record] = await port.lab("GET requests/3");
    const { body, answer, traceId, failed, changed, reason } = record;
    assertEquals([status, failed, changed], [200, 1, [["service", "b"]]]);
    assertEquals(body, JSON.stringify({ entities }, null, 2));
    assertEquals(JSON.parse(String(answer)).errors[0].message, reason);
    assertMatch(String(traceId), /^[\da-f-]{36}$/);
    assertEquals(await port.lab("DELETE requests"), [200, { ok: true }]);
    assertEquals(await list(port), []);
    // Ids go on, so that `since` never names a later request.
    await port.send("GET /blueprints");
    assertEquals((await list(port)).map(({ id }) => id), [4]);
    const [, { entity }] = await port.lab(
      "GET entity?blueprint=service&identifier=a",
    );
    assertEquals(Object(entity).identifier, "a");
  },
);

testPort(
  "lab keeps the last 1,000 requests, and 64 KiB of each",
  async (port) => {
    const long = "ä".repeat(60_000);
    await port.send("POST /blueprints/x/entities", { long });
    const [, { body, answer }] = await port.lab("GET requests/2");
    const bytes = new TextEncoder().encode(String(body)).length;
    assert(bytes > 65_500 && bytes <= 65_536 + 3, String(bytes));
    assertMatch(String(body), /ä…$/);
    assertEquals(String(answer).endsWith("…"), false);
    for (let sent = 0; sent < 1000; sent++) {
      await (await fetch(`${port.url}/v1/x`)).body?.cancel();
    }
    const ids = (await list(port)).map(({ id }) => id);
    assertEquals([ids.length, ids[0], ids.at(-1)], [1000, 3, 1002]);
    assertEquals((await port.lab("GET requests/2"))[0], 404);
  },
);

/** Each of them has something that the lab must not keep. */
const LOGINS: Record<string, string> = {
  valid: JSON.stringify({ clientId: "made-up-id", clientSecret: SECRET }),
  "wrong secret": '{"clientId": "made-up-id", "clientSecret": "hidden-1"}',
  "no text": '{"clientSecret": {"a": ["hidden-2"]}, "access_token": 7357}',
  nested: '[{"more": {"accessToken": "hidden-3"}}]',
  broken: '{"clientId": "x", "clientSecret" : "hidden-4", "a',
  form: "client_id=x&client_secret=hidden-5",
  text: JSON.stringify({ text: "https://x.test/?access_token=hidden-7" }),
  "text of JSON": JSON.stringify([JSON.stringify({ accessToken: "hidden-8" })]),
  escaped: JSON.stringify({ x: SECRET }).replace("-", "\\u002d"),
};

testPort(
  "lab keeps no secret and no token, wherever they stand",
  async (port) => {
    const login = `${port.url}/v1/auth/access_token`;
    const sent = await fetch(login, {
      method: "POST",
      body: LOGINS.valid ?? "",
    });
    const { accessToken } = await sent.json();
    const entity = {
      identifier: accessToken,
      title: `${SECRET} x-${accessToken}`,
    };
    await port.send(`POST ${UPSERT}`, entity);
    await port.must(`POST ${UPSERT}`, { identifier: SECRET });
    await fetch(`${port.url}/v2/x?clientSecret=hidden-9`)
      .then((response) => response.body?.cancel());
    await port.send(`GET /x/${accessToken}?accessToken=hidden-6&b=${SECRET}`);
    const headers = { "user-agent": `${SECRET}/1`, "x-more": accessToken };
    for (const body of Object.values(LOGINS)) {
      const answer = await fetch(login, { method: "POST", headers, body });
      await answer.body?.cancel();
    }
    const shown = [
      await port.lab("GET requests"),
      await port.lab("GET entities?blueprint=service"),
      await port.lab(`GET entity?blueprint=service&identifier=${SECRET}`),
    ];
    const { last } = shown[0]?.[1] ?? {};
    for (let id = 1; id <= Number(last); id++) {
      shown.push(await port.lab(`GET requests/${id}`));
    }
    const text = JSON.stringify(shown);
    for (const secret of [SECRET, String(accessToken), "hidden-", "7357"]) {
      assertEquals(text.includes(secret), false, secret);
    }
    assertStringIncludes(text, "•••");
    assertStringIncludes(text, "Invalid client id or secret");
    assertStringIncludes(text, "made-up-id");
    // What was hidden is still known.
    assertEquals((shown[2]?.[1].requests as Body[]).length, 1);
  },
);

testPort(
  "lab keeps bodies that are broken, deep, huge or no text",
  async (port) => {
    const bodies: [body: BodyInit, shown: string][] = [
      ["{", "{"],
      [new Uint8Array([0, 255, 254, 10]), "\0\ufffd\ufffd\n"],
      ["[".repeat(100_000), "[".repeat(65_536) + "…"],
      ["x".repeat(3_000_000), "x".repeat(65_536) + "…"],
      ["[".repeat(30_000) + "]".repeat(30_000), "[".repeat(30_000)],
      // A search for tokens must not take long, whatever it finds.
      ["eyJ-".repeat(250_000), "eyJ-eyJ-"],
      [`${"eyJ".repeat(100_000)}.x.`.repeat(3), "eyJ"],
      ["clientSecret ".repeat(80_000), "clientSecret clientSecret"],
      [
        '{"__proto__": {"a": "<script>"}}',
        '"__proto__": {\n    "a": "<script>"',
      ],
    ];
    for (const [body, shown] of bodies) {
      const url = `${port.url}/v1/auth/access_token`;
      const answer = await fetch(url, { method: "POST", body });
      await answer.body?.cancel();
      const [, { last }] = await port.lab("GET requests");
      const [status, record] = await port.lab(`GET requests/${last}`);
      assertEquals(status, 200);
      assertStringIncludes(String(record.body), shown);
    }
  },
);

testPort(
  "lab shows entities of any depth, without the secret",
  async (port) => {
    const schema = { properties: { deep: { type: "object" } } };
    const blueprint = { identifier: "deep", title: "Deep", schema };
    await port.must("POST /blueprints", blueprint);
    let deep: unknown = SECRET;
    for (let depth = 0; depth < 20_000; depth++) deep = [deep];
    const body = { identifier: "a", properties: { deep: { deep } } };
    await port.must("POST /blueprints/deep/entities?upsert=true", body);
    for (const path of ["requests/3", "entities?blueprint=deep"]) {
      const answer = await fetch(`${port.url}/__local/${path}`);
      const text = await answer.text();
      assertEquals([path, answer.status], [path, 200]);
      assertStringIncludes(text, '"deep');
      assertEquals(text.includes(SECRET), false);
    }
  },
);

testPort("lab shows the catalogue", async (port) => {
  await port.put("image", { identifier: "one" });
  await port.must("PATCH /blueprints/image", { icon: "Docker" });
  const [, { blueprints }] = await port.lab("GET catalogue");
  const found = (blueprints as Body[])
    .filter(({ identifier }) => /^(?:image|service)$/.test(String(identifier)));
  const [image, service] = found.map(({ properties, ...rest }) => {
    assert(Array.isArray(properties) && properties.length > 0);
    return rest;
  });
  assertEquals(image, {
    ...{ identifier: "image", title: "Image", icon: "Docker", count: 1 },
    relations: {},
  });
  const many = { target: "team", required: false, many: true };
  assertEquals(service, {
    ...{ identifier: "service", title: "Service", icon: "Microservice" },
    count: 0,
    relations: {
      image: { target: "image", required: false, many: false },
      owners: many,
    },
  });
});

testPort(
  "lab shows entities, and what is related to them and changed them",
  async (port) => {
    const relations = { image: "i", owners: ["a"] };
    await port.put("image", { identifier: "i" }, { identifier: "other" });
    await port.put("team", { identifier: "a" });
    await port.put("service", { identifier: "s", title: "S", relations });
    const [, { entities }] = await port.lab("GET entities?blueprint=image");
    const { blueprint, createdBy, identifier } = Object(entities)[0];
    assertEquals([blueprint, createdBy, identifier], [
      "image",
      "local-port",
      "i",
    ]);
    const cases: [query: string, relation: string][] = [
      ["blueprint=image&identifier=i", "image"],
      ["blueprint=team&identifier=a", "owners"],
    ];
    for (const [query, relation] of cases) {
      const [, { incoming, requests }] = await port.lab(`GET entity?${query}`);
      const from = { blueprint: "service", identifier: "s", title: "S" };
      assertEquals(incoming, [{ ...from, relation }]);
      assertEquals((requests as Body[]).length, 1);
    }
    const missing: [query: string, status: number, message: string][] = [
      ["entities?blueprint=x", 404, "Blueprint with identifier"],
      ["entities?blueprint=__proto__", 404, "Blueprint with identifier"],
      ["entities", 422, 'Missing the parameter "blueprint"'],
      ["entity?blueprint=image&identifier=x", 404, "Entity with identifier"],
      ["entity?blueprint=image", 422, 'Missing the parameter "identifier"'],
    ];
    for (const [query, status, message] of missing) {
      const [actual, answer] = await port.lab(`GET ${query}`);
      assertEquals([query, actual], [query, status]);
      assertStringIncludes(String(answer.message), message);
    }
  },
);

testPort("lab is not slowed, limited or made to fail", async (port) => {
  for (let sent = 0; sent < 3; sent++) {
    assertEquals((await port.lab("GET health"))[0], 200);
  }
  assertEquals(await list(port), []);
}, {
  failRate: 1,
  latency: 1e9,
  rateLimits: { other: { requests: 1, period: 1e9 } },
});

testPort("lab names the failures that were simulated", async (port) => {
  for (let sent = 0; sent < 2; sent++) {
    const answer = await fetch(`${port.url}/v1/x`);
    await answer.body?.cancel();
  }
  const found = (await list(port))
    .map(({ status, failure, reason }) => [status, failure, reason]);
  assertEquals(found, [
    [502, "bad-gateway", undefined],
    [503, "unavailable", "Service temporarily unavailable"],
  ]);
}, { failures: ["bad-gateway", "unavailable"] });

testPort("lab streams what happens", async (port) => {
  await withEvents(port, async (next) => {
    await port.must("GET /blueprints");
    assertEquals((await next())[1].path, "/v1/auth/access_token");
    assertEquals((await next())[1].path, "/v1/blueprints");
    await port.must(`POST ${UPSERT}`, { identifier: "a", title: "A\n\nb" });
    const [name, { status, id }] = await next();
    assertEquals([name, status, id], ["request", 201, 3]);
    const changed = { blueprint: "service", identifier: "a" };
    assertEquals(await next(), ["catalogue", changed]);
    await port.must("PATCH /blueprints/image", {});
    assertEquals((await next())[0], "request");
    assertEquals(await next(), ["catalogue", { blueprint: "image" }]);
    await port.must(`DELETE ${SERVICES}/a?delete_dependents=true`);
    assertEquals((await next())[0], "request");
    assertEquals(await next(), ["catalogue", changed]);
    await port.lab("DELETE requests");
    assertEquals(await next(), ["clear", {}]);
  });
});

testPort("lab ends its streams with the local Port", async (port) => {
  const response = await fetch(`${port.url}/__local/events`);
  await port.close();
  await response.text().catch(() => "cut");
});
