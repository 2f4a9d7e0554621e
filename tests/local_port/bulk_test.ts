import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import type { Body, Client } from "../support/local_port.ts";
import {
  and,
  identifiers,
  is,
  SERVICES,
  testPort,
} from "../support/local_port.ts";

const BULK = `POST ${SERVICES}/bulk?upsert=true`;
const DELETE = "POST /blueprints/service/bulk/entities/delete";

/** The identifiers of all services. */
async function services(port: Client): Promise<string> {
  return identifiers(await port.must(`GET ${SERVICES}`));
}

testPort("bulk upsert reports on each entity", async (port) => {
  const old = { identifier: "old", properties: { version: "1" } };
  await port.put("service", old);
  const answer = await port.send(`${BULK}&merge=true`, {
    entities: [
      { identifier: "new" },
      { identifier: "bad", properties: { colour: "red" } },
      { identifier: "old", properties: { build: "7" } },
      { identifier: and(is("version", "9")) },
      { identifier: "new", relations: { image: "none" } },
    ],
  });
  const error = (index: number, identifier: string, message: string) => ({
    index,
    identifier,
    statusCode: index === 1 ? 422 : 404,
    error: index === 1 ? "invalid_request" : "not_found",
    message,
  });
  const missing = "does not exist in the blueprint";
  assertEquals(answer, [207, {
    ok: true,
    entities: [
      { created: true, identifier: "new", index: 0 },
      { created: false, identifier: "old", index: 2 },
    ],
    errors: [
      error(1, "bad", `Property "colour" ${missing} "service"`),
      error(3, "", 'No entity of the blueprint "service" matches the query'),
      error(4, "new", `Entity with identifier "none" ${missing} "image"`),
    ],
  }]);
  assertEquals(await services(port), "old new");
  const { properties } = Object(await port.entity("service", "old"));
  assertEquals(properties, { version: "1", build: "7" });
});

testPort("bulk upsert accepts 20 entities, also one twice", async (port) => {
  const numbers = Array.from({ length: 19 }, (_, number) => number % 18);
  const named = numbers.map((number) => ({ identifier: `e${number}` }));
  const { entities } = await port.must(BULK, { entities: [...named, {}] });
  const created = (entities as Body[]).map(({ created }) => created);
  assertEquals(created, [...Array(18).fill(true), false, true]);
  assertMatch(await services(port), /^(e\d+ ){18}e_\S+$/);
});

testPort("bulk upsert follows its parameters", async (port) => {
  const body = { entities: [{ identifier: "a", relations: { image: "i" } }] };
  const create = `${BULK}&create_missing_related_entities=true`;
  await port.must(`${create}&validation_only=true`, body);
  assertEquals(await services(port), "");
  await port.must(create, body);
  assertEquals(Object(await port.entity("image", "i")).title, "i");
  const once = BULK.replace("=true", "=false");
  const [status, { errors }] = await port.send(once, body);
  const [{ statusCode, error }] = errors as [Body];
  assertEquals([status, statusCode, error], [207, 409, "identifier_taken"]);
});

testPort("bulk upsert refuses all if one breaks the schema", async (port) => {
  const good = { identifier: "good" };
  const query = and(is("version", "1", "~"));
  const cases: [message: string, ...entities: unknown[]][] = [
    ['"entities" must NOT have fewer than 1 items'],
    ['"entities" must NOT have more than 20 items', ...Array(21).fill(good)],
    ['"entities.1" must be object', good, null],
    ['"entities.1.identifier" must match', good, { identifier: "a b" }],
    ['"entities.1.properties" must be object', good, { properties: [] }],
    ['"entities.0.relations.image" must be', { relations: { image: 1 } }],
    ['"entities.0.identifier.rules.0" value', { identifier: query }],
  ];
  const noList = "\"body\" must have required property 'entities'";
  const more = '"body" must NOT have additional properties "more"';
  for (const [message, ...entities] of cases) {
    await port.refuse(BULK, [[message, { entities }]]);
  }
  const body = { entities: [good], more: 1 };
  await port.refuse(BULK, [[noList, {}], [more, body]]);
  assertEquals(await services(port), "");
});

testPort("fails at single entities of many with a fail rate", async (port) => {
  const twenty = Array.from({ length: 20 }, () => ({}));
  const [status, answer] = await port.send(BULK, { entities: twenty });
  const errors = answer.errors as Body[];
  const all = [...answer.entities as Body[], ...errors];
  assertEquals([status, errors.length > 0, errors.length < 20], [
    207,
    true,
    true,
  ]);
  const statuses = errors.map(({ statusCode }) => Number(statusCode));
  assertEquals(statuses.filter((s) => ![429, 500, 503].includes(s)), []);
  const indexes = all.map(({ index }) => Number(index));
  assertEquals(indexes.sort((a, b) => a - b), [...twenty.keys()]);
}, { failures: ["none", "none"], failRate: 1, seed: 1 });

testPort("bulk delete returns the entities that it deleted", async (port) => {
  const names = Array.from({ length: 99 }, (_, number) => `no ${number}`);
  await port.put("service", { identifier: "a" }, { identifier: "b" });
  const path = `${DELETE}?delete_dependents=false`;
  const body = { entities: ["a", ...names] };
  for (const deletedEntities of [["a"], []]) {
    const answer = await port.must(path, body);
    assertEquals(answer, { ok: true, deletedEntities });
  }
  const entities = ["b"];
  await port.refuse(path, [
    ["\"body\" must have required property 'entities'", {}],
    ['"entities" must NOT have fewer than 1 items', { entities: [] }],
    ['"entities" must NOT have', { entities: ["b", "c", ...names] }],
    ['"entities.1" must be string', { entities: ["b", 1] }],
    ['"body" must NOT have additional properties', { entities, more: 1 }],
  ]);
  assertEquals(await services(port), "b");
});

testPort("bulk delete deletes all or none", async (port) => {
  const path = DELETE.replace("service", "image") + "?delete_dependents=";
  await port.put("image", { identifier: "i" }, { identifier: "j" });
  await port.put("service", { identifier: "a", relations: { image: "i" } });
  const body = { entities: ["j", "i"] };
  const dependents = 'Entity "i" of the blueprint "image" has 1 dependents';
  await port.refuse(`${path}false`, [[dependents, body]]);
  assertEquals(Object(await port.entity("image", "j")).identifier, "j");
  const { deletedEntities } = await port.must(`${path}true`, body);
  assertEquals(deletedEntities, ["j", "i"]);
  assertEquals(await services(port), "");
});
