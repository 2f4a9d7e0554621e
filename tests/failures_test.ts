import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import { FAILURES } from "../scripts/local_port/failures.ts";
import { type TestPort, withPort } from "./support/port.ts";
import { run } from "./support/run.ts";

const CALLS = {
  upsert_entity: ["-b", "service", "-i", "checkout", "-p", "version=2"],
  get_entity: [
    "-b",
    "service",
    "-i",
    "checkout",
    "--select",
    "properties.version",
  ],
};

/** The first two requests put the entity there, past the failures. */
async function seed(port: TestPort) {
  const entity = { identifier: "checkout", properties: { version: "1" } };
  await port.call("POST", "/blueprints/service/entities?upsert=true", entity);
}

for (const [name, args] of Object.entries(CALLS)) {
  Deno.test(`${name} survives each kind of failure, at login and after`, async () => {
    await Promise.all(
      FAILURES.map((kind) =>
        withPort(
          { failures: ["none", "none", kind, "none", kind] },
          async (port) => {
            await seed(port);
            const { code, stdout, stderr } = await run(name, args, {
              env: port.env,
            });
            assertEquals(code, 0, `${kind}: ${stderr}`);
            assertEquals(port.log.length, 2 + 4, "a request and its repeat");
            assertStringIncludes(
              stdout,
              name === "get_entity" ? "1" : '"version": "2"',
            );
          },
        )
      ),
    );
  });
}

Deno.test("a bad day is survived by many calls at once", async () => {
  await withPort({ failRate: 0.2, seed: 7 }, async (port) => {
    const numbers = Array.from({ length: 25 }, (_, number) => number);
    const results = await Promise.all(
      numbers.map((number) =>
        run(
          "upsert_entity",
          ["--blueprint=service", `--identifier=s${number}`],
          { env: port.env },
        )
      ),
    );
    for (const { code, stderr } of results) assertEquals(code, 0, stderr);
  });
});
