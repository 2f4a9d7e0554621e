import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { ciJobIdentifier } from "../lib/ci_job.ts";
import { CIRCLECI } from "./support/calls.ts";
import {
  assertWrongCalls,
  put,
  type TestPort,
  withPort,
} from "./support/port.ts";

const CLOSE = "close_ci_job";
const OPTIONS = { env: CIRCLECI };
const WORKFLOW = CIRCLECI.CIRCLE_WORKFLOW_ID;

async function statusOf(port: TestPort, identifier: string) {
  return Object(await port.entity("ciJob", identifier)).properties?.status;
}

Deno.test("close_ci_job closes what report_ci_job --job has left running, and nothing else", async () => {
  await withPort({}, async (port) => {
    for (const status of ["running", "success"]) {
      const args = `--job ${status} --status ${status}`;
      const report = await port.run("report_ci_job", args, OPTIONS);
      assertEquals(report.code, 0, report.stderr);
    }
    const expected = {
      running: "canceled",
      success: "success",
      none: undefined,
    };
    for (const [job, status] of Object.entries(expected)) {
      const identifier = `${WORKFLOW}-${job}-0`;
      const before = await port.entity("ciJob", identifier);
      const { code, stdout, stderr } = await port.run(
        CLOSE,
        `--job ${job}`,
        OPTIONS,
      );
      assertEquals(code, 0, stderr);
      assertEquals(await statusOf(port, identifier), status);
      const closed = JSON.parse(stdout);
      assertEquals(closed.length, status === "canceled" ? 1 : 0);
      if (status !== "canceled") {
        assertEquals(await port.entity("ciJob", identifier), before);
        continue;
      }
      // It keeps what the job itself reported.
      const { startedAt, runLink, finishedAt } = closed[0].properties;
      assertMatch(`${startedAt} ${finishedAt}`, /^\S+Z \S+Z$/);
      assertEquals(runLink, CIRCLECI.CIRCLE_BUILD_URL);
    }
  });
});

Deno.test("close_ci_job closes each container of a parallel job", async () => {
  await withPort({}, async (port) => {
    const running = { properties: { status: "running" } };
    const identifiers = [0, 1, 2].map((node) => `${WORKFLOW}-build-${node}`);
    await put(
      port,
      "ciJob",
      identifiers.map((identifier) => ({ identifier, ...running })),
    );
    await port.run(CLOSE, "--job build --nodes 2", OPTIONS);
    const statuses = await Promise.all(
      identifiers.map((identifier) => statusOf(port, identifier)),
    );
    assertEquals(statuses, ["canceled", "canceled", "running"]);
  });
});

Deno.test("ciJobIdentifier() has only characters that Port accepts", () => {
  const identifier = ciJobIdentifier("w", "build für: 100 %", 3);
  assertEquals(identifier, "w-build_für:_100__-3");
});

Deno.test("close_ci_job and report_ci_job --job answer a wrong call with one line", async () => {
  await assertWrongCalls(CLOSE, [
    ["", "Missing --job NAME"],
    ["--job=", "The value of --job NAME is empty"],
    ["--job=build", "CIRCLE_WORKFLOW_ID is not set or not readable"],
    ["--job=build --blueprint=a%20b", "Cannot use the blueprint identifier"],
  ]);
  await assertWrongCalls("report_ci_job", [
    ["-s running --job=a -i b", "Cannot use --job with --identifier"],
  ]);
});
