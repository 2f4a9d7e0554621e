import {
  assertEquals,
  assertRejects,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import { UsageError } from "../lib/errors.ts";
import { nameOf, openInput, readInput } from "../lib/files.ts";
import { withFolder } from "./support/run.ts";

Deno.test("readInput() returns text without a byte order mark", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/entity.json`;
    await Deno.writeTextFile(path, "\ufeffЗначення\n");
    assertEquals(await readInput(path), "Значення\n");
  });
});

Deno.test("readInput() explains why it cannot read", async () => {
  await withFolder(async (folder) => {
    await Deno.writeFile(`${folder}/latin`, new Uint8Array([0x22, 0xe9, 0x22]));
    const cases: [path: string, reason: string][] = [
      [`${folder}/latin`, "it is not UTF-8"],
      [`${folder}/none`, "No such file or directory"],
      [folder, "it is a folder"],
    ];
    for (const [path, reason] of cases) {
      const error = await assertRejects(() => readInput(path), UsageError);
      assertEquals(error.message, `Cannot read "${path}": ${reason}`);
    }
  });
});

Deno.test({
  name: "readInput() leaves a missing permission to Deno's own words",
  permissions: { read: false },
  async fn() {
    const reason = 'Requires read access to "deno.json"';
    const read = () => readInput("deno.json");
    await assertRejects(read, Deno.errors.NotCapable, reason);
  },
});

Deno.test("openInput() rejects standard input that is read already", () => {
  const reader = Deno.stdin.readable.getReader();
  assertThrows(() => openInput("-"), UsageError, "give - once");
  reader.releaseLock();
});

Deno.test("nameOf() quotes a path, and names standard input", () => {
  assertEquals(["a b.json", "-"].map(nameOf), ['"a b.json"', "standard input"]);
});
