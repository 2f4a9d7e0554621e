import { assertEquals } from "jsr:@std/assert@1.0.19";
import { assertFailures, put, withPort, withServer } from "./support/port.ts";
import { run } from "./support/run.ts";

Deno.test("search_entities --count lets Port count if there is no rule", async () => {
  await withPort({}, async (port) => {
    await put(port, "service", ["a", "b", "c"]);
    const cases: [flags: string, code: number, stdout: string][] = [
      ["-b service", 0, "3\n"],
      ["-b service --output json --select title", 0, "3\n"],
      ["-b service --limit 2", 0, "2\n"],
      ["-b team", 0, "0\n"],
      ["-b team --expect-any", 7, "0\n"],
    ];
    for (const [flags, code, stdout] of cases) {
      const args = `--count ${flags}`;
      const result = await port.run("search_entities", args);
      assertEquals([result.code, result.stdout], [code, stdout], flags);
    }
    const paths = port.log.map((line) => line.split(" ")[1])
      .filter((path) => path?.includes("entities-count"));
    assertEquals(paths.length, cases.length);
    assertEquals(port.log.filter((line) => line.includes("/search")), []);
    await assertFailures(port, "search_entities", [
      ["-b none --count", 4, 'Cannot count entities of blueprint "none": '],
      ["--count -b .", 2, 'the blueprint identifier "."'],
    ]);
  });
});

Deno.test("search_entities --count reads the entities if Port's answer has no count", async () => {
  const entities = [{ identifier: "a" }, { identifier: "b" }];
  const answer = ({ method }: Request) =>
    Response.json(method === "GET" ? { ok: true } : { ok: true, entities });
  await withServer(answer, async (env) => {
    const args = "-b service --count";
    const { stdout, stderr } = await run("search_entities", args, { env });
    assertEquals(stdout, "2\n", stderr);
  });
});
