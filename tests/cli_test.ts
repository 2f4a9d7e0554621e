import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import {
  type Context,
  defineScript,
  execute,
  type ProcessIo,
} from "../lib/cli.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { EXIT_CODES } from "../lib/help.ts";
import { PortError, type PortErrorKind } from "../lib/port.ts";
import { CREDENTIALS, withServer } from "./support/port.ts";
import { ROOT, run, runProcess, withFolder } from "./support/run.ts";

const NAME = { short: "n", value: "TEXT", required: true } as const;

const OPTIONS = {
  name: { group: "Main", ...NAME, help: "A name" },
  title: { value: "TEXT", help: "A title" },
  wait: { value: "TIME", help: "How long to wait" },
  expect: { value: "TEXT", repeat: true, help: "What to expect" },
  expectAny: { help: "Whether to expect anything" },
  check: { help: "Whether to check" },
  tag: { short: "t", value: "TEXT", repeat: true, help: "A tag" },
  dryRun: { group: "Behaviour", short: "d", help: "Send nothing" },
} as const;

type Act = (context: Context<typeof OPTIONS>) => unknown;

/** Runs a script in this process, with credentials, and keeps what it writes. */
async function runExample(
  args: string[],
  act: Act = () => {},
  io: Partial<ProcessIo> = {},
) {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const variables: Record<string, string> = CREDENTIALS;
  const script = defineScript({
    name: "example",
    summary: "Show what is given",
    options: OPTIONS,
    examples: { "The shortest call": "-n x" },
    advice: { 404: "create it first", 422: "use NAME:=JSON" },
    run: async (context) => void await act(context),
  });
  const code = await execute(script, {
    args: [...args, "--env-file=/dev/null"],
    write: (line) => stdout.push(line),
    writeError: (line) => stderr.push(line),
    hasColours: false,
    variable: (name) => variables[name],
    ...io,
  });
  return { code, stdout: stdout.join("\n"), stderr: stderr.join("\n") };
}

/** Runs a script that fails. */
function fail(error: unknown, args: string[] = [], io?: Partial<ProcessIo>) {
  const act = () => {
    throw error;
  };
  return runExample(["-n", "x", ...args], act, io);
}

Deno.test("execute() gives a script its options, operands and settings", async () => {
  const args = ["-n", "x", "-t=1", "-t=2", "--retries=7", "--region=us"];
  const { code, stdout } = await runExample(args, (context) => {
    const { options: { name, title, tag, dryRun }, settings } = context;
    const { retries, apiUrl } = settings;
    context.print({ name, title, tag, dryRun, retries, apiUrl });
  });
  assertEquals([code, JSON.parse(stdout)], [0, {
    name: "x",
    tag: ["1", "2"],
    dryRun: false,
    retries: 7,
    apiUrl: "https://api.us.port.io",
  }]);
});

Deno.test("execute() prints text as it is and anything else as JSON", async () => {
  const results = ["a\x1b[2J\nb", [1, "a"], false, null];
  const { stdout } = await runExample(["-n=x"], ({ print }) => {
    results.forEach(print);
  });
  assertEquals(stdout, 'a\x1b[2J\nb\n[\n  1,\n  "a"\n]\nfalse\nnull');
});

Deno.test("execute() logs unless the run is quiet, and always writes warnings and errors", async () => {
  const act: Act = ({ log, warn }) => {
    log("Do\nne");
    warn("Be\r\nware");
    throw new ScriptError(4, "Gone");
  };
  const rest = "warning: Be ware\nerror: Gone";
  const loud = await runExample(["-n", "x"], act);
  assertEquals([loud.code, loud.stderr], [4, `Do ne\n${rest}`]);
  assertEquals((await runExample(["-n", "x", "-q"], act)).stderr, rest);
});

Deno.test("execute() answers wrong input with one line and exit code 2", async () => {
  const duration = "write it like 90s or 1h30m, at most 24h";
  const wrong: [args: string[], line: string][] = [
    [[], "Missing --name TEXT"],
    [["-n=x", "--soft-fail", "y"], 'Unexpected argument "y"'],
    [
      ["-n=x", "--timeout=x"],
      `Cannot use --timeout or PORT_TIMEOUT "x": ${duration}`,
    ],
  ];
  for (const [args, line] of wrong) {
    const stderr = `error: ${line} (see --help)`;
    assertEquals(await runExample(args), { code: 2, stdout: "", stderr });
  }
});

const TOKEN = "PORT_ACCESS_TOKEN is no longer valid: run log_in.ts again";
const LOGIN = "check PORT_CLIENT_ID, PORT_CLIENT_SECRET and --region";
const ADMIN = "ask an admin of Port to give the credentials permission";
const IDENTIFIERS = "check the identifiers and --region";
const CORRECT = "correct it and run again";
const NOT_PORT = "this is not Port's API: check the API URL";
const NETWORK = "check the API URL and the network (HTTPS_PROXY, DENO_CERT)";
const LATER = "run it again later, or with a longer --timeout";
const UNSURE =
  "it was not sent again: Port may have acted on it, look there first";

/** Port may have acted on an attempt at what it must not act on twice. */
const unsure = { maybeApplied: true, idempotent: false };

/** How a request failed, the exit code, and what to do next. */
const FAILED_REQUESTS: [
  kind: PortErrorKind,
  facts: Partial<PortError>,
  code: number,
  advice: string,
][] = [
  ["unauthorized", { status: 401, path: "/v1/auth/access_token" }, 3, LOGIN],
  [
    "unauthorized",
    { status: 401, traceId: "t-1" },
    3,
    `${TOKEN} (trace id t-1)`,
  ],
  ["forbidden", { status: 403 }, 3, ADMIN],
  ["not-found", { status: 404 }, 4, "create it first"],
  ["not-found", { status: 410 }, 4, IDENTIFIERS],
  ["rejected", { status: 422 }, 5, "use NAME:=JSON"],
  ["rejected", { status: 409 }, 5, CORRECT],
  ["rejected", { status: 400, ...unsure }, 5, CORRECT],
  ["unavailable", { status: 503 }, 6, LATER],
  ["unavailable", { status: 500, ...unsure }, 6, UNSURE],
  ["unavailable", { status: 429 }, 6, LATER],
  ["not-port", { status: 302 }, 6, NOT_PORT],
  ["not-port", { status: 404 }, 6, NOT_PORT],
  ["network", {}, 6, NETWORK],
  ["network", { maybeApplied: true }, 6, LATER],
  ["network", unsure, 6, UNSURE],
];

Deno.test("execute() ends a failed request with its exit code and what to do next", async () => {
  for (const [kind, facts, code, advice] of FAILED_REQUESTS) {
    const error = new PortError("Cannot get it: because", {
      kind,
      method: "GET",
      path: "/v1/blueprints",
      idempotent: true,
      maybeApplied: false,
      ...facts,
    });
    assertEquals(await fail(error), {
      code,
      stdout: "",
      stderr: `error: Cannot get it: because; ${advice}`,
    });
    const explained = await runExample(
      ["-n", "x"],
      ({ print, explain }) => print(explain(error)),
    );
    assertEquals(explained.stdout, `Cannot get it: because; ${advice}`);
  }
});

/** Any other error, the exit code, and its line. */
const FAILURES: [error: unknown, code: number, line: string][] = [
  [new UsageError("Wrong"), 2, "Wrong (see --help)"],
  [new URIError("Odd"), 2, "Odd (see --help)"],
  [
    new Deno.errors.NotCapable("Requires net access"),
    2,
    'Permission denied: Requires net access (after "deno run")',
  ],
  [new ScriptError(3, "Denied"), 3, "Denied"],
  [new ScriptError(4, "Gone"), 4, "Gone"],
  [new ScriptError(5, "No"), 5, "No"],
  [new ScriptError(6, "Down"), 6, "Down"],
  [new ScriptError(7, "Unmet"), 7, "Unmet"],
  [new ScriptError(8, "Some failed"), 8, "Some failed"],
  [new RangeError("Odd"), 1, "Unexpected error, please report it: Odd"],
  ["text", 1, "Unexpected error, please report it: text"],
  [
    new Deno.errors.IsADirectory("Is a directory (os error 21)"),
    1,
    "Cannot read standard input: Is a directory (os error 21)",
  ],
  [
    new Error("No space left on device (os error 28)"),
    1,
    "Cannot write standard output: No space left on device (os error 28)",
  ],
];

Deno.test("execute() ends each error with its exit code, all of which --help explains", async () => {
  for (const [error, code, line] of FAILURES) {
    const stderr = `error: ${line}`;
    assertEquals(await fail(error), { code, stdout: "", stderr });
    assert(EXIT_CODES[code], `exit code ${code}`);
  }
});

Deno.test("execute() --soft-fail turns the exit codes 3 to 6 and 8 into a warning", async () => {
  for (const [error, code, line] of FAILURES) {
    const isSoft = [3, 4, 5, 6, 8].includes(code);
    assertEquals(await fail(error, ["--soft-fail"]), {
      code: isSoft ? 0 : code,
      stdout: "",
      stderr: isSoft ? `warning: ${line} (--soft-fail)` : `error: ${line}`,
    });
  }
});

Deno.test("execute() refuses --soft-fail where it would open a gate", async () => {
  const gates = ["--wait=1s", "--expect=a", "--expect-any", "--check"];
  for (const gate of gates) {
    const act: Act = ({ print }) => print("begun");
    const [flag] = gate.split("=");
    const line = `--soft-fail would open the gate ${flag} (see --help)`;
    const refused = await runExample(["-nx", gate, "--soft-fail"], act);
    assertEquals(refused, { code: 2, stdout: "", stderr: `error: ${line}` });
    assertEquals((await runExample(["-nx", gate], act)).code, 0);
  }
});

Deno.test("execute() writes the link at the end of the error", async () => {
  const error = new ScriptError(6, "Down");
  const io = { link: "https://ci.test/7" };
  const hard = await fail(error, [], io);
  assertEquals(hard.stderr, `error: Down (${io.link})`);
  const soft = await fail(error, ["--soft-fail"], io);
  assertEquals(soft.stderr, `warning: Down (--soft-fail) (${io.link})`);
});

Deno.test("execute() writes an error on one line, with its control characters escaped", async () => {
  const text = "a\r\n\tb\x1b[31mred\x9b\u202eevil\u2066\x07";
  const { stderr } = await fail(new ScriptError(4, text));
  const line = "a b\\u001b[31mred\\u009b\\u202eevil\\u2066\\u0007";
  assertEquals(stderr, `error: ${line}`);
});

Deno.test("execute() colours standard error if it may", async () => {
  const error = new ScriptError(4, "Gone");
  const { stderr } = await fail(error, [], { hasColours: true });
  // With NO_COLOR in the environment of the tests, nothing has colours.
  const red = Deno.noColor ? "error: " : "\x1b[31merror: \x1b[39m";
  assertEquals(stderr, `${red}Gone`);
  assertEquals((await fail(error)).stderr, "error: Gone");
});

Deno.test("execute() needs credentials before the script begins, unless it is a dry run", async () => {
  const variable = () => undefined;
  const act: Act = ({ print }) => print("begun");
  const { code, stdout, stderr } = await runExample(["-nx"], act, { variable });
  assertEquals([code, stdout], [3, ""]);
  assertMatch(stderr, /^error: Cannot log in to Port: PORT_CLIENT_ID is not /);
  const soft = await runExample(["-nx", "--soft-fail"], act, { variable });
  assertEquals([soft.code, soft.stdout], [0, ""]);
  const dry = await runExample(["-nx", "-d"], act, { variable });
  assertEquals(dry, { code: 0, stdout: "begun", stderr: "" });
});

Deno.test("execute() shows retries unless quiet, and with --verbose each request", async () => {
  const retry = /^warning: Port answered 503: Busy; next attempt in 0\.\d s$/;
  const login =
    /^POST \/v1\/auth\/.*: Port answered 200 \(attempt 1, \d+ ms\)$/;
  const first = /^GET \/v1\/x\\u001b: Port answered 503: Busy \(attempt 1, /;
  const second =
    /^GET \/v1\/x\\u001b: Port answered 200 \(attempt 2, \d+ ms\) \(trace id t-/;
  const cases: [flag: string, shows: RegExp[]][] = [
    ["--retries=4", [retry]],
    ["--quiet", []],
    ["--verbose", [login, first, retry, second]],
    ["-qv", [login, first, second]],
  ];
  for (const [flag, shows] of cases) {
    const busy = Response.json({ message: "Busy" }, { status: 503 });
    const traced = { headers: { "x-trace-id": "t-\x9b" } };
    const responses = [busy, Response.json({}, traced)];
    await withServer(() => responses.shift() ?? busy, async (env) => {
      const act: Act = ({ port }) => port.request("GET", "/v1/x\x1b");
      const io = { variable: (name: string) => env[name] };
      const { code, stderr } = await runExample(["-n=x", flag], act, io);
      const lines = stderr.split("\n").filter(Boolean);
      assertEquals([code, lines.length], [0, shows.length], stderr);
      shows.forEach((line, index) => assertMatch(lines[index] ?? "", line));
    });
  }
});

Deno.test("execute() shows help generated from the option table, whatever else is given", async () => {
  const expected = [
    "Show what is given\n\nUsage: scripts/example.ts [options]\n",
    "\nMain:\n  -n, --name TEXT  A name (required)\n",
    "\n  -t, --tag TEXT   A tag (repeatable)\n",
    "\nBehaviour:\n  -d, --dry-run    Send nothing\n",
    "\nConnection:\n  --api-url URL    ",
    "\n  PORT_CLIENT_SECRET  ",
    "\n  7  an expectation is not met",
    "\n  # The shortest call\n  scripts/example.ts -n x",
  ];
  for (const args of [["--help"], ["-h"], ["-h", "-n", "x"]]) {
    const io = { variable: () => undefined };
    const { code, stdout, stderr } = await runExample(args, undefined, io);
    assertEquals([code, stderr], [0, ""]);
    for (const text of expected) assertStringIncludes(stdout, text);
  }
});

Deno.test("runScript() colours standard error in CircleCI, and names the page of the job", async () => {
  const link = "https://circleci.com/gh/acme/shop/42";
  const env = { CIRCLECI: "true", CIRCLE_BUILD_URL: link };
  const cases: [env: Record<string, string>, line: string][] = [
    [env, `\x1b[31merror: \x1b[39mMissing (${link})\n`],
    [{ ...env, NO_COLOR: "1" }, `error: Missing (${link})\n`],
    [{ CIRCLE_BUILD_URL: link }, "error: Missing\n"],
  ];
  for (const [env, line] of cases) {
    const { stderr } = await run("get_entity", "", { env });
    assertEquals(stderr.replace(/Missing .* \(see --help\)/, "Missing"), line);
  }
});

/** Prints 5,050 lines, more than a pipe holds, in a shell: 50 long ones at once. */
async function printThrough(shell: string, before = "") {
  return await withFolder(async (folder) => {
    const program = `
      import { runScript } from "${new URL("lib/cli.ts", ROOT)}";
      ${before}
      const run = async ({ print }) => {
        for (let at = 0; at < 5000; at++) print("x".repeat(99));
        print(Array(50).fill("y".repeat(9_999)).join("\\n"));
      };
      await runScript({ name: "x", summary: "", options: {}, examples: {}, run });
    `;
    await Deno.writeTextFile(`${folder}/script.js`, program);
    const env = { ...CREDENTIALS, DENO: Deno.execPath(), NO_COLOR: "1" };
    const command = `set -o pipefail; "$DENO" run -A script.js ${shell}`;
    return await runProcess("bash", ["-c", command], { cwd: folder, env });
  });
}

const ignore = Deno.build.os !== "linux";

Deno.test("runScript() ends with one line and exit code 1 if it cannot write", {
  ignore,
}, async () => {
  const { code, stderr } = await printThrough("> /dev/full");
  const line = "error: Cannot write standard output: No space left on ";
  assertEquals([code, stderr], [1, `${line}device (os error 28)\n`]);
});

Deno.test("runScript() ends quietly when its reader has ended", async () => {
  const { code, stdout, stderr } = await printThrough("| head -1 | wc -l");
  assertEquals([code, stdout.trim(), stderr], [0, "1", ""]);
});

Deno.test(
  "runScript() waits for a slow reader, even if the pipe does not block",
  { ignore },
  async () => {
    // F_SETFL and O_NONBLOCK of Linux.
    const before = `
    const fcntl = { parameters: ["i32", "i32", "i32"], result: "i32" };
    Deno.dlopen("libc.so.6", { fcntl }).symbols.fcntl(1, 4, 2048);
  `;
    // The shell reads byte by byte.
    const reader =
      "| { while read -r line; do n=$((n+1)) c=$((c+${#line})); done; echo $n $c; }";
    const { code, stdout, stderr } = await printThrough(reader, before);
    assertEquals([code, stdout, stderr], [0, "5050 994950\n", ""]);
  },
);

Deno.test("runScript() escapes control characters of a result on a terminal only", async () => {
  const cli = new URL("lib/cli.ts", ROOT);
  for (const isTerminal of [true, false]) {
    const program = `
      import { runScript } from "${cli}";
      Deno.stdout.isTerminal = () => ${isTerminal};
      const run = async ({ print }) => print("a\\x1b[2J\\tb\\n\\x9bc");
      await runScript({ name: "x", summary: "", options: {}, examples: {}, run });
    `;
    const options = { env: CREDENTIALS };
    const deno = Deno.execPath();
    const { stdout } = await runProcess(deno, ["eval", program], options);
    const escaped = "a\\u001b[2J\tb\n\\u009bc\n";
    assertEquals(stdout, isTerminal ? escaped : "a\x1b[2J\tb\n\x9bc\n");
  }
});

Deno.test(
  "runScript() asks for no permission on a terminal",
  { ignore },
  async () => {
    const command = `${Deno.execPath()} run --allow-env=PORT_*,API_URL ` +
      "get_entity.ts -b service -i cart";
    // `script` runs a command on a terminal; "n" answers a question.
    const args = ["-qec", command, "/dev/null"];
    const { stdout } = await runProcess("script", args, {
      stdin: "n\n".repeat(9),
    });
    assertStringIncludes(
      stdout,
      "Cannot log in to Port: PORT_CLIENT_ID is not",
    );
    assert(!stdout.includes("Deno requests"), stdout);
  },
);
