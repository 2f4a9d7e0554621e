import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import type { Body, Refused } from "../support/local_port.ts";
import { and, identifiers, makeClock } from "../support/local_port.ts";
import { SERVICES, testPort } from "../support/local_port.ts";
import { contentOf } from "../support/port.ts";

const UPSERT = `POST ${SERVICES}?upsert=true`;
const MERGE = `${UPSERT}&merge=true`;
const CREATE_MISSING = "create_missing_related_entities=true";
const EMPTY = { properties: {}, relations: {} };

testPort("creates an entity once, unless it is an upsert", async (port) => {
  const entity = { identifier: "a", title: "A" };
  const create = `POST ${SERVICES}?upsert=false`;
  const [status, created] = await port.send(create, entity);
  assertEquals([status, contentOf(created.entity)], [201, {
    ...entity,
    ...EMPTY,
  }]);
  const twice = 'Entity with identifier "a" already exists in the blueprint ';
  await port.refuse(create, [[`${twice}"service"`, entity, 409]]);
  await port.must(UPSERT, entity);
  await port.must(create, {});
  assertMatch(identifiers(await port.must(`GET ${SERVICES}`)), /^a e_\S+$/);
  const count = await port.must("GET /blueprints/service/entities-count");
  assertEquals(count, { ok: true, count: 2 });
});

testPort("merges or replaces, and null removes a value", async (port) => {
  const full = {
    title: "A",
    team: "core",
    properties: { version: "1", replicas: 2 },
  };
  const one = `${SERVICES}/a`;
  const v3 = { properties: { version: "3" } };
  const steps: [request: string, body: Body, entity: Body][] = [
    [UPSERT, full, full],
    [MERGE, { title: "B" }, { ...full, title: "B" }],
    [MERGE, { ...v3, title: "A" }, {
      ...full,
      properties: { version: "3", replicas: 2 },
    }],
    [MERGE, { properties: { replicas: null } }, { ...full, ...v3 }],
    [UPSERT, v3, v3],
    [`PATCH ${one}`, { title: "C" }, { ...v3, title: "C" }],
    [MERGE, { title: null }, v3],
    [`PATCH ${one}`, { title: null, properties: { replicas: 1 } }, {
      properties: { version: "3", replicas: 1 },
    }],
    [`PUT ${one}`, { title: "D", properties: {} }, { title: "D" }],
  ];
  for (const [request, body, entity] of steps) {
    const sent = { identifier: "a", ...body };
    const expected = { identifier: "a", ...EMPTY, ...entity };
    const { entity: answered } = await port.must(request, sent);
    assertEquals(contentOf(answered), expected);
    assertEquals(await port.entity("service", "a"), expected);
  }
});

const UNKNOWN = 'does not exist in the blueprint "service"';
const WRONG: Refused[] = [
  ['"entity" must be object', undefined],
  ['"entity" must be object', []],
  ['"identifier" must match pattern', { identifier: ".." }],
  ['"identifier" must match pattern', { identifier: "a b" }],
  ['"identifier" must NOT have more', { identifier: "a".repeat(1001) }],
  ['"title" must be string', { title: 1 }],
  ['"icon" must be string', { icon: 1 }],
  ['"team.0" must be string', { team: [1] }],
  ['"properties" must be object', { properties: [] }],
  ['"relations.image" must be string,array', { relations: { image: 1 } }],
  ['"relations.owners.0" must match', { relations: { owners: ["a b"] } }],
  ['"relations.image" must be string', { relations: { image: ["x"] } }],
  ['"relations.owners" must be array', { relations: { owners: "x" } }],
  ['"replicas" must be number', { properties: { replicas: "3" } }],
  [`Property "colour" ${UNKNOWN}`, { properties: { colour: "red" } }],
  [`Property "constructor" ${UNKNOWN}`, { properties: { constructor: "x" } }],
  [`Property "versoin" ${UNKNOWN}`, { properties: { versoin: null } }],
  [`Relation "twin" ${UNKNOWN}`, { relations: { twin: "x" } }],
  [`Relation "imgae" ${UNKNOWN}`, { relations: { imgae: null } }],
  ['The local Port does not know queries in "team"', { team: and() }],
  [
    'Entity with identifier "x" does not exist in the blueprint "image"',
    { relations: { image: "x" } },
    404,
  ],
];

testPort("refuses entities that break their blueprint", async (port) => {
  await port.refuse(UPSERT, WRONG);
  assertEquals((await port.must(`GET ${SERVICES}`)).entities, []);
  await port.put("service", { identifier: "a", title: "A" });
  const both: Refused[] = [
    ['"title" must be string', { title: 1 }],
    ['The local Port cannot rename "a"', { identifier: "b" }],
    [`Property "colour" ${UNKNOWN}`, { properties: { colour: "red" } }],
  ];
  await port.refuse(`PATCH ${SERVICES}/a`, [
    ...both,
    ['"entity" must NOT have additional properties "more"', { more: 1 }],
    ['"identifier" must be string', { identifier: and() }],
  ]);
  await port.refuse(`PUT ${SERVICES}/a`, both);
  assertEquals(Object(await port.entity("service", "a")).title, "A");
});

testPort("stores nothing with validation_only", async (port) => {
  const validate = `${UPSERT}&validation_only=true`;
  const body = { identifier: "a", relations: { image: "i" } };
  await port.must(`${validate}&${CREATE_MISSING}`, body);
  assertEquals(await port.entity("service", "a"), undefined);
  assertEquals(await port.entity("image", "i"), undefined);
  await port.refuse(validate, [
    ['"replicas" must be number', { properties: { replicas: "three" } }],
    ['Entity with identifier "i" does not exist', body, 404],
  ]);
  await port.must(`${UPSERT}&validation_only=false`, { identifier: "a" });
  assertEquals(Object(await port.entity("service", "a")).identifier, "a");
});

testPort("creates missing related entities on request", async (port) => {
  const relations = { image: "i", owners: ["t", "u"] };
  await port.must(`${UPSERT}&${CREATE_MISSING}`, { relations });
  for (const [blueprint, id] of [["image", "i"], ["team", "u"]] as const) {
    const expected = { identifier: id, title: id, ...EMPTY };
    assertEquals(await port.entity(blueprint, id), expected);
  }
});

testPort("deletes dependents on request only", async (port) => {
  const image = "DELETE /blueprints/image/entities/i";
  const keep = "?delete_dependents=false";
  const relations = { image: "i" };
  await port.put("team", { identifier: "i" });
  await port.put("image", { identifier: "i" });
  await port.put("service", { identifier: "a", relations });
  const dependents = 'Entity "i" of the blueprint "image" has 1 dependents';
  await port.refuse(image, [[dependents]]);
  await port.refuse(`${image}${keep}`, [[dependents]]);
  // Nothing is related to the team of the same name.
  await port.must(`DELETE /blueprints/team/entities/i${keep}`);
  await port.must(`${image}?delete_dependents=true`);
  assertEquals(await port.entity("image", "i"), undefined);
  assertEquals(await port.entity("service", "a"), undefined);
});

testPort("returns the parts that are asked for", async (port) => {
  const properties = { version: "1", replicas: 2 };
  const identifier = "a";
  const cases: [query: string, entity: Body][] = [
    ["include=title", { title: "A" }],
    [
      "include=identifier&include=properties.version",
      { identifier, properties: { version: "1" } },
    ],
    [
      "exclude=properties.version&exclude=title",
      { identifier, properties: { replicas: 2 }, relations: {} },
    ],
    ["exclude=properties&exclude=relations&exclude=title", { identifier }],
    ["include=title,properties.version&include=identifier", {
      identifier,
      title: "A",
      properties: { version: "1" },
    }],
    // Not a part of the path, but of its text.
    ["include=properties.vers", {}],
  ];
  await port.put("service", { identifier, title: "A", properties });
  for (const [query, entity] of cases) {
    const one = await port.must(`GET ${SERVICES}/a?${query}`);
    assertEquals(contentOf(one.entity), entity, query);
    const all = await port.must(`GET ${SERVICES}?${query}`);
    assertEquals((all.entities as Body[]).map(contentOf), [entity], query);
  }
  const added = "include=blueprint&include=createdAt&include=updatedBy";
  const { entity } = await port.must(`GET ${SERVICES}/a?${added}`);
  const { blueprint, createdAt, updatedBy, ...rest } = Object(entity);
  assertEquals([blueprint, updatedBy, rest], ["service", "local-port", {}]);
  assertEquals(new Date(createdAt).toISOString(), createdAt);
});

const clock = makeClock("2026-01-01T00:00:00.000Z");

testPort("stores who wrote an entity and when", async (port) => {
  const one = `${SERVICES}/a`;
  const identifier = "a";
  // Clients cannot set what Port sets.
  const createdAt = "2001-01-01T00:00:00.000Z";
  const sent = { identifier, blueprint: "image", createdAt, updatedBy: "me" };
  const steps: [request: string, body: Body][] = [
    [UPSERT, sent],
    [MERGE, { identifier }],
    [UPSERT, { identifier }],
    [`PATCH ${one}`, {}],
    [`PUT ${one}`, sent],
  ];
  for (const [hour, [request, body]] of steps.entries()) {
    const updatedAt = `2026-01-01T0${hour}:00:00.000Z`;
    clock.set(updatedAt);
    const { entity } = await port.must(request, body);
    assertEquals(entity, {
      identifier,
      ...EMPTY,
      blueprint: "service",
      createdAt: "2026-01-01T00:00:00.000Z",
      createdBy: "local-port",
      updatedAt,
      updatedBy: "local-port",
    });
    await port.must(`${UPSERT}&validation_only=true`, { identifier });
    assertEquals((await port.must(`GET ${one}`)).entity, entity);
  }
  await port.must(`${UPSERT}&${CREATE_MISSING}`, { relations: { image: "i" } });
  const image = await port.must("GET /blueprints/image/entities/i");
  assertEquals(Object(image.entity).createdAt, "2026-01-01T04:00:00.000Z");
}, clock.options);

/** What the log says, and the requests that it says it of. */
const LENIENT: [
  note: string,
  ...requests: [request: string, status: number, body?: unknown][],
][] = [
  [
    'Port\'s document requires "upsert"; without it, it is false',
    [`POST ${SERVICES}`, 201, { identifier: "a" }],
    [`POST ${SERVICES}`, 409, { identifier: "a", title: "Again" }],
    [`POST ${SERVICES}/bulk`, 200, { entities: [{ identifier: "b" }, {}] }],
  ],
  [
    'Port\'s document asks for "include" again for each path',
    [`GET ${SERVICES}/a?include=title,icon`, 200],
    [`GET ${SERVICES}?include=title,icon`, 200],
    ["POST /entities/search?include=title,icon", 200, and()],
  ],
  [
    'Port\'s document asks for "exclude" again for each path',
    [`GET ${SERVICES}/a?exclude=title,icon`, 200],
  ],
  [
    'Port\'s document allows null for "title" with PATCH only',
    [MERGE, 201, { identifier: "a", title: null }],
    [`PUT ${SERVICES}/a`, 200, { title: null }],
  ],
  [
    'Port\'s document allows null for "team" with PATCH only',
    [UPSERT, 201, { identifier: "a", team: null }],
  ],
  [
    'Port\'s document requires "delete_dependents"; without it, it is false',
    [`DELETE ${SERVICES}/a`, 200],
    ["POST /blueprints/service/bulk/entities/delete", 200, { entities: ["b"] }],
  ],
];

testPort("accepts what Port accepts beyond its document", async (port) => {
  await port.must("GET /blueprints");
  for (const [note, ...requests] of LENIENT) {
    for (const [request, expected, body] of requests) {
      const start = port.log.length;
      const [status] = await port.send(request, body);
      assertEquals([request, status], [request, expected]);
      const [method, path] = request.split(" ");
      const [first, second = ""] = port.log.slice(start);
      assertEquals(first, `${method} /v1${path}: ${note}`);
      assertStringIncludes(second, ` ${status} `);
    }
  }
  assertMatch(identifiers(await port.must(`GET ${SERVICES}`)), /^e_\S+$/);
});
