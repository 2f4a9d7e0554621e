import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import fc from "npm:fast-check@4.10.2";
import {
  branchPage,
  JOB_PROPERTIES,
  parseStepVariables,
  readCiJob,
  readVariables,
  setStepVariables,
} from "../lib/circleci.ts";
import { NotFoundError, UsageError } from "../lib/errors.ts";
import { CIRCLECI } from "./support/calls.ts";
import { runProcess } from "./support/run.ts";

const NOW = new Date("2026-11-24T01:02:03.456Z");

/** Reads the made-up job, with other variables on top. */
function read(status: string, variables: Record<string, string> = {}) {
  const all: Record<string, string> = { ...CIRCLECI, ...variables };
  return readCiJob(status, NOW, (name) => all[name]);
}

Deno.test("readCiJob() says what CircleCI says", () => {
  assertEquals(
    read("running", {
      CIRCLE_PROJECT_USERNAME: "acme",
      CIRCLE_PROJECT_REPONAME: "shop",
      CIRCLE_TAG: "v1",
      CIRCLE_PULL_REQUEST: "https://github.com/acme/shop/pull/7",
    }),
    {
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
    },
  );
});

Deno.test("readCiJob() leaves out what CircleCI does not say", () => {
  const { properties } = read("success", {
    CIRCLE_USERNAME: "",
    CIRCLE_REPOSITORY_URL: "",
  });
  assertEquals(Object.keys(properties).sort(), [
    "commitHash",
    "finishedAt",
    "job",
    "runLink",
    "status",
    "workflow",
  ]);
});

Deno.test("readCiJob() tells parallel nodes apart, and nothing else", () => {
  const one = read("running");
  assertEquals(read("success").identifier, one.identifier);
  const nodes = ["0", "1"].map((index) =>
    read("running", { CIRCLE_NODE_TOTAL: "2", CIRCLE_NODE_INDEX: index })
  );
  assertEquals(new Set(nodes.map(({ identifier }) => identifier)).size, 2);
  assertEquals(nodes[1]?.title, "build #42 (1)");
  const rerun = read("running", { CIRCLE_WORKFLOW_JOB_ID: "other" });
  assert(rerun.identifier !== one.identifier);
});

Deno.test("readCiJob() names what is missing outside CircleCI", () => {
  assertThrows(
    () => readCiJob("running", NOW, () => undefined),
    UsageError,
    "CIRCLE_WORKFLOW_JOB_ID, CIRCLE_WORKFLOW_ID, CIRCLE_JOB",
  );
  assertThrows(
    () => read("running", { CIRCLE_SHA1: "" }),
    UsageError,
    "job: CIRCLE_SHA1 not set or not readable",
  );
});

Deno.test("JOB_PROPERTIES are those of the blueprint ciJob", async () => {
  const blueprint = JSON.parse(
    await Deno.readTextFile(
      new URL("../scripts/blueprints/ci_job.json", import.meta.url),
    ),
  );
  assertEquals(
    [...JOB_PROPERTIES].sort(),
    Object.keys(blueprint.schema.properties).sort(),
  );
});

Deno.test("readVariables() takes credentials out of every URL", () => {
  const urls = {
    "https://github.com/acme/shop": "https://github.com/acme/shop",
    "https://x:to@ken@github.com/acme/shop": "https://github.com/acme/shop",
    "see http://u:p@host/x and ssh://git@host/y":
      "see http://host/x and ssh://host/y",
    "git@github.com:acme/shop.git": "git@github.com:acme/shop.git",
    "https://acme.test/a@b": "https://acme.test/a@b",
    "https://acme.test:8443/a@b": "https://acme.test:8443/a@b",
    "https://u:p/w@github.com/acme/shop": "https://github.com/acme/shop",
    "u:pw@github.com:acme/shop.git": "github.com:acme/shop.git",
  };
  for (const [url, expected] of Object.entries(urls)) {
    assertEquals(readVariables({ a: "A" }, () => url), { a: expected });
  }
  const { properties } = read("running", {
    CIRCLE_REPOSITORY_URL: "https://user:hush@gitlab.com/acme/shop.git",
  });
  assertEquals(JSON.stringify(properties).includes("hush"), false);
});

Deno.test("branchPage() finds the page at each VCS", () => {
  const pages: [remote: string, branch: string, page: string | undefined][] = [
    [
      "https://github.com/acme/shop",
      "main",
      "https://github.com/acme/shop/tree/main",
    ],
    [
      "git@github.com:acme/shop.git",
      "feature/a#1",
      "https://github.com/acme/shop/tree/feature/a%231",
    ],
    [
      "ssh://git@git.acme.test:2222/acme/shop.git",
      "main",
      "https://git.acme.test/acme/shop/tree/main",
    ],
    [
      "http://git.acme.test:8080/acme/shop/",
      "main",
      "http://git.acme.test:8080/acme/shop/tree/main",
    ],
    [
      "git@ssh.github.com:acme/shop.git",
      "main",
      "https://github.com/acme/shop/tree/main",
    ],
    [
      "ssh://git@altssh.bitbucket.org:443/acme/shop.git",
      "main",
      "https://bitbucket.org/acme/shop/branch/main",
    ],
    ["https://bitbucket.acme.test/scm/prj/shop.git", "main", undefined],
    [
      "git@gitlab.com:acme/group/shop.git",
      "main",
      "https://gitlab.com/acme/group/shop/-/tree/main",
    ],
    [
      "https://gitlab.acme.test/acme/shop.git",
      "ветка",
      "https://gitlab.acme.test/acme/shop/-/tree/%D0%B2%D0%B5%D1%82%D0%BA%D0%B0",
    ],
    [
      "git@bitbucket.org:acme/shop.git",
      "fix/x",
      "https://bitbucket.org/acme/shop/branch/fix/x",
    ],
    [
      "https://user:hush@github.com/acme/shop.git",
      "main",
      "https://github.com/acme/shop/tree/main",
    ],
    [
      "user:hush@github.com:acme/shop.git",
      "main",
      "https://github.com/acme/shop/tree/main",
    ],
    ["https://github.com/acme/shop", "", undefined],
    ["", "main", undefined],
    ["/srv/git/shop.git", "main", undefined],
    ["file:///srv/git/shop.git", "main", undefined],
  ];
  for (const [remote, branch, page] of pages) {
    assertEquals(branchPage(remote, branch), page, remote);
  }
});

/** A file as `$BASH_ENV` names one, for as long as the test lasts. */
async function withBashEnv(test: (path: string) => Promise<void>) {
  const path = await Deno.makeTempFile();
  try {
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

/** What bash holds in a variable once it has read the file. */
async function valueInBash(name: string, path: string) {
  const { code, stdout, stderr } = await runProcess(
    "bash",
    ["-eo", "pipefail", "-c", `printf '%s.' "$${name}"`],
    { env: { BASH_ENV: path } },
  );
  assertEquals([code, stderr], [0, ""]);
  assert(stdout.endsWith("."));
  return stdout.slice(0, -1);
}

Deno.test("setStepVariables() brings any value to bash unchanged, and runs nothing", async () => {
  const hostile = fc.constantFrom(
    "'",
    '"',
    "\\",
    "$(touch pwned)",
    "`touch pwned`",
    "\n",
    "\r",
    "!",
    "${PATH}",
    ";",
    "\x1b",
    "é",
    "😀",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }).filter((text) =>
      !text.includes("\0") && text.isWellFormed()
    ),
    fc.array(hostile).map((parts) => parts.join("")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(text, { maxLength: 20 }), async (values) => {
      await withBashEnv(async (path) => {
        const entity = { properties: { values } };
        const flags = values.map((_, index) =>
          `V${index}=properties.values.${index}`
        );
        setStepVariables(parseStepVariables(flags, path), entity, path);
        const names = values.map((_, index) => `"$V${index}"`);
        const { stdout, stderr } = await runProcess(
          "bash",
          ["-euo", "pipefail", "-c", `printf '%s\\0' ${names.join(" ")}`],
          { env: { BASH_ENV: path } },
        );
        const expected = values.length > 0 ? values : [""];
        assertEquals(
          [stdout, stderr],
          [expected.map((value) => `${value}\0`).join(""), ""],
        );
      });
    }),
    { numRuns: 60 },
  );
});

Deno.test("setStepVariables() takes 100 kB, and anything else than text as JSON", async () => {
  await withBashEnv(async (path) => {
    await Deno.writeTextFile(path, "export BEFORE=1");
    const long = "€'\n".repeat(20_000);
    const entity = { long, list: [1, { a: "b'c" }], yes: true, no: null };
    const flags = ["LONG=long", "LIST=list", "YES=yes", "NO=no"];
    setStepVariables(parseStepVariables(flags, path), entity, path);
    assertEquals(await valueInBash("LONG", path), long);
    assertEquals(await valueInBash("LIST", path), `[1,{"a":"b'c"}]`);
    assertEquals(await valueInBash("YES", path), "true");
    assertEquals(await valueInBash("NO", path), "null");
    assertEquals(await valueInBash("BEFORE", path), "1");
  });
});

Deno.test("setStepVariables() sets all or none", async () => {
  await withBashEnv(async (path) => {
    const entity = {
      good: "x",
      nul: "a\0b",
      half: "\ud800",
      huge: "x".repeat(131_072),
    };
    const set = (...flags: string[]) =>
      setStepVariables(parseStepVariables(flags, path), entity, path);
    assertThrows(
      () => set("A=good", "B=gone"),
      NotFoundError,
      'Cannot find "gone" in the entity: there is good, nul, half, huge',
    );
    assertThrows(() => set("A=good", "B=nul"), UsageError, 'set "B"');
    assertThrows(() => set("A=good", "B=half"), UsageError, 'set "B"');
    assertThrows(() => set("A=good", "B=huge"), UsageError, "131075 bytes");
    assertEquals(await Deno.readTextFile(path), "");
  });
});

Deno.test("parseStepVariables() refuses names that later steps depend on", () => {
  const names = [
    "PATH",
    "LD_PRELOAD",
    "BASH_ENV",
    "IFS",
    "ENV",
    "SHELLOPTS",
    "PS4",
    "CIRCLE_SHA1",
    "CIRCLECI",
    "BASHOPTS",
    "UID",
    "RANDOM",
  ];
  for (const name of names) {
    assertThrows(
      () => parseStepVariables([`${name}=title`], "/tmp/x"),
      UsageError,
      `Cannot set "${name}"`,
    );
  }
});

Deno.test("parseStepVariables() refuses what is no NAME=PATH", () => {
  for (
    const flag of ["", "A", "=title", "A=", "1A=title", "A B=title", "é=x"]
  ) {
    assertThrows(
      () => parseStepVariables([flag], "/tmp/x"),
      UsageError,
      "write NAME=PATH",
    );
  }
  assertThrows(
    () => parseStepVariables(["A=a..b"], "/tmp/x"),
    UsageError,
    "Cannot read the path",
  );
  assertThrows(
    () => parseStepVariables(["A=a", "A=b"], "/tmp/x"),
    UsageError,
    'Cannot set "A": it is given twice',
  );
});

Deno.test("parseStepVariables() says so outside CircleCI, and names --select", () => {
  const { message } = assertThrows(
    () => parseStepVariables(["A=title"], ""),
    UsageError,
  );
  assertStringIncludes(message, "BASH_ENV is not set");
  assertStringIncludes(message, "--select PATH");
  assertEquals(parseStepVariables([], ""), []);
});
