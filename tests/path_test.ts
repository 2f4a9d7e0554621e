import { assertEquals, assertThrows } from "jsr:@std/assert@1.0.19";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { missingPath, parsePath, valueAt } from "../lib/path.ts";

const ENTITY = {
  title: "Checkout",
  properties: { "a.b": { c: null }, version: 1 },
  relations: { owners: ["core"] },
};

Deno.test("parsePath() reads names, indexes and quoted names", () => {
  const paths: [text: string, names: string[]][] = [
    ["title", ["title"]],
    [".title", ["title"]],
    ["properties.version", ["properties", "version"]],
    ["relations.owners.0", ["relations", "owners", "0"]],
    ["relations.owners[0]", ["relations", "owners", "0"]],
    ['properties["a.b"].c', ["properties", "a.b", "c"]],
    ['["a\\"]"]', ['a"]']],
    ['[""]', [""]],
  ];
  for (const [text, names] of paths) assertEquals(parsePath(text), names);
});

Deno.test("parsePath() rejects what is no path", () => {
  const texts = ["", ".", "a.", "a..b", "a[", "a[b]", 'a["b]', "a]b", 'a"b"'];
  for (const text of texts) {
    const reason = `Cannot read the path "${text}": write it like`;
    assertThrows(() => parsePath(text), UsageError, reason);
  }
});

Deno.test("valueAt() follows a path through objects and arrays", () => {
  const values: [path: string, value: unknown][] = [
    ['properties["a.b"]', { c: null }],
    ['properties["a.b"].c', null],
    ["relations.owners.0", "core"],
    ["relations.owners.1", undefined],
    ["relations.owners.length", undefined],
    ["title.0", undefined],
    ["title.length", undefined],
    ["properties.version.toFixed", undefined],
    ["properties.constructor", undefined],
    ['properties["a.b"].c.d', undefined],
    ["gone.away", undefined],
  ];
  for (const [path, value] of values) {
    assertEquals(valueAt(ENTITY, parsePath(path)), value, path);
  }
  assertEquals(valueAt(ENTITY, []), ENTITY);
  const own = JSON.parse('{"__proto__": 1}');
  assertEquals(valueAt(own, ["__proto__"]), 1);
  assertEquals(valueAt({}, ["__proto__"]), undefined);
});

Deno.test("missingPath() names the paths that exist where the path ends", () => {
  const cases: [path: string, known: string][] = [
    ["version", "title, properties, relations"],
    ["properties.size", "properties.a.b, properties.version"],
    ["properties.size.x", "properties.a.b, properties.version"],
    ["relations.owners.1", "relations.owners.0"],
    ["title.length", "nothing"],
  ];
  for (const [path, known] of cases) {
    const error = missingPath(ENTITY, parsePath(path));
    assertEquals([error instanceof ScriptError, error.exitCode], [true, 4]);
    assertEquals(
      error.message,
      `Cannot find "${path}" in the entity: it has ${known}`,
    );
  }
});
