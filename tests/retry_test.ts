import { assertEquals } from "jsr:@std/assert@1.0.19";
import { isWorthRetrying, type Outcome, retryDelay } from "../lib/retry.ts";

const NOW = Date.UTC(2026, 10, 23, 12, 0, 0);

function answered(status: number, headers: HeadersInit = {}): Outcome {
  return { kind: "answered", status, headers: new Headers(headers) };
}

Deno.test("isWorthRetrying() repeats an idempotent request after every passing failure", () => {
  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    assertEquals(isWorthRetrying(answered(status), true), true, `${status}`);
  }
  assertEquals(isWorthRetrying({ kind: "lost", reason: "" }, true), true);
  assertEquals(isWorthRetrying({ kind: "unreached", reason: "" }, true), true);
});

Deno.test("isWorthRetrying() leaves successes and refusals alone", () => {
  for (
    const status of [200, 201, 301, 400, 401, 403, 404, 409, 413, 422, 501]
  ) {
    assertEquals(isWorthRetrying(answered(status), true), false, `${status}`);
  }
});

Deno.test("isWorthRetrying() repeats what is not idempotent only when Port cannot have acted", () => {
  for (const status of [429, 503]) {
    assertEquals(isWorthRetrying(answered(status), false), true, `${status}`);
  }
  for (const status of [408, 425, 500, 502, 504]) {
    assertEquals(isWorthRetrying(answered(status), false), false, `${status}`);
  }
  assertEquals(isWorthRetrying({ kind: "lost", reason: "" }, false), false);
  assertEquals(isWorthRetrying({ kind: "unreached", reason: "" }, false), true);
});

Deno.test("retryDelay() doubles the bound of a random wait up to 30 s", () => {
  const delays = [1, 2, 3, 4, 7, 8, 50].map((attempt) =>
    retryDelay(answered(500), attempt, NOW, 1)
  );
  assertEquals(delays, [500, 1000, 2000, 4000, 30_000, 30_000, 30_000]);
  assertEquals(retryDelay(answered(500), 3, NOW, 0), 0);
  assertEquals(retryDelay(answered(500), 3, NOW, 0.25), 500);
});

Deno.test("retryDelay() honours Retry-After in seconds", () => {
  for (const status of [429, 503]) {
    const outcome = answered(status, { "retry-after": "7" });
    assertEquals(retryDelay(outcome, 1, NOW, 0), 7000);
    assertEquals(retryDelay(outcome, 1, NOW, 1), 7500);
  }
});

Deno.test("retryDelay() honours Retry-After as a date", () => {
  const date = new Date(NOW + 90_000).toUTCString();
  const outcome = answered(503, { "retry-after": date });
  assertEquals(retryDelay(outcome, 1, NOW, 0), 90_000);
});

Deno.test("retryDelay() does not wait for a Retry-After that is past", () => {
  const date = new Date(NOW - 90_000).toUTCString();
  const outcome = answered(503, { "retry-after": date });
  assertEquals(retryDelay(outcome, 1, NOW, 0), 0);
});

Deno.test("retryDelay() gives an absurd Retry-After as it is, for the deadline to judge", () => {
  const outcome = answered(429, { "retry-after": "99999999999" });
  assertEquals(retryDelay(outcome, 1, NOW, 0), 99_999_999_999_000);
});

Deno.test("retryDelay() passes over a Retry-After that cannot be read", () => {
  for (const value of ["", "soon", "-5", "1.5", "0x10", "NaN"]) {
    const outcome = answered(503, { "retry-after": value });
    assertEquals(retryDelay(outcome, 1, NOW, 0), 0, value);
  }
});

Deno.test("retryDelay() waits for x-ratelimit-reset after 429 only", () => {
  const headers = { "x-ratelimit-reset": String(NOW / 1000 + 12) };
  assertEquals(retryDelay(answered(429, headers), 1, NOW, 0), 12_000);
  assertEquals(retryDelay(answered(503, headers), 1, NOW, 0), 0);
  const past = { "x-ratelimit-reset": String(NOW / 1000 - 12) };
  assertEquals(retryDelay(answered(429, past), 1, NOW, 0), 0);
  const broken = { "x-ratelimit-reset": "tomorrow" };
  assertEquals(retryDelay(answered(429, broken), 1, NOW, 0), 0);
});

Deno.test("retryDelay() prefers Retry-After to x-ratelimit-reset", () => {
  const headers = {
    "retry-after": "3",
    "x-ratelimit-reset": String(NOW / 1000 + 12),
  };
  assertEquals(retryDelay(answered(429, headers), 1, NOW, 0), 3000);
});

Deno.test("retryDelay() asks nothing more of a request without an answer", () => {
  assertEquals(retryDelay({ kind: "lost", reason: "" }, 2, NOW, 0.5), 500);
});
