import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { type Config, parseConfig, runJob } from "./support/pipeline.ts";
import { CIRCLECI } from "./support/calls.ts";
import { type TestPort, withPort } from "./support/port.ts";
import { ROOT } from "./support/run.ts";

const CONFIG = parseConfig(
  await Deno.readTextFile(new URL(".circleci/config.yml", ROOT)),
);

/** Text that would do harm in a shell line. */
const HOSTILE = "\"; touch pwned; $(touch pwned) `touch pwned` ' \\ !x\t<&1";

/** The configuration with one more job, made of these steps. */
function withJob(steps: unknown[]): Config {
  const job = { executor: "deno", steps } as Config;
  return { ...CONFIG, jobs: { job } };
}

async function service(port: TestPort, properties: Record<string, unknown>) {
  await port.call("POST", "/blueprints/service/entities?upsert=true", {
    identifier: "checkout",
    properties,
  });
}

/** The properties of an entity in the catalogue. */
async function properties(port: TestPort, blueprint: string, id: string) {
  return Object(await port.entity(blueprint, id)).properties;
}

const JOB = CIRCLECI.CIRCLE_WORKFLOW_JOB_ID;

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

Deno.test("the pipeline's job deploy reports itself and hands the old version on", async () => {
  await withPort({}, async (port) => {
    await service(port, { version: "1.4.1", locked_in_prod: false });
    const parameters = { service: "checkout", version: "1.4.2" };
    const result = await runJob(CONFIG, "deploy", parameters, port);
    assert(!result.isFailed, result.stderr);
    assertStringIncludes(result.stdout, "Here 1.4.1 would give way to 1.4.2");
    const { status, startedAt, finishedAt, jobBranch } = await properties(
      port,
      "ciJob",
      JOB,
    );
    assertEquals([status, jobBranch], [
      "success",
      "https://github.com/acme/shop/tree/main",
    ]);
    assert(startedAt <= finishedAt);
    assertEquals(await properties(port, "service", "checkout"), {
      version: "1.4.1",
      locked_in_prod: false,
      lifecycle: "deployed",
    });
  });
});

Deno.test("the pipeline's job deploy stops in red while production is locked", async () => {
  await withPort({}, async (port) => {
    await service(port, { version: "1.4.1", locked_in_prod: true });
    const parameters = { service: "checkout", version: "1.4.2" };
    const result = await runJob(CONFIG, "deploy", parameters, port);
    assert(result.isFailed);
    assertEquals(result.ran, [
      "Read an entity from Port",
      "Report the job to Port as failure",
    ]);
    assertStringIncludes(
      result.stderr,
      "properties.locked_in_prod is true, expected anything but true",
    );
    const { status, startedAt } = await properties(port, "ciJob", JOB);
    assertEquals([status, startedAt], ["failure", undefined]);
  });
});

Deno.test("with-ci-job-report leaves a failure in Port and the job red", async () => {
  await withPort({}, async (port) => {
    const config = withJob([
      "checkout",
      {
        "with-ci-job-report": {
          steps: [
            { run: "echo one" },
            { run: { name: "fails", command: "false" } },
            { run: "echo never" },
          ],
        },
      },
    ]);
    const result = await runJob(config, "job", {}, port);
    assert(result.isFailed);
    assertEquals(result.ran, [
      "Report the job to Port as running",
      "echo one",
      "fails",
      "Report the job to Port as failure",
    ]);
    const { status, finishedAt } = await properties(port, "ciJob", JOB);
    assertEquals(status, "failure");
    assertMatch(finishedAt, /^\d{4}-\d\d-\d\dT.*Z$/);
  });
});

Deno.test("with-ci-job-report does not fail a job because Port refuses it", async () => {
  await withPort({}, async (port) => {
    const config = withJob([
      { "with-ci-job-report": { steps: [{ run: "echo works" }] } },
    ]);
    const wrong = { ...port.env, PORT_CLIENT_SECRET: "wrong" };
    const result = await runJob(config, "job", {}, { ...port, env: wrong });
    assert(!result.isFailed, result.stderr);
    assertEquals(result.stdout, "works\n");
    assertMatch(result.stderr, /warning: .*\(--soft-fail\) \(https:\S+\/42\)/);
  });
});

Deno.test("with-ci-job-report fails the job where its report must arrive", async () => {
  await withPort({}, async (port) => {
    const steps = [{ run: "echo never" }];
    const strict = { steps, "soft-fail": false };
    const config = withJob([{ "with-ci-job-report": strict }]);
    const wrong = { ...port.env, PORT_CLIENT_SECRET: "wrong" };
    const result = await runJob(config, "job", {}, { ...port, env: wrong });
    assert(result.isFailed);
    assertEquals(result.stdout, "");
  });
});

Deno.test("upsert-entity and get-entity take hostile parameters for values only", async () => {
  await withPort({}, async (port) => {
    const text = JSON.stringify(HOSTILE);
    const config = withJob([
      {
        "upsert-entity": {
          blueprint: "service",
          identifier: "checkout",
          title: HOSTILE,
          properties: `{"url": "https://acme.test", "language": ${text}}`,
          relations: '{"image": "not+there:yet"}',
          "create-missing-related-entities": true,
          "set-env": "TITLE=title\nLINK=properties.url",
        },
      },
      {
        "get-entity": {
          blueprint: "service",
          identifier: "checkout",
          expect: `title=${text}\nproperties.version!=1`,
          "set-env": "LANGUAGE=properties.language",
        },
      },
      {
        run: `printf '%s\\n' "$TITLE" "$LINK" "$LANGUAGE" >&2`,
      },
    ]);
    const result = await runJob(config, "job", {}, port);
    assert(!result.isFailed, result.stderr);
    assertStringIncludes(
      result.stderr,
      `${HOSTILE}\nhttps://acme.test\n${HOSTILE}\n`,
    );
  });
});

Deno.test("report-ci-job takes hostile parameters for values only", async () => {
  await withPort({}, async (port) => {
    const run = (parameters: Config) =>
      runJob(
        withJob([{ "report-ci-job": { status: "running", ...parameters } }]),
        "job",
        {},
        port,
      );
    const wrong: [parameters: Config, says: string][] = [
      [{ blueprint: HOSTILE }, "Cannot use the blueprint identifier"],
      [{ relations: HOSTILE }, "Cannot read --relation"],
      [{ relations: `image:=["${HOSTILE}"]` }, "Cannot read --relation"],
    ];
    for (const [parameters, says] of wrong) {
      const { isFailed, stderr } = await run(parameters);
      assert(isFailed);
      assertStringIncludes(stderr, says);
    }
    const right = await run({ relations: 'image:=["a+b", "c:d"]' });
    assert(!right.isFailed, right.stderr);
  });
});

Deno.test("upsert-entity can replace, and can fail softly", async () => {
  await withPort({}, async (port) => {
    await service(port, { version: "1", replicas: 2 });
    const upsert = (parameters: Config) => ({
      "upsert-entity": {
        blueprint: "service",
        identifier: "checkout",
        ...parameters,
      },
    });
    const config = withJob([
      upsert({ properties: '{"version": "2"}', replace: true }),
      upsert({ properties: '{"colour": "red"}', "soft-fail": true }),
    ]);
    const result = await runJob(config, "job", {}, port);
    assert(!result.isFailed, result.stderr);
    assertEquals(await properties(port, "service", "checkout"), {
      version: "2",
    });
  });
});

Deno.test("get-entity waits for what is expected", async () => {
  await withPort({}, async (port) => {
    const config = withJob([
      {
        "get-entity": {
          blueprint: "service",
          identifier: "checkout",
          expect: "properties.approvedVersion=1.4.2",
          wait: "1s",
        },
      },
    ]);
    const { isFailed, stderr } = await runJob(config, "job", {}, port);
    assert(isFailed);
    assertStringIncludes(stderr, "Waiting: Cannot get entity");
    assertStringIncludes(stderr, "(waited 1 s)");
    await service(port, { approvedVersion: "1.4.2" });
    assert(!(await runJob(config, "job", {}, port)).isFailed);
  });
});

Deno.test("no parameter reaches a shell line, and no << but a parameter's", async () => {
  const text = await Deno.readTextFile(new URL(".circleci/config.yml", ROOT));
  const visit = (value: unknown): string[] => {
    if (typeof value !== "object" || value === null) return [];
    const { command, run, ...rest } = value as Record<string, unknown>;
    return [
      ...[command, run].filter((text) => typeof text === "string"),
      ...Object.values({ ...rest, run }).flatMap(visit),
    ];
  };
  const commands = visit(CONFIG);
  assert(commands.length > 5);
  for (const command of commands) assert(!command.includes("<<"), command);
  for (const [tag] of text.matchAll(/<<(?!: \*).{0,20}/g)) {
    assertMatch(tag, /^<< (?:parameters|pipeline)\./);
  }
});
