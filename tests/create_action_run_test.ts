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
  deadUrl,
  type TestPort,
  withPort,
  withServer,
  WRONG_SECRET,
} from "./support/port.ts";
import { type Result, run } from "./support/run.ts";
import { withHangingPort } from "./support/server.ts";
import {
  addLog,
  type Body,
  CREATE,
  create,
  must,
  NOT_REPEATED,
  runAlong,
  type Running,
  runOf,
  SIGNALS,
  STARTED,
  statuses,
  UPDATE,
  update,
} from "./support/action_runs.ts";

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

Deno.test("create_action_run says on a signal that Port may have started the action", async () => {
  await withHangingPort("/runs", async (env, arrived) => {
    const act = async ({ kill, ended }: Running) => {
      await arrived;
      kill("SIGINT");
      await ended;
    };
    const result = await runAlong({ env }, CREATE, "-a deploy", act);
    assertError(result, 130, 'starting action "deploy": Port may have started');
  });
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
const FOLLOWED = "--run-id r_1 --wait 1ms";
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
        // To follow a run goes on through an outage.
        args === FOLLOWED
          ? [`${args} --retries 0`, 7, "follow it again with", dead]
          : [`${args} --retries 0`, 6, "check the API URL", dead],
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
