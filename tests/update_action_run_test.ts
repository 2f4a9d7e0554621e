import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import {
  assertError,
  assertWrongCalls,
  CREDENTIALS,
  type TestPort,
  withPort,
  withServer,
} from "./support/port.ts";
import { readOutput, run, start } from "./support/run.ts";
import { prepare } from "./support/calls.ts";
import { withHangingPort } from "./support/server.ts";
import {
  type Body,
  CHANGED,
  LOGGED,
  logOf,
  NOT_REPEATED,
  runAlong,
  type Running,
  runOf,
  SIGNALS,
  statuses,
  UPDATE,
  update,
  withRun,
} from "./support/action_runs.ts";

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
      const printed = JSON.parse(stdout);
      assertEquals([printed.id, printed.status], [id, "FAILURE"]);
    });
  }
});

Deno.test("update_action_run explains why a synchronized run cannot be updated", async () => {
  await withPort({ synchronized: ["deploy"] }, async (port) => {
    const id = await prepare(port);
    const says = 'set "synchronized" to false';
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
  await withHangingPort("/logs", async (env, arrived) => {
    const args = "--run-id r_1 --log -";
    const act = async ({ write, kill, ended }: Running) => {
      await write("one\n");
      await arrived;
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
