import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { parse } from "jsr:@std/dotenv@0.225.6/parse";
import fc from "npm:fast-check@4.10.2";
import { parseEnv } from "node:util";
import { CALLS, CIRCLECI, prepare } from "./support/calls.ts";
import { withPort } from "./support/port.ts";
import { run, runProcess, wayOut } from "./support/run.ts";
import { copyRepository } from "./support/shell.ts";

/** The most that one bundle may be, in bytes. */
const LARGEST = 64 * 1024;

/** Lets a test use the bundles, made in a folder of their own. */
async function withBundles(test: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    const env = wayOut();
    const { code, stderr } = await run("bundle", [folder], { env });
    assertEquals(code, 0, stderr);
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a bundle alone in an empty folder, with nothing in Deno's cache. */
async function runAlone(
  file: string,
  args: string[],
  env: Record<string, string>,
  stdin?: string,
) {
  const folder = await Deno.makeTempDir();
  try {
    const text = await Deno.readTextFile(file);
    const [, rights = ""] =
      /^#!\/usr\/bin\/env -S deno run (.*)\n/.exec(text) ??
        [];
    await Deno.writeTextFile(`${folder}/alone.js`, text);
    const { host } = new URL(env.API_URL ?? "http://127.0.0.1");
    return await runProcess(
      Deno.execPath(),
      [
        "run",
        "--no-remote",
        "--no-npm",
        "--no-config",
        ...rights.split(" ").map((right) =>
          right.startsWith("--allow-net=") ? `--allow-net=${host}` : right
        ),
        "alone.js",
        ...args,
      ],
      {
        cwd: folder,
        env: { ...env, DENO_DIR: `${folder}/cache` },
        ...(stdin !== undefined && { stdin }),
      },
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("each bundle is small, says its rights and licence, and runs alone", async () => {
  await withBundles(async (folder) => {
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    const scripts = Object.keys(CALLS);
    assertEquals(
      new Set(names),
      new Set(["SHA256SUMS", ...scripts.map((n) => `${n}.js`)]),
    );
    await Promise.all(scripts.map(async (name) => {
      const file = `${folder}/${name}.js`;
      const text = await Deno.readTextFile(file);
      const { size } = await Deno.stat(file);
      assert(size < LARGEST, `${name}.js has ${size} bytes`);
      const source = new URL(`../scripts/${name}.ts`, import.meta.url);
      const [shebang] = (await Deno.readTextFile(source)).split("\n", 1);
      assertEquals(text.split("\n", 1)[0], shebang);
      assertMatch(text, /^#.*\n\/\/ MIT License\. Copyright/);
      assertEquals(/registry|\.\.\/\.\.|file:\/\//.test(text), false, name);
      await withPort({}, async (port) => {
        const PORT_RUN_ID = await prepare(port);
        const env = { ...port.env, ...CIRCLECI, PORT_RUN_ID, NO_COLOR: "1" };
        const help = await runAlone(file, ["--help"], env);
        assertMatch(help.stdout, new RegExp(`Usage: \\./${name}\\.js `));
        const { args = [], stdin } = CALLS[name] ?? {};
        const alone = args.filter((arg) => arg !== "blueprints/image.json");
        const blueprint = '{"identifier": "a", "title": "A", "schema": {' +
          '"properties": {}}}';
        const { code, stderr } = await runAlone(
          file,
          alone.length < args.length ? ["-"] : args,
          env,
          alone.length < args.length ? blueprint : stdin,
        );
        assertEquals(code, 0, `${name}: ${stderr}`);
      });
    }));
  });
});

Deno.test("bundles are the same bytes wherever they are made, and sha256sum agrees", async () => {
  await withBundles(async (folder) => {
    const sums = await Deno.readTextFile(`${folder}/SHA256SUMS`);
    const check = await runProcess("sha256sum", ["-c", "SHA256SUMS"], {
      cwd: folder,
    });
    assertEquals(check.code, 0, check.stdout + check.stderr);
    const copy = `${folder}/elsewhere`;
    await copyRepository(copy);
    const again = await runProcess(
      Deno.execPath(),
      ["run", "--allow-all", "scripts/bundle.ts"],
      { cwd: copy, env: wayOut() },
    );
    assertEquals(again.code, 0, again.stderr);
    assertEquals(await Deno.readTextFile(`${copy}/dist/SHA256SUMS`), sums);
  });
});

Deno.test("bundles read .env as the scripts do", () => {
  const name = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,9}$/);
  const plain = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/)
    .filter((text) => !/["'`#\\]/.test(text));
  const space = fc.constantFrom("", " ");
  const line = fc.oneof(
    fc.tuple(name, plain).map(([name, text]) => `${name}=${text}`),
    fc.tuple(name, plain).map(([name, text]) => `export ${name}="${text}"`),
    fc.tuple(name, plain, space)
      .map(([name, text, gap]) => `${name}${gap}=${gap}'${text}' # comment`),
    fc.constantFrom("", "# comment", "  "),
  );
  fc.assert(
    fc.property(fc.array(line), fc.constantFrom("\n", "\r\n"), (lines, end) => {
      const text = lines.map((line) => line + end).join("");
      assertEquals({ ...parseEnv(text) }, { ...parse(text) });
    }),
    { numRuns: 1000 },
  );
});
