import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { ENTITY } from "./support/calls.ts";
import {
  assertError,
  logins,
  put,
  type TestPort,
  withPort,
} from "./support/port.ts";
import { run, runProcess, withBashEnv } from "./support/run.ts";

/** Logs in; returns the token that a later step finds. */
async function logIn(port: TestPort, BASH_ENV: string) {
  const env = { BASH_ENV };
  const result = await port.run("log_in", "", { env });
  const step = ["-c", 'printf %s "$PORT_ACCESS_TOKEN"'];
  const { stdout: token } = await runProcess("bash", step, { env });
  return { ...result, token };
}

Deno.test("log_in gives later steps a token, and never prints it", async () => {
  await withPort({}, async (port) => {
    await put(port, "service", ["checkout"]);
    await withBashEnv(async (path) => {
      const { code, stdout, stderr, token } = await logIn(port, path);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /^Logged in: .* for 1(?:80|79) minutes\n$/);
      assert(token.length > 20 && !stdout.includes(token));
      const [before, requests] = [logins(port), port.log.length];
      const env = { API_URL: port.url, PORT_ACCESS_TOKEN: token };
      const steps = ["upsert_entity", "get_entity"];
      for (const name of steps) {
        const step = await run(name, [...ENTITY, "--verbose"], { env });
        assertEquals(step.code, 0, step.stderr);
        assert(!(step.stdout + step.stderr).includes(token));
      }
      assertEquals(logins(port), before);
      assertEquals(port.log.length - requests, steps.length);
    });
  });
});

Deno.test("log_in sends nothing if there is a token", async () => {
  await withPort({}, async (port) => {
    const env = { PORT_ACCESS_TOKEN: "made-up", BASH_ENV: "" };
    const { code, stdout } = await port.run("log_in", "", { env });
    assertEquals([code, port.log], [0, []]);
    assertEquals(
      stdout,
      "PORT_ACCESS_TOKEN is set already: nothing was sent\n",
    );
  });
});

Deno.test("log_in refuses to run outside CircleCI, before it logs in", async () => {
  await withPort({}, async (port) => {
    const env = { BASH_ENV: "" };
    const result = await port.run("log_in", "", { env });
    assertError(result, 2, "BASH_ENV, the file that they share, is not set");
    assertEquals(port.log, []);
  });
});

Deno.test("a token that Port rejects is renewed with credentials, or named without", async () => {
  await withPort({}, async (port) => {
    await put(port, "service", ["checkout"]);
    for (const token of ["made-up-token", "two\nlines", "ünicode"]) {
      const env = { API_URL: port.url, PORT_ACCESS_TOKEN: token };
      const renewed = await port.run("get_entity", ENTITY, { env });
      const refused = await run("get_entity", ENTITY, { env });
      for (const { stdout, stderr } of [renewed, refused]) {
        assert(!(stdout + stderr).includes(token), stderr);
      }
      if (token === "made-up-token") {
        assertEquals(renewed.code, 0, renewed.stderr);
        const says = "PORT_ACCESS_TOKEN is no longer valid";
        assertError(refused, 3, says);
      }
      assert(refused.code > 0);
    }
  });
});
