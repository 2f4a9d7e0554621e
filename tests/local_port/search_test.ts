import { assertEquals } from "jsr:@std/assert@1.0.19";
import type { Body, Client, Refused } from "../support/local_port.ts";
import { and, identifiers, is, makeClock } from "../support/local_port.ts";
import { testPort } from "../support/local_port.ts";
import { contentOf } from "../support/port.ts";

const HOSTS = "/blueprints/host/entities";
const SEARCH_HOSTS = `POST ${HOSTS}/search`;
const SEARCH_ALL = "POST /entities/search";

const ZONE = { identifier: "zone", title: "Zone", schema: { properties: {} } };
const HOST = {
  identifier: "host",
  title: "Host",
  schema: {
    properties: {
      name: { type: "string" },
      cores: { type: "number" },
      live: { type: "boolean" },
      tags: { type: "array" },
      expires: { type: "string", format: "date-time" },
    },
  },
  relations: {
    zone: { target: "zone", required: true, many: false },
    parent: { target: "host", required: false, many: false },
    peers: { target: "host", required: false, many: true },
  },
};

const PAST = "2001-01-01T00:00:00Z";
const A = { name: "web-1", cores: 2, live: true, tags: ["go", "api"] };
const B = { name: "web-2", cores: 4, live: false, tags: ["rust"] };
const ALL_HOSTS = [
  {
    identifier: "a",
    title: "Alpha",
    properties: { ...A, expires: PAST },
    relations: { zone: "z1" },
  },
  {
    identifier: "b",
    title: "Beta",
    properties: { ...B, expires: "2999-01-01T00:00:00Z" },
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

/** Defines a test that searches four hosts in two zones. */
function testHosts(name: string, test: (port: Client) => Promise<void>) {
  testPort(name, async (port) => {
    await port.must("POST /blueprints", ZONE);
    await port.must("POST /blueprints", HOST);
    const second = { identifier: "z2", title: "Zone 2" };
    await port.put("zone", { identifier: "z1", title: "Zone 1" }, second);
    await port.put("host", ...ALL_HOSTS);
    await test(port);
  });
}

function or(...rules: unknown[]): Body {
  return { combinator: "or", rules };
}

type Case = [operator: string, value: unknown, hosts: string];

/** A property, and the hosts that rules about it find. */
const RULES: [property: string, ...Case[]][] = [
  ["name", ["=", "web-1", "a"], ["=", "web", ""], ["=", null, "d"]],
  ["name", ["!=", "web-1", "b c d"], ["!=", null, "a b c"]],
  ["name", ["contains", "b-1", "a c"], ["doesNotContains", "b-1", "b d"]],
  ["name", ["containsAny", ["web", "nothing"], "a b"]],
  ["name", ["beginsWith", "web", "a b"], ["doesNotBeginsWith", "web", "c d"]],
  ["name", ["endsWith", "-1", "a c"], ["doesNotEndsWith", "-1", "b d"]],
  ["name", ["in", ["web-2", "db-1"], "b c"], ["notIn", ["web-2"], "a c d"]],
  ["name", ["matchAny", "web-2", "b"], ["matchAny", ["web-2", "db-1"], "b c"]],
  ["name", ["matchAny", [], ""]],
  ["name", ["isEmpty", undefined, "d"], ["isNotEmpty", undefined, "a b c"]],
  ["cores", ["=", 4, "b"], ["=", "4", ""], ["!=", 4, "a c d"]],
  ["cores", [">", 4, "c"], [">=", 4, "b c"], ["<", 4, "a"], ["<=", 4, "a b"]],
  ["cores", ["<", "2500-01-01T00:00:00Z", ""]],
  ["cores", ["between", { from: PAST, to: PAST }, ""]],
  ["cores", ["beginsWith", "2", ""], ["endsWith", "8", ""]],
  ["live", ["=", true, "a"], ["=", false, "b"], ["isEmpty", undefined, "c d"]],
  ["tags", ["=", ["go", "api"], "a"], ["=", ["api", "go"], ""]],
  ["tags", ["contains", "go", "a"], ["contains", "g", ""]],
  ["tags", ["contains", ["go", "api"], "a"], ["contains", ["go", "rust"], ""]],
  ["tags", ["doesNotContains", "go", "b c d"], ["in", ["rust", "c"], "b"]],
  ["tags", ["containsAny", ["rust", "api"], "a b"]],
  ["tags", ["matchAny", ["go", "rust"], "a b"]],
  ["tags", ["isEmpty", undefined, "c d"], ["isNotEmpty", undefined, "a b"]],
  ["expires", [">", PAST, "b"], [">=", PAST, "a b"], ["<", PAST, ""]],
  // The same time in another zone.
  ["expires", ["<=", "2001-01-01T01:00:00+01:00", "a"], [">", 5, ""]],
  ["expires", ["between", { from: PAST, to: PAST }, "a"]],
  ["expires", ["=", { from: PAST, to: "2002-01-01T00:00:00Z" }, "a"]],
  ["expires", ["notBetween", { from: PAST, to: PAST }, "b c d"]],
  ["expires", ["isExpired", undefined, "a"]],
  ["expires", ["isNotExpired", undefined, "b c d"]],
  ["zone", ["=", "z2", "c d"]],
  ["parent", ["isEmpty", undefined, "a"]],
  ["$title", ["=", "Beta", "b"], ["!=", "Beta", "a c d"]],
  ["$title", ["beginsWith", "Ga", "c"], ["isEmpty", undefined, "d"]],
  ["$identifier", ["=", "c", "c"], ["matchAny", ["a", "d"], "a d"]],
  ["$blueprint", ["=", "host", "a b c d"], ["=", "zone", ""]],
  // Every object of JavaScript has these, no entity does.
  ["constructor", ["isEmpty", undefined, "a b c d"]],
  ["toString", ["isNotEmpty", undefined, ""]],
];

testHosts("search knows these operators, on both routes", async (port) => {
  for (const [property, ...cases] of RULES) {
    for (const [operator, value, hosts] of cases) {
      const rule = is(property, value, operator);
      const one = await port.must(SEARCH_HOSTS, { query: and(rule) });
      assertEquals(identifiers(one), hosts, JSON.stringify(rule));
      const query = and(is("$blueprint", "host"), rule);
      const all = await port.must(SEARCH_ALL, query);
      assertEquals(identifiers(all), hosts, JSON.stringify(rule));
    }
  }
  // Only the route of all blueprints accepts these lists.
  const cores = await port.must(SEARCH_ALL, and(is("cores", [2, 8], "in")));
  assertEquals(identifiers(cores), "a c");
  const live = await port.must(SEARCH_ALL, and(is("live", [true], "in")));
  assertEquals(identifiers(live), "a");
});

testHosts("search nests queries", async (port) => {
  const [a, b, c] = [is("name", "web-1"), is("name", "web-2"), is("cores", 8)];
  const big = is("cores", 4, ">=");
  const cases: [hosts: string, query: Body][] = [
    ["a b c d", and()],
    ["a c", or(a, c)],
    ["", and(a, c)],
    ["c", and(big, or(a, c))],
    ["a b", or(a, and(big, b))],
    ["b c", or(and(or(and(big))))],
  ];
  for (const [hosts, query] of cases) {
    const answer = await port.must(SEARCH_HOSTS, { query });
    assertEquals(identifiers(answer), hosts, JSON.stringify(query));
  }
});

/** The range of each preset, in hours from noon. */
const PRESETS: Record<string, [from: number, to: number]> = {
  yesterday: [-36, -12],
  today: [-12, 12],
  tomorrow: [12, 36],
  lastDay: [-24, 0],
  lastWeek: [-7 * 24, 0],
  last2Weeks: [-14 * 24, 0],
  lastMonth: [-30 * 24, 0],
  last3Months: [-91 * 24, 0],
  last6Months: [-182 * 24, 0],
  last12Months: [-365 * 24, 0],
};

const NOON = "2026-06-15T12:00:00.000Z";
const presetClock = makeClock(NOON);

testPort("search knows the presets of time", async (port) => {
  const hours = [...new Set(Object.values(PRESETS).flat())]
    .flatMap((hour) => [hour - 1, hour + 1]);
  for (const hour of hours) {
    const startedAt = new Date(Date.parse(NOON) + hour * 3_600_000)
      .toISOString();
    presetClock.set(startedAt);
    const properties = { startedAt };
    await port.put("ciJob", { identifier: String(hour), properties });
  }
  presetClock.set(NOON);
  for (const [preset, [from, to]] of Object.entries(PRESETS)) {
    const isInside = (hour: number) => hour > from && hour < to;
    const inside = hours.filter(isInside);
    const outside = hours.filter((hour) => !isInside(hour));
    const cases = { between: inside, "=": inside, notBetween: outside };
    for (const [operator, expected] of Object.entries(cases)) {
      for (const property of ["startedAt", "$createdAt", "$updatedAt"]) {
        const query = and(is(property, { preset }, operator));
        const search = "POST /blueprints/ciJob/entities/search";
        const found = await port.must(search, { query });
        const wanted = expected.map(String).sort().join(" ");
        assertEquals(identifiers(found), wanted, JSON.stringify(query));
      }
    }
  }
}, presetClock.options);

/** The days of January on which these are created. */
const CREATED: Record<string, string> = { a: "01", b: "02", c: "03" };
const jan = (day: string) => `2026-01-${day}T00:00:00.000Z`;
const range = { from: jan("02"), to: jan("03") };

/** When `a` is updated on January 4, what is found on January 10. */
const TIMES: [property: string, ...Case[]][] = [
  ["$createdAt", ["=", jan("02"), "b"], ["<", jan("02"), "a"]],
  ["$createdAt", ["<=", jan("02"), "a b"], [">", jan("02"), "c"]],
  // The same time in another zone.
  ["$createdAt", [">=", "2026-01-02T02:00:00+02:00", "b c"]],
  ["$createdAt", ["between", range, "b c"], ["notBetween", range, "a"]],
  ["$updatedAt", ["<", jan("03"), "b"], [
    ">=",
    "2020-01-01T00:00:00Z",
    "a b c",
  ]],
  ["$updatedAt", ["between", range, "b c"], ["notBetween", range, "a"]],
  ["$updatedAt", ["between", { preset: "lastWeek" }, "a c"]],
  ["$updatedAt", ["notBetween", { preset: "lastWeek" }, "b"]],
  ["$updatedAt", ["notBetween", { preset: "lastMonth" }, ""]],
  ["$updatedAt", ["isNotEmpty", undefined, "a b c"]],
  ["$createdBy", ["=", "local-port", "a b c"], ["=", "me", ""]],
  ["$updatedBy", ["beginsWith", "local", "a b c"]],
];
const clock = makeClock(jan("01"));

testPort("search knows when entities were written", async (port) => {
  for (const [identifier, day] of Object.entries(CREATED)) {
    clock.set(jan(day));
    await port.put("service", { identifier });
  }
  clock.set(jan("04"));
  await port.put("service", { identifier: "a" });
  clock.set(jan("10"));
  for (const [property, ...cases] of TIMES) {
    for (const [operator, value, services] of cases) {
      const rule = is(property, value, operator);
      const path = "POST /blueprints/service/entities/search";
      const one = await port.must(path, { query: and(rule) });
      assertEquals(identifiers(one), services, JSON.stringify(rule));
      const all = await port.must(SEARCH_ALL, and(rule));
      assertEquals(identifiers(all), services, JSON.stringify(rule));
    }
  }
}, clock.options);

const staleClock = makeClock(jan("01"));

testPort("lets a client delete stale entities", async (port) => {
  await port.put("service", { identifier: "fresh" }, { identifier: "stale" });
  staleClock.set("2026-03-01T00:00:00Z");
  const upsert = await port.run("upsert_entity", "-b service -i fresh");
  assertEquals(upsert.code, 0, upsert.stderr);
  const lastMonth = { preset: "lastMonth" };
  const query = and(is("$updatedAt", lastMonth, "notBetween"));
  const search = ["-b", "service", "--query", JSON.stringify(query)];
  const { stdout: stdin } = await port
    .run("search_entities", [...search, "--select", "identifier"]);
  assertEquals(stdin, "stale\n");
  const removal = await port.run("delete_entity", "-b service -i -", { stdin });
  assertEquals(removal.code, 0, removal.stderr);
  const left = await port.must("GET /blueprints/service/entities");
  assertEquals(identifiers(left), "fresh");
}, staleClock.options);

testHosts("searches the whole catalogue", async (port) => {
  const query = and(is("$identifier", ["a", "z1"], "in"));
  const found = await port.must(`${SEARCH_ALL}?include=identifier`, query);
  assertEquals(found, {
    ok: true,
    matchingBlueprints: ["zone", "host"],
    entities: [{ identifier: "z1" }, { identifier: "a" }],
  });
  const none = await port.must(SEARCH_ALL, and(is("$title", "nobody")));
  assertEquals(none, { ok: true, matchingBlueprints: [], entities: [] });
});

testHosts("search returns page by page", async (port) => {
  const page = async (limit: number, from?: unknown) => {
    const answer = await port.must(SEARCH_HOSTS, { limit, from });
    return [identifiers(answer), answer.next];
  };
  const [first, second] = await page(3);
  assertEquals([first, typeof second], ["a b c", "string"]);
  assertEquals(await page(3, second), ["d", undefined]);
  const [, half] = await page(2);
  // No empty page at the end.
  assertEquals(await page(2, half), ["c d", undefined]);
  assertEquals(await page(4), ["a b c d", undefined]);
  // The next page begins where the last one ended, whatever changes.
  await port.must(`DELETE ${HOSTS}/c?delete_dependents=true`);
  await port.put("host", { identifier: "0", relations: { zone: "z1" } });
  assertEquals(await page(2, half), ["", undefined]);
});

testPort("search returns 200 entities by default", async (port) => {
  const teams = Array.from({ length: 201 }, (_, number) => ({
    identifier: `каса/${number}`,
  }));
  for (let at = 0; at < teams.length; at += 20) {
    await port.put("team", ...teams.slice(at, at + 20));
  }
  const search = async (body: Body) => {
    const path = "POST /blueprints/team/entities/search";
    const { entities, next } = await port.must(path, body);
    return [(entities as Body[]).length, next];
  };
  const [count, next] = await search({});
  assertEquals(count, 200);
  assertEquals(await search({ from: next }), [1, undefined]);
  assertEquals(await search({ limit: 1000 }), [201, undefined]);
  const { entities } = await port.must(SEARCH_ALL, and());
  assertEquals((entities as Body[]).length, 201);
});

testHosts("search returns the parts that are asked for", async (port) => {
  const query = and(is("$identifier", "b"));
  const relations = { zone: "z1" };
  const { tags: _, ...properties } = B;
  const cases: [parts: Body, entity: Body][] = [
    [
      { include: ["$identifier", "name", "zone"] },
      { identifier: "b", properties: { name: "web-2" }, relations },
    ],
    [
      { exclude: ["$title", "tags", "expires", "parent"] },
      { identifier: "b", properties, relations },
    ],
    [{ include: ["$title", "name"], exclude: ["name"] }, { title: "Beta" }],
  ];
  for (const [parts, entity] of cases) {
    const found = await port.must(SEARCH_HOSTS, { query, ...parts });
    assertEquals((found.entities as Body[]).map(contentOf), [entity]);
  }
  const paths = "exclude=properties&exclude=title&exclude=relations.parent";
  const { entities } = await port.must(`${SEARCH_ALL}?${paths}`, query);
  assertEquals((entities as Body[]).map(contentOf), [
    { identifier: "b", relations },
  ]);
  const include = ["$blueprint", "$updatedBy"];
  const meta = await port.must(SEARCH_HOSTS, { query, include });
  const updatedBy = "local-port";
  assertEquals(meta.entities, [{ blueprint: "host", updatedBy }]);
});

const NO_OPERATOR = "\" must have required property 'operator'";
const NO_PRESET =
  '.value.preset" must be equal to one of the allowed values: yesterday, today';
const NO_PROPERTY = "\" must have required property 'property'";
const MORE = '" must NOT have additional properties';

/** How the message about a rule goes on after its place, and the rule. */
const WRONG_RULES: [message: string, rule: unknown][] = [
  ['" must be object', "name=x"],
  [NO_OPERATOR, {}],
  [NO_OPERATOR, { property: "name" }],
  ["\" must have required property 'value'", is("name", undefined)],
  [NO_PROPERTY, { operator: "=", value: "x" }],
  [NO_PROPERTY, { operator: "isNotEmpty" }],
  ['" value of tag "operator" must be in oneOf', is("name", "x", "~")],
  [MORE, { ...is("name", "x"), more: 1 }],
  [MORE, is("name", "x", "isEmpty")],
  [MORE, is("expires", "x", "isExpired")],
  [
    '.property" must be equal to one of the allowed values: $identifier, $title',
    is("$udpatedAt", PAST, "<"),
  ],
  ['.property" must be equal to one of', is("$", "x")],
  ['.property" must be string', { property: 1, operator: "=", value: "x" }],
  ['.value" must be number', is("cores", "many", ">")],
  ['.value" must be number', is("cores", true, ">")],
  ['.value" must be null,string,number,boolean', is("tags", [{}], "in")],
  ['.value" must be string,array', is("name", 1, "matchAny")],
  ['.value" must be object', is("expires", "today", "between")],
  [NO_PRESET, is("expires", { preset: "soon" }, "between")],
  [NO_PRESET, is("expires", { preset: "soon" })],
  ['.value" must have', is("expires", { from: PAST }, "between")],
  ['.value.from" must', is("expires", { from: "1", to: "2" }, "notBetween")],
  [`.rules.0${NO_OPERATOR}`, and({})],
  ['.combinator" must be equal to one of', { combinator: "xor", rules: [] }],
];

/** The same for whole queries. */
const WRONG_QUERIES: [message: string, query: unknown][] = [
  ['" must be object', []],
  ["\" must have required property 'combinator'", { rules: [] }],
  ["\" must have required property 'rules'", { combinator: "and" }],
  ['.combinator" must be equal', { combinator: "AND", rules: [] }],
  ['.rules" must be array', { combinator: "and", rules: {} }],
  [MORE, { ...and(), more: 1 }],
  ...WRONG_RULES.map(([message, rule]): [string, Body] => [
    `.rules.0${message}`,
    and(rule),
  ]),
];

const WRONG_SEARCHES: Refused[] = [
  ['"body" must be object', null],
  ['"body" must NOT have additional properties "more"', { more: 1 }],
  ['"limit" must be >= 1', { limit: 0 }],
  ['"limit" must be <= 1000', { limit: 1001 }],
  ['"limit" must be number', { limit: "5" }],
  ['"from" must be string', { from: 1 }],
  ['"from" is not valid', { from: "%" }],
  ['"include" must be array', { include: "name" }],
  ['"exclude.0" must be string', { exclude: [1] }],
  ['Property "properties.name" does not', { include: ["properties.name"] }],
  ['Property "identifier" does not exist in', { exclude: ["identifier"] }],
  ['Property "$nobody" does not exist in', { include: ["$nobody"] }],
  ['"query.rules.0.value" must', { query: and(is("cores", [1], "in")) }],
];

testHosts("search refuses what breaks the schema", async (port) => {
  for (const [message, query] of WRONG_QUERIES) {
    await port.refuse(SEARCH_HOSTS, [[`"query${message}`, { query }]]);
    const place = message.startsWith(".") ? message.slice(1) : `body${message}`;
    await port.refuse(SEARCH_ALL, [[`"${place}`, query]]);
  }
  await port.refuse(SEARCH_HOSTS, WRONG_SEARCHES);
  await port.refuse(SEARCH_ALL, [['"body" must be object']]);
  const noPath = '"include" lists paths, such as "updatedAt", not "$updatedAt"';
  await port.refuse(`${SEARCH_ALL}?include=$updatedAt`, [[noPath, and()]]);
});

testHosts("search does not know all rules of Port", async (port) => {
  const user = { context: "user", property: "$identifier" };
  const rules: [feature: string, rule: Body][] = [
    ["relatedTo", { operator: "relatedTo", blueprint: "host", value: "a" }],
    ["context", is("name", user)],
    ["context", { property: user, operator: "=", value: "x" }],
    ["scorecard", { scorecard: "s", operator: "=", value: "Gold" }],
    ["relation", { relation: "zone", operator: "isEmpty" }],
    ["propertySchema", { propertySchema: { type: "string" }, operator: "=" }],
    ["path", { property: { path: ["zone"] }, operator: "matchAny" }],
    ["fromBlueprint", { property: { fromBlueprint: "host" }, value: "a" }],
  ];
  for (const [feature, rule] of rules) {
    const message = `The local Port does not know "${feature}" in searches`;
    const query = and(or(rule));
    await port.refuse(SEARCH_HOSTS, [[message, { query }, 501]]);
    await port.refuse(SEARCH_ALL, [[message, query, 501]]);
  }
});

testHosts("finds an entity by a query", async (port) => {
  const upsert = `POST ${HOSTS}?upsert=true&merge=true`;
  const identifier = and(is("name", "web-2"));
  const body = { identifier, properties: { cores: 5 } };
  const entity = Object((await port.must(upsert, body)).entity);
  const { name, cores } = entity.properties;
  assertEquals([entity.identifier, name, cores], ["b", "web-2", 5]);
  const none = 'No entity of the blueprint "host" matches the query';
  const nobody = { identifier: and(is("name", "nobody")) };
  await port.refuse(upsert, [[none, nobody, 404]]);
  const unknown = { identifier: and(is("$nobody", "a")) };
  await port.refuse(upsert, [['"identifier.rules.0.property" must', unknown]]);
  // Such queries know fewer operators than searches.
  for (const operator of ["!=", "beginsWith", "isEmpty"]) {
    const query = and(is("name", "web-1", operator));
    const message = '.rules.0" value of tag "operator" must be in oneOf';
    const parent = { relations: { parent: query } };
    await port.refuse(upsert, [
      [`"identifier${message}`, { identifier: query }],
      [`"relations.parent${message}`, parent],
    ]);
  }
});

testHosts("finds the targets of relations by queries", async (port) => {
  const titled = (value: string) => and(is("$title", value));
  const peers = and(is("$title", ["Alpha", "Gamma"], "in"));
  const create = `POST ${HOSTS}?upsert=true`;
  const steps: [request: string, relations: Body, stored: Body][] = [
    [
      create,
      { zone: titled("Zone 2"), parent: titled("nobody"), peers },
      { zone: "z2", peers: ["a", "c"] },
    ],
    [
      `PATCH ${HOSTS}/e`,
      { zone: titled("Zone 1") },
      { zone: "z1", peers: ["a", "c"] },
    ],
    [`PUT ${HOSTS}/e`, { zone: titled("Zone 2") }, { zone: "z2" }],
  ];
  for (const [request, relations, stored] of steps) {
    const body = { identifier: "e", relations };
    const { entity } = await port.must(request, body);
    assertEquals(Object(entity).relations, stored);
  }
  const body = { relations: { zone: titled("nobody") } };
  await port.refuse(create, [['Relation "zone" is required', body]]);
});
