import { assertEquals } from "jsr:@std/assert@1.0.19";
import type { Body, Refused } from "../support/local_port.ts";
import { testPort } from "../support/local_port.ts";

const PROPERTY = { zone: { type: "string" } };
const REGION = {
  identifier: "region",
  title: "Region",
  schema: { properties: PROPERTY },
};
const TARGET = { target: "service", required: false, many: false };
const COUNT = {
  title: "Services",
  target: "service",
  calculationSpec: { func: "count", calculationBy: "entities" },
};

testPort("starts with the blueprints of the examples", async (port) => {
  const { blueprints } = await port.must("GET /blueprints");
  assertEquals(
    (blueprints as Body[]).map(({ identifier }) => identifier).sort(),
    ["ciJob", "image", "service", "team", "test-blueprint"],
  );
});

testPort("creates, changes, replaces and deletes a blueprint", async (port) => {
  const one = "/blueprints/region";
  const body = { ...REGION, relations: { main: TARGET } };
  const [status, created] = await port.send("POST /blueprints", body);
  const { createdAt, createdBy, updatedBy } = Object(created.blueprint);
  assertEquals([status, createdBy, updatedBy], [
    201,
    "local-port",
    "local-port",
  ]);
  const assertStored = async (expected: Body) => {
    const { blueprint } = await port.must(`GET ${one}`);
    const { updatedAt, ...rest } = blueprint as Body;
    assertEquals(rest, { ...expected, createdAt, createdBy, updatedBy });
    assertEquals(String(updatedAt) >= createdAt, true);
  };
  await assertStored(body);
  await port.must(`PATCH ${one}`, { title: "Area" });
  await assertStored({ ...body, title: "Area" });
  await port.must(`PUT ${one}`, REGION);
  await assertStored(REGION);
  await port.must(`DELETE ${one}`);
  assertEquals((await port.send(`GET ${one}`))[0], 404);
});

/** What breaks Port's schema of a blueprint. */
const WRONG: [message: string, change: Body][] = [
  ["\"blueprint\" must have required property 'title'", { title: undefined }],
  ['"title" must NOT have fewer than 1 characters', { title: "" }],
  ['"title" must NOT have more than 100', { title: "x".repeat(101) }],
  ['"identifier" must match pattern', { identifier: "a b" }],
  ['"identifier" must match pattern', { identifier: ".." }],
  ['"description" must NOT have more', { description: "x".repeat(201) }],
  ['"icon" must be string', { icon: 5 }],
  ['"ownership" must have required property', { ownership: { type: "Mine" } }],
  ["\"schema\" must have required property 'properties'", { schema: {} }],
  ['"schema" must NOT have', { schema: { properties: {}, more: 1 } }],
  ['"calculationProperties.c" must', { calculationProperties: { c: {} } }],
  ['"mirrorProperties.m.path"', { mirrorProperties: { m: { path: "title" } } }],
  ['"aggregationProperties" must be object', { aggregationProperties: [] }],
  ['"relations" must match pattern', { relations: { "r r": TARGET } }],
  ['"relations.r" must have required property', { relations: { r: {} } }],
  ['"relations.r" must NOT', { relations: { r: { ...TARGET, bogus: 1 } } }],
];

/** What breaks Port's schema of a property `p`. */
const WRONG_PROPERTIES: [message: string, property: Body][] = [
  ["\"schema.properties.p\" must have required property 'type'", {}],
  ['"schema.properties.p.type" must be equal to one of', { type: "date" }],
  ['"schema.properties.p.format" must', { type: "string", format: "no" }],
  ['"schema" Invalid regular', { type: "string", pattern: "[" }],
];

testPort("refuses blueprints that break Port's schema", async (port) => {
  for (const [message, change] of WRONG) {
    const body = { ...REGION, ...change };
    await port.refuse("POST /blueprints", [[message, body]]);
  }
  for (const [message, p] of WRONG_PROPERTIES) {
    const body = { ...REGION, schema: { properties: { p } } };
    await port.refuse("POST /blueprints", [[message, body]]);
  }
  assertEquals((await port.send("GET /blueprints/region"))[0], 404);
});

testPort("refuses blueprints that do not fit the catalogue", async (port) => {
  const relations = { r: { ...TARGET, target: "nothing" } };
  const missing = 'Blueprint with identifier "nothing" does not exist';
  const twice = 'Blueprint with identifier "service" already exists';
  const noSchema = "\"blueprint\" must have required property 'schema'";
  const cases: [request: string, ...refused: Refused][] = [
    ["POST ", twice, { ...REGION, identifier: "service" }, 409],
    ["POST ", missing, { ...REGION, relations }, 404],
    ["GET /nothing", missing, undefined, 404],
    ["PUT /nothing", missing, REGION, 404],
    ["PATCH /nothing", missing, {}, 404],
    ["DELETE /nothing", missing, undefined, 404],
    ["PATCH /team", missing, { relations }, 404],
    ["PATCH /team", '"title" must be string', { title: 1 }],
    ["PATCH /team", 'The local Port cannot rename "team"', REGION],
    ["PUT /team", noSchema, { title: "Team" }],
    ["DELETE /service", 'Blueprint "service" still has entities'],
  ];
  await port.put("service", { identifier: "a" });
  for (const [request, ...refused] of cases) {
    const path = request.replace(" ", " /blueprints");
    await port.refuse(path, [refused]);
  }
});

/** What a blueprint cannot depend on, as it does not exist. */
const UNMET: Refused[] = [
  [
    'Blueprint with identifier "nothing" does not exist',
    { aggregationProperties: { n: { ...COUNT, target: "nothing" } } },
    404,
  ],
  [
    'Relation "owner" does not exist in the blueprint "region"',
    { mirrorProperties: { m: { path: "owner.version" } } },
  ],
  [
    'Relation "owner" does not exist in the blueprint "service"',
    { mirrorProperties: { m: { path: "main.owner.version" } } },
  ],
  [
    'Property "verion" does not exist in the blueprint "service"',
    { mirrorProperties: { m: { path: "main.verion" } } },
  ],
  [
    'Relation "owner" does not exist in the blueprint "region"',
    { ownership: { type: "Inherited", path: "owner" } },
  ],
  [
    'Blueprint "service" must have "Direct" ownership',
    { ownership: { type: "Inherited", path: "main" } },
  ],
];

testPort("refuses blueprints that depend on missing ones", async (port) => {
  const region = { ...REGION, relations: { main: TARGET } };
  const cases = UNMET.map(([message, change, status = 422]): Refused => [
    message,
    { ...region, ...Object(change) },
    status,
  ]);
  await port.refuse("POST /blueprints", cases);
  await port.must("POST /blueprints", region);
  await port.refuse("PATCH /blueprints/region", cases);
  await port.refuse("PUT /blueprints/region", cases);
});

testPort("stores computed properties that depend on others", async (port) => {
  const ownership = { type: "Direct" };
  await port.must("PATCH /blueprints/image", { ownership });
  const area = { target: "region", required: false, many: false };
  await port.must("POST /blueprints", {
    ...REGION,
    relations: { main: TARGET, area },
    calculationProperties: { c: { calculation: ".title", type: "string" } },
    mirrorProperties: {
      version: { path: "main.version" },
      tag: { path: "main.image.imageTag" },
      changed: { path: "main.$updatedAt" },
      computed: { path: "area.c" },
    },
    aggregationProperties: { services: COUNT },
    ownership: { type: "Inherited", path: "main.image" },
  });
});
