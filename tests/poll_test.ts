import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { PortError, type PortErrorKind } from "../lib/port.ts";
import { ExpectationError, waitFor } from "../lib/poll.ts";

const UNMET = new ExpectationError("Cannot go on", "a is 1, expected 2");
const PASSING = (["not-found", "unavailable", "network"] as const)
  .map(requestError);

function requestError(kind: PortErrorKind): PortError {
  const request = { method: "GET", path: "/v1", idempotent: true } as const;
  const facts = { kind, ...request, maybeApplied: false };
  return new PortError(`Cannot get it: ${kind}`, facts);
}

/** Calls {@linkcode waitFor} with a clock that only its timers move. */
async function waitWithFakeClock(
  wait: number,
  errors: (Error | undefined)[],
) {
  const { now } = Date;
  const { setTimeout } = globalThis;
  const pauses: number[] = [];
  const limits: number[] = [];
  const lines: string[] = [];
  let time = 0;
  Date.now = () => time;
  globalThis.setTimeout = Object.assign((end: () => void, pause = 0) => {
    pauses.push(pause);
    time += pause;
    queueMicrotask(end);
    return 0;
  }, setTimeout);
  const ask = (limit: number) => {
    limits.push(limit);
    const error = errors.length > 1 ? errors.shift() : errors[0];
    return error ? Promise.reject(error) : Promise.resolve("done");
  };
  try {
    const log = (line: string) => lines.push(line);
    const options = { wait, firstPause: 5_000, longestPause: 30_000, log };
    const answer = await waitFor(ask, options).catch((error) => error);
    return { answer, pauses, limits, lines };
  } finally {
    Date.now = now;
    globalThis.setTimeout = setTimeout;
  }
}

Deno.test("waitFor() asks after 5 s, then up to every 30 s, until the time is over", async () => {
  const result = await waitWithFakeClock(110_000, [UNMET]);
  const { answer, pauses, limits, lines } = result;
  assertEquals(answer instanceof ExpectationError, true);
  assertEquals(answer.message, "Cannot go on (waited 110 s)");
  assertEquals(pauses, [5_000, 10_000, 20_000, 30_000, 30_000, 15_000]);
  // Port has 5 s for its last answer.
  assertEquals([limits[0], limits.at(-1)], [115_000, 5_000]);
  assertEquals(lines[0], "Waiting: a is 1, expected 2; asking again in 5 s");
  assertEquals(lines.length, pauses.length);
});

Deno.test("waitFor() waits for a missing entity, and while Port is down", async () => {
  const errors = [...PASSING, UNMET, undefined];
  const { answer, lines } = await waitWithFakeClock(90_000, errors);
  assertEquals([answer, lines.length], ["done", 4]);
  assertMatch(lines[1] ?? "", /^Waiting: Cannot get it: unavailable; asking/);
});

Deno.test("waitFor() throws at once what waiting does not change", async () => {
  const kinds = ["unauthorized", "forbidden", "rejected"] as const;
  for (const error of [...kinds.map(requestError), new TypeError("Odd")]) {
    const { answer, pauses } = await waitWithFakeClock(60_000, [error]);
    assertEquals([answer === error, pauses], [true, []], error.message);
  }
});

Deno.test("waitFor() ends with an unmet expectation when the time is over", async () => {
  for (const error of PASSING) {
    const { answer } = await waitWithFakeClock(60_000, [error]);
    assertEquals(answer instanceof ExpectationError, true);
    assertEquals(answer.message, `${error.message} (waited 60 s)`);
  }
});
