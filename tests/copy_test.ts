import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { ROOT, runProcess } from "./support/run.ts";

Deno.test("copies of scripts/ and lib/ pass under the options that Deno has by itself", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const sources = ["scripts", "lib", "deno.lock"].map((name) =>
      new URL(name, ROOT).pathname
    );
    await runProcess("cp", ["-r", ...sources, folder]);
    // JSR may be out of reach: the map stays, the compiler's options do not.
    const config = await Deno.readTextFile(new URL("deno.json", ROOT));
    const options = /"compilerOptions": \{[^}]*\},/;
    assertMatch(config, options);
    await Deno.writeTextFile(
      `${folder}/deno.json`,
      config.replace(options, ""),
    );
    const { code, stderr } = await runProcess(
      Deno.execPath(),
      ["check", "scripts"],
      { cwd: folder },
    );
    assertEquals(code, 0, stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
