/**
 * Attacks on the scripts with made-up input: command lines, files, answers of a
 * hostile server, identifiers. Run by itself, it goes on until it is stopped.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import fc from "npm:fast-check@4.10.2";
import { execute, type Script } from "../lib/cli.ts";
import { parsePath, valueAt } from "../lib/entity.ts";
import { allOptions, type OptionTable, toFlag } from "../lib/options.ts";
import { bulkUpsertEntities } from "../scripts/bulk_upsert_entities.ts";
import { createActionRun } from "../scripts/create_action_run.ts";
import { deleteEntity } from "../scripts/delete_entity.ts";
import { getEntity } from "../scripts/get_entity.ts";
import { reportCiJob } from "../scripts/report_ci_job.ts";
import { searchEntities } from "../scripts/search_entities.ts";
import { updateActionRun } from "../scripts/update_action_run.ts";
import { upsertBlueprint } from "../scripts/upsert_blueprint.ts";
import { upsertEntity } from "../scripts/upsert_entity.ts";
import { SECRET, type TestPort, withPort } from "./support/port.ts";
import { run, withFolder } from "./support/run.ts";

/** How long and where to begin. */
export interface FuzzOptions {
  /** How many cases. */
  numRuns: number;
  /** What makes the cases repeat. */
  seed: number;
}

/** A claim that must hold in every case. */
export interface Claim {
  /** The claim. */
  name: string;
  /** Holds it against so many cases. */
  check(options: FuzzOptions): Promise<void>;
}

type AnyScript = Script<OptionTable>;

/** Every script that talks to Port. */
const SCRIPTS = [
  bulkUpsertEntities,
  createActionRun,
  deleteEntity,
  getEntity,
  reportCiJob,
  searchEntities,
  updateActionRun,
  upsertBlueprint,
  upsertEntity,
] as unknown as AnyScript[];

/** What a run left behind. */
interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a script in this process. */
async function runCase(
  script: AnyScript,
  args: string[],
  variables: Record<string, string> = {},
): Promise<Outcome> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const code = await execute(script, {
    args,
    write: (text) => stdout.push(`${text}\n`),
    writeError: (text) => stderr.push(`${text}\n`),
    variable: (name) => variables[name],
    isInteractive: false,
    hasColours: false,
  });
  return { code, stdout: stdout.join(""), stderr: stderr.join("") };
}

/** What must hold of every run, whatever it was given. */
function assertTidy({ code, stdout, stderr }: Outcome, what: string): void {
  assert(code === 0 || (code >= 2 && code <= 8), `${what}: ${code} ${stderr}`);
  if (code !== 0) assertMatch(stderr, /(?:^|\n)error: [^\n]+\n$/, what);
  assertEquals(/\n {4}at /.test(stderr), false, stderr);
  assertEquals((stdout + stderr).includes(SECRET), false, what);
  // deno-lint-ignore no-control-regex
  assertEquals(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(stderr), false, stderr);
}

/** Text of any characters, halves of them and escapes among them. */
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({ unit: fc.constantFrom("\x1b", "\0", "\n", "=", ":", '"', "й") }),
  fc.constantFrom("", "\ud800", "__proto__", "constructor", "..", "😀", "a=b"),
);

/** Values that make some sense, so that some runs get far. */
const someValue = fc.constantFrom(
  ...["checkout", "service", "deploy", "version=1", "version:=1", "[]", "{}"],
  ...[
    "1",
    "0",
    "-1",
    "eu",
    "running",
    "SUCCESS",
    "title",
    "properties.a",
    "0s",
  ],
  ...["SHA=title", '{"a":1}', '{"combinator":"and","rules":[]}', "json", "1ms"],
);

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
    log: ["text", "\x1b[31m"],
  };
  return values[flag];
}

/** A command line for a script: flags of its own, and rubbish. */
function commandLine(script: AnyScript, folder: string) {
  const options = Object.entries(allOptions(script));
  const flag = fc.constantFrom(...options).chain(([name, { short, value }]) => {
    const flag = toFlag(name);
    const written = fc.constantFrom(`--${flag}`, short ? `-${short}` : "--x");
    if (value === undefined) return written.map((flag) => [flag]);
    const outward = outwardValue(flag, folder);
    const values = outward
      ? fc.constantFrom(...outward)
      : fc.oneof(someValue, anyText).filter((text) => text !== "-");
    return fc.tuple(written, values, fc.boolean()).map(([flag, text, tied]) =>
      tied ? [`${flag}=${text}`] : [flag, text]
    );
  });
  const rubbish = fc.oneof(anyText, anyText.map((text) => `--${text}`))
    .filter((text) => text !== "-" && text !== "--")
    .map((text) => [text]);
  const operands = script.operand
    ? fc.constantFrom([`${folder}/entity.json`], [`${folder}/none`])
    : fc.constant([]);
  return fc.tuple(
    fc.array(fc.oneof({ arbitrary: flag, weight: 6 }, rubbish)),
    operands,
  ).map(([parts, operands]) => [...parts.flat(), ...operands]);
}

async function withFiles(test: (folder: string) => Promise<void>) {
  await withFolder(async (folder) => {
    const entity = '{"blueprint": "service", "identifier": "a"}';
    await Deno.writeTextFile(`${folder}/entity.json`, entity);
    await Deno.writeTextFile(`${folder}/broken.json`, '{"a": ');
    await Deno.writeTextFile(`${folder}/env`, "PORT_REGION=us\n");
    await test(folder);
  });
}

function settings({ env }: TestPort): Record<string, string> {
  return { ...env, PORT_RETRIES: "0", PORT_TIMEOUT: "5s", PORT_RUN_ID: "r_1" };
}

const commandLines: Claim = {
  name: "every command line ends with a known exit code and one line",
  async check(options) {
    await withFiles(async (folder) => {
      await withPort({}, async (port) => {
        for (const script of SCRIPTS) {
          await fc.assert(
            fc.asyncProperty(commandLine(script, folder), async (args) => {
              const before = port.log.length;
              const outcome = await runCase(script, args, settings(port));
              assertTidy(outcome, `${script.name} ${JSON.stringify(args)}`);
              const { code } = outcome;
              if (code === 2) assertEquals(port.log.length, before);
            }),
            options,
          );
        }
      });
    });
  },
};

const processes: Claim = {
  name: "processes end as runs in this process do",
  async check({ seed, numRuns }) {
    await withFiles(async (folder) => {
      await withPort({}, async (port) => {
        const cases = fc.constantFrom(...SCRIPTS).chain((script) =>
          fc.tuple(fc.constant(script), commandLine(script, folder))
        );
        const withoutNul = cases.filter(([_, args]) =>
          args.every((arg) => !arg.includes("\0") && arg.isWellFormed())
        );
        const size = Math.min(50, numRuns);
        const samples = fc.sample(withoutNul, { seed, numRuns: size });
        for (let at = 0; at < samples.length; at += 5) {
          await Promise.all(
            samples.slice(at, at + 5).map(async ([script, args]) => {
              const env = settings(port);
              const outcome = await run(script.name, args, { env });
              assertTidy(outcome, `${script.name} ${JSON.stringify(args)}`);
            }),
          );
        }
      });
    });
  },
};

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
    (text: string) => text.replace("{", '{"☠": 1, "☠": 2, '),
    (text: string) => text.replace("{", '{"☠": 1e999, '),
    (text: string) => text.replace("{", '{"☠": 9007199254740993, '),
    (text: string) => text.replace("{", `{"☠": ${"[".repeat(5000)}1, `),
    (text: string) =>
      text.replace("{", `{"y": ${"[".repeat(999)}${"]".repeat(999)}, `),
    (text: string) => text.replace("{", '{"y": "\\ud800", '),
    (text: string) => text.replace("}", "}}"),
  ),
).map(([value, damage]) => damage(JSON.stringify(value)));

const entityFiles: Claim = {
  name: "an entity file is sent as it is, or refused with line and column",
  async check(options) {
    await withFiles(async (folder) => {
      await fc.assert(
        fc.asyncProperty(damagedJson, async (text) => {
          const file = `${folder}/entity.json`;
          await Deno.writeTextFile(file, text);
          const args = ["-f", file, "-b", "service", "--dry-run"];
          const script = upsertEntity as unknown as AnyScript;
          const outcome = await runCase(script, args);
          assertTidy(outcome, text);
          const meant = parse(text.replace(/^\ufeff/, ""));
          if (outcome.code === 0) {
            const { blueprint: _, ...entity } = Object(meant);
            const { body } = JSON.parse(outcome.stdout);
            assertEquals(JSON.stringify(body), JSON.stringify(entity));
            assertEquals(text.includes("☠"), false, "it was to be refused");
          } else if (meant === undefined) {
            assertMatch(outcome.stderr, /line \d+, column \d+: /);
          } else if (text.includes("☠")) {
            assertMatch(outcome.stderr, /line 1, column \d+: .*(twice|large)/);
          } else {
            assertMatch(outcome.stderr, /identifier|"(?:prop|rel)|JSON object/);
          }
        }),
        options,
      );
    });
  },
};

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const manyEntities: Claim = {
  name: "every line of many ends as created, updated or failed",
  async check(options) {
    const line = fc.oneof(
      damagedJson.map((text) => text.replace(/[\r\n]/g, " ")),
      fc.constantFrom("a", "b").map((id) => `{"identifier": "${id}"}`),
      anyText.map((text) => text.replace(/[\r\n[]/g, "")),
    );
    const script = bulkUpsertEntities as unknown as AnyScript;
    await withFiles(async (folder) => {
      await withPort({}, async (port) => {
        const [input, failed] = [`${folder}/all`, `${folder}/failed`];
        const args = [input, "-bservice", `--failed-file=${failed}`];
        await fc.assert(
          fc.asyncProperty(fc.array(line, { maxLength: 30 }), async (lines) => {
            const text = `{"identifier": "a"}\n${lines.join("\n")}\n`;
            const bytes = new TextEncoder().encode(text);
            await Deno.writeFile(input, bytes);
            const outcome = await runCase(script, args, settings(port));
            assertTidy(outcome, text);
            const counts = JSON.parse(outcome.stdout);
            const given = text.split("\n").filter((line) => line.trim() !== "");
            assertEquals(
              counts.created + counts.updated + counts.failed,
              given.length,
              text,
            );
            const kept = await Deno.readTextFile(failed);
            assertEquals(kept.split("\n").length - 1, counts.failed);
          }),
          options,
        );
      });
    });
  },
};

const envFiles: Claim = {
  name: "a file of settings is read or refused, and its secret is not shown",
  async check(options) {
    const line = fc.oneof(
      anyText,
      fc.tuple(
        fc.constantFrom("PORT_REGION", "PORT_TIMEOUT", "API_URL", "__proto__"),
        fc.constantFrom("=", " = ", ":", "='", '="'),
        fc.oneof(anyText, fc.constantFrom("us", "1s", "https://port.test")),
      ).map((parts) => parts.join("")),
      fc.constant(`PORT_CLIENT_SECRET=${SECRET}`),
    );
    await withFiles(async (folder) => {
      const script = upsertEntity as unknown as AnyScript;
      const args = [
        "-bservice",
        "-ia",
        "--dry-run",
        `--env-file=${folder}/env`,
      ];
      await fc.assert(
        fc.asyncProperty(fc.array(line), async (lines) => {
          const text = lines.join("\r\n");
          await Deno.writeTextFile(`${folder}/env`, text);
          const outcome = await runCase(script, args);
          assertTidy(outcome, text);
          assert([0, 2].includes(outcome.code), outcome.stderr);
        }),
        options,
      );
    });
  },
};

/** What a hostile server writes in place of an answer. */
interface Hostility {
  status: number;
  headers: string[];
  body: string;
  /** Cuts the connection after so many bytes; none at all for 0. */
  cutAt?: number | undefined;
  /** Sends one byte and then no more. */
  drips: boolean;
}

const hostility: fc.Arbitrary<Hostility> = fc.record({
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
  cutAt: fc.option(fc.nat(300), { nil: undefined, freq: 6 }),
  drips: fc.integer({ min: 0, max: 40 }).map((number) => number === 0),
});

/** Answers the first request with a token and all others with hostility. */
async function answer(
  connection: Deno.Conn,
  next: (path: string) => Hostility | undefined,
): Promise<void> {
  try {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const size = await connection.read(buffer);
      if (size === null) return;
      const text = new TextDecoder().decode(buffer.subarray(0, size));
      const [, path] = /^\w+ (\S+) HTTP/.exec(text) ?? [];
      if (path === undefined) continue;
      const hostile = next(path);
      const { bytes, drips } = hostile ? write(hostile) : TOKEN;
      await connection.write(drips ? bytes.subarray(0, 20) : bytes);
      if (drips) continue;
      if (hostile !== undefined) return;
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
  const bytes = new TextEncoder().encode(text);
  return { bytes: bytes.subarray(0, cutAt), drips };
}

const TOKEN = write({
  status: 200,
  headers: ["content-length: 44"],
  body: '{"accessToken":"made-up","expiresIn":10800} ',
  drips: false,
});

const hostileAnswers: Claim = {
  name: "whatever a server answers ends well or in one harmless line, in time",
  async check(options) {
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    let current: Hostility | undefined;
    let atLogin = false;
    const next = (path: string) =>
      path.endsWith("/access_token") && !atLogin ? undefined : current;
    const serving = (async () => {
      for await (const connection of listener) answer(connection, next);
    })();
    const { port } = listener.addr as Deno.NetAddr;
    const variables = {
      API_URL: `http://127.0.0.1:${port}`,
      PORT_CLIENT_ID: "made-up-id",
      PORT_CLIENT_SECRET: SECRET,
    };
    const calls: [script: unknown, args: string[]][] = [
      [getEntity, ["-bservice", "-ia"]],
      [upsertEntity, ["-bservice", "-ia"]],
      [upsertEntity, ["-bservice"]],
      [searchEntities, ["-bservice"]],
      [deleteEntity, ["-bservice", "-ia"]],
    ];
    try {
      await fc.assert(
        fc.asyncProperty(
          hostility,
          fc.boolean(),
          fc.constantFrom(...calls),
          async (hostile, login, [script, args]) => {
            current = hostile;
            atLogin = login;
            const start = performance.now();
            const outcome = await runCase(
              script as AnyScript,
              [...args, "--retries=1", "--timeout=100ms"],
              variables,
            );
            assertTidy(outcome, JSON.stringify(hostile));
            assert([0, 3, 4, 5, 6].includes(outcome.code), outcome.stderr);
            assert(performance.now() - start < 5_000, "it took too long");
          },
        ),
        options,
      );
    } finally {
      listener.close();
      await serving;
    }
  },
};

/** Identifiers that Port's pattern takes. */
const identifier = fc.string({
  unit: fc.oneof(
    fc.constantFrom(..."aZ09@_.+:\\/=-".split("")),
    fc.constantFrom("й", "字", "é", "𐐀"),
  ),
  minLength: 1,
  maxLength: 30,
}).filter((text) => !/^\.{1,2}$/.test(text));

const roundTrip: Claim = {
  name: "identifiers and values come back as they went in",
  async check(options) {
    await withPort({}, async (port) => {
      const get = getEntity as unknown as AnyScript;
      const upsert = upsertEntity as unknown as AnyScript;
      await fc.assert(
        fc.asyncProperty(
          identifier,
          fc.string({ unit: "grapheme", maxLength: 20 }),
          async (name, text) => {
            const entity = [`--identifier=${name}`, "--blueprint=service"];
            const property = `--property=version=${text}`;
            const args = [...entity, property];
            const stored = await runCase(upsert, args, settings(port));
            assertEquals(stored.code, 0, stored.stderr);
            const { stdout } = await runCase(get, entity, settings(port));
            const { identifier, properties } = JSON.parse(stdout);
            assertEquals([identifier, properties], [name, { version: text }]);
            const path = "--select=properties.version";
            const value = await runCase(get, [...entity, path], settings(port));
            assertEquals(value.stdout, `${text}\n`);
          },
        ),
        options,
      );
    });
  },
};

const paths: Claim = {
  name: "the paths that are named lead to what they name",
  check(options) {
    const names = fc.array(fc.string({ unit: "binary" }), { minLength: 1 });
    return Promise.resolve(fc.assert(
      fc.property(names, (names) => {
        const inner = { value: Symbol("here") };
        const root = names.reduceRight(
          (value: object, name) => Object.fromEntries([[name, value]]),
          inner,
        );
        let way: string[] = [];
        for (const name of names) {
          const found = valueAt(root, [...way, "\0 not there"]);
          const [path = ""] = found.there ? [] : found.paths;
          way = parsePath(path);
          assertEquals(way.at(-1), name);
        }
        const found = valueAt(root, way);
        assert(found.there && found.value === inner);
      }),
      options,
    ));
  },
};

/** All claims. */
export const CLAIMS: Claim[] = [
  commandLines,
  entityFiles,
  manyEntities,
  envFiles,
  hostileAnswers,
  roundTrip,
  paths,
  processes,
];

/** Goes on until it is stopped, or something does not hold. */
async function fuzz(): Promise<never> {
  for (;;) {
    const seed = Math.floor(Math.random() * 2 ** 31);
    for (const { name, check } of CLAIMS) {
      console.log(`seed ${seed}: ${name}`);
      await check({ seed, numRuns: 1000 });
    }
  }
}

if (import.meta.main) await fuzz();
