import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { CALLS, CIRCLECI, ENTITY, prepare } from "./support/calls.ts";
import {
  assertError,
  CREDENTIALS,
  SECRET,
  type TestPort,
  withHandler,
  withPort,
} from "./support/port.ts";
import {
  type Args,
  permissionsOf,
  type Result,
  ROOT,
  run,
  type RunOptions,
  withFolder,
  words,
} from "./support/run.ts";

const BULK = "bulk_upsert_entities";

const SCRIPTS = Object.keys(CALLS);

/** What CircleCI sets, but for its colours. */
const PLAIN = { ...CIRCLECI, NO_COLOR: "1" };

/** What the scripts set for later steps; no test reads it. */
const BASH_ENV = await Deno.makeTempFile();
addEventListener("unload", () => Deno.removeSync(BASH_ENV));

/** Runs the call of a script, as in CircleCI. */
async function runCall(
  name: string,
  env: Record<string, string>,
  flags = "",
  permissions?: string[],
) {
  const { args = [], stdin } = CALLS[name] ?? {};
  return await run(name, [...args, ...words(flags)], {
    env: { ...CREDENTIALS, ...PLAIN, BASH_ENV, PORT_RUN_ID: "r_1", ...env },
    stdin,
    permissions,
  });
}

Deno.test("every script is held against these tests", () => {
  const names = [...Deno.readDirSync(new URL("scripts", ROOT))]
    .flatMap(({ name }) => /^(.*)\.ts$/.exec(name)?.[1] ?? []);
  const alone = ["bundle", "demo", "docs", "local_port"];
  assertEquals(names.sort(), [...SCRIPTS, ...alone].sort());
});

/** Fails if the output holds one of these texts. */
function assertNone({ stdout, stderr }: Result, ...texts: string[]) {
  for (const text of texts) assert(!(stdout + stderr).includes(text), stderr);
}

/** Answers with all secrets that it was sent; 422 after a log-in if `isIn`. */
function echo(status: number, isIn: boolean): Deno.ServeHandler {
  return async (request) => {
    const body = await request.text();
    if (isIn && request.url.endsWith("/access_token")) {
      return Response.json({ accessToken: "made-up-token", expiresIn: 60 });
    }
    const authorization = request.headers.get("authorization");
    const message = `${body} ${authorization} \x1b[31m`;
    return Response.json({ message }, { status });
  };
}

Deno.test("secret and token appear in no output, even at --verbose", async () => {
  const cases: [status: number, isIn: boolean, code: number][] = [
    [422, true, 5],
    [401, false, 3],
    [422, false, 5],
    [500, false, 6],
  ];
  for (const [status, isIn, expected] of cases) {
    await withHandler(echo(status, isIn), async (API_URL) => {
      for (const name of SCRIPTS) {
        // It sends no second request that could fail.
        if (name === "log_in" && isIn) continue;
        const result = await runCall(name, { API_URL }, "-v --retries=1");
        const isPartial = name === BULK && expected !== 3;
        assertEquals(result.code, isPartial ? 8 : expected, result.stderr);
        assertMatch(result.stderr, /\[secret\]/);
        assertNone(result, SECRET, "made-up-token", "\x1b");
      }
    });
  }
});

/** Passes everything on to the local Port; keeps the tokens it hands out. */
function passOn({ url }: TestPort, tokens: string[]): Deno.ServeHandler {
  return async ({ method, headers, url: asked, body }) => {
    const { pathname, search } = new URL(asked);
    const target = url + pathname + search;
    const response = await fetch(target, { method, headers, body });
    const text = await response.text();
    tokens.push(.../(?<="accessToken":\s*")[^"]+/.exec(text) ?? []);
    return new Response(text || null, response);
  };
}

Deno.test("a working call at --verbose tells of each request and of no secret", async () => {
  for (const name of SCRIPTS) {
    const tokens: string[] = [];
    await withPort({}, async (port) => {
      const PORT_RUN_ID = await prepare(port);
      await withHandler(passOn(port, tokens), async (API_URL) => {
        const env = { API_URL, PORT_RUN_ID };
        const result = await runCall(name, env, "--verbose");
        const { code, stderr } = result;
        assertEquals([code, tokens.length], [0, 1], stderr);
        assertMatch(stderr, /^POST \S+\/access_token: .* 200 \(attempt 1, /m);
        if (name !== "log_in") {
          assertMatch(stderr, /\/v1\/(?:blueprints|actions)\//);
        }
        assertNone(result, SECRET, "Bearer", ...tokens);
      });
    });
  }
});

Deno.test("an API URL with a password is refused and not shown", async () => {
  const API_URL = "https://user:made-up-password@api.port.io";
  for (const name of SCRIPTS) {
    const result = await runCall(name, { API_URL });
    assertError(result, 2, "without user or query");
    assertNone(result, "made-up-password");
  }
});

Deno.test("each script's first line holds no more permissions than it needs", async () => {
  const env = "env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL";
  const hosts =
    "net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io";
  const permissions: Record<string, string> = {
    log_in: `${env},BASH_ENV read=.env write=/tmp`,
    upsert_entity: `${env},BASH_ENV read=. write=/tmp`,
    get_entity: `${env},BASH_ENV read=.env write=/tmp`,
    report_ci_job: "env=PORT_*,API_URL,CIRCLE* read=.env",
    close_ci_job: `${env},CIRCLE_WORKFLOW_ID read=.env`,
    upsert_blueprint: `${env} read=.`,
    bulk_upsert_entities:
      `${env},CIRCLE_NODE_INDEX,CIRCLE_NODE_TOTAL read=. write=.`,
    search_entities: `${env} read=.`,
    delete_entity: `${env} read=.env`,
    create_action_run: `${env} read=.env`,
    update_action_run: `${env} read=.env`,
  };
  for (const name of SCRIPTS) {
    const flags = `${permissions[name]} ${hosts}`.replace(
      /^|(?<= )/g,
      "--allow-",
    );
    assertEquals((await permissionsOf(name)).join(" "), flags, name);
  }
});

/** A call, and what the line names when one of these permissions is missing. */
type Need = [script: string, args: Args, names: Record<string, string>];

/** The calls of all scripts, which lack the same. */
function all(names: Record<string, string>): Need[] {
  return Object.entries(CALLS).map(([name, { args }]) => [name, args, names]);
}

const SET_ENV = "-b service -i checkout --set-env=ID=identifier";
const ENV_FILE = { BASH_ENV: "--allow-env=BASH_ENV", write: "--allow-write" };

/** Each permission of the first lines, but for the network and `.env`. */
const NEEDS: Need[] = [
  ...all({ "PORT_*": "--allow-env=PORT_*" }),
  ["log_in", "", ENV_FILE],
  ["upsert_entity", SET_ENV, ENV_FILE],
  ["get_entity", SET_ENV, ENV_FILE],
  ["upsert_entity", "-f a.json", {
    read: '"a.json", run again with the --allow-read',
  }],
  ["upsert_blueprint", "b.json", {
    read: '"b.json", run again with the --allow-read',
  }],
  ["search_entities", "--query=@q.json", {
    read: '"q.json", run again with the --allow-read',
  }],
  [BULK, "a.json", { read: '"a.json", run again with the --allow-read' }],
  [BULK, "a.json --failed-file=failed", {
    write: "run again with the --allow-write",
  }],
  [BULK, "a.json --shard=auto", {
    CIRCLE_NODE_INDEX: "CIRCLE_NODE_INDEX",
    CIRCLE_NODE_TOTAL: "CIRCLE_NODE_TOTAL",
  }],
  ["close_ci_job", "--job=build", { CIRCLE_WORKFLOW_ID: "CIRCLE_WORKFLOW_ID" }],
  ["report_ci_job", "-s running", { "CIRCLE*": "--allow-env=CIRCLE*" }],
];

/** The files that these calls read. */
async function writeFiles(folder: string) {
  const blueprint =
    '{"identifier": "b", "title": "B", "schema": {"properties": {}}}';
  const files = {
    "a.json": '{"blueprint": "service", "identifier": "a"}',
    "q.json": '{"combinator": "and", "rules": []}',
    "b.json": blueprint,
    "blueprints/image.json": blueprint,
  };
  await Deno.mkdir(`${folder}/blueprints`);
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
}

/** Removes a permission: the whole flag, or one name of its list. */
function without(permissions: string[], permission: string): string[] {
  return permissions.filter((flag) =>
    !flag.startsWith(`--allow-${permission}=`)
  )
    .map((flag) => {
      const [start, list = ""] = flag.split("=");
      const rest = list.split(",").filter((name) => name !== permission);
      return `${start}=${rest.join(",")}`;
    });
}

/** Fails unless a call works, and names a missing permission in one line. */
async function assertNeeded(
  port: TestPort,
  [script, args, names]: Need,
  options: RunOptions,
) {
  const all = await permissionsOf(script, port.url);
  const stdin = CALLS[script]?.stdin;
  for (const [missing, named] of Object.entries(names)) {
    const what = `${script} ${args}: ${missing}`;
    const permissions = without(all, missing);
    assert(permissions.join() !== all.join(), what);
    const denied = await run(script, args, { ...options, stdin, permissions });
    assert([2, 3].includes(denied.code), `${what}: ${denied.stderr}`);
    assertMatch(denied.stderr, /(?:^|\n)error: [^\n]*\n$/);
    assert(denied.stderr.includes(named), `${what}: ${denied.stderr}`);
    // One that deletes works once only, and so goes last.
    await prepare(port);
    const { code, stderr } = await run(script, args, { ...options, stdin });
    assertEquals(code, 0, `${what}: ${stderr}`);
  }
}

Deno.test("each permission is needed: without it, one line names it", async () => {
  await withFolder(async (cwd) => {
    await writeFiles(cwd);
    await withPort({}, async (port) => {
      const PORT_RUN_ID = await prepare(port);
      const env = { ...PLAIN, BASH_ENV, PORT_RUN_ID, API_URL: port.url };
      const whole = { ...env, ...CREDENTIALS };
      for (const need of NEEDS) {
        await assertNeeded(port, need, { cwd, env: whole });
      }
      const lines = Object.entries(CREDENTIALS).map((of) => of.join("="));
      await Deno.writeTextFile(`${cwd}/.env`, lines.join("\n"));
      for (const need of all({ read: "--allow-read" })) {
        await assertNeeded(port, need, { cwd, env });
      }
    });
  });
});

Deno.test("without the permission to a host, one line names it", async () => {
  await withPort({}, async (port) => {
    const { host } = new URL(port.url);
    for (const name of SCRIPTS) {
      const permissions = without(await permissionsOf(name, port.url), "net");
      const result = await runCall(name, port.env, "", permissions);
      assertEquals(result.code, 2, result.stderr);
      assert(
        result.stderr.includes(`net access to "${host}", run again`),
        result.stderr,
      );
    }
  });
});

Deno.test("without the permissions to what CircleCI says, a failure lacks its link", async () => {
  await withPort({}, async (port) => {
    const permissions = await permissionsOf("get_entity", port.url);
    const call = async (permissions: string[]) =>
      await port.run("get_entity", ENTITY, { permissions, env: PLAIN });
    const link = `(${CIRCLECI.CIRCLE_BUILD_URL})\n`;
    assert((await call(permissions)).stderr.endsWith(link));
    for (const name of ["CIRCLECI", "CIRCLE_BUILD_URL"]) {
      const result = await call(without(permissions, name));
      assertError(result, 4, 'Cannot get entity "checkout"');
      assertNone(result, CIRCLECI.CIRCLE_BUILD_URL);
    }
  });
});

Deno.test("without credentials, as in a pull request from a fork, --soft-fail goes on", async () => {
  await withPort({}, async ({ env, log }) => {
    const none = { ...env, PORT_CLIENT_ID: "", PORT_CLIENT_SECRET: "" };
    for (const name of SCRIPTS) {
      const hard = await runCall(name, none);
      assertEquals(hard.code, 3, hard.stderr);
      assertMatch(hard.stderr, /^error: .*pull requests from forks/m);
      const soft = await runCall(name, none, "--soft-fail");
      assertEquals(soft.code, 0, soft.stderr);
      assertMatch(soft.stderr, /^warning: .*pull requests from forks.*\n$/m);
    }
    assertEquals(log, []);
  });
});

Deno.test(".env is read where it is, and never wins over the environment", async () => {
  await withFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/.env`, 'PORT_CLIENT_SECRET="wrong"');
    await withPort({}, async (port) => {
      const { code, stderr } = await port.run("upsert_entity", ENTITY, { cwd });
      assertEquals(code, 0, stderr);
      const env = { PORT_CLIENT_SECRET: "" };
      const refused = await port.run("upsert_entity", ENTITY, { cwd, env });
      assertError(refused, 3, "Port answered 401");
    });
  });
});
