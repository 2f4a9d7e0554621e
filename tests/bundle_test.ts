import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { CALLS, CIRCLECI, prepare } from "./support/calls.ts";
import { withPort } from "./support/port.ts";
import {
  FOLDER,
  permissionsOf,
  run,
  type RunOptions,
  runProcess,
  wayOut,
  withBashEnv,
  withFolder,
} from "./support/run.ts";
import { copyRepository } from "./support/shell.ts";

/** The largest that a bundle may be, in bytes. */
const largest = (name: string) => (name.startsWith("bulk") ? 240 : 80) * 1024;

/** Lets a test use the bundles, made in a folder of their own. */
async function withBundles(test: (folder: string) => Promise<void>) {
  await withFolder(async (folder) => {
    const { code, stderr } = await run("bundle", [folder], { env: wayOut() });
    assertEquals(code, 0, stderr);
    await test(folder);
  }, "/tmp");
}

/** Runs a bundle alone in an empty folder, with nothing in Deno's cache. */
async function runAlone(
  bundle: string,
  name: string,
  args: string[],
  options: RunOptions = {},
) {
  return await withFolder(async (cwd) => {
    await Deno.copyFile(bundle, `${cwd}/alone.js`);
    const permissions = await permissionsOf(name, options.env?.API_URL);
    const closed = ["--no-remote", "--no-npm", "--no-config", ...permissions];
    return await runProcess(
      Deno.execPath(),
      ["run", ...closed, "alone.js", ...args],
      { ...options, cwd, env: { ...options.env, DENO_DIR: `${cwd}/cache` } },
    );
  }, "/tmp");
}

/** Runs bundles with the calls of their scripts. */
const ALONE: typeof CALLS = {
  ...CALLS,
  upsert_blueprint: {
    args: ["-"],
    stdin: '{"identifier": "a", "title": "A", "schema": {"properties": {}}}',
  },
};

async function assertBundle(bundle: string, name: string) {
  const text = await Deno.readTextFile(bundle);
  const { size } = await Deno.stat(bundle);
  assert(size <= largest(name), `${name}.js has ${size} bytes`);
  const source = await Deno.readTextFile(new URL(`${name}.ts`, FOLDER));
  const [shebang, licence = ""] = text.split("\n", 2);
  assertEquals(shebang, source.split("\n", 1)[0]);
  assertMatch(licence, /^\/\/ MIT License\. Copyright/);
  assertEquals(/registry|\.\.\/\.\.|file:\/\//.exec(text), null, name);
  await withPort({}, (port) =>
    withBashEnv(async (BASH_ENV) => {
      const PORT_RUN_ID = await prepare(port);
      const env = { ...port.env, ...CIRCLECI, BASH_ENV, PORT_RUN_ID };
      const help = await runAlone(bundle, name, ["--help"], { env });
      assertMatch(help.stdout, new RegExp(`Usage: \\./${name}\\.js `));
      const { args = [], stdin } = ALONE[name] ?? {};
      const result = await runAlone(bundle, name, args, { env, stdin });
      assertEquals(result.code, 0, `${name}: ${result.stderr}`);
    }));
}

Deno.test("each bundle is small, says its permissions and licence, and runs alone", async () => {
  await withBundles(async (folder) => {
    const scripts = Object.keys(CALLS);
    const bundles = scripts.map((name) => `${name}.js`);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assertEquals(names.sort(), ["SHA256SUMS", "orb.yml", ...bundles].sort());
    await Promise.all(
      scripts.map((name) => assertBundle(`${folder}/${name}.js`, name)),
    );
  });
});

Deno.test("bundle and demo show help, refuse unknown arguments, and do nothing else", async () => {
  const refused = (arg: string) =>
    [2, `error: Unexpected argument "${arg}" (see --help)\n`] as const;
  const cases: [name: string, args: string, code: number, stderr: string][] = [
    ["bundle", "--help", 0, ""],
    ["bundle", "dist -h", 0, ""],
    ["bundle", "--out", ...refused("--out")],
    ["bundle", "a b", ...refused("b")],
    ["demo", "--help", 0, ""],
    ["demo", "now", ...refused("now")],
  ];
  for (const [name, args, code, stderr] of cases) {
    await withFolder(async (cwd) => {
      const result = await run(name, args, { cwd });
      assertEquals([result.code, result.stderr], [code, stderr]);
      const usage = `\n\nUsage: deno task ${name}`;
      assertEquals(result.stdout.includes(usage), code === 0);
      assertEquals([...Deno.readDirSync(cwd)], []);
    });
  }
});

Deno.test("bundles are the same bytes wherever they are made, and sha256sum agrees", async () => {
  await withBundles(async (folder) => {
    const options = { cwd: folder };
    const check = await runProcess("sha256sum", ["-c", "SHA256SUMS"], options);
    assertEquals(check.code, 0, check.stdout + check.stderr);
    const copy = `${folder}/elsewhere`;
    await copyRepository(copy);
    const again = await runProcess(
      Deno.execPath(),
      ["run", "--allow-all", "scripts/bundle.ts"],
      { cwd: copy, env: wayOut() },
    );
    assertEquals(again.code, 0, again.stderr);
    const sums = await Deno.readTextFile(`${folder}/SHA256SUMS`);
    assertEquals(await Deno.readTextFile(`${copy}/dist/SHA256SUMS`), sums);
  });
});
