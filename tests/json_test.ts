import { assertEquals, assertThrows } from "jsr:@std/assert@1.0.19";
import { UsageError } from "../lib/errors.ts";
import { isJsonObject, parseJson, parseJsonObject } from "../lib/json.ts";

Deno.test("parseJson() reads every kind of value", () => {
  for (const value of [null, true, 0, -1.5e3, "ü\n", [], {}, [{ a: [1] }]]) {
    assertEquals(parseJson(JSON.stringify(value), "the file"), value);
  }
});

Deno.test("parseJson() passes over a byte order mark", () => {
  assertEquals(parseJson('\uFEFF{"a":1}', "the file"), { a: 1 });
});

Deno.test("parseJson() keeps a member named __proto__ a member", () => {
  const value = parseJson('{"__proto__": {"a": 1}}', "the file");
  assertEquals(Object.keys(Object(value)), ["__proto__"]);
  assertEquals(Object(value).a, undefined);
});

/** Broken JSON, and where it breaks, as a person would say it. */
const FAULTS: [json: string, fault: string][] = [
  ["", "line 1, column 1: the JSON ends too early"],
  ["tru", 'line 1, column 1: "tru" is not valid JSON here'],
  ["[1,2", "line 1, column 5: the JSON ends too early"],
  ["[1,]", 'line 1, column 4: "]" is not valid JSON here'],
  ["[,1]", 'line 1, column 2: ",1]" is not valid JSON here'],
  ["[[1,2],[3}]", 'line 1, column 10: "}]" is not valid JSON here'],
  ['{"a":1,}', 'line 1, column 8: "}" is not valid JSON here'],
  ['{"a" 1}', 'line 1, column 6: "1}" is not valid JSON here'],
  ['{"a":}', 'line 1, column 6: "}" is not valid JSON here'],
  ["{a: 1}", 'line 1, column 2: "a: 1}" is not valid JSON here'],
  ["{'a': 1}", "line 1, column 2: \"'a': 1}\" is not valid JSON here"],
  ['{"a": 01}', 'line 1, column 8: "1}" is not valid JSON here'],
  ['{"a": 1} x', 'line 1, column 10: "x" is not valid JSON here'],
  [
    '{"a": {"b": []},\n  "c": nope,\n  "d": 1}',
    'line 2, column 8: "nope," is not valid JSON here',
  ],
  ['{\r\n"a": NaN\r\n}', 'line 2, column 6: "NaN" is not valid JSON here'],
  ['["a\nb"]', 'line 1, column 2: "\\"a" is not valid JSON here'],
  ['["\\x"]', 'line 1, column 2: "\\"\\\\x\\"]" is not valid JSON here'],
];

Deno.test("parseJson() names line, column and offending text", () => {
  for (const [json, fault] of FAULTS) {
    assertThrows(() => JSON.parse(json), SyntaxError);
    const error = assertThrows(() => parseJson(json, "the file"), UsageError);
    assertEquals(error.message, `Cannot read the file: ${fault}`);
  }
});

Deno.test("parseJson() refuses what it would lose in silence", () => {
  const losses: [json: string, fault: string][] = [
    ['{"a": 1,\n "a": 2}', 'line 2, column 2: "a" is given twice'],
    ['[{"b": {"\\u0061": 1, "a": 1}}]', 'column 22: "a" is given twice'],
    ['{"a": 12345678901234567890}', "column 7: 12345678901234567890 is too"],
    ['{"a": [1e400]}', "column 8: 1e400 is too large"],
    ["-1E+999", "column 1: -1E+999 is too large"],
    ["9007199254740993", "column 1: 9007199254740993 is too large"],
  ];
  for (const [json, fault] of losses) {
    assertThrows(() => parseJson(json, "the file"), UsageError, fault);
  }
  const fine = [
    '{"a": {"a": "a"}, "b": [{"a": 1}, {"a": 2}], "c": "\\"a\\": "}',
    "[9007199254740992, 46989620785390010, -100000000000000000000, 1e21, 0.1234567890123456789, -0.0, 1E-400]",
    '["12345678901234567890", "1e400"]',
  ];
  for (const json of fine) {
    assertEquals(parseJson(json, "the file"), JSON.parse(json));
  }
});

Deno.test("parseJson() shows twenty characters of what offends at most", () => {
  const error = assertThrows(
    () => parseJson(`{"a": ${"x".repeat(99)}}`, "the file"),
    UsageError,
  );
  assertEquals(error.message.includes(`"${"x".repeat(20)}"`), true);
});

Deno.test("parseJson() survives nesting that would exhaust a stack", () => {
  const error = assertThrows(
    () => parseJson("[".repeat(100_000), "the file"),
    UsageError,
  );
  assertEquals(error.message.includes("line 1, column 100001"), true);
});

Deno.test("parseJsonObject() takes nothing but an object", () => {
  assertEquals(parseJsonObject('{"a": 1}', "the file"), { a: 1 });
  for (const json of ["[]", "null", '"a"', "1"]) {
    assertThrows(
      () => parseJsonObject(json, "the file"),
      UsageError,
      "Cannot read the file: it must be a JSON object",
    );
  }
});

Deno.test("isJsonObject() tells objects from all else", () => {
  assertEquals([{}, [], null, "a", undefined].map(isJsonObject), [
    true,
    false,
    false,
    false,
    false,
  ]);
});
