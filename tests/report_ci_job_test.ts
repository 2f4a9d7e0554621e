import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { CIRCLECI } from "./support/calls.ts";
import { assertWrongCalls, type TestPort, withPort } from "./support/port.ts";
import { run } from "./support/run.ts";

/** Runs the script in a made-up job of CircleCI. */
async function report(
  port: TestPort,
  args: string[],
  variables: Record<string, string> = {},
) {
  const env = { ...port.env, ...CIRCLECI, NO_COLOR: "1", ...variables };
  return await run("report_ci_job", args, { env });
}

/** The made-up job as Port holds it. */
async function reported(port: TestPort, id = CIRCLECI.CIRCLE_WORKFLOW_JOB_ID) {
  return Object(await port.entity("ciJob", id));
}

Deno.test("report_ci_job reports the start and the end as one entity", async () => {
  await withPort({}, async (port) => {
    const start = await report(port, ["--status", "running"]);
    assertEquals(
      [start.code, start.stderr],
      [0, 'Reported "running" of "build #42" to "ciJob"\n'],
    );
    const { startedAt } = (await reported(port)).properties;
    const end = await report(port, ["--status", "success"]);
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
    assertMatch(finishedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assertEquals(JSON.parse(end.stdout).properties, properties);
  });
});

Deno.test("report_ci_job sends every status, and a subset of the properties", async () => {
  await withPort({}, async (port) => {
    for (const status of ["running", "success", "failure", "canceled"]) {
      const { code, stderr } = await report(port, [
        "--status",
        status,
        "--identifier",
        status,
        "--only",
        "status",
        "--only",
        "commitHash",
      ]);
      assertEquals(code, 0, stderr);
      assertEquals(await reported(port, status), {
        identifier: status,
        properties: { commitHash: CIRCLECI.CIRCLE_SHA1, status },
        relations: {},
      });
    }
  });
});

Deno.test("report_ci_job feeds a blueprint of another shape", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await report(port, [
      "--status=running",
      "--blueprint=service",
      "--identifier=checkout",
      "--map=commitHash=CIRCLE_SHA1",
      "--map=url=CIRCLE_REPOSITORY_URL",
      "--map=version=CIRCLE_TAG",
      "--property=replicas:=3",
      "--relation=image=checkout-1",
      "--create-missing-related-entities",
    ], { CIRCLE_REPOSITORY_URL: "https://x:hush@github.com/acme/shop" });
    assertEquals(code, 0, stderr);
    assertStringIncludes(
      stderr,
      'CIRCLE_TAG is not set: "version" is left out',
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
  const { code, stdout } = await run(
    "report_ci_job",
    ["--status", "running", "--dry-run"],
    { env: CIRCLECI },
  );
  assertEquals(code, 0);
  const { method, url, body } = JSON.parse(stdout);
  assertEquals([method, url, body.identifier], [
    "POST",
    "https://api.port.io/v1/blueprints/ciJob/entities?upsert=true&merge=true",
    CIRCLECI.CIRCLE_WORKFLOW_JOB_ID,
  ]);
});

Deno.test("report_ci_job outside CircleCI says which variables are missing", async () => {
  await assertWrongCalls("report_ci_job", [[
    ["--status", "running"],
    "CIRCLE_WORKFLOW_JOB_ID, CIRCLE_WORKFLOW_ID, CIRCLE_JOB, " +
    "CIRCLE_BUILD_NUM, CIRCLE_BUILD_URL, CIRCLE_SHA1 not set",
  ]]);
});

Deno.test("report_ci_job answers a wrong call with one line, exit code 2 and no request", async () => {
  await withPort({}, async (port) => {
    const calls: [args: string[], says: string][] = [
      [[], "Missing --status STATUS"],
      [["-s", "broken"], "running, success, failure, canceled"],
      [["-s", "running", "--only", "colour"], '--only "colour"'],
      [["-s", "running", "--map", "sha"], '--map "sha"'],
      [["-s", "running", "--map", "home=HOME"], "Cannot read HOME"],
      [["-s", "running", "--map", "a=PORT_CLIENT_SECRET"], "a secret"],
      [["-s", "running", "--map", "a=CIRCLE_OIDC_TOKEN_V2"], "a secret"],
      [["-s", "running", "-i", "a b"], '"a b"'],
      [["-s", "running", "-b", ""], "--blueprint ID is empty"],
      [["-s", "running", "-b", "a b"], "blueprint identifier"],
      [["-s", "running", "-p", "x"], '--property "x"'],
      [["-s", "running", "-r", "x"], '--relation "x"'],
      [["-s", "running", "--dry-run=1"], "takes no value"],
      [["-s", "running", "--create-missing-related-entities=1"], "no value"],
    ];
    for (const [args, says] of calls) {
      const { code, stderr } = await report(port, args);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, /^error: [^\n]*\n$/);
      assertStringIncludes(stderr, says);
    }
    assertEquals(port.log, []);
  });
});

Deno.test("report_ci_job ends with the link of the run when it fails in CircleCI", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await report(port, [
      "-s",
      "running",
      "-p",
      "colour=red",
    ]);
    assertEquals(code, 5);
    assertMatch(stderr, /^error: Cannot upsert .*"colour".*\/shop\/42\)\n$/);
    const text = await report(port, ["-s", "running", "-r", "image=x"]);
    assertEquals(text.code, 5);
    assertStringIncludes(text.stderr, "NAME:=JSON");
  });
});
