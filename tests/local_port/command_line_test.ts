import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { VERSION } from "../../lib/port.ts";
import { CREDENTIALS, SECRET, withPort } from "../support/port.ts";
import {
  permissionsOf,
  type Result,
  ROOT,
  run,
  runProcess,
  withFolder,
} from "../support/run.ts";

/** Runs the script until it is interrupted, and returns all it printed. */
async function withScript(
  args: string[],
  test: (url: string, exports: string) => Promise<void>,
  env: Record<string, string> = CREDENTIALS,
): Promise<{ code: number; output: string }> {
  const permissions = await permissionsOf("local_port");
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...permissions, "scripts/local_port.ts", ...args],
    cwd: ROOT,
    env,
    stdout: "piped",
  }).spawn();
  let output = "";
  let used = false;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    const [exports, url] = /^export PORT_API_URL=(\S+).*(?=\n)/m.exec(output) ??
      [];
    if (exports === undefined || url === undefined || used) continue;
    used = true;
    try {
      await test(url, exports);
    } finally {
      child.kill("SIGINT");
    }
  }
  return { code: (await child.status).code, output };
}

Deno.test("local_port runs as a script with the permissions of its first line", async () => {
  await withFolder(async (folder) => {
    const blueprints = new URL("scripts/blueprints", ROOT).pathname;
    const flags = "--port=0 --latency=1ms --fail-rate=0.1 --rate-limit=50/1m " +
      "--token-lifetime=30s --seed=3 " +
      `--blueprints=${blueprints} --data=${folder}/port.json`;
    const { code, output } = await withScript(flags.split(" "), async (url) => {
      const env = { ...CREDENTIALS, API_URL: url };
      const upsert = await run("upsert_entity", "-b service -i a", { env });
      assertEquals(upsert.code, 0, upsert.stderr);
    });
    assertEquals(code, 130);
    assertMatch(output, /\nPOST \/v1\/auth\/access_token 200 \d+ms\n/);
    assertMatch(output, /\nPOST \/v1\/blueprints\/service\/entities\S* 201 /);
    assertEquals(output.includes(SECRET), false);
    const kept = await Deno.readTextFile(`${folder}/port.json`);
    assertStringIncludes(kept, '["service",[{"identifier":"a"');
  });
});

Deno.test("local_port prints what another shell needs, but no credentials of its own", async () => {
  const none = { PORT_CLIENT_ID: "", PORT_CLIENT_SECRET: "" };
  const cases: [own: Record<string, string>, names?: string][] = [
    [{}],
    [{ PORT_CLIENT_ID: "made-up-id" }, "PORT_CLIENT_ID"],
    [{ PORT_CLIENT_SECRET: SECRET }, "PORT_CLIENT_SECRET"],
    [CREDENTIALS, "PORT_CLIENT_ID and PORT_CLIENT_SECRET"],
  ];
  await Promise.all(cases.map(async ([own, names]) => {
    const results: Result[] = [];
    const { output } = await withScript(["--port=0"], async (_, exports) => {
      const command =
        `${exports}; exec "$0" run --allow-all upsert_entity.ts ` +
        "-b service -i a";
      const args = ["-c", command, Deno.execPath()];
      results.push(await runProcess("bash", args, { env: own }));
    }, { ...none, ...own });
    assertEquals(results.map(({ code }) => code), [0], results[0]?.stderr);
    const [_, told] = /^Set (.*) in the other shell /m.exec(output) ?? [];
    assertEquals(told, names);
    for (const value of Object.values(own)) {
      assertEquals(output.includes(value), false, output);
    }
  }));
});

Deno.test("local_port --rate-limit changes one family, all or none, in order", async () => {
  const cases: [
    limits: string[],
    login: string | null,
    other: string | null,
  ][] = [
    [[], "100", "15000"],
    [["login=5/1m"], "5", "15000"],
    [["9/1m", "login=5/1m"], "5", "9"],
    [["login=5/1m", "9/1m"], "9", "9"],
    [["off"], null, null],
    [["off", "login=5/1m"], "5", null],
  ];
  await Promise.all(cases.map(async ([limits, ...expected]) => {
    const flags = limits.map((limit) => `--rate-limit=${limit}`);
    await withScript(["--port=0", ...flags], async (url) => {
      const limitOf = async (path: string) => {
        const answer = await fetch(`${url}/v1/${path}`, { method: "POST" });
        await answer.body?.cancel();
        return answer.headers.get("x-ratelimit-limit");
      };
      const actual = [await limitOf("auth/access_token"), await limitOf("x")];
      assertEquals(actual, expected, flags.join(" "));
    });
  }));
});

Deno.test("local_port --action replaces the action, and lets its runs wait", async () => {
  await withScript(
    ["--port=0", "--action=ship:approval", "--action", "roll back"],
    async (url) => {
      const statuses: unknown[] = [];
      for (const action of ["ship", "roll back", "deploy"]) {
        const env = { ...CREDENTIALS, API_URL: url };
        const { code, stdout } = await run(
          "create_action_run",
          ["--action", action],
          { env },
        );
        statuses.push(code === 0 ? JSON.parse(stdout).status : code);
      }
      assertEquals(statuses, ["WAITING_FOR_APPROVAL", "IN_PROGRESS", 4]);
    },
  );
});

Deno.test("local_port prints the address of its lab under its own", async () => {
  const { output } = await withScript(["--port=0"], async (url) => {
    const response = await fetch(`${url}/__local/health`);
    assertEquals((await response.json()).version, VERSION);
  });
  const pattern =
    /^Local Port listens on (http:\S+)\nLab: (http:\S+)\/__local\/\n/;
  const [_, port, lab] = pattern.exec(output) ?? [];
  assertEquals([port === undefined, lab], [false, port]);
});

Deno.test("local_port --help shows every flag", async () => {
  const { code, stdout } = await run("local_port", "--help");
  assertEquals(code, 0);
  const flags = "port blueprints data action latency fail-rate rate-limit " +
    "token-lifetime seed help";
  for (const flag of flags.split(" ")) {
    assertStringIncludes(stdout, `--${flag}`);
  }
});

Deno.test("local_port answers a wrong command line with one line and exit code 2", async () => {
  const missing = "Missing the value of ";
  const calls = [
    ["--prot=0", 'Unknown argument "--prot=0"'],
    ["--latncy=1ms", "did you mean --latency?"],
    ["8787", 'Unknown argument "8787"'],
    ["--port=", `${missing}--port`],
    ["--port=x", 'Cannot use --port "x"'],
    ["--port=1.5", 'Cannot use --port "1.5"'],
    ["--port=65536", 'Cannot use --port "65536"'],
    ["--blueprints=nowhere", 'the folder of blueprints "nowhere"'],
    ["--blueprints=", `${missing}--blueprints`],
    ["--data=", `${missing}--data`],
    ["--data=no/folder.json", 'Cannot write the data file "no/folder.json"'],
    ["--action=", `${missing}--action`],
    ["--action=a:aproval", 'Cannot use --action "a:aproval": write an identif'],
    ["--action=:approval", 'Cannot use --action ":approval"'],
    ["--latency=50", 'Cannot use --latency "50"'],
    ["--fail-rate=2", 'Cannot use --fail-rate "2"'],
    ["--rate-limit=100", 'Cannot use --rate-limit "100"'],
    ["--rate-limit=0/1s", 'Cannot use --rate-limit "0/1s"'],
    ["--rate-limit=logins=1/1s", "the families are login, upsert, bulk, "],
    ["--rate-limit=login=off", 'Cannot use --rate-limit "login=off"'],
    ["--token-lifetime=long", 'Cannot use --token-lifetime "long"'],
    ["--seed=x", 'Cannot use --seed "x": write a whole number from 0 to'],
    ["--seed=1 --seed=2", "--seed is given twice"],
  ];
  await withPort({}, async ({ url }) => {
    const { port } = new URL(url);
    calls.push([`--port=${port}`, `Cannot listen on port ${port}: `]);
    await Promise.all(calls.map(async ([args = "", message = ""]) => {
      const { code, stderr } = await run("local_port", args);
      assertEquals(code, 2, args);
      assertMatch(stderr, /^error: [^\n]*\n$/);
      assertStringIncludes(stderr, message);
    }));
  });
});
