import {
  assert,
  assertEquals,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { allOptions } from "../lib/options.ts";
import { ENVIRONMENT, EXIT_CODES, optionGroups } from "../lib/help.ts";
import { bulkUpsertEntities } from "../scripts/bulk_upsert_entities.ts";
import { createActionRun } from "../scripts/create_action_run.ts";
import { deleteEntity } from "../scripts/delete_entity.ts";
import { searchEntities } from "../scripts/search_entities.ts";
import { updateActionRun } from "../scripts/update_action_run.ts";
import { getEntity } from "../scripts/get_entity.ts";
import { reportCiJob } from "../scripts/report_ci_job.ts";
import { upsertBlueprint } from "../scripts/upsert_blueprint.ts";
import { upsertEntity } from "../scripts/upsert_entity.ts";
import { type Config, parseConfig, runJob } from "./support/pipeline.ts";
import { CIRCLECI } from "./support/calls.ts";
import { type TestPort, withPort } from "./support/port.ts";
import { permissionsOf, ROOT, run } from "./support/run.ts";
import { runInShell } from "./support/shell.ts";

const README = await Deno.readTextFile(new URL("README.md", ROOT));

/** Every script that talks to Port. */
const SCRIPTS = [
  upsertEntity,
  getEntity,
  reportCiJob,
  upsertBlueprint,
  bulkUpsertEntities,
  searchEntities,
  deleteEntity,
  createActionRun,
  updateActionRun,
];

const CONFIG = await Deno.readTextFile(new URL(".circleci/config.yml", ROOT));

/** The code blocks of the README in this language, in their order. */
function blocks(language: string): string[] {
  const fence = new RegExp("^```" + language + "\\n(.*?)^```$", "gms");
  return [...README.matchAll(fence)].map(([_, text = ""]) => text);
}

/** The tables of the README, as rows of cells without marks of code. */
function tables(): string[][][] {
  return README.split(/\n\n+/).filter((part) => part.startsWith("|")).map((
    part,
  ) =>
    part.trim().split("\n").filter((_, index) => index !== 1).map((row) =>
      row.split(/(?<!\\)\|/).slice(1, -1).map((cell) =>
        cell.trim().replaceAll("`", "").replaceAll("\\|", "|")
      )
    )
  );
}

/** Fails, showing what to paste, when the README has no such table. */
function assertTable(rows: [string, string][], head: [string, string]) {
  const expected = [head, ...rows];
  const found = tables().some((table) =>
    JSON.stringify(table) === JSON.stringify(expected)
  );
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const paste = [`| ${head[0]} | ${head[1]} |`, "| --- | --- |"]
    .concat(
      rows.map(([term, meaning]) => `| \`${cell(term)}\` | ${cell(meaning)} |`),
    ).join("\n");
  assert(found, `README.md lacks this table:\n${paste}`);
}

Deno.test("README shows the options of each script as --help does", () => {
  for (
    const options of [
      ...SCRIPTS.map(({ options }) => options),
      allOptions({ options: {} }),
    ]
  ) {
    assertTable(optionGroups(options).flatMap(({ rows }) => rows), [
      "option",
      "what it does",
    ]);
  }
});

Deno.test("README shows the variables and exit codes that the code has", () => {
  assertTable(Object.entries(ENVIRONMENT), ["variable", "what it sets"]);
  assertTable(Object.entries(EXIT_CODES), ["exit code", "meaning"]);
});

Deno.test("--help of each script shows its option table", async () => {
  for (const script of SCRIPTS) {
    const { code, stdout } = await run(script.name, ["--help"]);
    assertEquals(code, 0);
    const lines = stdout.split("\n").map((line) =>
      line.trim().replace(/ {2,}/, "\t")
    );
    for (
      const { heading, rows } of optionGroups(allOptions(script))
    ) {
      assert(lines.includes(`${heading}:`));
      for (const row of rows) {
        assert(lines.includes(row.join("\t")), row.join("\t"));
      }
    }
  }
});

/** What the examples read must be there. */
async function seed(port: TestPort) {
  const approvedVersion = CIRCLECI.CIRCLE_SHA1;
  const properties = { version: "1.0.0", approvedVersion };
  const checkout = { identifier: "checkout", properties };
  await port.call("POST", "/blueprints/service/entities?upsert=true", checkout);
}

/** Starts the made-up action and gives the id of its run. */
async function startRun(port: TestPort): Promise<string> {
  const body = { properties: {} };
  const answer = await port.call("POST", "/actions/deploy/runs", body);
  return (await answer.json()).run.id;
}

Deno.test("README's shell examples run as written", async () => {
  const examples = blocks("sh").map((text) =>
    // The tests cannot run themselves.
    text.replace(/npx -y deno@\S+ task test\n/, "")
  );
  assert(examples.length >= 7);
  for (const example of examples) {
    await withPort({}, async (port) => {
      await seed(port);
      const { code, stderr } = await runInShell(example, port, CIRCLECI);
      assertEquals(code, 0, `${example}\n${stderr}`);
    });
  }
});

Deno.test("the examples of --help run as they stand", async () => {
  for (const { name, examples } of SCRIPTS) {
    for (const { args } of examples) {
      await withPort({}, async (port) => {
        await seed(port);
        const { code, stderr } = await runInShell(
          `scripts/${name}.ts ${args}`,
          port,
          { ...CIRCLECI, PORT_RUN_ID: await startRun(port) },
        );
        assertEquals(code, 0, `${name} ${args}\n${stderr}`);
      });
    }
  }
});

Deno.test("README's first two commands are those that CI runs", async () => {
  const ci = await Deno.readTextFile(new URL(".ci/run", ROOT));
  const commands = blocks("sh")[0]?.trim().split("\n") ?? [];
  assertEquals(commands.length, 2);
  for (const command of commands) assertStringIncludes(ci, `\n${command}\n`);
});

Deno.test("README's CircleCI job is the one of this repository's own pipeline", () => {
  const [snippet = ""] = blocks("yaml");
  const pasted = parseConfig(snippet);
  const config = parseConfig(CONFIG);
  assertEquals(pasted.executors, config.executors);
  const job = (config: Config) => Object(config.jobs)["report-to-port"];
  assertEquals(job(pasted), job(config));
  const [use] = Object(pasted.workflows).deploy.jobs;
  assertEquals(use["report-to-port"].context, "port");
});

Deno.test("README's recipes run as written", async () => {
  const recipes = blocks("yaml").slice(1).map(parseConfig);
  assert(recipes.length >= 3);
  const { commands = {} } = parseConfig(CONFIG);
  for (const recipe of recipes) {
    for (const name of Object.keys(recipe.jobs ?? {})) {
      await withPort({}, async (port) => {
        await seed(port);
        const config = { ...recipe, commands };
        const pipeline = {
          "pipeline.parameters.port-run-id": await startRun(port),
        };
        const result = await runJob(config, name, {}, port, pipeline);
        const { isFailed, stderr } = result;
        assert(!isFailed, `${name}: ${stderr}`);
      });
    }
  }
});

Deno.test("README, .ci/run and the pipeline name one version of Deno", async () => {
  const files = [
    "README.md",
    ".ci/run",
    ".ci/conformance",
    ".circleci/config.yml",
    "CONTRIBUTING.md",
    "scripts/demo.ts",
  ];
  const versions = await Promise.all(files.map(async (file) => {
    const text = await Deno.readTextFile(new URL(file, ROOT));
    return [...text.matchAll(/\bdeno[@:](\d+\.\d+\.\d+)/g)].map((
      [_, version],
    ) => version);
  }));
  for (const found of versions) assert(found.length > 0);
  assertEquals(new Set(versions.flat()).size, 1);
});

Deno.test("the job and README give the rights of the script's first line", async () => {
  const [env = "", ...rights] = await permissionsOf("upsert_entity");
  const network = rights.at(-1) ?? "";
  for (const text of [README, CONFIG]) {
    assertStringIncludes(text, env.replace(",BASH_ENV", ""));
    assertStringIncludes(text, network);
  }
});
