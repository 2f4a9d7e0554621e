import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import {
  type Config,
  parseConfig,
  runJob,
  runWorkflow,
} from "./support/pipeline.ts";
import { CIRCLECI, prepare } from "./support/calls.ts";
import { logins, put, type TestPort, withPort } from "./support/port.ts";
import { ROOT } from "./support/run.ts";

const TEXT = await Deno.readTextFile(new URL(".circleci/config.yml", ROOT));
const CONFIG = parseConfig(TEXT);

/** Text that would do harm in a shell line. */
const HOSTILE = "\"; touch pwned; $(touch pwned) `touch pwned` ' \\ !x\t<&1";

async function putCheckout(port: TestPort, properties: Config) {
  await put(port, "service", [{ identifier: "checkout", properties }]);
}

/** The properties of an entity in the catalogue. */
async function properties(port: TestPort, blueprint: string, id: string) {
  return Object(await port.entity(blueprint, id)).properties;
}

const JOB = CIRCLECI.CIRCLE_WORKFLOW_JOB_ID;
const DEPLOYMENT = { service: "checkout", version: "1.4.2" };

Deno.test("the pipeline's workflow passes twice, from an empty catalogue on", async () => {
  await withPort({}, async (port) => {
    for (const version of ["a".repeat(40), "b".repeat(40)]) {
      const results = await runWorkflow(CONFIG, "main", port, {
        pipeline: { "pipeline.git.revision": version },
        // These run the tests.
        skip: ["check", "copied"],
      });
      assertEquals([...results.keys()], ["report-to-port", "deploy"]);
      for (const { isFailed, stderr } of results.values()) {
        assert(!isFailed, stderr);
      }
      const service = await properties(port, "service", "circleci-port");
      assertEquals(service, { version, lifecycle: "deployed" });
    }
  });
});

Deno.test("README's recipe for action runs runs only with a run id", async () => {
  const readme = await Deno.readTextFile(new URL("scripts/README.md", ROOT));
  const blocks = readme.match(/(?<=^```yaml\n).*?(?=^```$)/gms) ?? [];
  const text = blocks.find((block) => block.includes("port-run-id"));
  const recipe = parseConfig(text ?? "");
  await withPort({}, async (port) => {
    const push = await runWorkflow(recipe, "run-action", port);
    assertEquals([push.size, port.log], [0, []]);
    const id = await prepare(port);
    const results = await runWorkflow(recipe, "run-action", port, {
      pipeline: { "pipeline.parameters.port-run-id": id },
    });
    const result = results.get("run-action");
    assertEquals(result?.isFailed, false, result?.stderr);
    const answer = await port.call("GET", `/actions/runs/${id}`);
    assertEquals((await answer.json()).run.status, "SUCCESS");
  });
});

Deno.test("the action for Port starts README's recipe and gives it the run id", async () => {
  const file = "scripts/actions/run_circleci_pipeline.json";
  const text = await Deno.readTextFile(new URL(file, ROOT));
  const { url, method, synchronized, headers, body } = JSON.parse(text)
    .invocationMethod;
  assertEquals([method, synchronized], ["POST", false]);
  assertMatch(
    url,
    /^https:\/\/circleci\.com\/api\/v2\/project\/\w+\/pipeline\/run$/,
  );
  // The token stays in Port's secrets.
  assertEquals(headers["Circle-Token"], "{{ .secrets.CIRCLECI_TOKEN }}");
  const readme = await Deno.readTextFile(new URL("scripts/README.md", ROOT));
  for (
    const name of [
      file.slice(8),
      "CIRCLECI_TOKEN",
      ...text.match(/\b[A-Z]+_[A-Z_]+\b/g) ?? [],
    ]
  ) {
    assert(readme.includes(name), name);
  }
  const { definition_id, config, checkout, parameters } = body;
  assertEquals(definition_id, "PIPELINE_DEFINITION_ID");
  assertEquals(config, checkout);
  assertEquals(parameters, { "port-run-id": "{{ .run.id }}" });
  assert(readme.includes("\nparameters:\n  port-run-id:\n"));
});

Deno.test("the pipeline's job report-to-port leaves the version in Port, whatever it is", async () => {
  for (const version of ["1.4.2", HOSTILE]) {
    await withPort({}, async (port) => {
      const parameters = { service: "checkout", version };
      const result = await runJob(CONFIG, "report-to-port", parameters, port);
      assert(!result.isFailed, result.stderr);
      assertEquals(await properties(port, "service", "checkout"), { version });
    });
  }
});

Deno.test("the pipeline's job deploy logs in once and reports itself", async () => {
  await withPort({}, async (port) => {
    const before = { version: "1.4.1", locked_in_prod: false };
    await putCheckout(port, before);
    const loginsBefore = logins(port);
    const result = await runJob(CONFIG, "deploy", DEPLOYMENT, port);
    assert(!result.isFailed, result.stderr);
    assertEquals(logins(port) - loginsBefore, 1);
    assertMatch(result.stdout, /Here version 1\.4\.2 would be deployed/);
    const job = await properties(port, "ciJob", JOB);
    assertEquals(job.status, "success");
    assertEquals(job.jobBranch, "https://github.com/acme/shop/tree/main");
    assert(job.startedAt <= job.finishedAt);
    const after = { ...before, lifecycle: "deployed" };
    assertEquals(await properties(port, "service", "checkout"), after);
  });
});

Deno.test("the pipeline's job deploy stops in red while production is locked", async () => {
  await withPort({}, async (port) => {
    await putCheckout(port, { version: "1.4.1", locked_in_prod: true });
    const result = await runJob(CONFIG, "deploy", DEPLOYMENT, port);
    assert(result.isFailed);
    assertEquals(result.ran, [
      "Log in to Port",
      "Stop while production is locked",
      "Report the job to Port as failure",
    ]);
    assertMatch(result.stderr, /locked_in_prod is true, expected not true/);
    const { status, startedAt } = await properties(port, "ciJob", JOB);
    assertEquals([status, startedAt], ["failure", undefined]);
  });
});

/** All commands that a value of the configuration holds. */
function commandsIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  const { command, run, ...rest } = value as Record<string, unknown>;
  return [
    ...[command, run].filter((text) => typeof text === "string"),
    ...Object.values({ ...rest, run }).flatMap(commandsIn),
  ];
}

Deno.test("no parameter reaches a shell line, and no << but a parameter's", () => {
  const commands = commandsIn(CONFIG);
  assert(commands.length > 5);
  for (const command of commands) assert(!command.includes("<<"), command);
  for (const [tag] of TEXT.matchAll(/<<(?!: \*).{0,20}/g)) {
    assertMatch(tag, /^<< (?:parameters|pipeline)\./);
  }
});
