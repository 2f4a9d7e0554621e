import { assertEquals, assertThrows } from "jsr:@std/assert@1.0.19";
import {
  buildEntity,
  checkBlueprintIdentifier,
  checkEntityIdentifier,
  parsePath,
  readEntity,
  valueAt,
} from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";

const NOTHING = { team: [], property: [], relation: [] };

Deno.test("buildEntity() takes everything from flags", () => {
  const built = buildEntity({
    blueprint: "service",
    identifier: "checkout",
    title: "Checkout",
    icon: "Microservice",
    team: ["payments", "core"],
    property: ["version=1.4.2", "replicas:=3", 'tags:=["go","api"]'],
    relation: ["image=checkout-1.4.2", 'owners:=["payments"]'],
  });
  assertEquals(built, {
    blueprint: "service",
    entity: {
      identifier: "checkout",
      title: "Checkout",
      icon: "Microservice",
      team: ["payments", "core"],
      properties: { version: "1.4.2", replicas: 3, tags: ["go", "api"] },
      relations: { image: "checkout-1.4.2", owners: ["payments"] },
    },
  });
});

Deno.test("buildEntity() says nothing of what is not given", () => {
  const { entity } = buildEntity({ ...NOTHING, blueprint: "service" });
  assertEquals(entity, {});
});

Deno.test("buildEntity() lets flags win over the file, name by name", () => {
  const built = buildEntity(
    {
      ...NOTHING,
      title: "New",
      property: ["version=2", "old:=null"],
      relation: ["image=b"],
    },
    {
      blueprint: "service",
      identifier: "checkout",
      title: "Old",
      team: "core",
      properties: { version: "1", language: "go", old: true },
      relations: { image: "a", owners: ["core"] },
    },
  );
  assertEquals(built, {
    blueprint: "service",
    entity: {
      identifier: "checkout",
      title: "New",
      team: "core",
      properties: { version: "2", language: "go", old: null },
      relations: { image: "b", owners: ["core"] },
    },
  });
});

Deno.test("buildEntity() lets --blueprint win over the file", () => {
  const flags = { ...NOTHING, blueprint: "image" };
  assertEquals(buildEntity(flags, { blueprint: "service" }).blueprint, "image");
});

Deno.test("buildEntity() takes whole objects beside single values", () => {
  const { entity } = buildEntity({
    ...NOTHING,
    blueprint: "service",
    properties: '{"a": 1, "b": null}',
    property: ["c=3"],
    relations: '{"image": "x"}',
  });
  assertEquals(entity.properties, { a: 1, b: null, c: "3" });
  assertEquals(entity.relations, { image: "x" });
});

Deno.test("buildEntity() splits an assignment at the first = or :=", () => {
  const { entity } = buildEntity({
    ...NOTHING,
    blueprint: "service",
    property: [
      "a=b=c",
      "b=x:=y",
      'c:="x=y"',
      "d=",
      "build=007",
      "url=https://host/?a=b",
      "e=line\nbreak",
    ],
  });
  assertEquals(entity.properties, {
    a: "b=c",
    b: "x:=y",
    c: "x=y",
    d: "",
    build: "007",
    url: "https://host/?a=b",
    e: "line\nbreak",
  });
});

Deno.test("buildEntity() keeps a property named __proto__ a property", () => {
  const { entity } = buildEntity({
    ...NOTHING,
    blueprint: "service",
    property: ["__proto__=x"],
  });
  assertEquals(JSON.stringify(entity.properties), '{"__proto__":"x"}');
});

Deno.test("buildEntity() refuses a name that is given twice", () => {
  const twice = [
    { property: ["a=1", "a:=2"] },
    { property: ["a=1"], properties: '{"a": 2}' },
    { relation: ["a=1", "a=1"] },
  ];
  for (const flags of twice) {
    assertThrows(
      () => buildEntity({ ...NOTHING, blueprint: "service", ...flags }),
      UsageError,
      '"a": it is given twice',
    );
  }
});

Deno.test("buildEntity() refuses what it cannot read", () => {
  const bad: [Parameters<typeof buildEntity>, string][] = [
    [[NOTHING], "Cannot tell the blueprint"],
    [[NOTHING, { blueprint: 1 }], "Cannot tell the blueprint"],
    [[{ ...NOTHING, blueprint: ".." }], 'blueprint identifier ".."'],
    [[{ ...NOTHING, blueprint: "b", property: ["a"] }], '--property "a"'],
    [[{ ...NOTHING, blueprint: "b", property: ["=a"] }], '--property "=a"'],
    [
      [{ ...NOTHING, blueprint: "b", relation: ["a:=x"] }],
      'Cannot read --relation "a": line 1, column 1',
    ],
    [
      [{ ...NOTHING, blueprint: "b", properties: "[1]" }],
      "Cannot read --properties",
    ],
    [
      [{ ...NOTHING, blueprint: "b" }, { properties: [] }],
      '"properties" must be',
    ],
    [[{ ...NOTHING, blueprint: "b" }, { identifier: 7 }], "identifier 7"],
    [
      [{ ...NOTHING, blueprint: "b" }, { identifier: "a b" }],
      'identifier "a b"',
    ],
  ];
  for (const [given, message] of bad) {
    assertThrows(() => buildEntity(...given), UsageError, message);
  }
});

Deno.test("buildEntity() lets a search query stand for the identifier", () => {
  const identifier = { combinator: "and", rules: [] };
  const { entity } = buildEntity({ ...NOTHING, blueprint: "b" }, {
    identifier,
  });
  assertEquals(entity.identifier, identifier);
});

Deno.test("checkEntityIdentifier() takes what Port's pattern takes", () => {
  for (
    const good of [
      "a",
      "a/b",
      "сервис",
      "a@b_c.d+e:f\\g=h-9",
      "...",
      "x".repeat(1000),
    ]
  ) {
    checkEntityIdentifier(good);
  }
  for (
    const bad of ["", ".", "..", "a b", "50%", "a\n", "é!", "x".repeat(1001)]
  ) {
    assertThrows(
      () => checkEntityIdentifier(bad),
      UsageError,
      "Cannot use the entity identifier",
    );
  }
});

Deno.test("checkBlueprintIdentifier() is narrower than that of entities", () => {
  checkBlueprintIdentifier("x".repeat(100));
  for (const bad of ["a=b", "..", "", "x".repeat(101)]) {
    assertThrows(
      () => checkBlueprintIdentifier(bad),
      UsageError,
      "Cannot use the blueprint identifier",
    );
  }
});

Deno.test("parsePath() reads names, indexes and quoted names", () => {
  assertEquals(parsePath("title"), ["title"]);
  assertEquals(parsePath(".title"), ["title"]);
  assertEquals(parsePath("properties.version"), ["properties", "version"]);
  assertEquals(parsePath("relations.owners.0"), ["relations", "owners", "0"]);
  assertEquals(parsePath("relations.owners[0]"), ["relations", "owners", "0"]);
  assertEquals(parsePath('properties["a.b"].c'), ["properties", "a.b", "c"]);
  assertEquals(parsePath('["a\\"]"]'), ['a"]']);
});

Deno.test("parsePath() refuses what is no path", () => {
  for (
    const text of [
      "",
      ".",
      "a.",
      "a..b",
      "a[",
      "a[b]",
      'a["b]',
      "a]b",
      'a"b"',
    ]
  ) {
    assertThrows(() => parsePath(text), UsageError, "Cannot read", text);
  }
});

Deno.test("valueAt() follows a path through objects and arrays", () => {
  const entity = {
    properties: { "a.b": { c: null } },
    relations: { owners: ["core"] },
  };
  const value = (path: string) => valueAt(entity, parsePath(path));
  assertEquals(value('properties["a.b"].c'), { there: true, value: null });
  assertEquals(value("relations.owners.0"), { there: true, value: "core" });
  assertEquals(value("relations"), {
    there: true,
    value: { owners: ["core"] },
  });
});

Deno.test("valueAt() tells which paths are there where the way ends", () => {
  const entity = {
    title: "x",
    properties: { "a.b": 1, c: 2 },
    relations: { owners: ["core"] },
  };
  const paths = (path: string) => {
    const found = valueAt(entity, parsePath(path));
    return found.there ? [] : found.paths;
  };
  assertEquals(paths("version"), ["title", "properties", "relations"]);
  assertEquals(paths("properties.version"), [
    'properties["a.b"]',
    "properties.c",
  ]);
  assertEquals(paths("relations.owners.1"), ["relations.owners.0"]);
  assertEquals(paths("title.length"), []);
  assertEquals(paths("properties.constructor"), [
    'properties["a.b"]',
    "properties.c",
  ]);
});

Deno.test("readEntity() refuses a misspelt identifier, which would be a new entity", () => {
  const made = { createdAt: "2026-01-01T00:00:00.000Z" };
  assertEquals(
    readEntity({ identifier: "a", ...made }, "service").entity.identifier,
    "a",
  );
  assertEquals(readEntity({ title: "A" }, "service").entity, { title: "A" });
  assertThrows(
    () => readEntity({ identifer: "a" }, "service"),
    UsageError,
    'it has no identifier, but "identifer"',
  );
});
