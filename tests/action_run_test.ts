import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import type { Failure } from "../scripts/local_port/failures.ts";
import {
  assertError,
  assertFailures,
  assertWrongCalls,
  CREDENTIALS,
  deadUrl,
  type TestPort,
  withPort,
  withServer,
  WRONG_SECRET,
} from "./support/port.ts";
import {
  type Args,
  readOutput,
  type Result,
  run,
  start,
  words,
} from "./support/run.ts";
import { prepare } from "./support/calls.ts";
import { withHandler } from "./support/server.ts";

const CREATE = "create_action_run";
const UPDATE = "update_action_run";

type Body = Record<string, unknown>;

async function create(port: TestPort, args = ""): Promise<Result> {
  return await port.run(CREATE, `--action deploy ${args}`);
}

async function update(port: TestPort, id: string, args: Args, stdin?: string) {
  return await port.run(UPDATE, ["--run-id", id, ...words(args)], { stdin });
}

/** Reads or changes a part of the catalogue past the scripts. */
async function must(port: TestPort, method: string, path: string, body?: Body) {
  const answer = await (await port.call(method, `/actions/${path}`, body))
    .json();
  assertEquals(answer.ok, true, JSON.stringify(answer));
  return answer as Body;
}

async function runOf(port: TestPort, id: string): Promise<Body> {
  return (await must(port, "GET", `runs/${id}`)).run as Body;
}

/** The messages in the log of a run. */
async function logOf(port: TestPort, id: string): Promise<string[]> {
  const { runLogs } = await must(port, "GET", `runs/${id}/logs`);
  return (runLogs as Body[]).map(({ message }) => String(message));
}

async function addLog(port: TestPort, id: string, ...messages: string[]) {
  for (const message of messages) {
    await must(port, "POST", `runs/${id}/logs`, { message });
  }
}

/** Lets a test report on a run; failures begin after the script's log-in. */
async function withRun(
  failures: (Failure | "none")[],
  test: (port: TestPort, id: string) => Promise<void>,
) {
  const before = ["none", "none", "none"] as const;
  await withPort({ failures: [...before, ...failures] }, async (port) => {
    const { run } = await must(port, "POST", "deploy/runs", { properties: {} });
    await test(port, String((run as Body).id));
  });
}

/** The statuses of the requests of a kind that arrived. */
function statuses({ log }: TestPort, pattern: RegExp): (string | undefined)[] {
  return log.filter((line) => pattern.test(line))
    .map((line) => line.split(" ")[2]);
}

const STARTED = /^POST \S+\/actions\/deploy\/runs/;
const LOGGED = /^POST \S+\/logs /;
const CHANGED = /^PATCH /;

const NOT_REPEATED =
  "it was not sent again: Port may have acted on it, look there first";

/** A script that runs while its test goes on. */
interface Running {
  /** Waits for something, or for the script's end if that comes first. */
  until(event: Promise<void>): Promise<unknown>;
  /** Waits until standard error holds a text. */
  said(text: string): Promise<void>;
  /** Writes to its standard input. */
  write(text: string): Promise<void>;
  /** Sends it a signal. */
  kill(signal: Deno.Signal): void;
  /** Its end. */
  ended: Promise<unknown>;
}

/** Runs a script while a test acts. */
async function runAlong(
  port: Pick<TestPort, "env">,
  name: string,
  args: Args,
  act: (script: Running) => Promise<void>,
): Promise<Result> {
  const child = await start(name, args, { env: port.env, stdin: "" });
  const { said, result } = readOutput(child);
  const input = child.stdin.getWriter();
  try {
    await act({
      until: (event) => Promise.race([event, child.status]),
      said,
      write: (text) => input.write(new TextEncoder().encode(text)),
      kill: (signal) => child.kill(signal),
      ended: child.status,
    });
  } finally {
    await input.close().catch(() => {});
    await result;
  }
  return await result;
}

Deno.test("create_action_run starts an action and prints its run", async () => {
  await withPort({}, async (port) => {
    const args =
      "-e checkout --run-as me@a.test --property version=007 -p replicas:=3";
    const { code, stdout, stderr } = await create(port, args);
    const run = JSON.parse(stdout);
    const said = `Started action "deploy": run "${run.id}"\n`;
    assertEquals([code, stderr], [0, said]);
    const { properties, entity, createdBy, status } = run;
    assertEquals({ properties, entity, createdBy, status }, {
      properties: { version: "007", replicas: 3 },
      entity: { identifier: "checkout" },
      createdBy: "me@a.test",
      status: "IN_PROGRESS",
    });
    assertEquals(await runOf(port, run.id), run);
    assertEquals(port.log.length, 4, "two log-ins, two requests");
  });
});

Deno.test("create_action_run sends no entity and no input unless told to", async () => {
  await withPort({ actions: ["roll back/now"] }, async (port) => {
    const args = ["-a", "roll back/now", "--quiet"];
    const { code, stdout, stderr } = await port.run(CREATE, args);
    const { properties, entity } = JSON.parse(stdout);
    assertEquals([code, stderr, properties, entity], [0, "", {}, undefined]);
    const path = /^POST \/v1\/actions\/roll%20back%2Fnow\/runs 202 /;
    assertMatch(port.log.at(-1) ?? "", path);
  });
});

/** Starts an action and follows it; acts when it was asked for once. */
async function follow(
  args: string,
  act: (port: TestPort, id: string, script: Running) => Promise<unknown>,
): Promise<Result> {
  return await withPort({}, async (port) => {
    const asked = port.logged("/logs?");
    const all = `-a deploy --wait 20s ${args}`;
    const result = await runAlong(port, CREATE, all, async (script) => {
      await script.until(asked);
      const [, id = ""] = /runs\/(r_[^/ ]+)/.exec(port.log.join("\n")) ?? [];
      await act(port, id, script);
    });
    assertEquals(statuses(port, STARTED).length, 1);
    return result;
  });
}

/** More than Port gives at once. */
const MANY = Array.from({ length: 120 }, (_, number) => `line ${number}.`);

Deno.test("create_action_run --wait shows the log as it comes, and exits with 0 after SUCCESS", async () => {
  const { code, stdout, stderr } = await follow(
    "",
    async (port, id, script) => {
      const block = "with \x1b[31m escape\r\n  indented\n\n10%\r20%\n";
      await addLog(port, id, "first", block);
      await script.said("first");
      await addLog(port, id, ...MANY);
      const end = { status: "SUCCESS", summary: "All well" };
      await must(port, "PATCH", `runs/${id}`, end);
    },
  );
  assertEquals(code, 0, stderr);
  const { status, summary } = JSON.parse(stdout);
  assertEquals([status, summary], ["SUCCESS", "All well"]);
  const [running = "", ...lines] = stderr.split("\n").slice(1, -1);
  assertMatch(running, /^Run "r_\S+" is IN_PROGRESS$/);
  const block = ["with \\u001b[31m escape", "  indented", "", "10%", "20%"];
  assertEquals(lines, ["first", ...block, ...MANY]);
});

Deno.test("create_action_run --wait exits with 7 after FAILURE", async () => {
  const { code, stdout, stderr } = await follow("", (port, id) => {
    const end = { status: "FAILURE", statusLabel: "Tests failed" };
    return must(port, "PATCH", `runs/${id}`, end);
  });
  assertEquals([code, JSON.parse(stdout).status], [7, "FAILURE"], stderr);
  assertMatch(
    stderr,
    /\nerror: Cannot continue: run "r_\S+" ended with FAILURE \(Tests failed\); see its page in Port\n$/,
  );
});

Deno.test("create_action_run --wait ends in time, however fast the log grows", async () => {
  let pages = 0;
  const answer = ({ url }: Request) => {
    const run = { id: "r_1", status: "IN_PROGRESS" };
    const isGrowing = url.includes("/logs?") && ++pages < 10_000;
    return Response.json({ run, runLogs: isGrowing ? [{ message: "x" }] : [] });
  };
  await withServer(answer, async (env) => {
    const args = "-a deploy --wait 1ms --timeout 1s --quiet";
    assertError(await run(CREATE, args, { env }), 7, "is IN_PROGRESS");
    assert(pages < 10_000);
  });
});

Deno.test("create_action_run --wait exits with 7 when the time is over, and goes on through failures", async () => {
  const failures: (Failure | "none")[][] = [
    [],
    ["error", "cut-middle", "none", "bad-gateway"],
  ];
  for (const kinds of failures) {
    // Log-in and start come first.
    await withPort({ failures: ["none", "none", ...kinds] }, async (port) => {
      const { code, stdout, stderr } = await create(port, "--wait 1ms");
      assertEquals([code, stdout], [7, ""]);
      const warnings = stderr.match(/^warning: .*; next attempt in .*$/gm) ??
        [];
      const failed = kinds.filter((kind) => kind !== "none");
      assertEquals(warnings.length, failed.length);
      assertMatch(
        stderr,
        /^Started action [^]*\nerror: Cannot continue: run "r_\S+" is IN_PROGRESS \(waited \d s\); it goes on in Port, follow it again with create_action_run\.ts --run-id r_\S+ --wait 1ms\n$/,
      );
      assertEquals(statuses(port, STARTED), ["202"]);
    });
  }
});

/** Signals that end a script, with its exit code. */
const SIGNALS: [Deno.Signal, number][] = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
];

Deno.test("create_action_run --wait says on a signal that the run goes on, and how to follow it again", async () => {
  await Promise.all(
    SIGNALS.map(([signal, expected]) =>
      withPort({}, async (port) => {
        const args = "-a deploy --wait 10m --quiet";
        const { code, stdout, stderr } = await runAlong(
          port,
          CREATE,
          args,
          async ({ until, kill }) => {
            await until(port.logged("/logs?"));
            kill(signal);
          },
        );
        assertEquals([code, stdout], [expected, ""]);
        const [, id = "", again = ""] =
          /^error: Interrupted while following run "(\S+)"; it goes on in Port, follow it again with create_action_run\.ts (.*)\n$/
            .exec(stderr) ?? [];
        assertEquals(again, `--run-id ${id} --wait 10m`, stderr);
        await addLog(port, id, "done");
        await must(port, "PATCH", `runs/${id}`, { status: "SUCCESS" });
        const followed = await port.run(CREATE, again);
        assertEquals([followed.code, followed.stderr], [0, "done\n"]);
        assertEquals(JSON.parse(followed.stdout), await runOf(port, id));
        assertEquals(statuses(port, STARTED).length, 1);
      })
    ),
  );
});

Deno.test("create_action_run --wait lets the status decide, not the log", async () => {
  const ends = "; see its page in Port";
  const goesOn = "; it goes on in Port, follow it again with ";
  const cases: [status: string, code: number, error: string][] = [
    ["SUCCESS", 0, ""],
    ["FAILURE", 7, `run "r_1" ended with FAILURE${ends}`],
    ["IN_PROGRESS", 7, `run "r_1" is IN_PROGRESS (waited 0 s)${goesOn}`],
    ["", 7, `get action run "r_1": Port answered 403: No${goesOn}`],
  ];
  await Promise.all(cases.map(async ([status, expected, error]) => {
    const no = () => Response.json({ message: "No" }, { status: 403 });
    const answer = ({ url, method }: Request) => {
      if (url.includes("/logs")) return no();
      if (method === "GET" && !status) return no();
      return Response.json({ run: { id: "r_1", status } });
    };
    await withServer(answer, async (env) => {
      const args = "-a deploy --wait 1ms --quiet";
      const { code, stderr } = await run(CREATE, args, { env });
      const log = 'warning: Cannot read the log of action run "r_1": ' +
        "Port answered 403: No; the status of the run decides\n";
      const warning = status ? log : "";
      assertEquals([code, stderr.startsWith(warning)], [expected, true]);
      const rest = stderr.slice(warning.length);
      if (error === "") assertEquals(rest, "");
      else assert(rest.startsWith(`error: Cannot `), rest);
      assertStringIncludes(rest, error);
      assert(!rest.trim().includes("\n"), rest);
    });
  }));
});

Deno.test("create_action_run follows no run without an id", async () => {
  const may = "no run; Port may have started it, look there first";
  const cases: [answer: Body, wait: string, code: number, says: string][] = [
    [{}, "", 6, may],
    [{ run: null }, "--wait 1s", 6, may],
    [{ run: { id: "" } }, "", 0, "but Port gave its run no id\n"],
    [{ run: { status: "SUCCESS" } }, "--wait 1s", 7, "Port gave it no id"],
  ];
  for (const [answer, wait, expected, says] of cases) {
    let requests = 0;
    const reply = () => (requests++, Response.json(answer, { status: 202 }));
    await withServer(reply, async (env) => {
      const { code, stderr } = await run(CREATE, `-a deploy ${wait}`, { env });
      assertEquals([code, requests], [expected, 1], stderr);
      assertStringIncludes(stderr, says);
    });
  }
});

Deno.test("create_action_run never starts an action twice", async () => {
  const kinds = ["cut-before", "cut-middle", "error", "bad-gateway"] as const;
  await Promise.all(
    kinds.map((kind) =>
      withPort({ failures: ["none", kind] }, async (port) => {
        const result = await create(port);
        assertError(result, 6, NOT_REPEATED);
        assertMatch(result.stderr, /^error: Cannot run action "deploy": /);
        assertEquals(statuses(port, STARTED).length, 1, kind);
      })
    ),
  );
});

Deno.test("create_action_run repeats a start that Port turned away", async () => {
  const kinds = { "rate-limited": "429", "unavailable": "503" } as const;
  await Promise.all(
    Object.entries(kinds).map(([kind, status]) =>
      withPort({ failures: ["none", kind as Failure] }, async (port) => {
        const { code, stdout, stderr } = await create(port);
        assertEquals(code, 0, stderr);
        assertMatch(stderr, /; next attempt in /);
        assertEquals(statuses(port, STARTED), [status, "202"]);
        assertEquals((await runOf(port, JSON.parse(stdout).id)).properties, {});
      })
    ),
  );
});

/** No such run exists. */
const FOLLOWED = "--run-id r_1 --wait 10m";
const UPDATED = "--run-id r_1 --status SUCCESS";

/** A call, one for what does not exist, and what is said of that. */
const CALLS: [name: string, args: string, missing: string, says: string][] = [
  [CREATE, "-a deploy", "-a nope", '"nope" does not exist; check --action '],
  [CREATE, FOLLOWED, FOLLOWED, '"r_1" does not exist; check --action or --run'],
  [UPDATE, UPDATED, UPDATED, '"r_1" does not exist; check --run-id '],
];

Deno.test("the action run scripts end each refusal of Port with its exit code", async () => {
  const dead = { env: { API_URL: await deadUrl() } };
  await withPort({}, async (port) => {
    for (const [name, args, missing, says] of CALLS) {
      await assertFailures(port, name, [
        [args, 3, "Cannot log in to Port", { env: WRONG_SECRET }],
        [missing, 4, says],
        [`${args} --retries 0`, 6, "check the API URL", dead],
      ]);
      // To follow a run is a gate.
      if (args === FOLLOWED) continue;
      const soft = await port.run(name, `${missing} --soft-fail`);
      assertEquals([soft.code, soft.stdout], [0, ""]);
      assertMatch(soft.stderr, /^warning: .* \(--soft-fail\)\n$/);
    }
    const { code, stderr } = await update(port, "r_1", "--log x");
    assertEquals(code, 4, stderr);
  });
});

Deno.test("the action run scripts exit with 5 when Port rejects the request", async () => {
  await Promise.all([400, 409, 422].map(async (status) => {
    const refuse = () =>
      Response.json({ message: "No such input" }, { status });
    await withServer(refuse, async (env) => {
      for (const [name, args] of CALLS) {
        const says = `Port answered ${status}: No such input`;
        assertError(await run(name, args, { env }), 5, says);
      }
    });
  }));
});

Deno.test("create_action_run answers a wrong call with one line, exit code 2 and no request", async () => {
  await assertWrongCalls(CREATE, [
    ["", "Missing --action ID"],
    ["-a .", '"." cannot be in a path'],
    ["-a ..", '".." cannot be in a path'],
    ["-a deploy --entity=", "--entity ID is empty"],
    ["-a deploy -p version", 'Cannot read --property "version"'],
    ["-a deploy -p n:=x", '--property "n": Unexpected token'],
    ["-a deploy -p a=1 -p a=2", 'property "a": it is given twice'],
    ["-a deploy --run-as=", "--run-as EMAIL is empty"],
    ["--run-id r_1", "Missing --wait TIME: --run-id only follows a run"],
    ["--run-id r_1 --wait 1s -a deploy", "Cannot use --run-id with --action"],
    ["--run-id r_1 --wait 1s -e checkout", "Cannot use --run-id with"],
    ["--run-id r_1 --wait 1s -p a=1", "Cannot use --run-id with"],
    ["--run-id r_1 --wait 1s --run-as me@a.test", "Cannot use --run-id with"],
    ["--run-id=.. --wait 1s", '".." cannot be in a path'],
    ["-a deploy --wait 0s", 'Cannot use --wait "0s"'],
    ["-a deploy --wait soon", 'Cannot use --wait "soon"'],
    ["-a deploy --wait 25h", 'Cannot use --wait "25h"'],
  ]);
});

Deno.test("update_action_run changes what its flags say, and nothing else", async () => {
  const changes: [args: string, change: Body][] = [
    ["--link https://a.test/1", { link: ["https://a.test/1"] }],
    ["--summary=", { summary: "" }],
    ["--external-run-id 42", {}],
    ["--status-label Red", { statusLabel: "Red" }],
    ["--status FAILURE", { status: "FAILURE" }],
    ["--summary 2/9 --link b --link=c", { summary: "2/9", link: ["b", "c"] }],
  ];
  const lasting = ({ updatedAt: _, endedAt: __, ...run }: Body) => run;
  await withRun([], async (port, id) => {
    let expected = lasting(await runOf(port, id));
    for (const [args, change] of changes) {
      const { code, stdout, stderr } = await update(port, id, args);
      assertEquals([code, stderr], [0, `Updated run "${id}"\n`]);
      const run = await runOf(port, id);
      assertEquals(JSON.parse(stdout), run);
      expected = { ...expected, ...change };
      assertEquals(lasting(run), expected);
    }
    assertEquals(statuses(port, CHANGED).length, changes.length);
    assertEquals(await logOf(port, id), []);
  });
});

Deno.test("update_action_run finds the run in PORT_RUN_ID, and the flag wins", async () => {
  await withRun([], async (port, id) => {
    const call = (args: string, PORT_RUN_ID: string) =>
      port.run(UPDATE, args, { env: { PORT_RUN_ID } });
    const found = await call("--log one --quiet", id);
    assertEquals([found.code, found.stderr], [0, ""]);
    assertEquals((await call(`--log=two --run-id ${id}`, "r_0")).code, 0);
    assertEquals(await logOf(port, id), ["one", "two"]);
    assertError(await call("--log three", ""), 2, "or set PORT_RUN_ID");
  });
});

Deno.test("update_action_run --log adds a message and prints the run", async () => {
  await withRun([], async (port, id) => {
    const text = "Deploying\n1.4.2 – готово";
    const { code, stdout } = await update(port, id, ["--log", text]);
    assertEquals([code, JSON.parse(stdout)], [0, await runOf(port, id)]);
    assertEquals(await logOf(port, id), [text]);
    assertEquals(statuses(port, CHANGED), [], "nothing was changed");
  });
});

/** Sends the log while a test writes it; returns the messages that arrived. */
async function pipeAlong(
  port: TestPort,
  id: string,
  act: (script: Running) => Promise<void>,
) {
  const args = `--run-id ${id} --log -`;
  const { code, stderr } = await runAlong(port, UPDATE, args, act);
  assertEquals(code, 0, stderr);
  return await logOf(port, id);
}

/** Sends standard input as the log; returns the messages that arrived. */
async function pipe(port: TestPort, id: string, stdin: string, flags = "") {
  const { code, stderr } = await update(port, id, `--log - ${flags}`, stdin);
  assertEquals([code, stderr], [0, `Updated run "${id}"\n`]);
  return await logOf(port, id);
}

Deno.test("update_action_run --log - sends many lines in order and in few requests", async () => {
  const lines = Array.from({ length: 5_000 }, (_, number) => `line ${number}`);
  await withRun([], async (port, id) => {
    const messages = await pipe(port, id, lines.join("\n"), "-s SUCCESS");
    assertEquals(messages.join("\n").split("\n"), lines);
    assert(messages.length <= 5, `${messages.length} messages`);
    assertEquals((await runOf(port, id)).status, "SUCCESS");
    // The last part of the log ends the run.
    assertEquals(statuses(port, CHANGED), []);
  });
});

Deno.test("update_action_run --log - sends lines while the build goes on", async () => {
  await withRun([], async (port, id) => {
    const messages = await pipeAlong(port, id, async (script) => {
      for (const line of ["Compiling", "Testing"]) {
        const arrived = port.logged("/logs 201");
        await script.write(`${line}\r\n`);
        await script.until(arrived);
        assertEquals((await logOf(port, id)).at(-1), line);
      }
      await script.write("\nlast");
    });
    assertEquals(messages, ["Compiling", "Testing", "\nlast"]);
  });
});

Deno.test("update_action_run --log - gathers the lines of a chatty build", async () => {
  const lines = Array.from({ length: 200 }, (_, number) => `line ${number}`);
  await withRun([], async (port, id) => {
    const begin = performance.now();
    const messages = await pipeAlong(port, id, async (script) => {
      const [first, ...others] = lines;
      const arrived = port.logged("/logs 201");
      await script.write(`${first}\n`);
      await script.until(arrived);
      for (const line of others) {
        await script.write(`${line}\n`);
        // Port has had the time to answer in between.
        await logOf(port, id);
      }
    });
    assertEquals(messages.join("\n").split("\n"), lines);
    // One a second, the first at once and the last at the end.
    const most = 2 + (performance.now() - begin) / 1_000;
    assert(messages.length <= most, `${messages.length} messages`);
  });
});

Deno.test("update_action_run --log - sends nothing for an empty input", async () => {
  await withRun([], async (port, id) => {
    assertEquals(await pipe(port, id, "", "-s SUCCESS"), []);
    assertEquals(statuses(port, LOGGED), []);
    assertEquals((await runOf(port, id)).status, "SUCCESS");
  });
});

Deno.test("update_action_run sends no log message twice, and still the status", async () => {
  const kinds = ["cut-before", "cut-middle", "error"] as const;
  await Promise.all(kinds.map((kind) =>
    withRun([kind], async (port, id) => {
      const args = "--log Deployed --status SUCCESS";
      const { code, stdout, stderr } = await update(port, id, args);
      assertEquals([code, JSON.parse(stdout).status], [6, "SUCCESS"]);
      const [updated, error = "", ...others] = stderr.split("\n");
      assertEquals([updated, others], [`Updated run "${id}"`, [""]]);
      const start = `error: Cannot write to the log of action run "${id}": `;
      const end = ` (1 line could not be sent); ${NOT_REPEATED}`;
      assert(error.startsWith(start) && error.includes(end), error);
      assertEquals(statuses(port, LOGGED).length, 1);
      const log = kind === "error" ? [] : ["Deployed"];
      assertEquals(await logOf(port, id), log, kind);
      assertEquals((await runOf(port, id)).status, "SUCCESS");
      assertEquals(statuses(port, CHANGED), ["200"]);
    })
  ));
});

Deno.test("update_action_run ends a run with its last log message, in one request", async () => {
  const cases: [
    args: string,
    stdin: string,
    logged: number,
    changed: number,
  ][] = [
    ["--log Deployed", "", 1, 0],
    ["--log -", "Deployed", 1, 0],
    // Nothing is left to say, or more is to be changed than a message can.
    ["--log -", "", 0, 1],
    ["--log=", "", 0, 1],
    ["--log Deployed --summary Done", "", 1, 1],
  ];
  for (const [args, stdin, logged, changed] of cases) {
    await withRun([], async (port, id) => {
      const flags = `${args} --status FAILURE --status-label Red`;
      const { code, stdout, stderr } = await update(port, id, flags, stdin);
      assertEquals([code, stderr], [0, `Updated run "${id}"\n`], args);
      const { status, statusLabel } = await runOf(port, id);
      assertEquals([status, statusLabel], ["FAILURE", "Red"]);
      const requests = [LOGGED, CHANGED].map((kind) =>
        statuses(port, kind).length
      );
      assertEquals(requests, [logged, changed], args);
      const { message, id: printed } = JSON.parse(stdout);
      if (changed === 0) assertEquals(message, "Deployed");
      else assertEquals(printed, id);
    });
  }
});

Deno.test("update_action_run explains why a synchronized run cannot be updated", async () => {
  await withPort({ synchronized: ["deploy"] }, async (port) => {
    const id = await prepare(port);
    const says = 'set "synchronized" to false in the action';
    assertError(await update(port, id, "--status SUCCESS"), 5, says);
    const both = await update(port, id, "--log x --status SUCCESS");
    assertEquals(both.code, 5);
    assertStringIncludes(both.stderr, says);
    assertEquals((await update(port, id, "--log x")).code, 0);
  });
});

Deno.test("update_action_run repeats a log message that Port turned away", async () => {
  await withRun(["unavailable"], async (port, id) => {
    const { code, stderr } = await update(port, id, "--log Deployed");
    assertEquals(code, 0, stderr);
    assertEquals(await logOf(port, id), ["Deployed"]);
    assertEquals(statuses(port, LOGGED), ["503", "201"]);
  });
});

Deno.test("update_action_run --log - goes on after an outage, and says once how much is missing", async () => {
  await withRun(Array(3).fill("bad-gateway"), async (port, id) => {
    const args = `--run-id ${id} --log - -s FAILURE`;
    const result = await runAlong(port, UPDATE, args, async (script) => {
      const arrived = port.logged("/logs 201");
      await script.write("line 1\n");
      await script.said("; trying again at longer intervals\n");
      await script.write("line 2\nline 3\nline 4\nline 5\n");
      await script.until(arrived);
    });
    assertEquals(result.code, 6);
    const [warning, ...others] = result.stderr.split("\n");
    const failure =
      `Cannot write to the log of action run "${id}": Port answered 502: 502 Bad Gateway`;
    const [updated, error = "", ...none] = others;
    assertEquals([updated, none], [`Updated run "${id}"`, [""]]);
    const missing = `${failure} (3 lines could not be sent); ${NOT_REPEATED}`;
    assert(error.startsWith(`error: ${missing}`), error);
    const intervals = "; trying again at longer intervals";
    assertEquals(warning, `warning: ${failure}${intervals}`);
    assertEquals(await logOf(port, id), ["line 4", "line 5"]);
    assertEquals((await runOf(port, id)).status, "FAILURE");
  });
});

Deno.test("update_action_run says how much of the log is missing when the status fails too", async () => {
  const refuse = () => new Response("", { status: 502 });
  await withServer(refuse, async (env) => {
    const args = "--run-id r_1 --log x -s SUCCESS --retries 0";
    const { code, stderr } = await run(UPDATE, args, { env });
    assertEquals(code, 6);
    assertMatch(
      stderr,
      /^warning: .* \(1 line could not be sent\)\nerror: Cannot update .*\n$/,
    );
  });
});

Deno.test("update_action_run --log - sends what has come until a signal, and no status", async () => {
  await Promise.all(
    SIGNALS.map(([signal, expected]) =>
      withRun([], async (port, id) => {
        const args = `--run-id ${id} --log - --status SUCCESS`;
        const act = async ({ until, write, kill, ended }: Running) => {
          const arrived = port.logged("/logs 201");
          await write("one\n");
          await until(arrived);
          await write("two\nthe error");
          kill(signal);
          await ended;
        };
        const { code, stdout, stderr } = await runAlong(
          port,
          UPDATE,
          args,
          act,
        );
        assertEquals([code, stdout], [expected, ""]);
        const says = "the log was sent; the run may not be updated";
        assertEquals(stderr, `error: Interrupted: ${says}\n`);
        const messages = await logOf(port, id);
        assertEquals(messages.join("\n"), "one\ntwo\nthe error");
        assertEquals(statuses(port, CHANGED), []);
      })
    ),
  );
});

Deno.test("update_action_run --log - ends after a signal, though Port hangs", async () => {
  const arrived = Promise.withResolvers<void>();
  const hang = ({ path }: { path: string }) => {
    if (!path.includes("/logs")) return Response.json({ accessToken: "x" });
    arrived.resolve();
    return "none";
  };
  await withHandler(hang, async (API_URL) => {
    const env = { ...CREDENTIALS, API_URL };
    const args = "--run-id r_1 --log -";
    const act = async ({ write, kill, ended }: Running) => {
      await write("one\n");
      await arrived.promise;
      kill("SIGTERM");
      await ended;
    };
    const { code, stderr } = await runAlong({ env }, UPDATE, args, act);
    assertEquals(code, 143);
    assertStringIncludes(stderr, "canceled (1 line could not be sent)");
  });
});

Deno.test("update_action_run --log - says that a permission is missing, though its input goes on", async () => {
  const permissions = ["--no-prompt", "--allow-env"];
  const options = { env: CREDENTIALS, stdin: "one\n", permissions };
  const child = await start(UPDATE, "--run-id r_1 --log -", options);
  assertError(await readOutput(child).result, 2, "Permission denied: ");
  await child.stdin.close().catch(() => {});
});

Deno.test("update_action_run repeats a change until it is made", async () => {
  await withRun(["cut-middle", "error"], async (port, id) => {
    const { code, stderr } = await update(port, id, "--status SUCCESS");
    assertEquals(code, 0, stderr);
    assertEquals(statuses(port, CHANGED).length, 3);
    assertEquals((await runOf(port, id)).status, "SUCCESS");
  });
});

Deno.test("update_action_run answers a wrong call with one line, exit code 2 and no request", async () => {
  await assertWrongCalls(UPDATE, [
    ["", "give --run-id ID, or set PORT_RUN_ID"],
    ["--status SUCCESS", "give --run-id ID, or set PORT_RUN_ID"],
    ["--run-id r_1", "give --log, --status or another"],
    ["--run-id= --log x", "--run-id ID is empty"],
    ["--run-id . --status SUCCESS", '"." cannot be in a path'],
    ["--run-id .. --status SUCCESS", '".." cannot be in a path'],
    ["--run-id r_1 --log=x --log=y", "--log is given twice"],
    ["--run-id r_1 --status DONE", 'Cannot use --status "DONE"'],
    ["--run-id r_1 -s success", 'Cannot use --status "success"'],
    ["--run-id r_1 --status-label", "the value of --status-label TEXT"],
    ["--run-id r_1 --summary", "Missing the value of --summary TEXT"],
    ["--run-id r_1 --link=", "--link URL is empty"],
    ["--run-id r_1 --external-run-id=", "--external-run-id ID is empty"],
  ]);
});
