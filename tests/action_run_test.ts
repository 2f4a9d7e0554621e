import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import type { Failure } from "../scripts/local_port/failures.ts";
import {
  assertWrongCalls,
  deadUrl,
  type TestPort,
  withPort,
} from "./support/port.ts";
import {
  FOLDER,
  permissionsOf,
  type Result,
  ROOT,
  run,
} from "./support/run.ts";

const CREATE = "create_action_run";
const UPDATE = "update_action_run";

type Body = Record<string, unknown>;

async function create(port: TestPort, ...args: string[]): Promise<Result> {
  return await run(CREATE, ["--action", "deploy", ...args], {
    env: port.env,
  });
}

async function update(
  port: TestPort,
  args: string[],
  stdin?: string,
): Promise<Result> {
  return await run(UPDATE, args, {
    env: port.env,
    ...(stdin !== undefined && { stdin }),
  });
}

/** Reads or changes a part of the catalogue past the scripts. */
async function must(
  port: TestPort,
  method: string,
  path: string,
  body?: unknown,
): Promise<Body> {
  const answer = await (await port.call(method, path, body)).json();
  assertEquals(answer.ok, true, JSON.stringify(answer));
  return answer;
}

async function runOf(port: TestPort, id: string): Promise<Body> {
  return (await must(port, "GET", `/actions/runs/${id}`)).run as Body;
}

/** The messages in the log of a run. */
async function logOf(port: TestPort, id: string): Promise<string[]> {
  const { runLogs } = await must(port, "GET", `/actions/runs/${id}/logs`);
  return (runLogs as Body[]).map(({ message }) => String(message));
}

async function addLog(port: TestPort, id: string, ...messages: string[]) {
  for (const message of messages) {
    await must(port, "POST", `/actions/runs/${id}/logs`, { message });
  }
}

/** Lets a test report on a run; a log-in and the start of the run come before. */
async function withRun(
  test: (port: TestPort, id: string) => Promise<void>,
  failures: (Failure | "none")[] = [],
) {
  await withPort({ failures }, async (port) => {
    const { run } = await must(port, "POST", "/actions/deploy/runs", {
      properties: {},
    });
    await test(port, String((run as Body).id));
  });
}

/** The requests of a kind that arrived. */
function requests({ log }: TestPort, pattern: RegExp): string[] {
  return log.filter((line) => pattern.test(line));
}

const STARTED = /^POST \S+\/actions\/deploy\/runs/;
const LOGGED = /^POST \S+\/logs /;

/** A script that runs while its test goes on. */
interface Running {
  /** Waits for something; fails when the script ends before it. */
  until(event: Promise<void>): Promise<void>;
  /** Waits until standard error holds a text. */
  said(text: string): Promise<void>;
  /** Writes to its standard input. */
  write(text: string): Promise<void>;
}

/** Runs a script with the rights of its first line while a test acts. */
async function runAlong(
  name: string,
  args: string[],
  port: TestPort,
  act: (script: Running) => Promise<void>,
): Promise<Result> {
  const child = await spawn(name, args, port);
  let isOver = false;
  const over = child.status.then(() => isOver = true);
  const stderr = new Collected(child.stderr);
  const stdout = new Collected(child.stdout);
  const input = child.stdin.getWriter();
  const tooEarly = async () => {
    await over;
    throw new Error(`The script has ended: ${await stderr.whole}`);
  };
  const until = (event: Promise<void>) => Promise.race([event, tooEarly()]);
  try {
    await act({
      until,
      said: (text) => until(stderr.holds(text)),
      write: (text) => input.write(new TextEncoder().encode(text)),
    });
  } catch (error) {
    if (!isOver) child.kill();
    throw error;
  } finally {
    await input.close().catch(() => {});
    await over;
  }
  const { code } = await child.status;
  return { code, stdout: await stdout.whole, stderr: await stderr.whole };
}

async function spawn(name: string, args: string[], { url, env }: TestPort) {
  // Nothing of the job that the tests may run in.
  const own = Object.entries(Deno.env.toObject())
    .filter(([name]) => !/^(?:PORT_|CIRCLE|API_URL)/.test(name));
  const script = new URL(`scripts/${name}.ts`, ROOT).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", ...await permissionsOf(name, url), script, ...args],
    cwd: FOLDER,
    clearEnv: true,
    env: { ...Object.fromEntries(own), ...env, NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** What a stream has brought so far. */
class Collected {
  /** All of it, at its end. */
  readonly whole: Promise<string>;
  #text = "";
  #onText = () => {};

  constructor(stream: ReadableStream<Uint8Array>) {
    this.whole = this.#read(stream);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<string> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      this.#text += decoder.decode(chunk, { stream: true });
      this.#onText();
    }
    return this.#text;
  }

  /** Resolves when a text is there. */
  async holds(text: string): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onText = () => this.#text.includes(text) && resolve();
      this.#onText();
    });
  }
}

Deno.test("create_action_run starts an action and prints its run", async () => {
  await withPort({}, async (port) => {
    const { code, stdout, stderr } = await create(
      port,
      ...["--entity", "checkout", "--run-as", "ci@example.com"],
      ...["--property", "version=007", "-p", "replicas:=3"],
    );
    const run = JSON.parse(stdout);
    assertEquals([code, stderr], [
      0,
      `Started action "deploy": run "${run.id}"\n`,
    ]);
    const { properties, entity, createdBy, status } = run;
    assertEquals({ properties, entity, createdBy, status }, {
      properties: { version: "007", replicas: 3 },
      entity: { identifier: "checkout" },
      createdBy: "ci@example.com",
      status: "IN_PROGRESS",
    });
    assertEquals(await runOf(port, run.id), run);
    assertEquals(port.log.length, 4, "two log-ins, two requests");
  });
});

Deno.test("create_action_run sends no entity and no input unless told to", async () => {
  await withPort({ actions: ["roll back/now"] }, async ({ env, log }) => {
    const args = ["-a", "roll back/now", "--quiet"];
    const { code, stdout, stderr } = await run(CREATE, args, { env });
    const { properties, entity } = JSON.parse(stdout);
    assertEquals([code, stderr, properties, entity], [0, "", {}, undefined]);
    const [line = ""] = log.slice(-1);
    assertMatch(line, /^POST \/v1\/actions\/roll%20back%2Fnow\/runs 202 /);
  });
});

/** The id in the requests that ask for a run. */
function idIn({ log }: TestPort): string {
  return /runs\/(r_[^/ ]+)/.exec(log.join("\n"))?.[1] ?? "";
}

/** Starts an action and follows it; acts when it was asked for once. */
async function follow(
  args: string[],
  act: (port: TestPort, id: string, script: Running) => Promise<void>,
): Promise<Result> {
  let result: Result = { code: -1, stdout: "", stderr: "" };
  await withPort({}, async (port) => {
    const asked = port.logged("/logs?");
    const all = ["-a", "deploy", "--wait", "20s", ...args];
    result = await runAlong(CREATE, all, port, async (script) => {
      await script.until(asked);
      await act(port, idIn(port), script);
    });
    assertEquals(requests(port, STARTED).length, 1);
  });
  return result;
}

function endRun(port: TestPort, id: string, change: Body): Promise<Body> {
  return must(port, "PATCH", `/actions/runs/${id}`, change);
}

/** More than Port gives at once. */
const MANY = Array.from({ length: 120 }, (_, number) => `line ${number}.`);

Deno.test("create_action_run --wait follows the run to its end and shows its log as it comes", async () => {
  const [success, failure] = await Promise.all([
    follow([], async (port, id, script) => {
      await addLog(port, id, "first", "with \x1b[31m escape\nand break");
      await script.said("first");
      await addLog(port, id, ...MANY);
      await endRun(port, id, { status: "SUCCESS", summary: "All well" });
    }),
    follow(["--soft-fail"], async (port, id) => {
      const change = { status: "FAILURE", statusLabel: "Tests failed" };
      await endRun(port, id, change);
    }),
  ]);
  assertEquals(success.code, 0, success.stderr);
  const { status, summary } = JSON.parse(success.stdout);
  assertEquals([status, summary], ["SUCCESS", "All well"]);
  assertEquals(success.stderr.split("\n").slice(1, -1), [
    "first",
    "with \\u001b[31m escape and break",
    ...MANY,
  ]);
  assertEquals(failure.code, 7, failure.stderr);
  assertEquals(JSON.parse(failure.stdout).status, "FAILURE");
  assertMatch(
    failure.stderr,
    /\nerror: Cannot go on: run "r_\S+" ended with FAILURE \(Tests failed\); see its page in Port\n$/,
  );
});

Deno.test("create_action_run --wait ends with exit code 7 when the time is over", async () => {
  await withPort({}, async (port) => {
    const { code, stdout, stderr } = await create(port, "--wait", "1ms");
    assertEquals([code, stdout], [7, ""]);
    assertMatch(
      stderr,
      /^Started action .*\nerror: Cannot go on: run "r_\S+" is IN_PROGRESS; it goes on in Port \(waited 0 s\)\n$/,
    );
    assertEquals(requests(port, STARTED).length, 1);
  });
});

Deno.test("create_action_run --wait goes on through simulated failures", async () => {
  const failures: (Failure | "none")[] = [
    // Log-in and start.
    ...["none" as const, "none" as const],
    ...["error" as const, "cut-middle" as const, "none" as const],
    ...["bad-gateway" as const, "none" as const],
  ];
  await withPort({ failures }, async (port) => {
    const { code, stderr } = await create(port, "--wait", "1ms");
    assertEquals(code, 7, stderr);
    assertEquals(stderr.match(/^warning: .*; attempt \d in .*$/gm)?.length, 3);
    assertEquals(requests(port, STARTED).length, 1);
  });
});

Deno.test("create_action_run never starts an action twice", async () => {
  const kinds = ["cut-before", "cut-middle", "error", "bad-gateway"] as const;
  await Promise.all(
    kinds.map((kind) =>
      withPort({ failures: ["none", kind] }, async (port) => {
        const { code, stdout, stderr } = await create(port);
        assertEquals([code, stdout], [6, ""], kind);
        assertMatch(
          stderr,
          /^error: Cannot run action "deploy": .*; it was not repeated, as Port may have acted on it: look there first\n$/,
        );
        assertEquals(requests(port, STARTED).length, 1, kind);
      })
    ),
  );
});

Deno.test("create_action_run repeats a start that Port turned away", async () => {
  const kinds = ["rate-limited", "unavailable"] as const;
  await Promise.all(
    kinds.map((kind) =>
      withPort({ failures: ["none", kind] }, async (port) => {
        const { code, stdout, stderr } = await create(port);
        assertEquals(code, 0, stderr);
        assertStringIncludes(stderr, "attempt 2 in");
        const started = requests(port, STARTED).map((line) =>
          line.split(" ")[2]
        );
        const first = kind === "rate-limited" ? "429" : "503";
        assertEquals(started, [first, "202"]);
        assertEquals((await runOf(port, JSON.parse(stdout).id)).properties, {});
      })
    ),
  );
});

/** Fails unless a call is refused with an exit code and one line. */
async function assertRefused(
  name: string,
  [code, says]: [code: number, says: string],
  args: string[],
  env: Record<string, string>,
) {
  const result = await run(name, args, { env });
  assertEquals([result.code, result.stdout], [code, ""], result.stderr);
  assertMatch(result.stderr, /^error: [^\n]*\n$/);
  assertStringIncludes(result.stderr, says);
}

Deno.test("create_action_run tells each refusal of Port with its exit code", async () => {
  await withPort({}, async ({ env }) => {
    const args = ["-a", "deploy", "--retries=0"];
    await assertRefused(CREATE, [3, "Cannot log in to Port"], args, {
      ...env,
      PORT_CLIENT_SECRET: "wrong",
    });
    await assertRefused(
      CREATE,
      [4, 'Action with identifier "nope" does not exist; check --action'],
      ["-a", "nope"],
      env,
    );
    await assertRefused(CREATE, [6, "check the API URL"], args, {
      ...env,
      API_URL: await deadUrl(),
    });
    const soft = await run(CREATE, ["-a=nope", "--soft-fail"], {
      env,
    });
    assertEquals([soft.code, soft.stdout], [0, ""]);
    assertMatch(soft.stderr, /^warning: .* \(--soft-fail\)\n$/);
  });
});

/** A server that refuses what comes after the log-in. */
async function withRefusingServer(
  status: number,
  test: (env: Record<string, string>) => Promise<void>,
) {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) =>
      request.url.endsWith("/access_token")
        ? Response.json({ ok: true, accessToken: "made-up", expiresIn: 60 })
        : Response.json(
          { ok: false, error: "x", message: "No such input" },
          { status },
        ),
  );
  try {
    await test({
      PORT_CLIENT_ID: "x",
      PORT_CLIENT_SECRET: "x",
      API_URL: `http://127.0.0.1:${server.addr.port}`,
    });
  } finally {
    await server.shutdown();
  }
}

Deno.test("the action run scripts tell a rejected request with exit code 5", async () => {
  await Promise.all(
    [400, 409, 422].map((status) =>
      withRefusingServer(status, async (env) => {
        const says = `Port answered ${status}: No such input`;
        await assertRefused(CREATE, [5, says], ["-a=deploy"], env);
        const args = ["--run-id=r_1", "--status=SUCCESS"];
        await assertRefused(UPDATE, [5, says], args, env);
      })
    ),
  );
});

Deno.test("create_action_run answers a wrong call with one line, exit code 2 and no request", async () => {
  const deploy = ["-a", "deploy"];
  await assertWrongCalls(CREATE, [
    [[], "Missing --action ID"],
    [["-a", ""], "--action ID is empty"],
    [["-a"], "Missing the value of -a ID"],
    [[...deploy, "-a", "x"], "--action is given twice"],
    [[...deploy, "-e", ""], "--entity ID is empty"],
    [[...deploy, "--entity"], "Missing the value of --entity ID"],
    [[...deploy, "-p", "version"], 'Cannot read --property "version"'],
    [[...deploy, "-p", "n:=x"], '--property "n": line 1, column 1'],
    [[...deploy, "-p", "a=1", "-p", "a=2"], 'property "a": it is given twice'],
    [[...deploy, "--run-as"], "Missing the value of --run-as EMAIL"],
    [[...deploy, "--run-as="], "--run-as EMAIL is empty"],
    [[...deploy, "--wait", "0s"], 'Cannot use --wait "0s"'],
    [[...deploy, "--wait", "soon"], 'Cannot use --wait "soon"'],
    [[...deploy, "--wait", "25h"], 'Cannot use --wait "25h"'],
    [[...deploy, "--wiat=1s"], "did you mean --wait?"],
    [[...deploy, "x"], 'Unexpected argument "x"'],
  ]);
});

Deno.test("the action run scripts refuse an id that would lead to another path", async () => {
  for (const id of [".", ".."]) {
    await assertWrongCalls(CREATE, [[["-a", id], `"${id}"`]]);
    const args = ["--run-id", id, "--status", "SUCCESS"];
    await assertWrongCalls(UPDATE, [[args, `"${id}"`]]);
  }
});

Deno.test("update_action_run changes what its flags say", async () => {
  await withRun(async (port, id) => {
    const { code, stdout, stderr } = await update(port, [
      ...["--run-id", id, "--status", "FAILURE", "--summary", "2 of 9"],
      ...["--status-label", "Tests failed", "--external-run-id", "42"],
      ...["--link", "https://ci.example/1", "--link=https://ci.example/2"],
    ]);
    assertEquals([code, stderr], [0, `Updated run "${id}"\n`]);
    const run = await runOf(port, id);
    assertEquals(JSON.parse(stdout), run);
    const { status, statusLabel, summary, link } = run;
    assertEquals({ status, statusLabel, summary, link }, {
      status: "FAILURE",
      statusLabel: "Tests failed",
      summary: "2 of 9",
      link: ["https://ci.example/1", "https://ci.example/2"],
    });
    assertEquals(await logOf(port, id), []);
  });
});

Deno.test("update_action_run changes only what its flags say", async () => {
  await withRun(async (port, id) => {
    const change = async (...args: string[]) => {
      const result = await update(port, ["--run-id", id, ...args]);
      assertEquals(result.code, 0, result.stderr);
      const { status, statusLabel, summary, link } = await runOf(port, id);
      return [status, statusLabel, summary, link];
    };
    const link = "https://ci.example/1";
    assertEquals(await change("--link", link), [
      "IN_PROGRESS",
      undefined,
      undefined,
      [link],
    ]);
    assertEquals(await change("--summary", ""), [
      "IN_PROGRESS",
      undefined,
      "",
      [link],
    ]);
    assertEquals(await change("--external-run-id=7", "-s=SUCCESS"), [
      "SUCCESS",
      undefined,
      "",
      [link],
    ]);
  });
});

Deno.test("update_action_run finds the run in PORT_RUN_ID, and the flag wins", async () => {
  await withRun(async (port, id) => {
    const call = (args: string[], PORT_RUN_ID: string) =>
      run(UPDATE, args, { env: { ...port.env, PORT_RUN_ID } });
    const found = await call(["--log", "one", "--quiet"], id);
    assertEquals([found.code, found.stderr], [0, ""]);
    assertEquals((await call(["--log=two", "--run-id", id], "r_0")).code, 0);
    assertEquals(await logOf(port, id), ["one", "two"]);
    const before = port.log.length;
    const none = await call(["--log", "three"], "");
    assertEquals([none.code, none.stdout], [2, ""]);
    assertMatch(
      none.stderr,
      /^error: Cannot tell the run: .*PORT_RUN_ID .*\n$/,
    );
    assertEquals(port.log.length, before);
  });
});

Deno.test("update_action_run --log adds a message and prints the run", async () => {
  await withRun(async (port, id) => {
    const text = "Deploying\n1.4.2 – готово";
    const { code, stdout } = await update(port, [
      "--run-id",
      id,
      "--log",
      text,
    ]);
    assertEquals([code, JSON.parse(stdout)], [0, await runOf(port, id)]);
    assertEquals(await logOf(port, id), [text]);
    assertEquals(requests(port, /^PATCH/), [], "nothing was changed");
  });
});

Deno.test("update_action_run --log - sends many lines in order and in few requests", async () => {
  const lines = Array.from({ length: 5_000 }, (_, number) => `line ${number}`);
  await withRun(async (port, id) => {
    const { code, stderr } = await update(
      port,
      ["--run-id", id, "--log", "-", "--status", "SUCCESS"],
      lines.join("\n"),
    );
    assertEquals([code, stderr], [0, `Updated run "${id}"\n`]);
    const messages = await logOf(port, id);
    assertEquals(messages.join("\n").split("\n"), lines);
    assertEquals(messages[0], "line 0", "the first at once");
    assertEquals(messages.length <= 5, true, `${messages.length} messages`);
    assertEquals((await runOf(port, id)).status, "SUCCESS");
    // The end of the run is the last that Port hears.
    const sent = requests(port, /^(?:POST \S+\/logs|PATCH) /);
    assertMatch(sent.at(-1) ?? "", /^PATCH/);
  });
});

Deno.test("update_action_run --log - sends lines while the build goes on", async () => {
  await withRun(async (port, id) => {
    const args = ["--run-id", id, "--log", "-"];
    const log = async () => (await logOf(port, id)).join("\n");
    const { code, stderr } = await runAlong(
      UPDATE,
      args,
      port,
      async (script) => {
        for (const line of ["Compiling", "Testing"]) {
          const arrived = port.logged("/logs 201");
          await script.write(`${line}\r\n`);
          await script.until(arrived);
          assertEquals((await log()).split("\n").at(-1), line);
        }
        await script.write("\nlast");
      },
    );
    assertEquals(code, 0, stderr);
    // An empty message would be none.
    assertEquals(await log(), "Compiling\nTesting\n \nlast");
  });
});

Deno.test("update_action_run --log - gathers the lines of a chatty build", async () => {
  const lines = Array.from({ length: 200 }, (_, number) => `line ${number}`);
  await withRun(async (port, id) => {
    const begin = performance.now();
    const args = ["--run-id", id, "--log", "-"];
    const { code, stderr } = await runAlong(
      UPDATE,
      args,
      port,
      async (script) => {
        const [first, ...others] = lines;
        const arrived = port.logged("/logs 201");
        await script.write(`${first}\n`);
        await script.until(arrived);
        for (const line of others) {
          await script.write(`${line}\n`);
          // Port has had the time to answer in between.
          await logOf(port, id);
        }
      },
    );
    assertEquals(code, 0, stderr);
    const messages = await logOf(port, id);
    assertEquals(messages.join("\n").split("\n"), lines);
    // One a second, the first at once and the last at the end.
    const most = 2 + (performance.now() - begin) / 1_000;
    assertEquals(messages.length <= most, true, `${messages.length} messages`);
  });
});

Deno.test("update_action_run --log - sends nothing for an empty input", async () => {
  await withRun(async (port, id) => {
    const args = ["--run-id", id, "--log", "-", "-s", "SUCCESS"];
    assertEquals((await update(port, args, "")).code, 0);
    assertEquals(requests(port, LOGGED), []);
    assertEquals((await runOf(port, id)).status, "SUCCESS");
  });
});

Deno.test("update_action_run --log - cuts a long line into messages that Port takes", async () => {
  await withRun(async (port, id) => {
    // Each of these takes six bytes in JSON: 1.2 MB in all.
    const line = "\u0001".repeat(200_000);
    const args = ["--run-id", id, "--log", "-"];
    const { code, stderr } = await update(port, args, line);
    assertEquals(code, 0, stderr);
    assertEquals((await logOf(port, id)).join(""), line);
  });
});

Deno.test("update_action_run --log - cuts no character in two", async () => {
  await withRun(async (port, id) => {
    const line = `x${"🚀".repeat(100_000)}`;
    const args = ["--run-id", id, "--log", "-"];
    assertEquals((await update(port, args, line)).code, 0);
    const messages = await logOf(port, id);
    assertEquals(messages.join("") === line, true);
    assertEquals(messages.length > 1, true);
    assertEquals(messages.every((message) => message.isWellFormed()), true);
  });
});

Deno.test("update_action_run sends no log message twice, and still the status", async () => {
  const kinds = ["cut-before", "cut-middle", "error"] as const;
  await Promise.all(kinds.map((kind) =>
    withRun(async (port, id) => {
      const { code, stdout, stderr } = await update(
        port,
        ["--run-id", id, "--log", "Deployed", "--status", "SUCCESS"],
      );
      assertEquals([code, JSON.parse(stdout).status], [6, "SUCCESS"]);
      const why =
        /Cannot write to the log of action run "r_\S+": .*; it was not repeated, as Port may have acted on it: look there first\n/
          .source;
      const pattern = `^warning: ${why}Updated run ".*"\nerror: ${why}$`;
      assertMatch(stderr, new RegExp(pattern));
      assertEquals(requests(port, LOGGED).length, 1);
      const log = kind === "error" ? [] : ["Deployed"];
      assertEquals(await logOf(port, id), log, kind);
      assertEquals((await runOf(port, id)).status, "SUCCESS");
    }, ["none", "none", "none", kind])
  ));
});

Deno.test("update_action_run repeats a log message that Port turned away", async () => {
  await withRun(async (port, id) => {
    const args = ["--run-id", id, "--log", "Deployed"];
    const { code, stderr } = await update(port, args);
    assertEquals(code, 0, stderr);
    assertEquals(await logOf(port, id), ["Deployed"]);
    assertEquals(requests(port, LOGGED).length, 2);
  }, ["none", "none", "none", "unavailable"]);
});

Deno.test("update_action_run --log - goes on after a message that is lost", async () => {
  await withRun(async (port, id) => {
    const { code, stderr } = await update(
      port,
      ["--run-id", id, "--log", "-", "-s", "FAILURE"],
      "first\nsecond\nthird\n",
    );
    assertEquals(code, 6);
    assertMatch(stderr, /^warning: .*\nUpdated run ".*"\nerror: .*\n$/);
    assertEquals(await logOf(port, id), ["second\nthird"]);
    assertEquals((await runOf(port, id)).status, "FAILURE");
  }, ["none", "none", "none", "error"]);
});

Deno.test("update_action_run --log - gives up after three lost messages, and still sends the status", async () => {
  const lost = Array<"error">(3).fill("error");
  await withRun(async (port, id) => {
    const { code, stderr } = await update(
      port,
      ["--run-id", id, "--log", "-", "-s", "SUCCESS"],
      `${"x".repeat(300_001)}\nand more`,
    );
    assertEquals(code, 6);
    assertEquals(stderr.match(/^warning: /gm)?.length, 3);
    assertStringIncludes(stderr, "; no more of the log is sent\n");
    assertEquals(requests(port, LOGGED).length, 3);
    assertEquals(await logOf(port, id), []);
    assertEquals((await runOf(port, id)).status, "SUCCESS");
  }, ["none", "none", "none", ...lost]);
});

Deno.test("update_action_run repeats a change until it is made", async () => {
  await withRun(async (port, id) => {
    const args = ["--run-id", id, "--status", "SUCCESS"];
    const { code, stderr } = await update(port, args);
    assertEquals(code, 0, stderr);
    assertEquals(requests(port, /^PATCH/).length, 3);
    assertEquals((await runOf(port, id)).status, "SUCCESS");
  }, ["none", "none", "none", "cut-middle", "error"]);
});

Deno.test("update_action_run tells each refusal of Port with its exit code", async () => {
  await withPort({}, async ({ env }) => {
    const args = ["--run-id", "r_1", "--status", "SUCCESS", "--retries=0"];
    await assertRefused(UPDATE, [3, "Cannot log in to Port"], args, {
      ...env,
      PORT_CLIENT_SECRET: "wrong",
    });
    const says = 'Action run with id "r_1" does not exist; check --run-id';
    await assertRefused(UPDATE, [4, says], args, env);
    await assertRefused(UPDATE, [6, "check the API URL"], args, {
      ...env,
      API_URL: await deadUrl(),
    });
    const log = ["--run-id=r_1", "--log=x"];
    const { code, stderr } = await run(UPDATE, log, { env });
    assertEquals(code, 4, stderr);
    const soft = await run(UPDATE, [...args, "--soft-fail"], { env });
    assertEquals([soft.code, soft.stdout], [0, ""]);
    assertMatch(soft.stderr, /^warning: .* \(--soft-fail\)\n$/);
  });
});

Deno.test("update_action_run answers a wrong call with one line, exit code 2 and no request", async () => {
  const run = ["--run-id", "r_1"];
  await assertWrongCalls(UPDATE, [
    [[], "give --run-id ID, or set PORT_RUN_ID"],
    [["--status", "SUCCESS"], "give --run-id ID, or set PORT_RUN_ID"],
    [run, "give --log, --status or another"],
    [["--run-id", "", "--log", "x"], "--run-id ID is empty"],
    [["--run-id"], "Missing the value of --run-id ID"],
    [[...run, "--run-id=r_2", "--log=x"], "--run-id is given twice"],
    [[...run, "--status", "DONE"], 'Cannot use --status "DONE"'],
    [[...run, "-s", "success"], 'Cannot use --status "success"'],
    [[...run, "-s"], "Missing the value of -s STATUS"],
    [[...run, "--log"], "Missing the value of --log TEXT"],
    [[...run, "--log=x", "--log=y"], "--log is given twice"],
    [[...run, "--status-label"], "Missing the value of --status-label TEXT"],
    [[...run, "--summary"], "Missing the value of --summary TEXT"],
    [[...run, "--link"], "Missing the value of --link URL"],
    [[...run, "--link="], "--link URL is empty"],
    [[...run, "--external-run-id="], "--external-run-id ID is empty"],
    [[...run, "--sumary=x"], "did you mean --summary?"],
    [[...run, "--log=x", "y"], 'Unexpected argument "y"'],
  ]);
});
