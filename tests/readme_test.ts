import { assert, assertEquals } from "jsr:@std/assert@1.0.19";
import { ENVIRONMENT, EXIT_CODES, optionRows } from "../lib/help.ts";
import { COMMON_OPTIONS, type ScriptInfo } from "../lib/options.ts";
import { VERSION } from "../lib/port.ts";
import { CALLS, CIRCLECI, prepare } from "./support/calls.ts";
import { ORB, UPSERT } from "./support/orb.ts";
import { type Config, parseConfig, runJob } from "./support/pipeline.ts";
import { put, type TestPort, withPort } from "./support/port.ts";
import { permissionsOf, ROOT, run, withBashEnv } from "./support/run.ts";
import { runInShell } from "./support/shell.ts";

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

const README = await read("README.md") + "\n" + await read("scripts/README.md");
const PIPELINE = await read(".circleci/config.yml");
const CONFIG = parseConfig(PIPELINE);

/** Every script that talks to Port. */
const SCRIPTS: ScriptInfo[] = await Promise.all(
  Object.keys(CALLS).map(async (name) =>
    (await import(`../scripts/${name}.ts`)).script
  ),
);

/** The code blocks of the README in this language, in their order. */
function blocks(language: string): string[] {
  const fence = new RegExp("^```" + language + "\\n(.*?)^```$", "gms");
  return [...README.matchAll(fence)].map(([_, text = ""]) => text);
}

/** The tables of the README, as rows of cells without marks of code. */
const TABLES = README.split(/\n\n+/).filter((part) => part.startsWith("|"))
  .map((part) => {
    const [head = "", _, ...rows] = part.trim().split("\n");
    return [head, ...rows].map((row) =>
      row.split(/(?<!\\)\|/).slice(1, -1)
        .map((cell) => cell.trim().replaceAll("`", "").replaceAll("\\|", "|"))
    );
  });

/** Fails, showing what to paste, when the README has no such table. */
function assertTable(...[head, ...rows]: [string, string][]) {
  const wanted = JSON.stringify([head, ...rows]);
  const isThere = TABLES.some((table) => JSON.stringify(table) === wanted);
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const lines = rows.map(([term, meaning]) =>
    `| \`${cell(term)}\` | ${cell(meaning)} |\n`
  );
  const cure = "run deno task docs, or add a section with this table";
  assert(
    isThere,
    `scripts/README.md is not up to date: ${cure}:\n${lines.join("")}`,
  );
}

Deno.test("README shows the options of each script as --help does", () => {
  const own = SCRIPTS.map(({ options }) => options)
    .filter((options) => Object.keys(options).length > 0);
  for (const options of [...own, COMMON_OPTIONS]) {
    const rows = optionRows(options)
      .map(({ term, meaning }): [string, string] => [term, meaning]);
    assertTable(["option", "what it does"], ...rows);
  }
});

Deno.test("README shows the variables and exit codes that the code has", () => {
  assertTable(["variable", "what it sets"], ...Object.entries(ENVIRONMENT));
  assertTable(["exit code", "meaning"], ...Object.entries(EXIT_CODES));
});

Deno.test("--help of each script shows its option table, --version its version", async () => {
  assertEquals((await run("local_port", "--version")).stdout, `${VERSION}\n`);
  for (const script of SCRIPTS) {
    const version = await run(script.name, "--version");
    assertEquals([version.code, version.stdout], [0, `${VERSION}\n`]);
    const { code, stdout } = await run(script.name, "--help");
    assertEquals(code, 0);
    const shown = stdout.replace(/^ +/gm, "").replace(/(?<=\S) {2,}/g, "\t");
    const rows = optionRows({ ...script.options, ...COMMON_OPTIONS })
      .map(({ group, term, meaning }) =>
        (group ? `\n${group}:\n` : "") + `${term}\t${meaning}\n`
      );
    assert(shown.includes(rows.join("")), script.name);
  }
});

/** Runs something where what the examples read exists, as in CircleCI. */
async function withExamples(
  test: (port: TestPort, env: { PORT_RUN_ID: string }) => Promise<void>,
) {
  await withPort({}, async (port) => {
    const PORT_RUN_ID = await prepare(port);
    const approvedVersion = CIRCLECI.CIRCLE_SHA1;
    const properties = { version: "1.0.0", approvedVersion };
    await put(port, "service", [{ identifier: "checkout", properties }]);
    await test(port, { ...CIRCLECI, PORT_RUN_ID });
  });
}

Deno.test("README's shell examples and those of --help run as written", async () => {
  // The tests cannot run themselves.
  const examples = blocks("sh")
    .map((text) => text.replace(/npx -y deno@\S+ task test\n/, ""));
  assert(examples.length >= 7);
  const ofHelp = SCRIPTS.flatMap(({ name, examples }) =>
    Object.values(examples).map((args) => `scripts/${name}.ts ${args}`)
  );
  for (const example of [...examples, ...ofHelp]) {
    await withExamples(async (port, env) => {
      await withBashEnv(async (BASH_ENV) => {
        const given = ofHelp.includes(example)
          ? { ...env, BASH_ENV }
          : CIRCLECI;
        const { code, stderr } = await runInShell(example, port, given);
        assertEquals(code, 0, `${example}\n${stderr}`);
      });
    });
  }
});

Deno.test("README's first two commands are those that CI runs", async () => {
  const ci = (await read(".ci/run")).split("\n");
  const commands = blocks("sh")[0]?.trim().split("\n") ?? [];
  assertEquals(commands.length, 2);
  assertEquals(commands.filter((command) => ci.includes(command)), commands);
});

Deno.test("README's CircleCI job is the one of this repository's own pipeline", () => {
  const text = blocks("yaml").find((text) => text.includes("report-to-port:"));
  const pasted = parseConfig(text ?? "");
  assertEquals(pasted.executors, CONFIG.executors);
  const job = (config: Config) => Object(config.jobs)["report-to-port"];
  assertEquals(job(pasted), job(CONFIG));
  const [use] = Object(pasted.workflows).deploy.jobs;
  assertEquals(use["report-to-port"].context, "port");
});

Deno.test("README's recipes run as written", async () => {
  const recipes = blocks("yaml").map(parseConfig)
    .filter(({ jobs }) => jobs && !("report-to-port" in Object(jobs)));
  assert(recipes.length >= 3);
  for (const recipe of recipes) {
    for (const name of Object.keys(recipe.jobs ?? {})) {
      await withExamples(async (port, { PORT_RUN_ID }) => {
        const config = { ...recipe, orbs: { port: ORB } };
        const pipeline = { "pipeline.parameters.port-run-id": PORT_RUN_ID };
        const files = { ".circleci/upsert_entity.js": UPSERT };
        const result = await runJob(config, name, {}, port, pipeline, files);
        assert(!result.isFailed, `${name}: ${result.stderr}`);
      });
    }
  }
});

Deno.test("README is short, and its links lead somewhere", async () => {
  assert((await read("README.md")).split("\n").length <= 250);
  for (const file of ["README.md", "scripts/README.md", "SECURITY.md"]) {
    const base = new URL(file, ROOT);
    const links = (await read(file)).matchAll(/\]\((?!https?:)([^)]+)\)/g);
    for (const [, link = ""] of links) {
      const { pathname, hash } = new URL(link, base);
      const { isFile } = await Deno.stat(pathname);
      const text = isFile ? await Deno.readTextFile(pathname) : "";
      const anchors = (text.match(/(?<=^#+ ).*/gm) ?? []).map((title) =>
        "#" + title.toLowerCase().replace(/[^\w\s-]/g, "").replace(/\s/g, "-")
      );
      assert(hash === "" || anchors.includes(hash), `${file}: ${link}`);
    }
  }
});

Deno.test("README, .ci/run and the pipeline name one version of Deno", async () => {
  const files =
    "README.md .ci/run .ci/orb .ci/conformance .circleci/config.yml " +
    "CONTRIBUTING.md scripts/demo.ts";
  const versions = await Promise.all(
    files.split(" ").map(async (file) =>
      (await read(file)).match(/\bdeno[@:]\d+\.\d+\.\d+/g)
        ?.map((name) => name.slice(5)) ?? [`none in ${file}`]
    ),
  );
  assertEquals(new Set(versions.flat()).size, 1, versions.join(" "));
});

Deno.test("the job and README give the permissions of the script's first line", async () => {
  const [env = "", ...permissions] = await permissionsOf("upsert_entity");
  for (const text of [README, PIPELINE]) {
    assert(text.includes(env.replace(",BASH_ENV", "")));
    assert(text.includes(permissions.at(-1) ?? ""));
  }
});

Deno.test("README says what changed with the major version of deno.json, which is that of the code", async () => {
  const { version } = JSON.parse(await read("deno.json").then(dropComments));
  assertEquals(version, VERSION);
  const [major] = version.split(".");
  assert(README.includes(`## Upgrading to ${major}.0\n`));
  assert(README.includes(`Version ${major}.0.0 `));
});

function dropComments(text: string): string {
  return text.replace(/^\s*\/\/.*$/gm, "");
}
