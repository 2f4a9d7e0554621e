import { assertEquals, assertThrows } from "jsr:@std/assert@1.0.19";
import { UsageError } from "../lib/errors.ts";
import { parseJson, parseJsonObject } from "../lib/json.ts";

Deno.test("parseJson() reads every kind of value, with or without a byte order mark", () => {
  for (const value of [null, true, 0, -1.5e3, "ü\n", [], {}, [{ a: [1] }]]) {
    const text = JSON.stringify(value);
    assertEquals(parseJson(text, "the file"), value);
    assertEquals(parseJson(`\uFEFF${text}`, "the file"), value);
  }
});

Deno.test("parseJson() keeps a member named __proto__ a member", () => {
  const value = parseJson('{"__proto__": {"a": 1}}', "the file");
  assertEquals(Object.keys(Object(value)), ["__proto__"]);
  assertEquals(Object(value).a, undefined);
});

/** Broken JSON, and what V8 reports: line and column, or the place itself. */
const BROKEN: [json: string, reason: string][] = [
  ["", "Unexpected end of JSON input"],
  ["[1,2", "in JSON at position 4 (line 1 column 5)"],
  ["{a: 1}", "in JSON at position 1 (line 1 column 2)"],
  ['{\n  "a": 1,\n}', "in JSON at position 12 (line 3 column 1)"],
  ['{"a": 1}\n x', "after JSON at position 10 (line 2 column 2)"],
  ['["a\nb"]', "in JSON at position 3 (line 1 column 4)"],
  ['{"a": nope}', `Unexpected token 'o', "{"a": nope}" is not valid JSON`],
  ["\uFEFF\uFEFF1", "Unexpected token"],
];

Deno.test("parseJson() shows V8's own error, with line and column", () => {
  for (const [json, reason] of BROKEN) {
    const { message } = assertThrows(
      () => parseJson(json, "the file"),
      UsageError,
      reason,
    );
    assertEquals(message.startsWith("Cannot read the file: "), true);
  }
});

Deno.test("parseJson() rejects numbers that would lose digits", () => {
  const lost = ["12345678901234567890", "1e400", "-1E+999", "9007199254740993"];
  for (const number of lost) {
    for (const json of [number, `{"a": [${number}]}`]) {
      const { message } = assertThrows(() => parseJson(json, "it"), UsageError);
      assertEquals(
        message,
        `Cannot read it: the number ${number} is too large`,
      );
    }
  }
  const long = "9".repeat(1_000);
  const { message } = assertThrows(() => parseJson(long, "it"), UsageError);
  assertEquals(message.includes("9".repeat(41)), false);
  const kept = "[9007199254740992, 46989620785390010, 1e21, -0.0, 1E-400, " +
    '-100000000000000000000, 0.1234567890123456789, "12345678901234567890"]';
  assertEquals(parseJson(kept, "it"), JSON.parse(kept));
});

Deno.test("parseJson() survives nesting that exhausts the stack", () => {
  const json = "[".repeat(100_000) + "]".repeat(100_000);
  assertThrows(() => parseJson(json, "the file"), UsageError, "Cannot read");
});

Deno.test("parseJsonObject() accepts nothing but an object", () => {
  assertEquals(parseJsonObject('{"a": 1}', "the file"), { a: 1 });
  const reason = "Cannot read the file: it must be a JSON object";
  for (const json of ["[]", "null", '"a"', "1"]) {
    assertThrows(() => parseJsonObject(json, "the file"), UsageError, reason);
  }
});
