import { assertEquals, assertThrows } from "jsr:@std/assert@1.0.19";
import fc from "npm:fast-check@4.10.2";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { prepareSetEnv } from "../lib/set_env.ts";
import { runProcess, withBashEnv } from "./support/run.ts";

/** The values of variables in the bash of a later step. */
async function valuesInBash(path: string, names: string[]) {
  const words = names.map((name) => `"$${name}"`).join(" ");
  const { stdout, stderr } = await runProcess(
    "bash",
    ["-euo", "pipefail", "-c", `printf '%s\\0' ${words}`],
    { env: { BASH_ENV: path } },
  );
  assertEquals(stderr, "");
  return stdout.split("\0").slice(0, -1);
}

const ACTIVE = ["'", '"', "\\", "$(touch pwned)", "`touch pwned`", "\n", "\r"];

Deno.test("prepareSetEnv() brings any text to bash unchanged, and runs nothing", async () => {
  const active = fc.constantFrom(...ACTIVE, "!", "${PATH}", ";", "\x1b", "😀");
  const text = fc.oneof(
    fc.string({ unit: "binary" }).filter((text) =>
      !text.includes("\0") && text.isWellFormed()
    ),
    fc.array(active).map((parts) => parts.join("")),
  );
  const texts = fc.array(text, { minLength: 1, maxLength: 20 });
  const bringsUnchanged = (values: string[]) =>
    withBashEnv(async (path) => {
      const names = values.map((_, index) => `V${index}`);
      const flags = names.map((name, index) => `${name}=values.${index}`);
      prepareSetEnv(flags, path)({ values });
      assertEquals(await valuesInBash(path, names), values);
    });
  await fc.assert(fc.asyncProperty(texts, bringsUnchanged), { numRuns: 60 });
});

Deno.test("prepareSetEnv() sets 100 kB, and non-text values as JSON", async () => {
  await withBashEnv(async (path) => {
    await Deno.writeTextFile(path, "export BEFORE=1");
    const long = "€'\n".repeat(20_000);
    const entity = { long, list: [1, { a: "b'c" }], yes: true, no: null };
    const flags = ["LONG=long", "LIST=list", "YES=yes", "NO=no"];
    prepareSetEnv(flags, path)(entity);
    const names = ["BEFORE", "LONG", "LIST", "YES", "NO"];
    const values = ["1", long, `[1,{"a":"b'c"}]`, "true", "null"];
    assertEquals(await valuesInBash(path, names), values);
  });
});

Deno.test("prepareSetEnv() sets a path that does not exist to the fallback", async () => {
  await withBashEnv(async (path) => {
    const set = prepareSetEnv(["A=gone", "B=none", "C=good"], path);
    set({ none: null, good: "x" }, "it's new");
    const values = ["it's new", "null", "x"];
    assertEquals(await valuesInBash(path, ["A", "B", "C"]), values);
  });
});

Deno.test("prepareSetEnv() sets all variables or none", async () => {
  const huge = "x".repeat(131_072);
  const entity = { good: "x", nul: "a\0b", half: "\ud800", huge };
  const cases: [flag: string, code: number, message: string][] = [
    ["B=gone", 4, 'Cannot find "gone" in the entity: it has good, nul, half,'],
    ["B=nul", 2, 'Cannot set "B": bash cannot hold a NUL, half a character or'],
    [
      "B=half",
      2,
      'Cannot set "B": bash cannot hold a NUL, half a character or',
    ],
    [
      "B=huge",
      2,
      'Cannot set "B": bash cannot hold a NUL, half a character or',
    ],
  ];
  await withBashEnv(async (path) => {
    for (const [flag, code, message] of cases) {
      const set = prepareSetEnv(["A=good", flag], path);
      const error = assertThrows(() => set(entity), ScriptError, message);
      assertEquals(error.exitCode, code);
    }
    assertEquals(await Deno.readTextFile(path), "");
  });
});

/** Names that bash, Linux or CircleCI give a meaning. */
const RESERVED = ["PATH", "LD_PRELOAD", "BASH_ENV", "BASHOPTS", "IFS", "ENV"]
  .concat("SHELLOPTS", "PS4", "CIRCLE_SHA1", "CIRCLECI", "UID", "RANDOM", "_")
  .concat("PORT_API_URL", "PORT_CLIENT_SECRET", "API_URL", "DENO_CERT");

Deno.test("prepareSetEnv() rejects flags that it cannot use", async () => {
  const unread = ["", "A", "=title", "A=", "1A=title", "A B=title", "é=x"];
  const cases: [flags: string[], message: string][] = [
    ...RESERVED.map((name): [string[], string] => {
      return [[`${name}=title`], `Cannot use --set-env "${name}=title": write`];
    }),
    ...unread.map((flag): [string[], string] => {
      return [[flag], `Cannot use --set-env "${flag}": write NAME=PATH`];
    }),
    [["A=a..b"], 'Cannot read the path "a..b"'],
    [["A=a", "A=b"], "Cannot use --set-env twice with the same name"],
  ];
  await withBashEnv((path) => {
    for (const [flags, message] of cases) {
      assertThrows(() => prepareSetEnv(flags, path), UsageError, message);
    }
    prepareSetEnv(["PATHS=a", "MY_CIRCLE=a", "_A=a"], path);
  });
});

Deno.test("prepareSetEnv() needs a file that it may write to", () => {
  const cases: [bashEnv: string, message: string][] = [
    ["", "BASH_ENV is not set or not readable: use it in a step of CircleCI"],
    ["/no/such/folder/env", 'Cannot write "/no/such/folder/env": No such'],
  ];
  for (const [bashEnv, message] of cases) {
    assertThrows(() => prepareSetEnv(["A=a"], bashEnv), UsageError, message);
  }
});
