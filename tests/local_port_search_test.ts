import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import type { Failure } from "../scripts/local_port/failures.ts";
import type { LocalPortOptions } from "../scripts/local_port/server.ts";
import { CREDENTIALS, type TestPort, withPort } from "./support/port.ts";

type Body = Record<string, unknown>;

/** Sends a request, and gives status and body of the answer. */
async function send(
  port: TestPort,
  method: string,
  path: string,
  body?: unknown,
): Promise<[status: number, answer: Body]> {
  const response = await port.call(method, path, body);
  return [response.status, await response.json()];
}

/** Sends a request that must succeed, and gives the body of its answer. */
async function must(
  port: TestPort,
  method: string,
  path: string,
  body?: unknown,
): Promise<Body> {
  const [status, answer] = await send(port, method, path, body);
  const isFine = answer.ok === true && status < 300;
  assertEquals(isFine, true, `${status} ${JSON.stringify(answer)}`);
  return answer;
}

/** What refuses a request: its status, and a part of its message. */
type Refused = [status: number, says: string];

async function assertRefused(
  port: TestPort,
  [status, says]: Refused,
  method: string,
  path: string,
  body?: unknown,
) {
  const [actual, answer] = await send(port, method, path, body);
  const error = { 404: "not_found", 409: "identifier_taken" }[status] ??
    "invalid_request";
  assertEquals(
    [actual, answer.ok, answer.error],
    [status, false, error],
    JSON.stringify({ method, path, body, answer }),
  );
  assertStringIncludes(String(answer.message), says);
}

const SERVICES = "/blueprints/service/entities";
const BULK = `${SERVICES}/bulk?upsert=true`;
const DELETE = "/blueprints/service/bulk/entities/delete";
const COUNT = "/blueprints/service/entities-count";
const HOSTS = "/blueprints/host/entities";
const HOST_SEARCH = `${HOSTS}/search`;
const SEARCH = "/entities/search";

const HOST = {
  identifier: "host",
  title: "Host",
  schema: {
    properties: {
      name: { type: "string" },
      site: { type: "string", format: "url" },
      cores: { type: "number" },
      live: { type: "boolean" },
      tags: { type: "array", items: { type: "string" } },
      expires: { type: "string", format: "date-time" },
    },
  },
  relations: {
    zone: { target: "zone", required: true, many: false },
    parent: { target: "host", required: false, many: false },
    peers: { target: "host", required: false, many: true },
  },
};
const ZONE = {
  identifier: "zone",
  title: "Zone",
  schema: { properties: {} },
  relations: { region: { target: "region", required: false, many: false } },
};
const REGION = {
  identifier: "region",
  title: "Region",
  schema: { properties: {} },
};

/** Each is the parent of the next: a, b, c, d. */
const ALL_HOSTS = [
  {
    identifier: "a",
    title: "Alpha",
    properties: {
      name: "web-1",
      site: "https://a.example",
      cores: 2,
      live: true,
      tags: ["go", "api"],
      expires: "2001-01-01T00:00:00Z",
    },
    relations: { zone: "z1" },
  },
  {
    identifier: "b",
    title: "Beta",
    properties: {
      name: "web-2",
      cores: 4,
      live: false,
      tags: ["rust"],
      expires: "2999-01-01T00:00:00Z",
    },
    relations: { zone: "z1", parent: "a" },
  },
  {
    identifier: "c",
    title: "Gamma",
    properties: { name: "db-1", cores: 8, tags: [] },
    relations: { zone: "z2", parent: "b", peers: ["a", "b"] },
  },
  { identifier: "d", relations: { zone: "z2", parent: "c" } },
];

/** Lets a test search four hosts in two zones, one of them in a region. */
async function withHosts(test: (port: TestPort) => Promise<void>) {
  await withPort({}, async (port) => {
    for (const blueprint of [REGION, ZONE, HOST]) {
      await must(port, "POST", "/blueprints", blueprint);
    }
    const put = (blueprint: string, entities: Body[]) =>
      must(port, "POST", `/blueprints/${blueprint}/entities/bulk?upsert=true`, {
        entities,
      });
    await put("region", [{ identifier: "eu" }]);
    await put("zone", [
      { identifier: "z1", title: "Zone 1", relations: { region: "eu" } },
      { identifier: "z2", title: "Zone 2" },
    ]);
    await put("host", ALL_HOSTS);
    await test(port);
  });
}

/** The identifiers in an answer, as one text. */
function identifiersOf({ entities }: Body): string {
  return (entities as Body[]).map(({ identifier }) => identifier).join(" ");
}

function and(...rules: unknown[]): Body {
  return { combinator: "and", rules };
}

function or(...rules: unknown[]): Body {
  return { combinator: "or", rules };
}

/** The hosts that a query finds. */
async function findHosts(port: TestPort, query: Body): Promise<string> {
  return identifiersOf(await must(port, "POST", HOST_SEARCH, { query }));
}

/** A rule, and the hosts that it finds. */
type Case = [rule: Body, finds: string];

/** Fails unless both routes find what each rule is to find. */
async function assertFinds(port: TestPort, cases: Case[]) {
  const isHost = { property: "$blueprint", operator: "=", value: "host" };
  for (const [rule, finds] of cases) {
    const found = await findHosts(port, and(rule));
    assertEquals(found, finds, JSON.stringify(rule));
    // The route of all blueprints has no such rules.
    if ("relation" in rule) continue;
    const all = await must(port, "POST", SEARCH, and(isHost, rule));
    assertEquals(identifiersOf(all), finds, JSON.stringify(rule));
  }
}

/** Cases of one property: an operator, its value and the hosts that it finds. */
function about(
  property: string,
  ...cases: [operator: string, value: unknown, finds: string][]
): Case[] {
  return cases.map(([operator, value, finds]) => [
    { property, operator, ...(value !== undefined && { value }) },
    finds,
  ]);
}

Deno.test("local_port bulk upsert tells of each entity what became of it", async () => {
  await withPort({}, async (port) => {
    await must(port, "POST", `${SERVICES}?upsert=true`, {
      identifier: "old",
      properties: { version: "1" },
    });
    const [status, answer] = await send(port, "POST", `${BULK}&merge=true`, {
      entities: [
        { identifier: "new" },
        { identifier: "bad", properties: { colour: "red" } },
        { identifier: "old", properties: { build: "7" } },
        { identifier: "orphan", relations: { image: "none" } },
      ],
    });
    assertEquals([status, answer], [207, {
      ok: true,
      entities: [
        { created: true, identifier: "new", index: 0 },
        { created: false, identifier: "old", index: 2 },
      ],
      errors: [
        {
          identifier: "bad",
          index: 1,
          statusCode: 422,
          error: "invalid_request",
          message:
            'Property "colour" does not exist in the blueprint "service"',
        },
        {
          identifier: "orphan",
          index: 3,
          statusCode: 404,
          error: "not_found",
          message:
            'Entity with identifier "none" does not exist in the blueprint "image"',
        },
      ],
    }]);
    assertEquals(await port.entity("service", "bad"), undefined);
    assertEquals(await port.entity("service", "old"), {
      identifier: "old",
      properties: { version: "1", build: "7" },
      relations: {},
    });
  });
});

Deno.test("local_port bulk upsert answers 200 when all got in", async () => {
  await withPort({}, async (port) => {
    const entities = Array.from({ length: 20 }, (_, number) => ({
      identifier: `e${number % 19}`,
    }));
    const [status, answer] = await send(port, "POST", BULK, { entities });
    const created = (answer.entities as Body[]).map(({ created }) => created);
    assertEquals([status, answer.errors], [200, []]);
    assertEquals(created, [...Array(19).fill(true), false], "e0 comes twice");
    assertEquals((await must(port, "GET", COUNT)).count, 19);
    const { entities: made } = await must(port, "POST", BULK, {
      entities: [{ title: "Nameless" }],
    });
    assertMatch(identifiersOf({ entities: made }), /^e_/);
  });
});

Deno.test("local_port bulk upsert holds to its parameters", async () => {
  await withPort({}, async (port) => {
    const missing = { identifier: "a", relations: { image: "i" } };
    const flags = "&create_missing_related_entities=true";
    const body = { entities: [missing] };
    await must(port, "POST", `${BULK}${flags}&validation_only=true`, body);
    assertEquals((await must(port, "GET", COUNT)).count, 0);
    await must(port, "POST", `${BULK}${flags}`, body);
    assertNotEquals(await port.entity("image", "i"), undefined);
    const once = `${SERVICES}/bulk?upsert=false`;
    const [status, { errors }] = await send(port, "POST", once, body);
    const [error] = errors as Body[];
    assertEquals([status, error?.statusCode, error?.error], [
      207,
      409,
      "identifier_taken",
    ]);
  });
});

Deno.test("local_port bulk upsert refuses all when the body breaks the schema", async () => {
  await withPort({}, async (port) => {
    const good = { identifier: "good" };
    const refuse = (entities: unknown, says: string) =>
      assertRefused(port, [422, says], "POST", BULK, { entities });
    await refuse([], '"entities"');
    await refuse(Array(21).fill(good), '"entities"');
    await refuse(undefined, "'entities'");
    await refuse([good, null], '"entities.1" must be object');
    await refuse([good, { identifier: "a b" }], '"entities.1.identifier"');
    await refuse(
      [good, { identifier: "x".repeat(1001) }],
      '"entities.1.identifier"',
    );
    await refuse(
      [good, { identifier: "x", properties: [] }],
      '"entities.1.properties"',
    );
    await refuse([good, { identifier: "x", title: 1 }], '"entities.1.title"');
    await refuse(
      [good, { relations: { image: 1 } }],
      '"entities.1.relations.image"',
    );
    await assertRefused(port, [422, '"more"'], "POST", BULK, {
      entities: [good],
      more: 1,
    });
    await assertRefused(
      port,
      [422, '"upsert" is required'],
      "POST",
      `${SERVICES}/bulk`,
      { entities: [good] },
    );
    assertEquals((await must(port, "GET", COUNT)).count, 0);
  });
});

Deno.test("local_port bulk upsert refuses all when a query in it breaks the schema", async () => {
  await withPort({}, async (port) => {
    const wrong = and({ property: "version", operator: "~", value: "1" });
    await assertRefused(port, [422, "identifier"], "POST", BULK, {
      entities: [{ identifier: "good" }, { identifier: wrong }],
    });
    assertEquals((await must(port, "GET", COUNT)).count, 0);
  });
});

Deno.test("local_port bulk upsert names no identifier where there is none", async () => {
  await withPort({}, async (port) => {
    const nobody = and({ property: "version", operator: "=", value: "9" });
    const { errors } = await must(port, "POST", BULK, {
      entities: [{ identifier: nobody }],
    });
    const [error] = errors as Body[];
    assertEquals([error?.statusCode, error?.identifier], [404, ""]);
  });
});

Deno.test("local_port fails at single entities of many on a bad day", async () => {
  const failures: "none"[] = ["none", "none"];
  await withPort({ failures, failRate: 1, seed: 1 }, async (port) => {
    const entities = Array.from({ length: 20 }, (_, number) => ({
      identifier: `e${number}`,
    }));
    const [status, answer] = await send(port, "POST", BULK, { entities });
    const errors = answer.errors as { index: number; statusCode: number }[];
    assertEquals(status, 207);
    assertEquals(errors.length > 0 && errors.length < 20, true);
    for (const { statusCode } of errors) {
      assertEquals([429, 500, 503].includes(statusCode), true);
    }
    const all = [...answer.entities as { index: number }[], ...errors];
    assertEquals(
      all.map(({ index }) => index).sort((a, b) => a - b),
      entities.map((_, index) => index),
    );
  });
});

/** Puts services there. */
async function putServices(port: TestPort, ...identifiers: string[]) {
  await must(port, "POST", BULK, {
    entities: identifiers.map((identifier) => ({ identifier })),
  });
}

Deno.test("local_port bulk delete tells which entities it deleted", async () => {
  await withPort({}, async (port) => {
    await putServices(port, "a", "b", "c");
    const path = `${DELETE}?delete_dependents=false`;
    const answer = await must(port, "POST", path, {
      entities: ["a", "gone", "c", "not an identifier"],
    });
    assertEquals(answer, { ok: true, deletedEntities: ["a", "c"] });
    assertEquals((await must(port, "GET", COUNT)).count, 1);
    const again = await must(port, "POST", path, { entities: ["a"] });
    assertEquals(again, { ok: true, deletedEntities: [] });
  });
});

Deno.test("local_port bulk delete takes 1 to 100 identifiers", async () => {
  await withPort({}, async (port) => {
    await putServices(port, "a");
    const path = `${DELETE}?delete_dependents=false`;
    const refuse = (body: unknown, says: string, to = path) =>
      assertRefused(port, [422, says], "POST", to, body);
    const names = Array.from({ length: 101 }, (_, number) => `e${number}`);
    await refuse({ entities: ["a", ...names.slice(1)] }, '"entities"');
    await refuse({ entities: [] }, '"entities"');
    await refuse({ entities: ["a", 1] }, '"entities.1"');
    await refuse({ entities: ["a"], more: 1 }, '"more"');
    await refuse({}, "'entities'");
    await refuse({ entities: ["a"] }, "delete_dependents", DELETE);
    assertEquals((await must(port, "GET", COUNT)).count, 1);
    await must(port, "POST", path, { entities: ["a", ...names.slice(2)] });
    assertEquals((await must(port, "GET", COUNT)).count, 0);
  });
});

Deno.test("local_port bulk delete deletes all or, when one has dependents, none", async () => {
  await withHosts(async (port) => {
    const path = "/blueprints/host/bulk/entities/delete?delete_dependents=";
    const body = { entities: ["d", "a"] };
    const refused: Refused = [422, '"a" of the blueprint "host" has 2'];
    await assertRefused(port, refused, "POST", `${path}false`, body);
    // That its dependents are to be deleted too is no excuse.
    await assertRefused(port, refused, "POST", `${path}false`, {
      entities: ["a", "b", "c", "d"],
    });
    assertEquals(await findHosts(port, and()), "a b c d");
    const { deletedEntities } = await must(port, "POST", `${path}true`, body);
    assertEquals(deletedEntities, ["d", "a"]);
    assertEquals(await findHosts(port, and()), "", "all descend from a");
  });
});

Deno.test("local_port counts the entities of a blueprint", async () => {
  await withPort({}, async (port) => {
    assertEquals(await must(port, "GET", COUNT), { ok: true, count: 0 });
    await putServices(port, "a", "b", "c");
    assertEquals(await must(port, "GET", COUNT), { ok: true, count: 3 });
  });
});

Deno.test("local_port has no methods but those of Port's document", async () => {
  await withPort({}, async (port) => {
    const run = await startRun(port);
    const wrong: [method: string, path: string][] = [
      ["GET", SEARCH],
      ["DELETE", BULK],
      ["DELETE", DELETE],
      ["GET", "/actions/deploy/runs"],
      ["DELETE", run],
      ["PATCH", `${run}/logs`],
    ];
    for (const [method, path] of wrong) {
      await assertRefused(port, [404, "not"], method, path);
    }
  });
});

Deno.test("local_port counts entities by GET only", async () => {
  await withPort({}, async (port) => {
    await assertRefused(port, [404, "not found"], "POST", COUNT);
  });
});

Deno.test("local_port says on every route that the blueprint is not there", async () => {
  await withPort({}, async (port) => {
    const refuse = (method: string, path: string, body?: unknown) =>
      assertRefused(
        port,
        [404, 'Blueprint with identifier "x" does not exist'],
        method,
        `/blueprints/x/${path}`,
        body,
      );
    await refuse("POST", "entities/bulk?upsert=true", { entities: [{}] });
    await refuse("POST", "bulk/entities/delete?delete_dependents=true", {
      entities: ["a"],
    });
    await refuse("POST", "entities/search", {});
    await refuse("GET", "entities-count");
  });
});

Deno.test("local_port asks for a token on every route", async () => {
  await withPort({}, async (port) => {
    const run = await startRun(port);
    const routes: [method: string, path: string][] = [
      ["POST", BULK],
      ["POST", DELETE],
      ["GET", COUNT],
      ["POST", SEARCH],
      ["POST", `${SERVICES}/search`],
      ["POST", "/actions/deploy/runs"],
      ["PATCH", run],
      ["GET", `${run}/logs`],
    ];
    for (const [method, path] of routes) {
      const response = await fetch(`${port.url}/v1${path}`, { method });
      await response.body?.cancel();
      assertEquals([path, response.status], [path, 401]);
    }
  });
});

Deno.test("local_port search compares with = and !=", async () => {
  await withHosts(async (port) => {
    await assertFinds(port, [
      ...about(
        "name",
        ["=", "web-1", "a"],
        ["=", "web", ""],
        ["=", null, "d"],
        ["!=", "web-1", "b c d"],
        ["!=", null, "a b c"],
      ),
      ...about("cores", ["=", 4, "b"], ["=", "4", ""], ["!=", 4, "a c d"]),
      ...about("live", ["=", true, "a"], ["=", false, "b"]),
      ...about("tags", ["=", ["go", "api"], "a"], ["=", ["api", "go"], ""]),
      ...about("zone", ["=", "z2", "c d"]),
      ...about("$title", ["=", "Beta", "b"], ["!=", "Beta", "a c d"]),
      ...about("$identifier", ["=", "c", "c"]),
      ...about("$blueprint", ["=", "host", "a b c d"], ["=", "zone", ""]),
    ]);
  });
});

Deno.test("local_port search looks into text and lists", async () => {
  await withHosts(async (port) => {
    await assertFinds(port, [
      ...about(
        "name",
        ["contains", "b-1", "a c"],
        ["doesNotContains", "b-1", "b d"],
        ["containsAny", ["web", "nothing"], "a b"],
        ["beginsWith", "web", "a b"],
        ["doesNotBeginsWith", "web", "c d"],
        ["endsWith", "-1", "a c"],
        ["doesNotEndsWith", "-1", "b d"],
        ["in", ["web-2", "db-1"], "b c"],
        ["notIn", ["web-2", "db-1"], "a d"],
      ),
      ...about(
        "tags",
        ["contains", "go", "a"],
        ["contains", ["go", "api"], "a"],
        ["contains", ["go", "rust"], ""],
        ["contains", "g", ""],
        ["doesNotContains", "go", "b c d"],
        ["containsAny", ["rust", "api"], "a b"],
        ["in", ["rust", "c"], "b"],
      ),
      ...about("$title", ["beginsWith", "Ga", "c"], ["endsWith", "a", "a b c"]),
      ...about("cores", ["beginsWith", "2", ""], ["endsWith", "8", ""]),
    ]);
  });
});

Deno.test("local_port search orders numbers and times", async () => {
  await withHosts(async (port) => {
    await assertFinds(port, [
      ...about(
        "cores",
        [">", 4, "c"],
        [">=", 4, "b c"],
        ["<", 4, "a"],
        ["<=", 4, "a b"],
        ["<", "2500-01-01T00:00:00Z", ""],
      ),
      ...about(
        "expires",
        [">", "2001-01-01T00:00:00Z", "b"],
        [">=", "2001-01-01T00:00:00Z", "a b"],
        // The same time in another zone.
        ["<=", "2001-01-01T01:00:00+01:00", "a"],
        ["<", "2001-01-01T00:00:00Z", ""],
        [">", 5, ""],
      ),
    ]);
  });
});

Deno.test("local_port search takes a range of time", async () => {
  const range = { from: "2001-01-01T00:00:00Z", to: "2002-01-01T00:00:00Z" };
  await withHosts(async (port) => {
    await assertFinds(port, [
      ...about(
        "expires",
        ["between", range, "a"],
        ["=", range, "a"],
        ["notBetween", range, "b c d"],
        ["between", { ...range, from: "2001-01-01T00:00:01Z" }, ""],
        ["between", { from: range.from, to: range.from }, "a"],
      ),
      ...about("cores", ["between", range, ""]),
    ]);
  });
});

/** Lets the local Port, which runs in this process, take a time for the present. */
async function atTime(now: Date, test: () => Promise<void>) {
  const { now: original } = Date;
  try {
    Date.now = () => now.getTime();
    await test();
  } finally {
    Date.now = original;
  }
}

/** Jobs by when they started, seen from 2026-06-15 at noon. */
const STARTS = {
  afterTomorrow: "2026-06-17T12:00:00Z",
  tomorrow: "2026-06-16T20:00:00Z",
  tonight: "2026-06-15T20:00:00Z",
  morning: "2026-06-15T08:00:00Z",
  hours13: "2026-06-14T23:00:00Z",
  hours35: "2026-06-14T01:00:00Z",
  days3: "2026-06-12T12:00:00Z",
  days10: "2026-06-05T12:00:00Z",
  days20: "2026-05-26T12:00:00Z",
  days60: "2026-04-16T12:00:00Z",
  days120: "2026-02-15T12:00:00Z",
  days300: "2025-08-19T12:00:00Z",
  days400: "2025-05-11T12:00:00Z",
};

/** The oldest and the newest job that each preset takes in. */
const PRESETS: Record<string, [oldest: string, newest: string]> = {
  tomorrow: ["tomorrow", "tomorrow"],
  today: ["morning", "tonight"],
  yesterday: ["hours35", "hours13"],
  lastDay: ["hours13", "morning"],
  lastWeek: ["days3", "morning"],
  last2Weeks: ["days10", "morning"],
  lastMonth: ["days20", "morning"],
  last3Months: ["days60", "morning"],
  last6Months: ["days120", "morning"],
  last12Months: ["days300", "morning"],
};

Deno.test("local_port search takes each preset of time", async () => {
  const noon = new Date("2026-06-15T12:00:00Z");
  await atTime(noon, () =>
    withPort({}, async (port) => {
      const jobs = "/blueprints/ciJob/entities";
      await must(port, "POST", `${jobs}/bulk?upsert=true`, {
        entities: Object.entries(STARTS).map(([identifier, startedAt]) => ({
          identifier,
          properties: { startedAt },
        })),
      });
      const names = Object.keys(STARTS);
      const find = async (operator: string, preset: string) => {
        const rule = { property: "startedAt", operator, value: { preset } };
        const answer = await must(port, "POST", `${jobs}/search`, {
          query: and(rule),
        });
        return identifiersOf(answer).split(" ");
      };
      for (const [preset, [oldest, newest]] of Object.entries(PRESETS)) {
        const is = names.slice(names.indexOf(newest), names.indexOf(oldest) + 1)
          .sort();
        const isNot = names.filter((name) => !is.includes(name)).sort();
        assertEquals(await find("between", preset), is, preset);
        assertEquals(await find("=", preset), is, preset);
        assertEquals(await find("notBetween", preset), isNot, preset);
      }
    }));
});

Deno.test("local_port search tells what is empty and what is expired", async () => {
  await withHosts(async (port) => {
    await assertFinds(port, [
      ...about(
        "name",
        ["isEmpty", undefined, "d"],
        ["isNotEmpty", undefined, "a b c"],
      ),
      ...about(
        "tags",
        ["isEmpty", undefined, "c d"],
        ["isNotEmpty", undefined, "a b"],
      ),
      ...about("live", ["isEmpty", undefined, "c d"]),
      ...about("$title", ["isEmpty", undefined, "d"]),
      ...about("parent", ["isEmpty", undefined, "a"]),
      ...about(
        "expires",
        ["isExpired", undefined, "a"],
        ["isNotExpired", undefined, "b c d"],
      ),
    ]);
  });
});

Deno.test("local_port search finds in an entity what stands in it only", async () => {
  await withHosts(async (port) => {
    // Every object of JavaScript has these, no entity does.
    await assertFinds(port, [
      ...about("constructor", ["isEmpty", undefined, "a b c d"]),
      ...about("toString", ["isNotEmpty", undefined, ""]),
    ]);
  });
});

Deno.test("local_port search matchAny takes a value or a list of them", async () => {
  await withHosts(async (port) => {
    await assertFinds(port, [
      ...about(
        "name",
        ["matchAny", "web-2", "b"],
        ["matchAny", ["web-1", "db-1"], "a c"],
        ["matchAny", [], ""],
      ),
      ...about("tags", ["matchAny", ["go", "rust"], "a b"]),
      ...about("$identifier", ["matchAny", ["a", "d"], "a d"]),
    ]);
  });
});

Deno.test("local_port search nests queries", async () => {
  const is = (name: string) => ({
    property: "name",
    operator: "=",
    value: name,
  });
  const big = { property: "cores", operator: ">=", value: 4 };
  await withHosts(async (port) => {
    const find = (query: Body) => findHosts(port, query);
    assertEquals(await find(or(is("web-1"), is("db-1"))), "a c");
    assertEquals(await find(and(is("web-1"), is("db-1"))), "");
    assertEquals(await find(and(big, or(is("web-1"), is("db-1")))), "c");
    assertEquals(await find(or(is("web-1"), and(big, is("web-2")))), "a b");
    assertEquals(await find(and()), "a b c d");
    const deep = await must(port, "POST", SEARCH, or(and(or(and(big)))));
    assertEquals(identifiersOf(deep), "b c");
  });
});

Deno.test("local_port searches the whole catalogue", async () => {
  await withHosts(async (port) => {
    const rule = {
      property: "$identifier",
      operator: "in",
      value: ["a", "z1"],
    };
    const answer = await must(port, "POST", SEARCH, and(rule));
    assertEquals((answer.matchingBlueprints as string[]).sort(), [
      "host",
      "zone",
    ]);
    assertEquals(identifiersOf(answer).split(" ").sort(), ["a", "z1"]);
    const none = { property: "$identifier", operator: "=", value: "nobody" };
    assertEquals(await must(port, "POST", SEARCH, and(none)), {
      ok: true,
      matchingBlueprints: [],
      entities: [],
    });
  });
});

Deno.test("local_port searches the whole catalogue for lists of numbers and booleans", async () => {
  await withHosts(async (port) => {
    const find = async (property: string, value: unknown[]) =>
      identifiersOf(
        await must(
          port,
          "POST",
          SEARCH,
          and({ property, operator: "in", value }),
        ),
      );
    assertEquals(await find("cores", [2, 8]), "a c");
    assertEquals(await find("live", [true]), "a");
  });
});

Deno.test("local_port gives the hosts page by page", async () => {
  await withHosts(async (port) => {
    const page = async (limit: number, from?: unknown) => {
      const answer = await must(port, "POST", HOST_SEARCH, {
        limit,
        ...(from !== undefined && { from }),
      });
      return [identifiersOf(answer), answer.next] as const;
    };
    const [first, second] = await page(3);
    assertEquals([first, typeof second], ["a b c", "string"]);
    assertEquals(await page(3, second), ["d", undefined]);
    // No empty page at the end.
    const [, half] = await page(2);
    assertEquals(await page(2, half), ["c d", undefined]);
    assertEquals(await page(4), ["a b c d", undefined]);
    // What goes meanwhile moves nothing.
    const path = `${HOSTS}/a?delete_dependents=false`;
    const refused: Refused = [422, "2 dependents"];
    await assertRefused(port, refused, "DELETE", path);
    await must(port, "DELETE", `${HOSTS}/c?delete_dependents=true`);
    await must(port, "POST", `${HOSTS}?upsert=true`, {
      identifier: "0",
      relations: { zone: "z1" },
    });
    assertEquals(await page(2, half), ["", undefined]);
  });
});

Deno.test("local_port gives 200 entities a page unless told otherwise", async () => {
  await withPort({}, async (port) => {
    const names = Array.from({ length: 201 }, (_, number) => `каса/${number}`);
    for (let at = 0; at < names.length; at += 20) {
      await putServices(port, ...names.slice(at, at + 20));
    }
    const search = async (body: Body) => {
      const answer = await must(port, "POST", `${SERVICES}/search`, body);
      return [(answer.entities as Body[]).length, answer.next] as const;
    };
    const [count, next] = await search({});
    assertEquals(count, 200);
    assertEquals(await search({ from: next }), [1, undefined]);
    assertEquals(await search({ limit: 1000 }), [201, undefined]);
    const { entities } = await must(port, "POST", SEARCH, and());
    assertEquals((entities as Body[]).length, 201, "one page holds all");
  });
});

Deno.test("local_port gives of a blueprint's entities what their names ask for", async () => {
  const query = and({ property: "$identifier", operator: "=", value: "b" });
  await withHosts(async (port) => {
    const get = async (parts: Body) =>
      (await must(port, "POST", HOST_SEARCH, { query, ...parts })).entities;
    assertEquals(await get({ include: ["$identifier", "name", "zone"] }), [{
      identifier: "b",
      properties: { name: "web-2" },
      relations: { zone: "z1" },
    }]);
    assertEquals(
      await get({ exclude: ["$title", "tags", "expires", "parent"] }),
      [{
        identifier: "b",
        properties: { name: "web-2", cores: 4, live: false },
        relations: { zone: "z1" },
      }],
    );
    assertEquals(
      await get({ include: ["$title", "name"], exclude: ["name"] }),
      [
        { title: "Beta" },
      ],
    );
    for (const name of ["properties.name", "identifier", "nothing"]) {
      const body = { query, include: [name] };
      const says = `Property "${name}" does not exist`;
      await assertRefused(port, [422, says], "POST", HOST_SEARCH, body);
      const other = { query, exclude: [name] };
      await assertRefused(port, [422, says], "POST", HOST_SEARCH, other);
    }
  });
});

Deno.test("local_port gives of the whole catalogue what the paths ask for", async () => {
  const query = and({ property: "$identifier", operator: "=", value: "b" });
  await withHosts(async (port) => {
    const get = async (parts: string) =>
      (await must(port, "POST", `${SEARCH}?${parts}`, query)).entities;
    assertEquals(
      await get("include=identifier&include=properties.name&include=relations"),
      [{
        identifier: "b",
        properties: { name: "web-2" },
        relations: { zone: "z1", parent: "a" },
      }],
    );
    assertEquals(
      await get("exclude=properties&exclude=title&exclude=relations.parent"),
      [{ identifier: "b", relations: { zone: "z1" } }],
    );
  });
});

/** Rules that break the schema. */
const WRONG_RULES: Body[] = [
  {},
  { property: "name" },
  { property: "name", operator: "=" },
  { operator: "=", value: "x" },
  { property: "name", operator: "~", value: "x" },
  { property: "name", operator: "=", value: "x", more: 1 },
  { property: 1, operator: "=", value: "x" },
  { property: "cores", operator: ">", value: "many" },
  { property: "cores", operator: ">", value: true },
  { property: "tags", operator: "in", value: [{}] },
  { property: "expires", operator: "between", value: "today" },
  { property: "expires", operator: "between", value: { preset: "soon" } },
  {
    property: "expires",
    operator: "between",
    value: { from: "2001-01-01T00:00:00Z" },
  },
  {
    property: "expires",
    operator: "notBetween",
    value: { from: "2001", to: "2002" },
  },
  { property: "name", operator: "isEmpty", value: "x" },
  { operator: "isNotEmpty" },
  { property: "expires", operator: "isExpired", value: "x" },
  { property: "name", operator: "matchAny" },
  { property: "name", operator: "matchAny", value: 1 },
  { combinator: "and", rules: [{}] },
  { combinator: "xor", rules: [] },
];

/** Queries that break the schema. */
const WRONG_QUERIES: unknown[] = [
  [],
  "name=x",
  { rules: [] },
  { combinator: "and" },
  { combinator: "AND", rules: [] },
  { combinator: "and", rules: {} },
  { combinator: "and", rules: [], more: 1 },
  ...WRONG_RULES.map((rule) => and(rule)),
];

Deno.test("local_port search refuses queries that break the schema", async () => {
  await withHosts(async (port) => {
    const refuse = (path: string, body?: unknown) =>
      assertRefused(port, [422, '"'], "POST", path, body);
    await refuse(SEARCH);
    for (const query of WRONG_QUERIES) {
      await refuse(SEARCH, query);
      await refuse(HOST_SEARCH, { query });
    }
    for (
      const body of [
        { more: 1 },
        { limit: 0 },
        { limit: 1001 },
        { limit: "5" },
        { from: 1 },
        { from: "%" },
        { include: "name" },
        { exclude: [1] },
      ]
    ) await refuse(HOST_SEARCH, body);
  });
});

Deno.test("local_port search says which rules of Port it does not know", async () => {
  const user = { context: "user", property: "$identifier" };
  const rules: [rule: Body, part: string][] = [
    [{ operator: "relatedTo", blueprint: "host", value: "a" }, "relatedTo"],
    [{ property: "name", operator: "=", value: user }, "context"],
    [{ property: user, operator: "=", value: "x" }, "context"],
    [{ scorecard: "s", operator: "=", value: "Gold" }, "scorecard"],
    [{ relation: "zone", operator: "=", value: "z1" }, "relation"],
    [
      { propertySchema: { type: "string" }, operator: "=", value: "x" },
      "propertySchema",
    ],
    [
      { property: { path: ["zone"] }, operator: "matchAny", value: "z1" },
      "path",
    ],
    [
      { property: { fromBlueprint: "host" }, operator: "matchAny", value: "a" },
      "fromBlueprint",
    ],
  ];
  await withHosts(async (port) => {
    for (const [rule, part] of rules) {
      for (
        const answer of [
          await send(port, "POST", HOST_SEARCH, { query: and(or(rule)) }),
          await send(port, "POST", SEARCH, and(or(rule))),
        ]
      ) {
        assertEquals(answer, [501, {
          ok: false,
          error: "not_implemented",
          message: `The local Port does not know "${part}" in searches`,
        }]);
      }
    }
  });
});

Deno.test("local_port finds the identifier of an entity by a query", async () => {
  const named = (value: string) =>
    and({ property: "name", operator: "=", value });
  await withHosts(async (port) => {
    const path = `${HOSTS}?upsert=true&merge=true`;
    const { entity } = await must(port, "POST", path, {
      identifier: named("web-2"),
      properties: { cores: 5 },
    });
    assertEquals((entity as Body).identifier, "b");
    const b = await port.entity("host", "b") as { properties: Body };
    assertEquals([b.properties.name, b.properties.cores], ["web-2", 5]);
    const says = 'No entity of the blueprint "host" matches the query';
    await assertRefused(port, [404, says], "POST", path, {
      identifier: named("nobody"),
    });
    const broken = and({ property: "name", operator: "~", value: "x" });
    await assertRefused(port, [422, '"'], "POST", path, { identifier: broken });
    const bulk = await must(
      port,
      "POST",
      `${HOSTS}/bulk?upsert=true&merge=true`,
      {
        entities: [{ identifier: named("db-1"), title: "Delta" }],
      },
    );
    assertEquals(bulk.entities, [{
      created: false,
      identifier: "c",
      index: 0,
    }]);
  });
});

Deno.test("local_port finds the targets of relations by queries", async () => {
  const titled = (value: unknown, operator = "=") =>
    and({ property: "$title", operator, value });
  await withHosts(async (port) => {
    const relationsOf = async (identifier: string) =>
      (await port.entity("host", identifier) as Body).relations;
    await must(port, "POST", `${HOSTS}?upsert=true`, {
      identifier: "e",
      relations: {
        zone: titled("Zone 2"),
        parent: titled("nobody"),
        peers: titled(["Alpha", "Gamma"], "in"),
      },
    });
    assertEquals(await relationsOf("e"), { zone: "z2", peers: ["a", "c"] });
    await must(port, "PATCH", `${HOSTS}/e`, {
      relations: { zone: titled("Zone 1") },
    });
    assertEquals(await relationsOf("e"), { zone: "z1", peers: ["a", "c"] });
    await must(port, "PUT", `${HOSTS}/e`, {
      relations: { zone: titled("Zone 2") },
    });
    assertEquals(await relationsOf("e"), { zone: "z2" });
    await assertRefused(port, [422, '"zone"'], "POST", `${HOSTS}?upsert=true`, {
      identifier: "f",
      relations: { zone: titled("nobody") },
    });
  });
});

Deno.test("local_port takes fewer operators in such queries than in a search", async () => {
  await withHosts(async (port) => {
    const path = `${HOSTS}?upsert=true&merge=true`;
    for (const operator of ["!=", "beginsWith", "isEmpty"]) {
      const value = operator === "isEmpty" ? {} : { value: "web-1" };
      const query = and({ property: "name", operator, ...value });
      const refuse = (body: Body) =>
        assertRefused(port, [422, '"'], "POST", path, body);
      await refuse({ identifier: query });
      await refuse({ identifier: "b", relations: { parent: query } });
    }
  });
});

/** Starts an action, and gives the path of its run. */
async function startRun(port: TestPort): Promise<string> {
  const { run } = await must(port, "POST", "/actions/deploy/runs", {
    properties: {},
  });
  return `/actions/runs/${(run as Body).id}`;
}

Deno.test("local_port starts an action", async () => {
  await withPort({ actions: ["deploy", "roll back"] }, async (port) => {
    const [status, { run }] = await send(
      port,
      "POST",
      "/actions/deploy/runs?run_as=ci%40example.com",
      { properties: { version: "1" }, entity: "checkout" },
    );
    const { id, createdAt, updatedAt, ...rest } = run as Body;
    assertEquals([status, rest], [202, {
      action: { identifier: "deploy" },
      entity: { identifier: "checkout" },
      properties: { version: "1" },
      requiredApproval: false,
      source: "API",
      status: "IN_PROGRESS",
      createdBy: "ci@example.com",
    }]);
    assertEquals([typeof createdAt, createdAt], ["string", updatedAt]);
    assertEquals(await must(port, "GET", `/actions/runs/${id}`), {
      ok: true,
      run,
    });
    assertNotEquals(await startRun(port), `/actions/runs/${id}`);
    await must(port, "POST", "/actions/roll%20back/runs", { properties: {} });
  });
});

Deno.test("local_port refuses what starts no action", async () => {
  await withPort({}, async (port) => {
    const path = "/actions/deploy/runs";
    const refuse = (body: unknown) =>
      assertRefused(port, [422, '"'], "POST", path, body);
    await refuse(undefined);
    await refuse({});
    await refuse({ properties: "none" });
    await refuse({ properties: {}, entity: 1 });
    await refuse({ properties: {}, more: 1 });
    await assertRefused(
      port,
      [404, 'Action with identifier "nothing" does not exist'],
      "POST",
      "/actions/nothing/runs",
      { properties: {} },
    );
  });
});

Deno.test("local_port takes only an e-mail address for run_as", async () => {
  await withPort({}, async (port) => {
    const path = "/actions/deploy/runs?run_as=nobody";
    const body = { properties: {} };
    await assertRefused(port, [422, "run_as"], "POST", path, body);
  });
});

Deno.test("local_port changes a run", async () => {
  await withPort({}, async (port) => {
    const path = await startRun(port);
    const change = async (body: Body) => {
      const { run } = await must(port, "PATCH", path, body);
      assertEquals((await must(port, "GET", path)).run, run);
      return run as Body;
    };
    const linked = await change({
      link: "https://ci.example/1",
      externalRunId: "42",
    });
    assertEquals([linked.link, linked.status, linked.endedAt], [
      "https://ci.example/1",
      "IN_PROGRESS",
      undefined,
    ]);
    const ended = await change({
      status: "FAILURE",
      statusLabel: "Tests failed",
      summary: "2 of 9",
      link: ["https://ci.example/1", "https://ci.example/2"],
    });
    const { status, statusLabel, summary, link, endedAt } = ended;
    assertEquals([status, statusLabel, summary, link, typeof endedAt], [
      "FAILURE",
      "Tests failed",
      "2 of 9",
      ["https://ci.example/1", "https://ci.example/2"],
      "string",
    ]);
    assertEquals((await change({})).statusLabel, "Tests failed");
  });
});

Deno.test("local_port refuses what changes no run", async () => {
  await withPort({}, async (port) => {
    const path = await startRun(port);
    for (
      const body of [
        { status: "DONE" },
        { status: "IN_PROGRESS" },
        { link: 1 },
        { link: [1] },
        { summary: null },
        { statusLabel: 1 },
        { more: 1 },
        [],
      ]
    ) await assertRefused(port, [422, '"'], "PATCH", path, body);
    const { run } = await must(port, "GET", path);
    assertEquals((run as Body).status, "IN_PROGRESS");
  });
});

Deno.test("local_port takes the deprecated message of a run", async () => {
  await withPort({}, async (port) => {
    const path = await startRun(port);
    await must(port, "PATCH", path, { message: { text: "x" } });
  });
});

Deno.test("local_port keeps the log of a run", async () => {
  await withPort({}, async (port) => {
    const path = await startRun(port);
    const [status, { runLog }] = await send(port, "POST", `${path}/logs`, {
      message: "0",
    });
    const { id, createdAt, createdBy, ...rest } = runLog as Body;
    assertEquals([status, rest], [201, {
      runId: path.split("/").at(-1),
      message: "0",
    }]);
    assertMatch([id, createdAt, createdBy].join(" "), /^l_\S+ \S+Z \S+$/);
    for (let number = 1; number < 60; number++) {
      const message = String(number);
      await must(port, "POST", `${path}/logs`, { message });
    }
    const read = async (query: string) => {
      const answer = await must(port, "GET", `${path}/logs${query}`);
      return (answer.runLogs as Body[]).map(({ message }) => Number(message));
    };
    const from = (start: number, count: number) =>
      Array.from({ length: count }, (_, index) => start + index);
    assertEquals(await read("?limit=3"), from(0, 3));
    assertEquals(await read("?limit=3&offset=2"), from(2, 3));
    assertEquals(await read("?limit=50&offset=50"), from(50, 10));
    assertEquals(await read("?offset=60"), []);
    assertEquals(await read(""), from(0, 50));
    const other = await startRun(port);
    const answer = await must(port, "GET", `${other}/logs`);
    assertEquals(answer.runLogs, [], "each run has its own");
  });
});

Deno.test("local_port gives 1 to 50 messages of a log", async () => {
  await withPort({}, async (port) => {
    const path = await startRun(port);
    for (const query of ["limit=51", "limit=0", "limit=x", "offset=x"]) {
      const [name = ""] = query.split("=");
      await assertRefused(port, [422, name], "GET", `${path}/logs?${query}`);
    }
  });
});

Deno.test("local_port ends a run with its log", async () => {
  await withPort({}, async (port) => {
    const path = await startRun(port);
    const log = (body: Body) => must(port, "POST", `${path}/logs`, body);
    const state = async () => {
      const { status, statusLabel } = (await must(port, "GET", path))
        .run as Body;
      return [status, statusLabel];
    };
    await log({ message: "Half done", statusLabel: "Half done" });
    assertEquals(await state(), ["IN_PROGRESS", "Half done"]);
    await log({ message: "Done", terminationStatus: "SUCCESS" });
    assertEquals(await state(), ["SUCCESS", "Half done"]);
    for (
      const body of [
        {},
        { message: 1 },
        { message: "x", terminationStatus: "MAYBE" },
        { message: "x", statusLabel: 1 },
        { message: "x", more: 1 },
      ]
    ) await assertRefused(port, [422, '"'], "POST", `${path}/logs`, body);
    const { runLogs } = await must(port, "GET", `${path}/logs`);
    assertEquals((runLogs as Body[]).length, 2);
  });
});

Deno.test("local_port says that a run is not there", async () => {
  await withPort({}, async (port) => {
    const refuse = (method: string, path: string, body?: unknown) =>
      assertRefused(
        port,
        [404, 'Action run with id "x" does not exist'],
        method,
        `/actions/runs/x${path}`,
        body,
      );
    await refuse("GET", "");
    await refuse("PATCH", "", { status: "SUCCESS" });
    await refuse("GET", "/logs");
    await refuse("POST", "/logs", { message: "x" });
  });
});

/** What a request of each route leaves behind when Port acts on it. */
interface Route {
  path: (run: string) => string;
  method?: string;
  body: unknown;
  /** Something that changes when Port acts. */
  trace: (port: TestPort, run: string) => Promise<unknown>;
}

const ROUTES: Route[] = [
  {
    path: () => BULK,
    body: { entities: [{ identifier: "new" }] },
    trace: async (port) => (await must(port, "GET", COUNT)).count,
  },
  {
    path: () => `${DELETE}?delete_dependents=false`,
    body: { entities: ["old"] },
    trace: async (port) => (await must(port, "GET", COUNT)).count,
  },
  {
    path: (run) => run,
    method: "PATCH",
    body: { status: "SUCCESS" },
    trace: async (port, run) =>
      ((await must(port, "GET", run)).run as Body).status,
  },
  {
    path: (run) => `${run}/logs`,
    body: { message: "x" },
    trace: async (port, run) =>
      ((await must(port, "GET", `${run}/logs`)).runLogs as Body[]).length,
  },
];

/** Sends one request into the failures, and tells what came of it. */
async function sendInto(kind: Failure, { path, method, body, trace }: Route) {
  // Two log-ins, a service and a run come before, and a look at the catalogue.
  const failures: LocalPortOptions["failures"] = [
    ...Array(5).fill("none"),
    kind,
  ];
  let outcome: [status: number, hasActed: boolean] = [0, false];
  await withPort({ failures }, async (port) => {
    const { accessToken } = await must(port, "POST", "/auth/access_token", {
      clientId: CREDENTIALS.PORT_CLIENT_ID,
      clientSecret: CREDENTIALS.PORT_CLIENT_SECRET,
    });
    await putServices(port, "old");
    const run = await startRun(port);
    const before = await trace(port, run);
    // On a connection used before, Deno's fetch would repeat it by itself.
    using client = Deno.createHttpClient({});
    const status = await fetch(`${port.url}/v1${path(run)}`, {
      method: method ?? "POST",
      headers: { authorization: `Bearer ${accessToken}` },
      body: JSON.stringify(body),
      client,
    }).then(async (response) => {
      await response.text();
      return response.status;
    }).catch(() => 0);
    outcome = [status, (await trace(port, run)) !== before];
  });
  return outcome;
}

Deno.test("local_port meets the failures on these routes too", async () => {
  // Status 0 stands for no whole answer: Port has acted, and nobody knows.
  const expected: [kind: Failure, status: number, hasActed: boolean][] = [
    ["rate-limited", 429, false],
    ["error", 500, false],
    ["bad-gateway", 502, false],
    ["unavailable", 503, false],
    ["cut-before", 0, true],
    ["cut-middle", 0, true],
  ];
  for (const [kind, ...outcome] of expected) {
    for (const route of ROUTES) {
      const message = `${kind} ${route.path("run")}`;
      assertEquals(await sendInto(kind, route), outcome, message);
    }
  }
});

Deno.test("local_port tells its rate limit on these routes too", async () => {
  const rateLimit = { requests: 3, period: 3_600_000 };
  await withPort({ rateLimit }, async (port) => {
    const search = () => port.call("POST", SEARCH, and());
    const first = await search();
    assertEquals(first.headers.get("x-ratelimit-remaining"), "1");
    await first.body?.cancel();
    const { headers, body } = await port.call("GET", COUNT);
    assertEquals(headers.get("x-ratelimit-remaining"), "0");
    await body?.cancel();
    const [status, { error }] = await send(port, "POST", SEARCH, and());
    assertEquals([status, error], [429, "rate_limit_exceeded"]);
  });
});
