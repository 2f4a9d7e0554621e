import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import type { Body, Refused } from "../support/local_port.ts";
import { and, identifiers, SERVICES, testPort } from "../support/local_port.ts";

const UPSERT = `POST ${SERVICES}?upsert=true`;
const MERGE = `${UPSERT}&merge=true`;
const CREATE_MISSING = "create_missing_related_entities=true";
const EMPTY = { properties: {}, relations: {} };

testPort("creates an entity once, unless it is an upsert", async (port) => {
  const entity = { identifier: "a", title: "A" };
  const create = `POST ${SERVICES}?upsert=false`;
  const created = { ok: true, entity: { ...entity, ...EMPTY } };
  assertEquals(await port.send(create, entity), [201, created]);
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
    [`PATCH ${one}`, { title: null, properties: { replicas: 1 } }, {
      properties: { version: "3", replicas: 1 },
    }],
    [`PUT ${one}`, { title: "D", properties: {} }, { title: "D" }],
  ];
  for (const [request, body, entity] of steps) {
    const sent = { identifier: "a", ...body };
    const expected = { identifier: "a", ...EMPTY, ...entity };
    assertEquals((await port.must(request, sent)).entity, expected);
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
  ['"title" must be string', { title: null }],
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
  const noUpsert: Refused = ['"upsert" is required', { identifier: "a" }];
  await port.refuse(`POST ${SERVICES}`, [noUpsert]);
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
  const noNull: Refused = ['"title" must be string', { title: null }];
  await port.refuse(`PUT ${SERVICES}/a`, [...both, noNull]);
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
  await port.refuse(image, [['"delete_dependents" is required']]);
  const dependents = 'Entity "i" of the blueprint "image" has 1 dependents';
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
    // Not a part of the path, but of its text.
    ["include=properties.vers", {}],
  ];
  await port.put("service", { identifier, title: "A", properties });
  for (const [query, entity] of cases) {
    const one = await port.must(`GET ${SERVICES}/a?${query}`);
    assertEquals(one.entity, entity, query);
    const all = await port.must(`GET ${SERVICES}?${query}`);
    assertEquals(all.entities, [entity], query);
  }
});
