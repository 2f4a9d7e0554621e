import {
  assert,
  assertEquals,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { defineScript, execute, type Terminal } from "../lib/cli.ts";
import { EXIT_CODES } from "../lib/help.ts";
import { toFlag } from "../lib/options.ts";
import {
  AccessError,
  NotFoundError,
  RejectedError,
  UnreachableError,
  UsageError,
} from "../lib/errors.ts";
import { run } from "./support/run.ts";

/** A script that shows what it was given, or throws what it is told to. */
function makeScript(act: () => unknown = () => undefined) {
  return defineScript({
    name: "example",
    summary: "Show what was given",
    options: {
      name: {
        group: "Main",
        short: "n",
        value: "TEXT",
        required: true,
        help: "A name",
      },
      title: { value: "TEXT", help: "A title" },
      tag: { short: "t", value: "TEXT", repeat: true, help: "A tag" },
      dryRun: { group: "Behaviour", short: "d", help: "Send nothing" },
    },
    examples: [{ says: "The shortest call", args: "-n x" }],
    async run({ options, print, say }) {
      const { name, title, tag, dryRun } = options;
      const result = await act();
      say("Done");
      print(result ?? { name, title, tag, dryRun });
    },
  });
}

/** Runs a script in this process and keeps what it writes. */
async function runExample(
  args: string[],
  act?: () => unknown,
  terminal: Partial<Terminal> = {},
) {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const code = await execute(makeScript(act), {
    args,
    write: (text) => stdout.push(text),
    writeError: (text) => stderr.push(text),
    isInteractive: false,
    hasColours: false,
    ...terminal,
  });
  return { code, stdout: stdout.join("\n"), stderr: stderr.join("\n") };
}

/** The options that a command line gives. */
async function given(...args: string[]) {
  const { code, stdout, stderr } = await runExample(args);
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

function fail(error: unknown) {
  return () => {
    throw error;
  };
}

Deno.test("execute() gives options the types of their table", async () => {
  assertEquals(await given("-n", "x"), { name: "x", tag: [], dryRun: false });
  assertEquals(
    await given(
      "--name",
      "x",
      "--title=y",
      "-t",
      "1",
      "--tag",
      "2",
      "-t=3",
      "--dry-run",
    ),
    { name: "x", title: "y", tag: ["1", "2", "3"], dryRun: true },
  );
  assertEquals(await given("-nbuild=t=9", "-t=a=b", "-dt", "c", "-d"), {
    name: "build=t=9",
    tag: ["a=b", "c"],
    dryRun: true,
  });
});

Deno.test("execute() takes values that look like flags, numbers or nothing", async () => {
  assertEquals((await given("-n", "-x")).name, "-x");
  assertEquals((await given("-n", "--", "--title", "-")).name, "--");
  assertEquals((await given("--name=--title")).name, "--title");
  assertEquals((await given("-n", "007")).name, "007");
  assertEquals((await given("-n", "1e3")).name, "1e3");
  assertEquals((await given("-n", "true")).name, "true");
  assertEquals((await given("-n", "")).name, "");
  assertEquals((await given("-n", "a=b\nc")).name, "a=b\nc");
  assertEquals((await given("-n", "x", "-d", "--title", "y")).title, "y");
});

/** A wrong command line and the line that it gets. */
const WRONG: [args: string[], line: string][] = [
  [[], "error: Missing --name TEXT (see --help)"],
  [["--name"], "error: Missing the value of --name TEXT (see --help)"],
  [["-n", "--title", "x"], "error: Missing the value of -n TEXT (see --help)"],
  [["-n", "x", "-n", "y"], "error: --name is given twice (see --help)"],
  [
    ["-n", "x", "--nmae", "y"],
    'error: Unknown flag "--nmae", did you mean --name? (see --help)',
  ],
  [
    ["-n", "x", "--ti"],
    'error: Unknown flag "--ti", did you mean --title? (see --help)',
  ],
  [["-n", "x", "--banana=1"], 'error: Unknown flag "--banana" (see --help)'],
  [
    ["-n", "x", "--no-dry-run"],
    'error: Unknown flag "--no-dry-run" (see --help)',
  ],
  [
    ["-n", "x", "--title.a=1"],
    'error: Unknown flag "--title.a", did you mean --title? (see --help)',
  ],
  [["-n", "x", "-z"], 'error: Unknown flag "-z" (see --help)'],
  [["-n", "x", "y"], 'error: Unexpected argument "y" (see --help)'],
  [["-n", "x", "--", "y"], 'error: Unexpected argument "y" (see --help)'],
  [
    ["-n", "x", "--dry-run=no"],
    "error: --dry-run takes no value (see --help)",
  ],
  [["-n", "x", "-d=yes"], "error: -d takes no value (see --help)"],
  [
    ["-n", "x", "--dry-run", "false"],
    'error: Unexpected argument "false" (see --help)',
  ],
  [["-n", "x", "-dz"], 'error: Unknown flag "-z" (see --help)'],
  [["-n", "x", "-"], 'error: Unexpected argument "-" (see --help)'],
  [
    ["-n", "x", "--", "--timeout"],
    'error: Unexpected argument "--timeout" (see --help)',
  ],
  [
    ["-n", "x", "--region="],
    "error: The value of --region eu|us is empty (see --help)",
  ],
  [
    ["-n", "x", "--timeout", "9"],
    'error: Cannot use --timeout "9": write a duration such as 90s, 2m or 1h30m, at most 24h (see --help)',
  ],
];

Deno.test("execute() answers a wrong command line with one line and exit code 2", async () => {
  for (const [args, line] of WRONG) {
    assertEquals(await runExample(args), { code: 2, stdout: "", stderr: line });
  }
});

Deno.test("execute() prints text as it is and anything else as JSON", async () => {
  assertEquals((await runExample(["-n", "x"], () => "a\nb")).stdout, "a\nb");
  assertEquals(
    (await runExample(["-n", "x"], () => [1, "a"])).stdout,
    '[\n  1,\n  "a"\n]',
  );
  assertEquals((await runExample(["-n", "x"], () => false)).stdout, "false");
});

Deno.test("execute() prints what is nested too deeply to be indented", async () => {
  const text = "[".repeat(100_000) + "]".repeat(100_000);
  const { code, stdout } = await runExample(
    ["-n", "x"],
    () => JSON.parse(text),
  );
  assertEquals([code, stdout === text], [0, true]);
});

Deno.test("execute() keeps --quiet quiet, but for errors", async () => {
  assertEquals((await runExample(["-n", "x"])).stderr, "Done");
  assertEquals((await runExample(["-n", "x", "-q"])).stderr, "");
  const failed = await runExample(
    ["-n", "x", "-q"],
    fail(new NotFoundError("Gone")),
  );
  assertEquals(failed.stderr, "error: Gone");
});

/** Each error of the scripts and its exit code. */
const FAILURES: [Error, number][] = [
  [new UsageError("Wrong"), 2],
  [new AccessError("Refused"), 3],
  [new NotFoundError("Gone"), 4],
  [new RejectedError("No"), 5],
  [new UnreachableError("Down"), 6],
];

Deno.test("execute() ends each error with its exit code, all of which are explained", async () => {
  for (const [error, code] of FAILURES) {
    const failed = await runExample(["-n", "x"], fail(error));
    assertEquals(failed.code, code);
    assertStringIncludes(failed.stderr, `error: ${error.message}`);
    assertEquals(failed.stdout, "");
    assert(EXIT_CODES[code]);
  }
});

Deno.test("execute() takes what it does not know for a bug, without a stack trace", async () => {
  const bug = await runExample(["-n", "x"], fail(new RangeError("Odd")));
  assertEquals(bug, {
    code: 1,
    stdout: "",
    stderr: "error: Unexpected: Odd; this is a bug, please report it",
  });
  assertEquals((await runExample(["-n", "x"], fail("text"))).code, 1);
});

Deno.test("execute() turns what Port did wrong into a warning with --soft-fail", async () => {
  for (const [error, code] of FAILURES) {
    const failed = await runExample(["-n", "x", "--soft-fail"], fail(error));
    assertEquals(failed.code, code === 2 ? 2 : 0);
    assertEquals(
      failed.stderr.startsWith(code === 2 ? "error: " : "warning: "),
      true,
    );
  }
  assertEquals(
    (await runExample(["-n", "x", "--soft-fail"], fail(new RangeError("Odd"))))
      .code,
    1,
  );
});

Deno.test("execute() keeps an error on one line and its escapes harmless", async () => {
  const error = new NotFoundError("a\r\n\tb\x1b[31mred\x9b\u202eevil\x07");
  const { stderr } = await runExample(["-n", "x"], fail(error));
  assertEquals(stderr, "error: a b\\u001b[31mred\\u009b\\u202eevil\\u0007");
});

Deno.test("execute() shows escapes in a result harmless on a terminal only", async () => {
  const text = () => "a\x1b[2J\tb\n\x9bc";
  const shown = await runExample(["-n", "x"], text, { isInteractive: true });
  assertEquals(shown.stdout, "a\\u001b[2J\tb\n\\u009bc");
  assertEquals((await runExample(["-n", "x"], text)).stdout, text());
});

Deno.test("execute() colours standard error where it may", async () => {
  const { stderr } = await runExample([], undefined, { hasColours: true });
  // With NO_COLOR in the environment of the tests, nothing is coloured.
  const error = Deno.noColor ? "error: " : "\x1b[31merror: \x1b[39m";
  assertEquals(stderr, `${error}Missing --name TEXT (see --help)`);
});

Deno.test("execute() shows help made from the option table, whatever else is given", async () => {
  for (const args of [["--help"], ["-h"], ["-h", "-n", "x"]]) {
    const { code, stdout, stderr } = await runExample(args);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(
      stdout,
      "Show what was given\n\nUsage: scripts/example.ts [options]\n",
    );
    assertStringIncludes(
      stdout,
      "\nMain:\n  -n, --name TEXT  A name (required)\n",
    );
    assertStringIncludes(
      stdout,
      "\n  -t, --tag TEXT   A tag (repeatable)\n",
    );
    assertStringIncludes(
      stdout,
      "\nBehaviour:\n  -d, --dry-run  Send nothing\n",
    );
    assertStringIncludes(stdout, "\n  PORT_CLIENT_SECRET  ");
    assertStringIncludes(stdout, "\n  6  Port could not be reached");
    assertStringIncludes(
      stdout,
      "\n  # The shortest call\n  scripts/example.ts -n x",
    );
  }
});

Deno.test("toFlag() turns camelCase into kebab-case", () => {
  assertEquals(["name", "runId", "createMissingRelatedEntities"].map(toFlag), [
    "name",
    "run-id",
    "create-missing-related-entities",
  ]);
});

Deno.test("runScript() shows colours in CircleCI, and none with NO_COLOR", async () => {
  const env = { CIRCLECI: "true" };
  const coloured = await run("get_entity", [], { env });
  assertStringIncludes(coloured.stderr, "\x1b[31merror: \x1b[39m");
  const plain = { ...env, NO_COLOR: "1" };
  const { stderr } = await run("get_entity", [], { env: plain });
  assert(stderr.startsWith("error: "));
  const elsewhere = await run("get_entity", []);
  assert(elsewhere.stderr.startsWith("error: "));
});
