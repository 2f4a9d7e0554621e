import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { FAILURES } from "../scripts/local_port/failures.ts";
import { put, withPort } from "./support/port.ts";

/** A call of each script, what it prints, and the version stored then. */
const CALLS: [name: string, args: string, prints: RegExp, version: string][] = [
  ["upsert_entity", "-p version=2", /^\{[^]*"version": "2"[^]*\}\n$/, "2"],
  ["get_entity", "--select properties.version", /^1\n$/, "1"],
];

for (const [name, args, prints, version] of CALLS) {
  Deno.test(`${name} survives each kind of failure, at login and after`, async () => {
    await Promise.all(FAILURES.map((kind) => {
      // The first two requests put the entity there.
      const failures = ["none", "none", kind, "none", kind] as const;
      return withPort({ failures: [...failures] }, async (port) => {
        const properties = { version: "1" };
        await put(port, "service", [{ identifier: "checkout", properties }]);
        const call = `-b service -i checkout ${args}`;
        const { code, stdout, stderr } = await port.run(name, call);
        assertEquals(code, 0, `${kind}: ${stderr}`);
        assertEquals(port.log.length, 2 + 4, "a request and its repeat");
        assertMatch(stdout, prints);
        const entity = Object(await port.entity("service", "checkout"));
        assertEquals(entity.properties, { version });
      });
    }));
  });
}

Deno.test("upsert_entity survives random failures in many calls at once", async () => {
  await withPort({ failRate: 0.2, seed: 7 }, async (port) => {
    const names = Array.from({ length: 25 }, (_, number) => `s${number}`);
    await Promise.all(names.map(async (identifier) => {
      const call = `-b service -i ${identifier}`;
      const { code, stdout, stderr } = await port.run("upsert_entity", call);
      assertEquals(code, 0, stderr);
      assertEquals(JSON.parse(stdout).identifier, identifier);
    }));
  });
});
