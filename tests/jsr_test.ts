import { assertEquals } from "jsr:@std/assert@1.0.19";
import { ROOT, runProcess, withFolder } from "./support/run.ts";
import { copyRepository } from "./support/shell.ts";

/** The types of `@std/assert` on JSR; the package on npm has none. */
const TYPES = `
export declare function assert(expr: unknown, msg?: string): asserts expr;
export declare function assertEquals<T>(a: T, b: T, msg?: string): void;
export declare function assertNotEquals<T>(a: T, b: T, msg?: string): void;
export declare function assertMatch(a: string, b: RegExp, msg?: string): void;
export declare function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void;
type ErrorClass<E> = abstract new (...args: any[]) => E;
export declare function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export declare function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
`;

/** Passes the check only if the types above, or those of JSR, are used. */
const NARROWING = `
import { assert } from "jsr:@std/assert@1.0.19";
export function length(text?: string): number {
  assert(text);
  return text.length;
}`;

Deno.test("the tests pass the type check with the types of @std/assert", async () => {
  await withFolder(async (folder) => {
    const cwd = `${folder}/copy`;
    await copyRepository(cwd);
    const tests = new URL("tests", ROOT).pathname;
    await runProcess("cp", ["-r", tests, cwd]);
    const config = await Deno.readTextFile(`${cwd}/deno.json`);
    const typed = config.replace(/"npm:[^"]*assert\/mod\.js"/, '"./assert.ts"');
    await Deno.writeTextFile(`${cwd}/deno.json`, typed);
    await Deno.writeTextFile(`${cwd}/assert.ts`, TYPES);
    await Deno.writeTextFile(`${cwd}/tests/narrowing.ts`, NARROWING);
    const check = ["check", "tests"];
    const { code, stderr } = await runProcess(Deno.execPath(), check, { cwd });
    assertEquals(code, 0, stderr);
  }, "/tmp");
});

Deno.test("processes of the tests use the same mirror of JSR", async () => {
  const run = new URL("tests/support/run.ts", ROOT).href;
  const code = `import { runProcess } from "${run}";
    console.log((await runProcess("printenv", ["JSR_URL"])).stdout.trim());`;
  const env = { JSR_URL: "https://jsr.acme.test" };
  const args = ["eval", code];
  const { stdout } = await runProcess(Deno.execPath(), args, { env });
  assertEquals(stdout, `${env.JSR_URL}\n`);
});
