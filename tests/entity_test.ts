import {
  assertEquals,
  assertRejects,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import {
  buildEntity,
  checkIdentifier,
  type EntityFlags,
  namedValues,
  readEntity,
} from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";
import type { JsonObject } from "../lib/port.ts";

/** Builds an entity of the blueprint `service`. */
function build(flags: Partial<EntityFlags>, file?: JsonObject) {
  return buildEntity({ blueprint: "service", property: [], ...flags }, file);
}

Deno.test("buildEntity() takes everything from flags, and nothing else", async () => {
  const built = await build({
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
  assertEquals((await build({})).entity, {});
});

Deno.test("buildEntity() overrides the file by flags, name by name", async () => {
  const file = {
    blueprint: "image",
    identifier: "checkout",
    title: "Old",
    team: "core",
    properties: { version: "1", language: "go", old: true },
    relations: { image: "a", owners: ["core"] },
  };
  const flags = {
    title: "New",
    property: ["version=2", "old:=null"],
    relation: ["image=b"],
  };
  assertEquals(await build(flags, file), {
    blueprint: "service",
    entity: {
      identifier: "checkout",
      title: "New",
      team: "core",
      properties: { version: "2", language: "go", old: null },
      relations: { image: "b", owners: ["core"] },
    },
  });
  const { blueprint } = await buildEntity({ property: [] }, file);
  assertEquals([blueprint, file.properties.version], ["image", "1"]);
});

Deno.test("namedValues() splits an assignment at the first = or :=, and merges JSON", () => {
  const values: [assignment: string, name: string, value: unknown][] = [
    ["a=b=c", "a", "b=c"],
    ["a=x:=y", "a", "x:=y"],
    ['a:="x=y"', "a", "x=y"],
    ["a=", "a", ""],
    ["a= b ", "a", " b "],
    ["build=007", "build", "007"],
    ["url=https://host/?a=b", "url", "https://host/?a=b"],
    ["a:b=c", "a:b", "c"],
    ["a b=line\nbreak", "a b", "line\nbreak"],
    ["a:=null", "a", null],
    ["a:= [1, 2] ", "a", [1, 2]],
    ["__proto__=x", "__proto__", "x"],
  ];
  for (const [assignment, ...value] of values) {
    const entries = Object.entries(namedValues("property", [assignment]));
    assertEquals(entries, [value]);
  }
  const merged = namedValues("relation", ["c=3"], '{"a": 1, "b": null}');
  assertEquals(merged, { a: 1, b: null, c: "3" });
});

Deno.test("namedValues() rejects what it cannot read, or a name given twice", () => {
  const assignment = "write name=text or name:=json, without spaces around";
  const unread = ["a", "=a", ":=a", " a=1", "a =1", "a :=1"];
  const bad: [assignments: string[], json: string, message: string][] = [
    ...unread.map((text): [string[], string, string] => {
      return [[text], "{}", `Cannot read --property "${text}": ${assignment}`];
    }),
    [["a=1", "a:=2"], "{}", 'Cannot set property "a": it is given twice'],
    [["a=1"], '{"a": 2}', 'Cannot set property "a": it is given twice'],
    [["a:=x"], "{}", `Cannot read --property "a": Unexpected token 'x'`],
    [[], "[1]", "Cannot read --properties: it must be a JSON object"],
  ];
  for (const [assignments, json, message] of bad) {
    const values = () => namedValues("property", assignments, json);
    assertThrows(values, UsageError, message);
  }
  const relations = () => namedValues("relation", ["a:=x"], "{");
  assertThrows(relations, UsageError, "Cannot read --relations: Expected");
});

Deno.test("readEntity() returns an entity without its blueprint", async () => {
  const query = { combinator: "and", rules: [] };
  const entities: JsonObject[] = [
    { title: "A" },
    { identifier: "a", createdAt: "2026-01-01T00:00:00.000Z" },
    { identifier: query },
    { identifier: "a", properties: null, relations: {} },
  ];
  for (const entity of entities) {
    const placed = await readEntity({ ...entity, blueprint: "b" });
    assertEquals(placed, { blueprint: "b", entity });
  }
});

Deno.test("readEntity() rejects what Port would reject or misunderstand", async () => {
  const unknown = "Cannot use the entity: unknown member";
  const bad: [entity: JsonObject, message: string][] = [
    [{ blueprint: ".." }, 'Cannot use the blueprint identifier ".."'],
    [{ identifier: "a b" }, 'Cannot use the entity identifier "a b"'],
    [{ identifer: "a" }, `${unknown} "identifer", did you mean identifier?`],
    [
      { identifier: "a", propertis: {} },
      `${unknown} "propertis", did you mean properties?`,
    ],
    [{ identifier: "a", version: "1" }, `${unknown} "version"`],
    [{ identifier: 5 }, 'the entity: write identifier as text: "5"'],
    [{ properties: [] }, 'the entity: "properties" must be a JSON object'],
    [{ relations: "x" }, 'the entity: "relations" must be a JSON object'],
  ];
  for (const [entity, message] of bad) {
    const read = () => readEntity({ blueprint: "b", ...entity });
    await assertRejects(read, UsageError, message);
  }
  for (const entity of [{}, { blueprint: 1 }]) {
    const reason = 'Missing --blueprint ID, or "blueprint" in the file';
    await assertRejects(() => readEntity(entity), UsageError, reason);
  }
});

Deno.test("checkIdentifier() accepts what Port's patterns accept", () => {
  const good = ["a", "a/b", "сервис", "a@b_c.d+e:f\\g-9", "..."];
  for (const identifier of [...good, "x".repeat(100)]) {
    checkIdentifier("blueprint", identifier);
    checkIdentifier("entity", identifier);
  }
  checkIdentifier("entity", "a=b");
  checkIdentifier("entity", "x".repeat(1000));
  const bad = ["", ".", "..", "a b", "50%", "a\n", "é!", "x".repeat(1001)];
  for (const identifier of bad) {
    for (const what of ["entity", "blueprint"] as const) {
      const shown = identifier.slice(0, 40);
      const reason = `Cannot use the ${what} identifier "${shown}": it must`;
      assertThrows(() => checkIdentifier(what, identifier), UsageError, reason);
    }
  }
  for (const identifier of ["a=b", "x".repeat(101)]) {
    assertThrows(() => checkIdentifier("blueprint", identifier), UsageError);
  }
});
