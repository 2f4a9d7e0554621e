import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import type { Body, Refused } from "../support/local_port.ts";
import { testPort } from "../support/local_port.ts";

const START = "POST /actions/deploy/runs";

testPort("starts an action", async (port) => {
  const body = { properties: { version: "1" }, entity: "checkout" };
  const runAs = `${START}?run_as=ci%40example.com`;
  const [status, { run }] = await port.send(runAs, body);
  const { id, createdAt, updatedAt, ...rest } = run as Body;
  assertEquals([status, rest], [202, {
    action: { identifier: "deploy" },
    entity: { identifier: "checkout" },
    properties: { version: "1" },
    requiredApproval: false,
    source: "API",
    status: "IN_PROGRESS",
    createdBy: "ci@example.com",
  }]);
  assertMatch(`${id} ${createdAt}`, /^r_\S+ \S+Z$/);
  assertEquals(updatedAt, createdAt);
  const second = "POST /actions/roll%20back/runs";
  const other = await port.must(second, { properties: {} });
  assertEquals(Object(other.run).createdBy, "local-port");
  assertEquals((await port.must(`GET /actions/runs/${id}`)).run, run);
}, { actions: ["deploy", "roll back"] });

const MORE = '"body" must NOT have additional properties "more"';
const message = "x";

/** What breaks Port's schema, by the request. */
const WRONG: Record<string, Refused[]> = {
  [START]: [
    ['"body" must be object'],
    ["\"body\" must have required property 'properties'", {}],
    ['"properties" must be object', { properties: "none" }],
    ['"entity" must be string', { properties: {}, entity: 1 }],
    [MORE, { properties: {}, more: 1 }],
  ],
  [`${START}?run_as=nobody`]: [
    ['"run_as" must match format "email"', { properties: {} }],
  ],
  "PATCH RUN": [
    ['"body" must be object', []],
    ['"status" must be equal to one of', { status: "DONE" }],
    ['"status" must be equal to one of', { status: "IN_PROGRESS" }],
    ['"link" must be string,array', { link: 1 }],
    ['"link.0" must be string', { link: [1] }],
    ['"summary" must be string', { summary: null }],
    ['"statusLabel" must be string', { statusLabel: 1 }],
    ['"externalRunId" must be string', { externalRunId: 1 }],
    ['"message" must be object', { message }],
    [MORE, { more: 1 }],
  ],
  "POST RUN/logs": [
    ["\"body\" must have required property 'message'", {}],
    ['"message" must be string', { message: 1 }],
    ['"terminationStatus" must be', { message, terminationStatus: "MAYBE" }],
    ['"statusLabel" must be string', { message, statusLabel: 1 }],
    [MORE, { message, more: 1 }],
  ],
  "GET RUN/logs?limit=51": [['"limit" must be <= 50']],
  "GET RUN/logs?limit=0": [['"limit" must be >= 1']],
  "GET RUN/logs?limit=x": [['"limit" must be']],
  "GET RUN/logs?offset=-1": [['"offset" must be >= 0']],
  "GET RUN/logs?offset=x": [['"offset" must be']],
};

testPort("refuses what breaks the schema of runs and logs", async (port) => {
  const run = await port.startRun();
  for (const [request, cases] of Object.entries(WRONG)) {
    await port.refuse(request.replace("RUN", run), cases);
  }
  const { status, statusLabel } = Object((await port.must(`GET ${run}`)).run);
  assertEquals([status, statusLabel], ["IN_PROGRESS", undefined]);
  assertEquals((await port.must(`GET ${run}/logs`)).runLogs, []);
});

testPort("refuses actions and runs that do not exist", async (port) => {
  const action = 'Action with identifier "nothing" does not exist';
  const run = 'Action run with id "x" does not exist';
  const start = START.replace("deploy", "nothing");
  await port.refuse(start, [[action, { properties: {} }, 404]]);
  const logs = "/actions/runs/x/logs";
  await port.refuse("GET /actions/runs/x", [[run, undefined, 404]]);
  await port.refuse("PATCH /actions/runs/x", [[run, {}, 404]]);
  await port.refuse(`GET ${logs}`, [[run, undefined, 404]]);
  await port.refuse(`POST ${logs}`, [[run, { message }, 404]]);
});

testPort("changes a run, and ends it with its status", async (port) => {
  const link = ["https://ci.example/1", "https://ci.example/2"];
  const end = { status: "FAILURE", statusLabel: "Failed", summary: "2 of 9" };
  const steps: [body: Body, changed: Body][] = [
    [{ link: link[0] }, { link: link[0] }],
    // Port accepts these, and shows them nowhere.
    [{ externalRunId: "42", message: { text: "x" } }, {}],
    [end, end],
    [{ link }, { link }],
  ];
  const path = await port.startRun();
  let expected = (await port.must(`GET ${path}`)).run as Body;
  for (const [body, changed] of steps) {
    const { run } = await port.must(`PATCH ${path}`, body);
    const { endedAt, updatedAt, ...rest } = run as Body;
    expected = { ...expected, ...changed };
    assertEquals({ ...rest, updatedAt: expected.updatedAt }, expected);
    assertEquals(endedAt === undefined, rest.status === "IN_PROGRESS");
    assertMatch(String(updatedAt), /Z$/);
    assertEquals((await port.must(`GET ${path}`)).run, run);
  }
});

/** What a run that waits, or was declined, refuses. */
const UPDATES: [request: string, body: Body][] = [
  ["PATCH RUN", { link: "https://ci.example/1" }],
  ["PATCH RUN", { status: "SUCCESS" }],
  ["POST RUN/logs", { message }],
  ["POST RUN/logs", { message, terminationStatus: "SUCCESS" }],
];

testPort("lets the runs of an action wait for approval", async (port) => {
  const start = async () => {
    const [status, { run }] = await port.send(START, { properties: {} });
    assertEquals(status, 202);
    assertEquals(Object(run).requiredApproval, true);
    return `/actions/runs/${Object(run).id}`;
  };
  const refuseAll = async (run: string, reason: string) => {
    const id = run.split("/").at(-1);
    const error = `Action run "${id}" is ${reason} and cannot be updated`;
    for (const [request, body] of UPDATES) {
      await port.refuse(request.replace("RUN", run), [[error, body]]);
    }
    assertEquals((await port.must(`GET ${run}/logs`)).runLogs, []);
    const { status, endedAt, link } = Object(
      (await port.must(`GET ${run}`)).run,
    );
    assertEquals([status, link], [reason, undefined]);
    return endedAt;
  };
  const decide = async (run: string, approve: boolean) => {
    const path = `POST runs/${run.split("/").at(-1)}`;
    assertEquals((await port.lab(path, { approve }))[0], 200);
  };
  const [approved, declined] = [await start(), await start()];
  assertEquals(await refuseAll(approved, "WAITING_FOR_APPROVAL"), undefined);
  await decide(declined, false);
  assertMatch(await refuseAll(declined, "DECLINED"), /Z$/);
  await decide(approved, true);
  const { status, endedAt } = Object((await port.must(`GET ${approved}`)).run);
  assertEquals([status, endedAt], ["IN_PROGRESS", undefined]);
  for (const [request, body] of UPDATES) {
    await port.must(request.replace("RUN", approved), body);
  }
}, { approval: ["deploy"] });

testPort("keeps the log of each run, and returns it in pages", async (port) => {
  const numbers = [...Array(60).keys()].map(String);
  const pages: [query: string, from: number, to: number][] = [
    ["", 0, 50],
    ["?limit=3", 0, 3],
    ["?limit=3&offset=2", 2, 5],
    ["?limit=50&offset=50", 50, 60],
    ["?offset=60", 60, 60],
  ];
  const path = await port.startRun();
  for (const message of numbers) {
    const [status, log] = await port.send(`POST ${path}/logs`, { message });
    const { id, createdAt, ...rest } = Object(log.runLog);
    const runId = path.split("/").at(-1);
    const expected = { runId, message, createdBy: "local-port" };
    assertEquals([status, rest], [201, expected]);
    assertMatch(`${id} ${createdAt}`, /^l_\S+ \S+Z$/);
  }
  for (const [query, from, to] of pages) {
    const { runLogs } = await port.must(`GET ${path}/logs${query}`);
    const messages = (runLogs as Body[]).map(({ message }) => message);
    assertEquals(messages, numbers.slice(from, to), query);
  }
  const other = await port.startRun();
  assertEquals((await port.must(`GET ${other}/logs`)).runLogs, []);
});

testPort("ends a run with its log", async (port) => {
  const steps: [log: Body, status: string, label: string | undefined][] = [
    [{}, "IN_PROGRESS", undefined],
    [{ statusLabel: "Half done" }, "IN_PROGRESS", "Half done"],
    [{ terminationStatus: "SUCCESS" }, "SUCCESS", "Half done"],
  ];
  const path = await port.startRun();
  for (const [log, ...expected] of steps) {
    await port.must(`POST ${path}/logs`, { message, ...log });
    const { run } = await port.must(`GET ${path}`);
    const { status, statusLabel, endedAt } = Object(run);
    assertEquals([status, statusLabel], expected);
    assertEquals(endedAt === undefined, status === "IN_PROGRESS");
  }
});
