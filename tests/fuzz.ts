/**
 * Attacks on the scripts with made-up input: command lines, files, answers of a
 * hostile server, identifiers. Run by itself, it goes on until it is stopped.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import fc from "npm:fast-check@4.10.2";
import { execute, type Script } from "../lib/cli.ts";
import {
  COMMON_OPTIONS,
  type Option,
  type OptionTable,
  type ScriptInfo,
  toFlag,
} from "../lib/options.ts";
import { missingPath, parsePath, valueAt } from "../lib/path.ts";
import { CREDENTIALS, type TestPort, withPort } from "./support/port.ts";
import {
  type Args,
  type Result,
  run,
  withFolder,
  words,
} from "./support/run.ts";

const SECRET = CREDENTIALS.PORT_CLIENT_SECRET;

/** Makes up cases and holds a claim against each. */
type Hold = <Case>(
  cases: fc.Arbitrary<Case>,
  check: (one: Case) => void | Promise<void>,
  count?: number,
) => Promise<void>;

/** Holds claims against the cases that follow from a seed. */
export function makeHold(seed: number): Hold {
  return async (cases, check, numRuns = 1000) => {
    const property = fc.asyncProperty(cases, async (one) => await check(one));
    await fc.assert(property, { seed, numRuns });
  };
}

const NAMES =
  "bulk_upsert_entities close_ci_job create_action_run delete_entity " +
  "get_entity log_in " +
  "report_ci_job search_entities update_action_run upsert_blueprint " +
  "upsert_entity";

/** Every script that talks to Port, by its name. */
const SCRIPTS = new Map<string, Script<OptionTable>>();
for (const name of words(NAMES)) {
  const { script } = await import(`../scripts/${name}.ts`);
  SCRIPTS.set(name, script);
}

/** Runs a script in this process. */
async function runCase(
  name: string,
  args: Args,
  variables: Record<string, string> = {},
): Promise<Result> {
  const script = SCRIPTS.get(name)!;
  const result = { stdout: "", stderr: "" };
  const code = await execute(script, {
    args: words(args),
    write: (text) => result.stdout += `${text}\n`,
    writeError: (text) => result.stderr += `${text}\n`,
    variable: (name) => variables[name],
    hasColours: false,
  });
  return { code, ...result };
}

/** What must hold of every run, whatever it was given. */
function assertTidy({ code, stdout, stderr }: Result, what: string): void {
  assert(code === 0 || (code >= 2 && code <= 8), `${what}: ${code} ${stderr}`);
  if (code !== 0) assertMatch(stderr, /(?:^|\n)error: [^\n]+\n$/, what);
  assertEquals(/\n {4}at /.test(stderr), false, stderr);
  assertEquals(
    (stdout + stderr).includes(SECRET),
    false,
    what,
  );
  assertEquals(/(?![\t\n])\p{Cc}/u.test(stderr), false, stderr);
}

/** Text of any characters, halves of them and escapes among them. */
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({ unit: fc.constantFrom("\x1b", "\0", "\n", "=", ":", '"', "й") }),
  fc.constantFrom("", "\ud800", "__proto__", "constructor", "..", "😀", "a=b"),
);

/** Values that make some sense, so that some runs get far. */
const someValue = fc.constantFrom(...words(
  "checkout service deploy version=1 version:=1 [] {} 1 0 -1 eu running " +
    'SUCCESS title properties.a 0s SHA=title {"a":1} json 1ms ' +
    '{"combinator":"and","rules":[]}',
));

/** Values of flags that reach out: to files, to hosts, far into the future. */
function outwardValue(flag: string, folder: string) {
  const values: Record<string, string[]> = {
    "api-url": ["http://port.test", "https://", "file:///", "x"],
    "env-file": [`${folder}/env`, `${folder}/none`, folder],
    file: [`${folder}/entity.json`, `${folder}/broken.json`, folder],
    "failed-file": [`${folder}/failed`, folder, `${folder}/failed/x`],
    junit: [`${folder}/junit.xml`, folder],
    query: [`@${folder}/entity.json`, "@", "{}", "x"],
    retries: ["0", "-1", "x", "1.5"],
    timeout: ["1s", "0s", "x", "1h1h"],
    wait: ["1ms", "0s", "x"],
  };
  return values[flag];
}

/** A flag of a script, in each way to write it. */
function anyFlag([name, { short, value }]: [string, Option], folder: string) {
  const flag = toFlag(name);
  const written = fc.constantFrom(`--${flag}`, short ? `-${short}` : "--x");
  if (value === undefined) return written.map((flag) => [flag]);
  const outward = outwardValue(flag, folder);
  const values = outward
    ? fc.constantFrom(...outward)
    : fc.oneof(someValue, anyText).filter((text) => text !== "-");
  return fc.tuple(written, values, fc.boolean()).map(([flag, text, isTied]) =>
    isTied ? [`${flag}=${text}`] : [flag, text]
  );
}

/** A command line for a script: flags of its own, and rubbish. */
function commandLine({ options, operand }: ScriptInfo, folder: string) {
  const table: OptionTable = { ...options, ...COMMON_OPTIONS };
  const flag = fc.constantFrom(...Object.entries(table))
    .chain((option) => anyFlag(option, folder));
  const rubbish = fc.oneof(anyText, anyText.map((text) => `--${text}`))
    .filter((text) => text !== "-" && text !== "--")
    .map((text) => [text]);
  const operands = operand
    ? fc.constantFrom([`${folder}/entity.json`], [`${folder}/none`])
    : fc.constant([]);
  const flags = fc.array(fc.oneof({ arbitrary: flag, weight: 6 }, rubbish));
  return fc.tuple(flags, operands).map((parts) => parts.flat(2));
}

type Test = (folder: string, port: TestPort) => Promise<void>;

/** Lets a test use some files and a local Port. */
async function withBoth(test: Test) {
  await withFolder(async (folder) => {
    const entity = '{"blueprint": "service", "identifier": "a"}';
    await Deno.writeTextFile(`${folder}/entity.json`, entity);
    await Deno.writeTextFile(`${folder}/broken.json`, '{"a": ');
    await Deno.writeTextFile(`${folder}/env`, "PORT_REGION=us\n");
    const limits = { PORT_RETRIES: "0", PORT_TIMEOUT: "5s" };
    // It logs in more often than Port allows.
    await withPort(
      { rateLimits: {} },
      (port) => test(folder, { ...port, env: { ...port.env, ...limits } }),
    );
  });
}

async function checkCommandLines(hold: Hold) {
  await withBoth(async (folder, { env, log }) => {
    for (const [name, script] of SCRIPTS) {
      await hold(commandLine(script, folder), async (args) => {
        const before = log.length;
        const result = await runCase(name, args, env);
        assertTidy(result, `${name} ${JSON.stringify(args)}`);
        if (result.code === 2) assertEquals(log.length, before);
      });
    }
  });
}

async function checkProcesses(hold: Hold) {
  await withBoth(async (folder, { env }) => {
    const call = fc.constantFrom(...SCRIPTS).chain(([name, script]) =>
      fc.tuple(fc.constant(name), commandLine(script, folder))
    ).filter(([_, args]) => !/\0|\p{Cs}/u.test(args.join("")));
    const calls = fc.array(call, { minLength: 5, maxLength: 5 });
    await hold(calls, async (calls) => {
      await Promise.all(calls.map(async ([name, args]) => {
        const result = await run(name, args, { env });
        assertTidy(result, `${name} ${JSON.stringify(args)}`);
      }));
    }, 10);
  });
}

/** JSON text with every kind of damage. */
const damagedJson = fc.tuple(
  fc.dictionary(
    fc.oneof(fc.constantFrom("identifier", "__proto__", "title", "a"), anyText),
    fc.oneof(fc.jsonValue(), fc.constantFrom("checkout")),
  ),
  fc.constantFrom(
    (text: string) => text,
    (text: string) => `\ufeff${text}`,
    (text: string) => text.replaceAll(",", ",\r\n"),
    (text: string) => text.replace(":", ":\0"),
    (text: string) => text.slice(0, -1),
    (text: string) => text.slice(0, text.length / 2),
    (text: string) => text.replace("{", '{"a": 1, "a": 2, '),
    (text: string) => text.replace("{", '{"☠": 1e999, '),
    (text: string) => text.replace("{", '{"☠": 9007199254740993, '),
    (text: string) => text.replace("{", `{"☠": ${"[".repeat(5000)}1, `),
    (text: string) =>
      text.replace("{", `{"y": ${"[".repeat(999)}${"]".repeat(999)}, `),
    (text: string) => text.replace("{", '{"y": "\\ud800", '),
    (text: string) => text.replace("}", "}}"),
  ),
).map(([value, damage]) => damage(JSON.stringify(value)));

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function checkEntityFiles(hold: Hold) {
  await withFolder(async (folder) => {
    const file = `${folder}/entity.json`;
    const args = ["-f", file, "-b", "service", "--dry-run"];
    await hold(damagedJson, async (text) => {
      await Deno.writeTextFile(file, text);
      const result = await runCase("upsert_entity", args);
      assertTidy(result, text);
      const meant = parse(text.replace(/^\ufeff/, ""));
      if (result.code === 0) {
        const { blueprint: _, ...entity } = Object(meant);
        const { body } = JSON.parse(result.stdout);
        assertEquals(JSON.stringify(body), JSON.stringify(entity));
        assertEquals(text.includes("☠"), false, "it must be refused");
      } else if (meant === undefined) {
        assertMatch(result.stderr, /Cannot read "\S+": .*(?:JSON|property)/);
      } else if (text.includes("☠")) {
        assertMatch(result.stderr, /: the number \S+ is too large/);
      } else {
        assertMatch(
          result.stderr,
          /identifier|unknown member|"(?:prop|rel)|JSON object/,
        );
      }
    });
  });
}

async function checkManyEntities(hold: Hold) {
  const line = fc.oneof(
    damagedJson.map((text) => text.replace(/[\r\n]/g, " ")),
    fc.constantFrom("a", "b").map((id) => `{"identifier": "${id}"}`),
    anyText.map((text) => text.replace(/[\r\n[]/g, "")),
  );
  await withBoth(async (folder, { env }) => {
    const [input, failed] = [`${folder}/all`, `${folder}/failed`];
    const args = [input, "-bservice", `--failed-file=${failed}`];
    await hold(fc.array(line, { maxLength: 30 }), async (lines) => {
      const text = `{"identifier": "a"}\n${lines.join("\n")}\n`;
      await Deno.writeFile(input, new TextEncoder().encode(text));
      const result = await runCase("bulk_upsert_entities", args, env);
      assertTidy(result, text);
      const counts = JSON.parse(result.stdout);
      const given = text.split("\n").filter((line) =>
        /[^ \t\v\f\r]/.test(line)
      );
      const sum = counts.created + counts.updated + counts.failed;
      assertEquals(sum, given.length, text);
      const kept = await Deno.readTextFile(failed);
      assertEquals(kept.split("\n").length - 1, counts.failed);
    });
  });
}

async function checkEnvFiles(hold: Hold) {
  const names = words("PORT_REGION PORT_TIMEOUT API_URL __proto__");
  const line = fc.oneof(
    anyText,
    fc.tuple(
      fc.constantFrom(...names),
      fc.constantFrom("=", " = ", ":", "='", '="'),
      fc.oneof(anyText, fc.constantFrom("us", "1s", "https://port.test")),
    ).map((parts) => parts.join("")),
    fc.constant(`PORT_CLIENT_SECRET=${SECRET}`),
  );
  await withFolder(async (folder) => {
    const file = `${folder}/env`;
    const args = ["-bservice", "-ia", "--dry-run", `--env-file=${file}`];
    await hold(fc.array(line), async (lines) => {
      const text = lines.join("\r\n");
      await Deno.writeTextFile(file, text);
      const result = await runCase("upsert_entity", args);
      assertTidy(result, text);
      assert([0, 2].includes(result.code), result.stderr);
    });
  });
}

/** What a hostile server writes in place of an answer. */
const hostility = fc.record({
  status: fc.oneof(
    fc.constantFrom(200, 201, 204, 207, 302, 401, 404, 422, 429, 500, 503),
    fc.integer({ min: 100, max: 999 }),
  ),
  headers: fc.array(
    fc.oneof(
      fc.constantFrom(
        "retry-after: 99999999999",
        "retry-after: -1",
        "retry-after: Wed, 99 Foo",
        "x-ratelimit-reset: 1e99",
        "x-ratelimit-remaining: -5",
        "location: http://elsewhere.test/",
        "content-encoding: gzip",
        "transfer-encoding: chunked",
        "content-length: 99999",
        "content-length: 1",
        "set-cookie: a=b",
        "\x00bad: header",
      ),
      anyText.map((text) => `x-any: ${text.replace(/[\r\n]/g, "")}`),
    ),
    { maxLength: 4 },
  ),
  body: fc.oneof(
    anyText,
    fc.jsonValue().map((value) => JSON.stringify(value)),
    anyText.map((text) =>
      JSON.stringify({ ok: false, error: text, message: `\x1b[31m${text}` })
    ),
    fc.constantFrom(
      '{"accessToken": "a\\nb", "expiresIn": -1}',
      '{"entity": {"identifier": "a", "title": "\\u001b[2J"}}',
      '{"entity": null}',
      "<html>\x1b]0;title\x07</html>",
      "[".repeat(100_000),
      "0\r\n\r\n",
    ),
  ),
  // Cuts the connection after this many bytes.
  cutAt: fc.option(fc.nat(300), { nil: undefined, freq: 6 }),
  // Sends some bytes and then no more.
  drips: fc.integer({ min: 0, max: 40 }).map((number) => number === 0),
});

type Hostility = typeof hostility extends fc.Arbitrary<infer Value> ? Value
  : never;

/** Answers the first request with a token and all others with hostility. */
async function answer(
  connection: Deno.Conn,
  next: (path: string) => Hostility,
): Promise<void> {
  try {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const size = await connection.read(buffer);
      if (size === null) return;
      const text = new TextDecoder().decode(buffer.subarray(0, size));
      const [, path] = /^\w+ (\S+) HTTP/.exec(text) ?? [];
      if (path === undefined) continue;
      const answer = next(path);
      await connection.write(write(answer));
      if (answer !== TOKEN && !answer.drips) return;
    }
  } catch {
    // The script has hung up.
  } finally {
    connection.close();
  }
}

function write({ status, headers, body, cutAt, drips }: Hostility) {
  const head = [`HTTP/1.1 ${status} X`, ...headers, "connection: close"];
  const text = `${head.join("\r\n")}\r\n\r\n${body}`;
  return new TextEncoder().encode(text).subarray(0, drips ? 20 : cutAt);
}

const TOKEN: Hostility = {
  status: 200,
  headers: ["content-length: 44"],
  body: '{"accessToken":"made-up","expiresIn":10800} ',
  cutAt: undefined,
  drips: false,
};

async function checkHostileAnswers(hold: Hold) {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  let current = TOKEN;
  let atLogin = false;
  const next = (path: string) =>
    path.endsWith("/access_token") && !atLogin ? TOKEN : current;
  const serving = (async () => {
    for await (const connection of listener) answer(connection, next);
  })();
  const { port } = listener.addr as Deno.NetAddr;
  const variables = { ...CREDENTIALS, API_URL: `http://127.0.0.1:${port}` };
  const call = fc.constantFrom(
    ["get_entity", "-bservice -ia"],
    ["upsert_entity", "-bservice -ia"],
    ["upsert_entity", "-bservice"],
    ["search_entities", "-bservice"],
    ["delete_entity", "-bservice -ia"],
  );
  const cases = fc.tuple(hostility, fc.boolean(), call);
  try {
    await hold(cases, async ([hostile, isAtLogin, [name = "", args]]) => {
      current = hostile;
      atLogin = isAtLogin;
      const start = performance.now();
      const limited = `${args} --retries=1 --timeout=100ms`;
      const result = await runCase(name, limited, variables);
      assertTidy(result, JSON.stringify(hostile));
      assert([0, 3, 4, 5, 6].includes(result.code), result.stderr);
      assert(performance.now() - start < 5_000, "it took too long");
    });
  } finally {
    listener.close();
    await serving;
  }
}

/** Identifiers that Port's pattern takes. */
const identifier = fc.string({
  unit: fc.oneof(
    fc.constantFrom(..."aZ09@_.+:\\/=-".split("")),
    fc.constantFrom("й", "字", "é", "𐐀"),
  ),
  minLength: 1,
  maxLength: 30,
}).filter((text) => !/^\.{1,2}$/.test(text));

async function checkRoundTrip(hold: Hold) {
  const value = fc.string({ unit: "grapheme", maxLength: 20 });
  await withBoth(async (_, { env }) => {
    await hold(fc.tuple(identifier, value), async ([name, text]) => {
      const entity = [`--identifier=${name}`, "--blueprint=service"];
      const args = [...entity, `--property=version=${text}`];
      const saved = await runCase("upsert_entity", args, env);
      assertEquals(saved.code, 0, saved.stderr);
      const { stdout } = await runCase("get_entity", entity, env);
      const { identifier, properties } = JSON.parse(stdout);
      assertEquals([identifier, properties], [name, { version: text }]);
      const select = [...entity, "--select=properties.version"];
      const { stdout: version } = await runCase("get_entity", select, env);
      assertEquals(version, `${text}\n`);
    });
  });
}

async function checkPaths(hold: Hold) {
  const names = fc.array(fc.string({ unit: "binary" }), { minLength: 1 });
  await hold(names, (names) => {
    const inner = { value: "here" };
    const root = names.reduceRight(
      (value: object, name) => Object.fromEntries([[name, value]]),
      inner,
    );
    const steps = names.map((name) =>
      /^[^.[\]"]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
    );
    assertEquals(parsePath(steps.join("")), names);
    assertEquals(valueAt(root, names), inner);
    for (const [depth, name] of names.entries()) {
      const way = names.slice(0, depth);
      const wrong = [...way, `${name}\0`, "more"];
      assertEquals(valueAt(root, wrong), undefined);
      const known = `: it has ${[...way, name].join(".")}`;
      assertStringIncludes(missingPath(root, wrong).message, known);
    }
  });
}

/** All claims, and what holds them. */
export const CLAIMS: Record<string, (hold: Hold) => Promise<void>> = {
  "a command line ends with a known exit code and one line": checkCommandLines,
  "an entity file is sent as it is, or refused with a reason": checkEntityFiles,
  "every line of many ends as created, updated or failed": checkManyEntities,
  "a settings file is read or refused, its secret hidden": checkEnvFiles,
  "whatever a server answers ends well or in one safe line, in time":
    checkHostileAnswers,
  "identifiers and values come back as they were sent": checkRoundTrip,
  "a path leads to what it names, a wrong one to the nearest names": checkPaths,
  "processes end as runs in this process do": checkProcesses,
};

/** Goes on until it is stopped, or a claim does not hold. */
async function fuzz(): Promise<never> {
  for (;;) {
    const seed = Math.floor(Math.random() * 2 ** 31);
    for (const [name, check] of Object.entries(CLAIMS)) {
      console.log(`seed ${seed}: ${name}`);
      await check(makeHold(seed));
    }
  }
}

if (import.meta.main) await fuzz();
