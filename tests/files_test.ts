import { assertEquals, assertThrows } from "jsr:@std/assert@1.0.19";
import { UsageError } from "../lib/errors.ts";
import {
  createTextFile,
  decodeText,
  openFile,
  readTextFile,
} from "../lib/files.ts";

/** A folder that lasts as long as the test. */
async function withTempDir(test: (folder: string) => void | Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("decodeText() loses nothing in silence", () => {
  const bytes = new TextEncoder().encode("\ufeffЗначення");
  assertEquals(decodeText(bytes, "x"), "Значення");
  assertThrows(
    () => decodeText(new Uint8Array([0x22, 0xff, 0x22]), "standard input"),
    UsageError,
    "Cannot read standard input: it is not UTF-8",
  );
});

Deno.test("readTextFile() and openFile() say why they cannot read", async () => {
  await withTempDir(async (folder) => {
    await Deno.writeFile(`${folder}/latin`, new Uint8Array([0xe9]));
    assertThrows(
      () => readTextFile(`${folder}/latin`, "the file"),
      UsageError,
      `Cannot read the file "${folder}/latin": it is not UTF-8`,
    );
    for (const read of [readTextFile, openFile]) {
      assertThrows(
        () => read(`${folder}/none`, "the file"),
        UsageError,
        `Cannot read the file "${folder}/none": there is no such file`,
      );
      assertThrows(
        () => read(folder, "--env-file"),
        UsageError,
        `Cannot read --env-file "${folder}": it is a folder`,
      );
    }
  });
});

Deno.test("createTextFile() makes its folder, and says why it cannot write", async () => {
  await withTempDir(async (folder) => {
    const path = `${folder}/a/b/c.txt`;
    const file = createTextFile(path);
    file.write("one\n");
    file.write("two\n");
    file.close();
    assertEquals(await Deno.readTextFile(path), "one\ntwo\n");
    createTextFile(path).close();
    assertEquals(await Deno.readTextFile(path), "");
    assertThrows(
      () => createTextFile(`${path}/d`),
      UsageError,
      `Cannot write "${path}/d": `,
    );
    assertThrows(() => createTextFile(folder), UsageError, "it is a folder");
  });
});
