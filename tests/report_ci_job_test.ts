import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import { UsageError } from "../lib/errors.ts";
import {
  branchPage,
  JOB_PROPERTIES,
  JOB_STATUSES,
  readCiJob,
  readVariables,
} from "../scripts/report_ci_job.ts";
import { CIRCLECI } from "./support/calls.ts";
import {
  assertFailures,
  assertWrongCalls,
  SECRET,
  type TestPort,
  withPort,
  type WrongCall,
} from "./support/port.ts";
import { ROOT, run } from "./support/run.ts";

/** A made-up job of CircleCI. */
const JOB = { env: { ...CIRCLECI, NO_COLOR: "1" } };

/** The made-up job as Port holds it. */
async function reported(port: TestPort, id = CIRCLECI.CIRCLE_WORKFLOW_JOB_ID) {
  return Object(await port.entity("ciJob", id));
}

Deno.test("report_ci_job reports the start and the end as one entity", async () => {
  await withPort({}, async (port) => {
    const start = await port.run("report_ci_job", "--status running", JOB);
    const line = 'Reported "running" of "build #42" to "ciJob"\n';
    assertEquals([start.code, start.stderr], [0, line]);
    const { startedAt } = (await reported(port)).properties;
    const end = await port.run("report_ci_job", "--status success", JOB);
    assertEquals(end.code, 0, end.stderr);
    const { title, properties } = await reported(port);
    const { finishedAt, status } = properties;
    assertEquals([title, status], ["build #42", "success"]);
    assertEquals(properties.startedAt, startedAt);
    for (const time of [startedAt, finishedAt]) {
      assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    assertEquals(JSON.parse(end.stdout).properties, properties);
  });
});

Deno.test("report_ci_job sends every status, and a subset of the properties", async () => {
  await withPort({}, async (port) => {
    for (const status of JOB_STATUSES) {
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
    assertEquals(
      stderr,
      'warning: CIRCLE_TAG is not set: "version" is left out\n' +
        'Reported "commitHash, url, replicas, image" of "build #42" to ' +
        '"service"; the status is not sent without --only status\n',
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

Deno.test("report_ci_job --map sends the status with --only status", async () => {
  await withPort({}, async (port) => {
    const args = "--status success --map tag=CIRCLE_TAG --only status";
    const { code, stderr } = await port.run("report_ci_job", args, JOB);
    const warning = 'warning: CIRCLE_TAG is not set: "tag" is left out\n';
    const line = 'Reported "success" of "build #42" to "ciJob"\n';
    assertEquals([code, stderr], [0, warning + line]);
    const { properties } = await reported(port);
    assertEquals(properties, { status: "success" });
  });
});

Deno.test("report_ci_job fails if there is nothing to send", async () => {
  await withPort({}, async (port) => {
    for (const choice of ["--map tag=CIRCLE_TAG", "--only tag"]) {
      const args = `--status success ${choice}`;
      const { code, stderr } = await port.run("report_ci_job", args, JOB);
      assertEquals(code, 2);
      assertStringIncludes(stderr, "there is nothing to send");
      assertEquals(stderr.includes("CIRCLE_TAG"), choice.startsWith("--map"));
    }
    assertEquals(port.log, []);
  });
});

Deno.test("report_ci_job --dry-run prints the request and sends nothing", async () => {
  const args = "--status running --dry-run";
  const { stdout } = await run("report_ci_job", args, JOB);
  const { method, url, body } = JSON.parse(stdout);
  const path = "blueprints/ciJob/entities?upsert=true&merge=true";
  assertEquals([method, url], ["POST", `https://api.port.io/v1/${path}`]);
  assertEquals(body.identifier, CIRCLECI.CIRCLE_WORKFLOW_JOB_ID);
});

Deno.test("report_ci_job rejects wrong arguments with exit code 2, before any request", async () => {
  const calls: [flags: string, message: string][] = [
    ["", "Missing --status STATUS"],
    ["-s broken", 'Cannot use --status "broken": it must be one of running, '],
    ["-s running --only colour", 'Cannot use --only "colour"'],
    ["-s running --map sha", 'Cannot read --map "sha"'],
    ["-s running --map home=HOME", "Cannot read HOME"],
    ["-s running --map a=CIRCLE_SHA1 --map a=CIRCLE_JOB", '"a" is given twice'],
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

Deno.test("report_ci_job --map rejects secrets, without showing them", async () => {
  const permissions = ["--allow-env", "--allow-net=127.0.0.1"];
  const call = (variable: string, value: string, reason: string): WrongCall => {
    const env = { ...CIRCLECI, CIRCLECI: "", [variable]: value };
    const message = `Cannot send ${variable} as a property: ${reason}`;
    return [`-s running --map a=${variable}`, message, { env, permissions }];
  };
  const named = "its name suggests a secret; if it is not one, use --property ";
  const names = "PORT_CLIENT_ID CIRCLE_OIDC_TOKEN CIRCLE_OIDC_TOKEN_V2 " +
    "NPM_SECRET DB_PASS DB_PWD api_key SLACK_WEBHOOK SENTRY_DSN " +
    "AWS_CREDENTIALS DATABASE_URL PASSWORD DBPASSWD PASSPHRASE TOKENS apiKey " +
    "AWS_ACCESS_KEY_ID SSHKEY MY_PRIVATEKEY KEYS KEY2 MYSQLPASS PG_DSN CREDS";
  const urls = [
    `postgres://u:${SECRET}@db/shop`,
    `https://u:/${SECRET}@github.com/a`,
    `https://${SECRET}@github.com/a`,
    `u:${SECRET}@github.com:a/b.git`,
    `https://gitlab.com/a?x=1&private_token=${SECRET}`,
  ];
  // assertWrongCalls() fails if an error shows SECRET.
  await assertWrongCalls("report_ci_job", [
    ...names.split(" ").map((name) =>
      call(name, SECRET, `${named}NAME="$${name}"`)
    ),
    ...urls.map((url) => call("PAGE", url, "its value is a URL with cred")),
  ]);
});

Deno.test("report_ci_job --map sends what only resembles a secret", async () => {
  const permissions = ["--allow-env", "--allow-net"];
  const values = [
    "ssh://git@github.com/a/b",
    "git@github.com:a/b.git",
    "https://acme.test:8443/a?b=1#c",
    "https://acme.test/a?monkey=1&passed=2",
    "registry.test:5000/shop@sha256:c0ffee",
    "me@acme.test",
  ];
  const names = ["MONKEY", "COMPASS_URL", "KEYCLOAK_URL", "TESTS_PASSED"];
  for (const name of names) {
    const args = `-s running --map a=${name} --dry-run`;
    const env = { ...JOB.env, [name]: "1" };
    const { stdout } = await run("report_ci_job", args, { permissions, env });
    assertEquals(JSON.parse(stdout).body.properties, { a: "1" }, name);
  }
  for (const VALUE of values) {
    const args = "-s running --map a=VALUE --dry-run";
    const env = { ...JOB.env, VALUE };
    const { stdout } = await run("report_ci_job", args, { permissions, env });
    assertEquals(JSON.parse(stdout).body.properties, { a: VALUE });
  }
});

Deno.test("report_ci_job ends with the link of the run if it fails in CircleCI", async () => {
  await withPort({}, async (port) => {
    const args = "-s running -p colour=red";
    const { code, stderr } = await port.run("report_ci_job", args, JOB);
    assertEquals(code, 5);
    assertMatch(stderr, /^error: .*"colour".* \(https:\/\/circleci.*\/42\)\n$/);
    const related = "create what is missing, or use --create-missing";
    await assertFailures(port, "report_ci_job", [
      ["-s running -r image=x", 5, "for non-string values use NAME:=JSON", JOB],
      ['-s running -r image:=["x"]', 4, related, JOB],
    ]);
  });
});

const NOW = new Date("2026-11-24T01:02:03.456Z");

/** Reads the made-up job, with other variables on top. */
function read(status: string, variables: Record<string, string> = {}) {
  const all: Record<string, string> = { ...CIRCLECI, ...variables };
  return readCiJob(status, NOW, (name) => all[name]);
}

Deno.test("readCiJob() describes the job by CircleCI's variables", () => {
  const job = read("running", {
    CIRCLE_PROJECT_USERNAME: "acme",
    CIRCLE_PROJECT_REPONAME: "shop",
    CIRCLE_TAG: "v1",
    CIRCLE_PULL_REQUEST: "https://github.com/acme/shop/pull/7",
  });
  assertEquals(job, {
    identifier: CIRCLECI.CIRCLE_WORKFLOW_JOB_ID,
    title: "build #42",
    properties: {
      triggeredBy: "octocat",
      commitHash: CIRCLECI.CIRCLE_SHA1,
      runLink: CIRCLECI.CIRCLE_BUILD_URL,
      job: "build",
      workflow: CIRCLECI.CIRCLE_WORKFLOW_ID,
      tag: "v1",
      pullRequest: "https://github.com/acme/shop/pull/7",
      project: "acme/shop",
      jobBranch: "https://github.com/acme/shop/tree/main",
      status: "running",
      startedAt: "2026-11-24T01:02:03.456Z",
    },
  });
});

Deno.test("readCiJob() omits what CircleCI does not set", () => {
  const absent = { CIRCLE_USERNAME: "", CIRCLE_REPOSITORY_URL: "" };
  const { properties } = read("success", absent);
  const set = ["commitHash", "finishedAt", "job", "runLink", "status"];
  assertEquals(Object.keys(properties).sort(), [...set, "workflow"]);
});

Deno.test("readCiJob() has an identifier per run of the job and parallel node", () => {
  const { identifier } = read("running");
  assertEquals(read("success").identifier, identifier);
  const nodes = ["0", "1"].map((CIRCLE_NODE_INDEX) =>
    read("running", { CIRCLE_NODE_TOTAL: "2", CIRCLE_NODE_INDEX })
  );
  assertEquals(
    nodes.map(({ identifier, title }) => [identifier, title]),
    [0, 1].map((node) => [`${identifier}-${node}`, `build #42 (${node})`]),
  );
  const rerun = read("running", { CIRCLE_WORKFLOW_JOB_ID: "other" });
  assertEquals(rerun.identifier, "other");
});

Deno.test("readCiJob() names the variables that are missing", () => {
  const missing = { CIRCLE_SHA1: "", CIRCLE_JOB: "" };
  const reason = "job: CIRCLE_JOB, CIRCLE_SHA1 not set or not readable";
  assertThrows(() => read("running", missing), UsageError, reason);
});

Deno.test("JOB_PROPERTIES and JOB_STATUSES are those of the blueprint ciJob", async () => {
  const file = new URL("scripts/blueprints/ci_job.json", ROOT);
  const { schema } = JSON.parse(await Deno.readTextFile(file));
  assertEquals(JOB_STATUSES, schema.properties.status.enum);
  const names = Object.keys(schema.properties);
  assertEquals([...JOB_PROPERTIES].sort(), names.sort());
});

Deno.test("readVariables() removes credentials from every URL", () => {
  const urls: [url: string, without: string][] = [
    ["https://github.com/a/b", "https://github.com/a/b"],
    ["https://x:ha@sh@github.com/a", "https://github.com/a"],
    ["https://hush@gitlab.com/a.git", "https://gitlab.com/a.git"],
    ["https://u:ha/sh@github.com/a", "https://github.com/a"],
    ["u:hush@github.com:a/b.git", "github.com:a/b.git"],
    ["https://x:123/y@github.com/a/b", "https://github.com/a/b"],
    ["https://u:ha@sh/1@github.com/a", "https://github.com/a"],
    ["u:ha@sh@github.com:a/b.git", "github.com:a/b.git"],
    ["https://a.test/b?private_token=hush&c=1", "https://a.test/b"],
    ["https://a.test/b?sharedAccessKey=hush", "https://a.test/b"],
    ["https://a.test/b?monkey=1&api-key=hush", "https://a.test/b?monkey=1"],
    ["https://a.test/b?c=1&private_token=hush", "https://a.test/b?c=1"],
    ["https://a.test/b#access_token=hush", "https://a.test/b"],
    ["see http://u:p@a/x, ssh://git@b/y", "see http://a/x, ssh://git@b/y"],
    ["git@github.com:a/b.git", "git@github.com:a/b.git"],
    ["https://acme.test/a@b", "https://acme.test/a@b"],
    ["https://acme.test:8443/a", "https://acme.test:8443/a"],
  ];
  for (const [url, without] of urls) {
    assertEquals(readVariables({ a: "A" }, () => url), { a: without });
  }
});

Deno.test("branchPage() finds the page at each VCS", () => {
  const github = "https://github.com/a/b/tree";
  const bitbucket = "https://bitbucket.org/a/b/branch";
  const pages: [remote: string, branch: string, page?: string][] = [
    ["https://github.com/a/b", "main", `${github}/main`],
    ["git@github.com:a/b.git", "new/c#1", `${github}/new/c%231`],
    ["git@ssh.github.com:a/b.git", "main", `${github}/main`],
    ["https://user:hush@github.com/a/b.git", "main", `${github}/main`],
    ["user:hush@github.com:a/b.git", "main", `${github}/main`],
    ["ssh://git@own.test:22/a/b.git", "c", "https://own.test/a/b/tree/c"],
    ["http://own.test:8080/a/b/", "c", "http://own.test:8080/a/b/tree/c"],
    ["git@bitbucket.org:a/b.git", "fix/c", `${bitbucket}/fix/c`],
    ["ssh://git@altssh.bitbucket.org:443/a/b.git", "c", `${bitbucket}/c`],
    ["git@gitlab.com:a/b/c.git", "d", "https://gitlab.com/a/b/c/-/tree/d"],
    ["https://gitlab.test/a/b", "к", "https://gitlab.test/a/b/-/tree/%D0%BA"],
    ["https://x:123/y@github.com/a/b", "main", `${github}/main`],
    ["https://github.com/a/b?private_token=hush", "main", `${github}/main`],
    ["https://github.com/a/b", "pull/7/c", `${github}/pull/7/c`],
    // A fork's pull request, Bitbucket's server, no branch, no web server.
    ["https://github.com/a/b", "pull/7"],
    ["https://github.com/a/b", "pull/7/merge"],
    ["x-access-token:hush@github.com/a/b", "main"],
    ["https://git.acme.test/scm/a/b.git", "main"],
    ["ssh://git@git.acme.test:7999/a/b.git", "main"],
    ["ssh://git@bitbucket.acme.test/a/b.git", "main"],
    ["git@bitbucket.acme.test:a/b.git", "main"],
    ["https://github.com/a/b", ""],
    ["", "main"],
    ["/srv/git/b.git", "main"],
    ["file:///srv/git/b.git", "main"],
  ];
  for (const [remote, branch, page] of pages) {
    assertEquals(branchPage(remote, branch), page, remote);
  }
});
