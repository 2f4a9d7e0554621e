import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import { type Body, testPort, withEvents } from "../support/local_port.ts";
import { CREATE, create, runAlong } from "../support/action_runs.ts";
import { withPort } from "../support/port.ts";

const START = "POST /actions/deploy/runs";

async function startWith(
  port: { must(request: string, body: Body): Promise<Body> },
  content: Body = {},
): Promise<string> {
  const { run } = await port.must(START, { properties: {}, ...content });
  return String(Object(run).id);
}

testPort("lab shows the runs with their logs", async (port) => {
  const properties = { version: "1.4.2" };
  const id = await startWith(port, { properties, entity: "checkout" });
  await port.must(`POST /actions/runs/${id}/logs`, { message: "Building" });
  await startWith(port);
  const [status, { runs }] = await port.lab("GET runs");
  const [run, other] = runs as Body[];
  const { createdAt: _, updatedAt: __, logs, ...rest } = Object(run);
  assertEquals([status, rest], [200, {
    ...{ id, action: "deploy", status: "IN_PROGRESS", entity: "checkout" },
    ...{ requiredApproval: false, properties, createdBy: "local-port" },
  }]);
  const messages = (logs as Body[]).map(({ message, createdAt }) => [
    message,
    String(createdAt).slice(-1),
  ]);
  assertEquals(messages, [["Building", "Z"]]);
  assertEquals([other?.entity, other?.logs], [undefined, []]);
});

testPort(
  "lab answers a run as its backend, synchronized or not",
  async (port) => {
    const id = await startWith(port);
    const steps: [body: Body, status: string, label: unknown, logs: number][] =
      [
        [{ log: "Half done" }, "IN_PROGRESS", undefined, 1],
        [{ statusLabel: "Testing" }, "IN_PROGRESS", "Testing", 1],
        [
          { status: "FAILURE", log: "x", statusLabel: "Bad" },
          "FAILURE",
          "Bad",
          2,
        ],
      ];
    for (const [body, ...expected] of steps) {
      const [code, { run }] = await port.lab(`POST runs/${id}`, body);
      const { status, statusLabel, logs } = Object(run);
      assertEquals(code, 200);
      assertEquals([status, statusLabel, logs.length], expected);
    }
    const { run } = await port.must(`GET /actions/runs/${id}`);
    assertEquals(Object(run).status, "FAILURE");
    assertEquals(typeof Object(run).endedAt, "string");
  },
  { synchronized: ["deploy"] },
);

testPort("lab refuses what does not fit a run", async (port) => {
  const waiting = await startWith(port);
  const declined = await startWith(port);
  await port.lab(`POST runs/${declined}`, { approve: false });
  const active = await startWith(port);
  await port.lab(`POST runs/${active}`, { approve: true });
  const cases: [id: string, body: unknown, status: number, message: string][] =
    [
      ["x", { log: "x" }, 404, 'Action run with id "x" does not exist'],
      ["__proto__", { log: "x" }, 404, "Action run with id"],
      [waiting, { log: "x" }, 409, "is WAITING_FOR_APPROVAL, not IN_PROGRESS"],
      [waiting, { status: "SUCCESS" }, 409, "not IN_PROGRESS"],
      [declined, { approve: true }, 409, "is DECLINED, not WAITING_FOR"],
      [declined, { status: "SUCCESS" }, 409, "is DECLINED, not IN_PROGRESS"],
      [active, { approve: false }, 409, "is IN_PROGRESS, not WAITING_FOR"],
      [active, {}, 422, '"body" must NOT have fewer than 1 properties'],
      [active, undefined, 422, '"body" must be object'],
      [active, { approve: "yes" }, 422, '"approve" must be boolean'],
      [active, { approve: true, log: "x" }, 422, '"body" must NOT have more'],
      [active, { status: "DONE" }, 422, '"status" must be equal to one of'],
      [active, { log: 1 }, 422, '"log" must be string'],
      [active, { logs: "x" }, 422, 'additional properties "logs"'],
    ];
  for (const [id, body, expected, message] of cases) {
    const [status, answer] = await port.lab(`POST runs/${id}`, body);
    assertEquals([body, status], [body, expected]);
    assertStringIncludes(String(answer.message), message);
  }
  const [, { runs }] = await port.lab("GET runs");
  const found = (runs as Body[])
    .map(({ status, logs }) => [status, Object(logs).length]);
  assertEquals(found, [
    ["WAITING_FOR_APPROVAL", 0],
    ["DECLINED", 0],
    ["IN_PROGRESS", 0],
  ]);
}, { approval: ["deploy"] });

testPort(
  "lab streams the changes of runs, whoever makes them",
  async (port) => {
    await port.must("GET /blueprints");
    await withEvents(port, async (next) => {
      const id = await startWith(port);
      assertEquals((await next())[0], "request");
      assertEquals(await next(), ["run", { id }]);
      await port.must(`POST /actions/runs/${id}/logs`, { message: "x" });
      assertEquals((await next())[0], "request");
      assertEquals(await next(), ["run", { id }]);
      await port.lab(`POST runs/${id}`, { log: "y", status: "SUCCESS" });
      assertEquals(await next(), ["run", { id }]);
      await port.lab("DELETE requests");
      assertEquals((await next())[0], "clear");
    });
  },
);

/** Decides on a run while a script waits for it. */
const DECISIONS: [steps: Body[], code: number, lines: string[]][] = [
  [
    [{ approve: true }, { log: "Deployed 1.4.2" }, { status: "SUCCESS" }],
    0,
    ["Deployed 1.4.2\n"],
  ],
  [[{ approve: false }], 7, ["ended with DECLINED"]],
];

for (const [steps, expected, lines] of DECISIONS) {
  Deno.test(`create_action_run --wait exits with ${expected} after ${JSON.stringify(steps[0])}`, async () => {
    await withPort({ approval: ["deploy"] }, async (port) => {
      const args = "--action deploy --wait 1m";
      const { code, stderr } = await runAlong(
        port,
        CREATE,
        args,
        async (script) => {
          await script.said("is WAITING_FOR_APPROVAL");
          const list = await fetch(`${port.url}/__local/runs`);
          const [{ id }] = (await list.json()).runs;
          for (const step of steps) {
            const answer = await fetch(`${port.url}/__local/runs/${id}`, {
              method: "POST",
              body: JSON.stringify(step),
            });
            assertEquals(answer.status, 200, await answer.text());
          }
        },
      );
      assertEquals(code, expected, stderr);
      for (const line of lines) assertStringIncludes(stderr, line);
    });
  });
}

Deno.test("create_action_run without --wait prints a run that waits for approval", async () => {
  await withPort({ approval: ["deploy"] }, async (port) => {
    const { code, stdout } = await create(port);
    const { status, requiredApproval } = JSON.parse(stdout);
    assertEquals([code, status, requiredApproval], [
      0,
      "WAITING_FOR_APPROVAL",
      true,
    ]);
  });
});
