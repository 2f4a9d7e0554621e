import { assertEquals, assertNotEquals } from "jsr:@std/assert@1.0.19";
import { runProcess, withFolder } from "./support/run.ts";
import { copyRepository } from "./support/shell.ts";

// JSR may be out of reach, and so deno.json stays, with its import map.
Deno.test("a copy passes the type check without this repository's compiler options", async () => {
  await withFolder(async (folder) => {
    const cwd = `${folder}/copy`;
    await copyRepository(cwd);
    const config = await Deno.readTextFile(`${cwd}/deno.json`);
    const bare = config.replace(/"compilerOptions": \{[^}]*\},/, "");
    assertNotEquals(bare, config);
    await Deno.writeTextFile(`${cwd}/deno.json`, bare);
    const check = ["check", "scripts"];
    const { code, stderr } = await runProcess(Deno.execPath(), check, { cwd });
    assertEquals(code, 0, stderr);
  }, "/tmp");
});
