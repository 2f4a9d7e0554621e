/**
 * Runs shell commands as a user or CircleCI does, in a copy of this repository.
 *
 * @module
 */
import type { TestPort } from "./port.ts";
import { type Result, ROOT, runProcess, wayOut, withFolder } from "./run.ts";

/** Runs commands in a new shell. */
export type Shell = (
  commands: string,
  env?: Record<string, string>,
) => Promise<Result>;

/**
 * Lets a test run shell commands in a copy of this repository. `deno` and `npx`
 * in the `PATH` run Deno, and add the local Port to the hosts of `--allow-net`.
 *
 * @param port The local Port.
 * @param test The test.
 * @param create Creates the folder in which the commands run.
 */
export async function withShell<Outcome>(
  port: TestPort,
  test: (shell: Shell) => Promise<Outcome>,
  create: (folder: string) => Promise<void> = copyRepository,
): Promise<Outcome> {
  return await withFolder(async (folder) => {
    const repository = `${folder}/repository`;
    const PATH = `${folder}/bin:${Deno.env.get("PATH")}`;
    await create(repository);
    await writeShims(folder, new URL(port.url).host);
    return await test(async (commands, env) => {
      const result = await runProcess(
        "bash",
        ["-eo", "pipefail", "-c", commands],
        { cwd: repository, env: { ...wayOut(), ...port.env, ...env, PATH } },
      );
      const files = [...Deno.readDirSync(repository)].map(({ name }) => name);
      if (!files.includes("pwned")) return result;
      throw new Error("A value was run as a command");
    });
  }, "/tmp");
}

/** Runs commands in a new shell and a new copy, see {@linkcode withShell}. */
export async function runInShell(
  commands: string,
  port: TestPort,
  env: Record<string, string> = {},
): Promise<Result> {
  return await withShell(port, (shell) => shell(commands, env));
}

/**
 * Copies the files that a user copies.
 *
 * @param target The new folder.
 */
export async function copyRepository(target: string): Promise<void> {
  const parts = "scripts lib .circleci deno.json deno.lock LICENSE".split(" ");
  await Deno.mkdir(target);
  const sources = parts.map((part) => new URL(part, ROOT).pathname);
  await runProcess("cp", ["-r", ...sources, target]);
}

async function writeShims(folder: string, host: string): Promise<void> {
  await Deno.mkdir(`${folder}/bin`);
  const deno = `#!/usr/bin/env bash
args=()
for arg in "$@"; do
  case $arg in --allow-net=*) arg+=",${host}" ;; esac
  args+=("$arg")
done
exec "${Deno.execPath()}" "\${args[@]}"
`;
  const npx = `#!/usr/bin/env bash
[[ "$1 $2" = "-y deno@"* ]] && shift 2 && exec deno "$@"
`;
  for (const [name, text] of Object.entries({ deno, npx })) {
    await Deno.writeTextFile(`${folder}/bin/${name}`, text, { mode: 0o755 });
  }
}
