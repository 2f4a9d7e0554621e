import { assertEquals, assertRejects } from "jsr:@std/assert@1.0.19";
import { UsageError } from "../lib/errors.ts";
import { parseCommandLine, type ScriptInfo, toFlag } from "../lib/options.ts";

const SCRIPT: ScriptInfo = {
  name: "example",
  summary: "Show what is given",
  options: {
    name: { short: "n", value: "TEXT", required: true, help: "A name" },
    title: { value: "TEXT", help: "A title" },
    runId: { value: "ID", help: "A run" },
    tag: { short: "t", value: "TEXT", repeat: true, help: "A tag" },
    dryRun: { short: "d", help: "Send nothing" },
  },
  examples: {},
};

const WITH_FILES = { ...SCRIPT, operand: { value: "FILE", help: "A file" } };

/** The values that a command line gives, without those of absent options. */
async function given(...args: string[]) {
  const { values } = await parseCommandLine(SCRIPT, args);
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) =>
      value !== undefined && value !== false && value?.toString() !== ""
    ),
  );
}

Deno.test("parseCommandLine() returns a value for each option of the table", async () => {
  const { values, operands } = await parseCommandLine(SCRIPT, ["-n", "x"]);
  const { name, title, tag, dryRun, apiUrl, quiet } = values;
  assertEquals([name, tag, dryRun, quiet], ["x", [], false, false]);
  assertEquals([title, apiUrl, operands], [undefined, undefined, []]);
});

Deno.test("parseCommandLine() accepts each way to write a flag", async () => {
  const cases: [args: string[], values: Record<string, unknown>][] = [
    [["--name", "x", "--title=y"], { name: "x", title: "y" }],
    [["-n=x", "--run-id", "r"], { name: "x", runId: "r" }],
    [["-nx", "-t1", "--tag", "2", "-t=3"], { name: "x", tag: ["1", "2", "3"] }],
    [["-nbuild=t=9", "-t=a=b"], { name: "build=t=9", tag: ["a=b"] }],
    [["-dq", "-n", "x", "-d"], { name: "x", dryRun: true, quiet: true }],
    [["-dt", "c", "-dnx"], { name: "x", tag: ["c"], dryRun: true }],
  ];
  for (const [args, values] of cases) {
    assertEquals(await given(...args), values, args.join(" "));
  }
});

Deno.test("parseCommandLine() keeps each value as it is written", async () => {
  const values = ["-x", "--", "-", "--no", "007", "1e3", "true", "a=b\nc", " "];
  for (const name of values) {
    assertEquals(await given("-n", name), { name });
    assertEquals(await given(`--name=${name}`), { name });
  }
  assertEquals(await given("--name=--title"), { name: "--title" });
  const { values: { name } } = await parseCommandLine(SCRIPT, ["-n", ""]);
  assertEquals(name, "");
});

Deno.test("parseCommandLine() returns what is no flag as operands", async () => {
  const operands = async (...args: string[]) =>
    (await parseCommandLine(WITH_FILES, ["-n", "x", ...args])).operands;
  assertEquals(await operands("a", "-d", "b"), ["a", "b"]);
  assertEquals(await operands("-"), ["-"]);
  assertEquals(await operands("007", "--", "-d", "--"), ["007", "-d", "--"]);
  const operand = { value: "FILE", help: "", isOptional: true as const };
  const optional = { ...SCRIPT, operand };
  assertEquals((await parseCommandLine(optional, ["-nx"])).operands, []);
});

Deno.test("parseCommandLine() returns only --help, whatever else is missing", async () => {
  for (const args of [["--help"], ["-h"], ["-h", "-n="], ["x", "-dh"]]) {
    const { values } = await parseCommandLine(WITH_FILES, args);
    assertEquals(values, { help: true });
  }
});

/** A wrong command line, and its message. */
const WRONG: [args: string[], message: string][] = [
  [[], "Missing --name TEXT"],
  [["--name"], "Missing the value of --name TEXT"],
  [["-n", "--title", "x"], "Missing the value of -n TEXT"],
  [["-n", "--title=x"], "Missing the value of -n TEXT"],
  [["-n", "x", "-n", "y"], "--name is given twice"],
  [["-n", "x", "--nmae=y"], 'Unknown flag "--nmae", did you mean --name?'],
  [["-n", "x", "--titl"], 'Unknown flag "--titl", did you mean --title?'],
  [["-nx", "--no-quiet"], 'Unknown flag "--no-quiet"'],
  [["-nx", "--title.a=1"], 'Unknown flag "--title.a", did you mean --title?'],
  [["-n", "x", "--runId=1"], 'Unknown flag "--runId", did you mean --run-id?'],
  [["-n", "x", "y"], 'Unexpected argument "y"'],
  [["-n", "x", "-"], 'Unexpected argument "-"'],
  [["-n", "x", "--", "--timeout"], 'Unexpected argument "--timeout"'],
  [["-n", "x", "--dry-run=no"], "--dry-run takes no value"],
  [["-n", "x", "-d=yes"], "-d takes no value"],
  [["-n", "x", "--dry-run", "false"], 'Unexpected argument "false"'],
  [["-n", "x", "--run-id="], "The value of --run-id ID is empty"],
  [["-n", "x", "--region", ""], "The value of --region eu|us is empty"],
];

Deno.test("parseCommandLine() names what is wrong with a command line", async () => {
  const messageOf = async (script: ScriptInfo, args: string[]) =>
    (await assertRejects(() => parseCommandLine(script, args), UsageError))
      .message;
  for (const [args, message] of WRONG) {
    assertEquals(await messageOf(SCRIPT, args), message);
  }
  assertEquals(await messageOf(WITH_FILES, ["-n=x"]), "Missing FILE");
  const short = await messageOf(SCRIPT, ["-n", "x", "-dz"]);
  assertEquals(short.startsWith('Unknown flag "-z"'), true);
});

Deno.test("toFlag() turns camelCase into kebab-case", () => {
  assertEquals(["name", "runId", "createMissingRelatedEntities"].map(toFlag), [
    "name",
    "run-id",
    "create-missing-related-entities",
  ]);
});
