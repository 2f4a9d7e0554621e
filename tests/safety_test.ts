import {
  assert,
  assertEquals,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import {
  CIRCLECI,
  CREDENTIALS,
  rightsOf,
  ROOT,
  runProcess,
  runScriptFile,
  SECRET,
  withPort,
} from "./support.ts";

const ENTITY = ["-b", "service", "-i", "checkout"];

/** A call of each script that talks to Port. */
const CALLS: Record<string, string[]> = {
  upsert_entity: ENTITY,
  get_entity: ENTITY,
  report_ci_job: ["--status", "running"],
  upsert_blueprint: ["scripts/blueprints/image.json"],
};

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
      const env = {
        ...CREDENTIALS,
        ...CIRCLECI,
        NO_COLOR: "1",
        API_URL: `http://127.0.0.1:${server.addr.port}`,
      };
      for (const [name, args] of Object.entries(CALLS)) {
        const { code, stdout, stderr } = await runScriptFile(name, [
          ...args,
          "--verbose",
          "--retries",
          "1",
        ], { env });
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
  await withPort({}, async (port) => {
    for (const [name, args] of Object.entries(CALLS)) {
      const { code, stdout, stderr } = await runScriptFile(name, [
        ...args,
        "--verbose",
      ], { env: { ...port.env, ...CIRCLECI, NO_COLOR: "1" } });
      assertEquals(code, 0, stderr);
      assertStringIncludes(
        stderr,
        "POST /v1/auth/access_token: Port answered 200 (attempt 1, ",
      );
      assertStringIncludes(stderr, "/v1/blueprints");
      assertEquals(
        (stdout + stderr + port.log.join("\n")).includes(SECRET),
        false,
      );
      assertEquals(/Bearer|ey[A-Za-z0-9]{8}/.test(stdout + stderr), false);
    }
  });
});

Deno.test("an API URL with a password is refused and not shown", async () => {
  for (const [name, args] of Object.entries(CALLS)) {
    const env = {
      ...CREDENTIALS,
      ...CIRCLECI,
      API_URL: "https://user:made-up-password@api.port.io",
    };
    const { code, stderr } = await runScriptFile(name, args, { env });
    assertEquals(code, 2);
    assertEquals(stderr.includes("made-up-password"), false);
  }
});

Deno.test("each script's first line holds no more rights than it needs", async () => {
  const hosts =
    "--allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io";
  const settings = "--allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL";
  assertEquals(await rightsOf("get_entity"), [
    `${settings},BASH_ENV`,
    "--allow-read=.env",
    "--allow-write=/tmp",
    hosts,
  ]);
  assertEquals(await rightsOf("upsert_entity"), [
    `${settings},BASH_ENV`,
    "--allow-read=.",
    "--allow-write=/tmp",
    hosts,
  ]);
  assertEquals(await rightsOf("report_ci_job"), [
    "--allow-env=PORT_*,API_URL,CIRCLE*",
    "--allow-read=.env",
    hosts,
  ]);
  assertEquals(await rightsOf("upsert_blueprint"), [
    settings,
    "--allow-read=.",
    hosts,
  ]);
});

Deno.test("a right that is missing ends in one line that names it", async () => {
  await withPort({}, async (port) => {
    const { host } = new URL(port.url);
    for (const [name, args] of Object.entries(CALLS)) {
      const script = new URL(`scripts/${name}.ts`, ROOT).pathname;
      const rights = await rightsOf(name, port.url);
      const without = (right: string) =>
        rights.filter((flag) => !flag.startsWith(right));
      const call = (rights: string[]) =>
        runProcess(Deno.execPath(), [
          "run",
          "--no-prompt",
          ...rights,
          script,
          ...args,
        ], { env: { ...port.env, ...CIRCLECI, NO_COLOR: "1" } });
      const net = await call([
        ...without("--allow-net"),
        "--allow-net=api.port.io",
      ]);
      const noEnv = await call(without("--allow-env"));
      assertEquals(net.code, 2);
      assert(noEnv.code === 2 || noEnv.code === 3);
      for (const { stderr } of [net, noEnv]) {
        assertEquals(stderr.trim().split("\n").length, 1);
      }
      assertStringIncludes(noEnv.stderr, "--allow-env=");
      assertStringIncludes(net.stderr, `--allow-net=${host}`);
    }
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
        const { code, stderr } = await runScriptFile(name, ENTITY, options);
        assertEquals(code, 0, stderr);
        const wrong = { API_URL: port.url, PORT_CLIENT_SECRET: "wrong" };
        assertEquals(
          (await runScriptFile(name, ENTITY, { ...options, env: wrong })).code,
          3,
        );
      }
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
