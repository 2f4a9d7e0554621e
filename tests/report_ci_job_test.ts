import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { CIRCLECI } from "./support/calls.ts";
import {
  assertFailures,
  assertWrongCalls,
  type TestPort,
  withPort,
  type WrongCall,
} from "./support/port.ts";
import { run } from "./support/run.ts";

/** A made-up job of CircleCI. */
const JOB = { env: { ...CIRCLECI, NO_COLOR: "1" } };

/** The made-up job as Port holds it. */
async function reported(port: TestPort, id = CIRCLECI.CIRCLE_WORKFLOW_JOB_ID) {
  return Object(await port.entity("ciJob", id));
}

Deno.test("report_ci_job reports the start and the end as one entity", async () => {
  await withPort({}, async (port) => {
    const start = await port.run("report_ci_job", "--status running", JOB);
    assertEquals(
      [start.code, start.stderr],
      [0, 'Reported "running" of "build #42" to "ciJob"\n'],
    );
    const { startedAt } = (await reported(port)).properties;
    const end = await port.run("report_ci_job", "--status success", JOB);
    assertEquals(end.code, 0, end.stderr);
    const { title, properties } = await reported(port);
    const { finishedAt, ...rest } = properties;
    assertEquals([title, rest], ["build #42", {
      triggeredBy: "octocat",
      commitHash: CIRCLECI.CIRCLE_SHA1,
      runLink: CIRCLECI.CIRCLE_BUILD_URL,
      job: "build",
      workflow: CIRCLECI.CIRCLE_WORKFLOW_ID,
      jobBranch: "https://github.com/acme/shop/tree/main",
      status: "success",
      startedAt,
    }]);
    for (const time of [startedAt, finishedAt]) {
      assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    assertEquals(JSON.parse(end.stdout).properties, properties);
  });
});

Deno.test("report_ci_job sends every status, and a subset of the properties", async () => {
  await withPort({}, async (port) => {
    for (const status of ["running", "success", "failure", "canceled"]) {
      const args = `--status ${status} --identifier ${status} ` +
        "--only status --only commitHash";
      const { code, stderr } = await port.run("report_ci_job", args, JOB);
      assertEquals(code, 0, stderr);
      assertEquals(await reported(port, status), {
        identifier: status,
        properties: { commitHash: CIRCLECI.CIRCLE_SHA1, status },
        relations: {},
      });
    }
  });
});

Deno.test("report_ci_job updates a blueprint of another shape", async () => {
  const url = "https://x:hush@github.com/acme/shop";
  await withPort({}, async (port) => {
    const { code, stderr } = await port.run(
      "report_ci_job",
      "--status=running --blueprint=service --identifier=checkout " +
        "--map=commitHash=CIRCLE_SHA1 --map=url=CIRCLE_REPOSITORY_URL " +
        "--map=version=CIRCLE_TAG --property=replicas:=3 " +
        "--relation=image=checkout-1 --create-missing-related-entities",
      { env: { ...JOB.env, CIRCLE_REPOSITORY_URL: url } },
    );
    assertEquals(code, 0, stderr);
    assertStringIncludes(
      stderr,
      'warning: CIRCLE_TAG is not set: "version" is left out\n',
    );
    assertEquals(await port.entity("service", "checkout"), {
      identifier: "checkout",
      properties: {
        commitHash: CIRCLECI.CIRCLE_SHA1,
        url: "https://github.com/acme/shop",
        replicas: 3,
      },
      relations: { image: "checkout-1" },
    });
  });
});

Deno.test("report_ci_job --dry-run prints the request and sends nothing", async () => {
  const args = "--status running --dry-run";
  const { code, stdout } = await run("report_ci_job", args, JOB);
  assertEquals(code, 0);
  const { method, url, body } = JSON.parse(stdout);
  assertEquals([method, url, body.identifier], [
    "POST",
    "https://api.port.io/v1/blueprints/ciJob/entities?upsert=true&merge=true",
    CIRCLECI.CIRCLE_WORKFLOW_JOB_ID,
  ]);
});

Deno.test("report_ci_job outside CircleCI names the missing variables", async () => {
  await assertWrongCalls("report_ci_job", [[
    "--status running",
    "CIRCLE_WORKFLOW_JOB_ID, CIRCLE_WORKFLOW_ID, CIRCLE_JOB, " +
    "CIRCLE_BUILD_NUM, CIRCLE_BUILD_URL, CIRCLE_SHA1 not set",
  ]]);
});

Deno.test("report_ci_job rejects wrong arguments with exit code 2, before any request", async () => {
  const calls: [flags: string, message: string][] = [
    ["", "Missing --status STATUS"],
    ["-s broken", 'Cannot use --status "broken": it must be one of running, '],
    ["-s running --only colour", 'Cannot use --only "colour"'],
    ["-s running --map sha", 'Cannot read --map "sha"'],
    ["-s running --map home=HOME", "Cannot read HOME"],
    ["-s running --map a=PORT_CLIENT_SECRET", "a secret"],
    ["-s running --map a=CIRCLE_OIDC_TOKEN_V2", "a secret"],
    ["-s running -i ..", 'Cannot use the entity identifier ".."'],
    ["-s running -b a=b", 'Cannot use the blueprint identifier "a=b"'],
    ["-s running -p x", 'Cannot read --property "x"'],
    ["-s running -r x", 'Cannot read --relation "x"'],
  ];
  // Without this variable, the line does not end with the link of the run.
  const env = { ...CIRCLECI, CIRCLECI: "" };
  await assertWrongCalls(
    "report_ci_job",
    calls.map(([flags, message]): WrongCall => [flags, message, { env }]),
  );
});

Deno.test("report_ci_job ends with the link of the run if it fails in CircleCI", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await port.run(
      "report_ci_job",
      "-s running -p colour=red",
      JOB,
    );
    assertEquals(code, 5);
    assertMatch(
      stderr,
      /^error: Cannot upsert .*"colour".* \(https:\/\/circleci\.com\/gh\/acme\/shop\/42\)\n$/,
    );
    await assertFailures(port, "report_ci_job", [
      ["-s running -r image=x", 5, "NAME:=JSON", JOB],
    ]);
  });
});
