import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { CALLS, CIRCLECI, ENTITY, prepare } from "./support/calls.ts";
import { CREDENTIALS, SECRET, withPort } from "./support/port.ts";
import {
  permissionsOf,
  ROOT,
  run,
  runProcess,
  withFolder,
} from "./support/run.ts";

/** Runs the call of a script, as in CircleCI. */
async function runCall(
  name: string,
  env: Record<string, string>,
  ...flags: string[]
) {
  const { args = [], stdin } = CALLS[name] ?? {};
  return await run(name, [...args, ...flags], {
    env: {
      ...CREDENTIALS,
      ...CIRCLECI,
      NO_COLOR: "1",
      PORT_RUN_ID: "r_1",
      ...env,
    },
    ...(stdin !== undefined && { stdin }),
  });
}

Deno.test("every script is held against these tests", () => {
  const names = [...Deno.readDirSync(new URL("scripts", ROOT))]
    .flatMap(({ name }) => /^(.*)\.ts$/.exec(name)?.[1] ?? []);
  const alone = ["bundle", "demo", "local_port"];
  assertEquals(
    new Set([...Object.keys(CALLS), ...alone]),
    new Set(names),
  );
});

/** A server that repeats every secret it is told, with any status. */
function startEcho(status: number) {
  return Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const body = await request.text();
      if (status === 200 && request.url.endsWith("/access_token")) {
        return Response.json({ accessToken: "made-up-token", expiresIn: 60 });
      }
      const message = `${body} ${
        request.headers.get("authorization")
      } \x1b[31m`;
      return Response.json({ ok: false, error: "x", message }, {
        status: status === 200 ? 422 : status,
      });
    },
  );
}

Deno.test("secret and token appear in no output, even at --verbose", async () => {
  for (const status of [200, 401, 422, 500]) {
    const server = startEcho(status);
    try {
      const API_URL = `http://127.0.0.1:${server.addr.port}`;
      for (const name of Object.keys(CALLS)) {
        const { code, stdout, stderr } = await runCall(
          name,
          { API_URL },
          "--verbose",
          "--retries=1",
        );
        assert(code > 2, stderr);
        assertStringIncludes(stderr, "[secret]");
        assertEquals((stdout + stderr).includes(SECRET), false);
        assertEquals((stdout + stderr).includes("made-up-token"), false);
        assertEquals(stderr.includes("\x1b"), false);
      }
    } finally {
      await server.shutdown();
    }
  }
});

Deno.test("a working call at --verbose tells of each request and of no secret", async () => {
  for (const name of Object.keys(CALLS)) {
    await withPort({}, async (port) => {
      const PORT_RUN_ID = await prepare(port);
      const env = { ...port.env, PORT_RUN_ID };
      const { code, stdout, stderr } = await runCall(name, env, "--verbose");
      assertEquals(code, 0, stderr);
      assertStringIncludes(
        stderr,
        "POST /v1/auth/access_token: Port answered 200 (attempt 1, ",
      );
      assertMatch(stderr, /\/v1\/(?:blueprints|actions)\//);
      const all = stdout + stderr + port.log.join("\n");
      assertEquals(all.includes(SECRET), false);
      assertEquals(/Bearer|ey[A-Za-z0-9]{8}/.test(all), false);
    });
  }
});

Deno.test("an API URL with a password is refused and not shown", async () => {
  const API_URL = "https://user:made-up-password@api.port.io";
  for (const name of Object.keys(CALLS)) {
    const { code, stderr } = await runCall(name, { API_URL });
    assertEquals(code, 2);
    assertEquals(stderr.includes("made-up-password"), false);
  }
});

Deno.test("each script's first line holds no more rights than it needs", async () => {
  const env = "PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL";
  const rights: Record<string, string[]> = {
    get_entity: [`env=${env},BASH_ENV`, "read=.env", "write=/tmp"],
    upsert_entity: [`env=${env},BASH_ENV`, "read=.", "write=/tmp"],
    report_ci_job: ["env=PORT_*,API_URL,CIRCLE*", "read=.env"],
    upsert_blueprint: [`env=${env}`, "read=."],
    bulk_upsert_entities: [
      `env=${env},CIRCLE_NODE_INDEX,CIRCLE_NODE_TOTAL`,
      "read=.",
      "write=.",
    ],
    search_entities: [`env=${env}`, "read=."],
    delete_entity: [`env=${env}`, "read=.env"],
    create_action_run: [`env=${env}`, "read=.env"],
    update_action_run: [`env=${env}`, "read=.env"],
  };
  const hosts =
    "net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io";
  for (const name of Object.keys(CALLS)) {
    const expected = [...rights[name] ?? [], hosts].map((right) =>
      `--allow-${right}`
    );
    assertEquals(await permissionsOf(name), expected, name);
  }
});

/** A call that needs a right, and what the line without it must name. */
interface Need {
  script: string;
  /** The beginning of the right, or one name in a list of it. */
  right: string;
  args: string[];
  names: string;
  env?: Record<string, string>;
  /** What stands in the folder: nothing, or settings that are nowhere else. */
  isInEnvFile?: true;
}

const LINE = '{"blueprint": "service", "identifier": "a"}';
const QUERY = '{"combinator": "and", "rules": []}';
const BLUEPRINT =
  '{"identifier": "b", "title": "B", "schema": {"properties": {}}}';
const READS: [script: string, args: string[]][] = [
  ["upsert_entity", ["-f", "entity.json"]],
  ["upsert_blueprint", ["blueprint.json"]],
  ["bulk_upsert_entities", ["entity.json"]],
  ["search_entities", ["--query=@query.json"]],
];

/** Each right that the first lines hold, but for the network. */
const NEEDS: Need[] = [
  ...Object.entries(CALLS).flatMap(([script, { args }]): Need[] => [
    { script, right: "PORT_*", args, names: "--allow-env=PORT_*" },
    { script, right: "read", args, names: "--allow-read", isInEnvFile: true },
  ]),
  ...READS.map(([script, args]) => ({
    script,
    right: "read",
    args,
    names: `--allow-read="${args.at(-1)?.replace("--query=@", "")}"`,
  })),
  ...["upsert_entity", "get_entity"].flatMap((script): Need[] => {
    const args = [...ENTITY, "--set-env=ID=identifier"];
    return [
      { script, right: "BASH_ENV", args, names: "--allow-env=BASH_ENV" },
      { script, right: "write", args, names: "--allow-write" },
    ];
  }),
  {
    script: "bulk_upsert_entities",
    right: "write",
    args: ["entity.json", "--failed-file=failed"],
    names: '--allow-write="."',
  },
  ...["CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL"].map((right) => ({
    script: "bulk_upsert_entities",
    right,
    args: ["entity.json", "--shard=auto"],
    names: right,
  })),
  {
    script: "report_ci_job",
    right: "CIRCLE*",
    args: ["--status=running"],
    names: "--allow-env=CIRCLE*",
  },
];

/** Takes a right out of the flags: the whole flag, or a name of its list. */
function without(rights: string[], right: string): string[] {
  return rights.filter((flag) => !flag.startsWith(`--allow-${right}=`))
    .map((flag) => {
      const [start = "", list = ""] = flag.split("=");
      return `${start}=${
        list.split(",").filter((name) => name !== right).join(",")
      }`;
    });
}

Deno.test("each right is needed: without it, one line names it", async () => {
  await withFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/entity.json`, LINE);
    await Deno.writeTextFile(`${cwd}/query.json`, QUERY);
    await Deno.writeTextFile(`${cwd}/blueprint.json`, BLUEPRINT);
    await withPort({}, async (port) => {
      const PORT_RUN_ID = await prepare(port);
      const inFile = `${cwd}/inner`;
      await Deno.mkdir(`${inFile}/blueprints`, { recursive: true });
      const lines = Object.entries(CREDENTIALS).map((of) => of.join("="));
      await Deno.writeTextFile(`${inFile}/.env`, lines.join("\n"));
      await Deno.writeTextFile(`${inFile}/blueprints/image.json`, BLUEPRINT);
      await Deno.mkdir(`${cwd}/blueprints`);
      await Deno.writeTextFile(`${cwd}/blueprints/image.json`, BLUEPRINT);
      const bashEnv = await Deno.makeTempFile();
      const call = async (need: Need, rights: string[]) => {
        const stdin = CALLS[need.script]?.stdin;
        const { API_URL = "" } = port.env;
        const given = need.isInEnvFile ? { API_URL } : port.env;
        const common = { ...CIRCLECI, NO_COLOR: "1", BASH_ENV: bashEnv };
        const script = new URL(`scripts/${need.script}.ts`, ROOT).pathname;
        return await runProcess(
          Deno.execPath(),
          ["run", "--no-prompt", ...rights, script, ...need.args],
          {
            env: { ...common, PORT_RUN_ID, ...given },
            cwd: need.isInEnvFile ? inFile : cwd,
            ...(stdin !== undefined && { stdin }),
          },
        );
      };
      for (const need of NEEDS) {
        const what = `${need.script} ${need.args.join(" ")}: ${need.right}`;
        const rights = await permissionsOf(need.script, port.url);
        const fewer = without(rights, need.right);
        assert(fewer.join() !== rights.join(), what);
        // One that deletes works once only, and so goes last.
        const denied = await call(need, fewer);
        assert([2, 3].includes(denied.code), `${what}: ${denied.stderr}`);
        assertMatch(denied.stderr, /(?:^|\n)error: [^\n]*\n$/);
        assertStringIncludes(denied.stderr, need.names, what);
        await prepare(port);
        const { code, stderr } = await call(need, rights);
        assertEquals(code, 0, `${what}: ${stderr}`);
      }
      await Deno.remove(bashEnv);
    });
  });
});

Deno.test("without the right to a host, one line names it", async () => {
  await withPort({}, async (port) => {
    const { host } = new URL(port.url);
    for (const name of Object.keys(CALLS)) {
      const { args = [], stdin } = CALLS[name] ?? {};
      const rights = without(await permissionsOf(name, port.url), "net");
      const { code, stderr } = await runProcess(
        Deno.execPath(),
        ["run", "--no-prompt", ...rights, `${name}.ts`, ...args],
        {
          env: { ...port.env, ...CIRCLECI, NO_COLOR: "1", PORT_RUN_ID: "r_1" },
          ...(stdin !== undefined && { stdin }),
        },
      );
      assertEquals(code, 2, stderr);
      assertStringIncludes(stderr, `--allow-net=${host}`);
    }
  });
});

Deno.test("without the rights to what CircleCI says, a failure lacks its link", async () => {
  const args = ["-b=service", "-i=none"];
  await withPort({}, async ({ url, env }) => {
    const rights = await permissionsOf("get_entity", url);
    const call = async (rights: string[]) =>
      (await runProcess(
        Deno.execPath(),
        ["run", "--no-prompt", ...rights, "get_entity.ts", ...args],
        { env: { ...env, ...CIRCLECI, NO_COLOR: "1" } },
      )).stderr;
    assertStringIncludes(await call(rights), CIRCLECI.CIRCLE_BUILD_URL);
    for (const right of ["CIRCLECI", "CIRCLE_BUILD_URL"]) {
      const stderr = await call(without(rights, right));
      assertMatch(stderr, /^error: Cannot get entity "none".*\n$/);
      assertEquals(stderr.includes(CIRCLECI.CIRCLE_BUILD_URL), false);
    }
  });
});

Deno.test("without credentials, as in a pull request from a fork, --soft-fail goes on", async () => {
  await withPort({}, async ({ env, log }) => {
    for (const name of Object.keys(CALLS)) {
      const none = { ...env, PORT_CLIENT_ID: "", PORT_CLIENT_SECRET: "" };
      const hard = await runCall(name, none);
      assertEquals(hard.code, 3, hard.stderr);
      assertStringIncludes(hard.stderr, "a pull request from a fork");
      const soft = await runCall(name, none, "--soft-fail");
      assertEquals(soft.code, 0, soft.stderr);
      assertMatch(
        soft.stderr,
        /(?:^|\n)warning: .*a fork gets no context.*\n$/,
      );
    }
    assertEquals(log, []);
  });
});

Deno.test(".env is read where it is and may be, and never wins over the environment", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await withPort({}, async (port) => {
      const lines = Object.entries(CREDENTIALS).map(([name, value]) =>
        `${name}="${value}"\n`
      );
      await Deno.writeTextFile(`${folder}/.env`, `# Port\n${lines.join("")}`);
      for (const name of ["upsert_entity", "get_entity"]) {
        const options = { env: { API_URL: port.url }, cwd: folder };
        const { code, stderr } = await run(name, ENTITY, options);
        assertEquals(code, 0, stderr);
        const wrong = { API_URL: port.url, PORT_CLIENT_SECRET: "wrong" };
        assertEquals(
          (await run(name, ENTITY, { ...options, env: wrong })).code,
          3,
        );
      }
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
