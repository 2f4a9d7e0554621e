import { assertEquals, assertThrows } from "jsr:@std/assert@1.0.19";
import { UsageError } from "../lib/errors.ts";
import type { Json } from "../lib/port.ts";
import { parseRule, readValue, type Type } from "../lib/rules.ts";

Deno.test("parseRule() splits at the first sign", () => {
  const cases: [
    rule: string,
    names: string[],
    operator: string,
    text: string,
    json?: Json,
  ][] = [
    ["version=1.4.2", ["version"], "=", "1.4.2"],
    ["$title!=x=y", ["$title"], "!=", "x=y"],
    ["a.b>=3", ["a", "b"], ">=", "3"],
    ["a<b>c", ["a"], "<", "b>c"],
    ["a:=1", ["a"], "=", "1", 1],
    ["a!:=[1, 2]", ["a"], "!=", "[1, 2]", [1, 2]],
    ['a!="1.10"', ["a"], "!=", '"1.10"', "1.10"],
    ['a=""', ["a"], "=", '""', ""],
    ["a:=null", ["a"], "=", "null", null],
    ['a["b=c"][0]=x', ["a", "b=c", "0"], "=", "x"],
    ["url=https://x.test/?a=b", ["url"], "=", "https://x.test/?a=b"],
  ];
  for (const [rule, names, operator, text, json] of cases) {
    const parsed = parseRule("--where", rule);
    const { names: actual, operator: sign, text: rest } = parsed;
    assertEquals([actual, sign, rest], [names, operator, text], rule);
    assertEquals(parsed.json, json, rule);
  }
});

Deno.test("parseRule() rejects what has no clear meaning", () => {
  const unread = ["", "title", "=x", "!=x", 'a["b=c', "a!b", "a==b", "a!==b"];
  const spaced = ["a != b", "a = b", " a=b", "a=b ", "a=b\n", "a= b", "a=>b"];
  const empty = ["a=", "a!=", "a:=", "a>"];
  for (const rule of [...unread, ...spaced, ...empty]) {
    const reason = `Cannot read --expect "${rule}": write NAME=VALUE, with =,`;
    assertThrows(() => parseRule("--expect", rule), UsageError, reason);
  }
  const cases: [rule: string, message: string][] = [
    ["a..b=c", 'Cannot read the path "a..b"'],
    ["a:=x", 'Cannot read --expect "a:=x": '],
    ['a!="x', 'Cannot read --expect "a!="x": '],
    ["a:=12345678901234567890", "too large"],
    [
      "a!=null",
      `null may be text: write 'a!="null"' for text, or 'a!:=null' for JSON`,
    ],
  ];
  for (const [rule, message] of cases) {
    assertThrows(() => parseRule("--expect", rule), UsageError, message);
  }
});

const TIME = "2025-01-31T00:00:00Z";

Deno.test("readValue() reads the value as the type says", () => {
  const cases: [type: Type | undefined, rule: string, value: Json][] = [
    ["string", "a=1.10", "1.10"],
    ["string", "a=true", "true"],
    ["string", "a=7e12345", "7e12345"],
    ["string", "a=12345678901234567890", "12345678901234567890"],
    ["string", 'a="1.10"', "1.10"],
    ["string", 'a:="1.10"', "1.10"],
    ["number", "a=1.10", 1.1],
    ["number", "a<=-3", -3],
    ["boolean", "a!=true", true],
    ["array", 'a=["x", 1]', ["x", 1]],
    ["object", 'a={"x": 1}', { x: 1 }],
    ["date-time", "a>=2025-01-31", TIME],
    ["date-time", 'a!="2025-01-31"', TIME],
    ["date-time", `a=${TIME}`, TIME],
    [
      "date-time",
      "a=2025-01-31T01:00:00.5+01:00",
      "2025-01-31T01:00:00.5+01:00",
    ],
    [undefined, "a=1.4.2", "1.4.2"],
    [undefined, 'a!="True"', "True"],
    [undefined, 'a="1.10"', "1.10"],
    [undefined, "a:=1.10", 1.1],
    [undefined, "a>3", 3],
    [undefined, "a>2025-01-31", TIME],
  ];
  const types: (Type | undefined)[] = ["string", "number", "date-time"];
  for (const type of types) cases.push([type, "a:=null", null]);
  for (const [type, rule, value] of cases) {
    const read = readValue(parseRule("--where", rule), type);
    assertEquals(read, value, `${type} ${rule}`);
  }
});

Deno.test("readValue() rejects a value of another type", () => {
  const bool = "a must be compared with true or false";
  const number = "a must be compared with a number";
  const date = "a must be compared with a date such as 2025-01-31";
  const order = "a must be compared with = or !=";
  const cases: [type: Type | undefined, rule: string, message: string][] = [
    ["boolean", "a!=True", bool],
    ["boolean", "a=yes", bool],
    ["boolean", "a!=1", bool],
    ["boolean", 'a!="true"', bool],
    ["boolean", "a<true", order],
    ["string", "a>1.9", order],
    ["string", "a>2025-01-31", order],
    ["array", "a<3", order],
    ["string", "a!:=1.10", "a must be compared with text"],
    ["number", "a!=x", number],
    ["number", "a=007", number],
    ["number", 'a!="3"', number],
    ["number", "a>null", number],
    ["number", "a!=12345678901234567890", "too large"],
    ["array", "a!=go", "a must be compared with a JSON array"],
    ["object", "a!=[]", "a must be compared with a JSON object"],
    ["date-time", "a!=yesterday", date],
    ["date-time", "a>2025-13-01", date],
    ["date-time", "a>=2025", date],
    ["date-time", "a>2025-01-31T10:00", date],
    [undefined, "a>x", "a must be compared with a number or a date such as"],
    [
      undefined,
      "a!=1.10",
      `the type of a is not known: write 'a!="1.10"' for text, or 'a!:=1.10' ` +
      "for JSON",
    ],
    [undefined, "a=true", `write 'a="true"' for text, or 'a:=true' for JSON`],
    [undefined, "a=[1]", `write 'a="[1]"' for text, or 'a:=[1]' for JSON`],
    [undefined, "a!=True", `'a!="True"' for text, or 'a!:=true' for JSON`],
    [undefined, "a=no", `write 'a="no"' for text, or 'a:=false' for JSON`],
    [undefined, "a=7e12345", `write 'a="7e12345"' for text`],
  ];
  for (const [type, rule, message] of cases) {
    assertThrows(
      () => readValue(parseRule("--where", rule), type),
      UsageError,
      message,
      `${type} ${rule}`,
    );
  }
});
