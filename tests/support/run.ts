/**
 * Runs scripts and other programs as processes.
 *
 * @module
 */

/** The folder of this repository. */
export const ROOT = new URL("../..", import.meta.url);

/** Where processes run: there, unlike in ROOT, no developer keeps a `.env`. */
export const FOLDER = new URL("scripts/", ROOT);

/** What a process left behind. */
export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** How to run a process. */
export interface RunOptions {
  /** Variables on top of those that Deno itself needs. */
  env?: Record<string, string>;
  /** What it reads from standard input. */
  stdin?: string;
  /** The folder it runs in. */
  cwd?: string | URL;
}

/**
 * The permissions of a script's first line.
 *
 * @param name The script's file name without the ending.
 * @param url Where the local Port is, to stand in place of Port's hosts.
 * @returns The flags for `deno run`.
 */
export async function permissionsOf(
  name: string,
  url?: string,
): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(`scripts/${name}.ts`, ROOT));
  const [shebang = ""] = text.split("\n", 1);
  const [start, ...permissions] = shebang.split(" --allow-");
  if (start !== "#!/usr/bin/env -S deno run") {
    throw new Error(`scripts/${name}.ts does not begin with its permissions`);
  }
  const host = url && new URL(url).host;
  return permissions.map((permission) =>
    host && permission.startsWith("net=")
      ? `--allow-net=${host}`
      : `--allow-${permission}`
  );
}

/** A command line: words separated by spaces, or each argument by itself. */
export type Args = string | string[];

/**
 * Runs a script with exactly the permissions of its first line.
 *
 * @param name The script's file name without the ending.
 * @param args Its command line.
 * @param options The variables it sees, its input and its folder.
 * @returns What it left behind.
 */
export async function run(
  name: string,
  args: Args,
  options: RunOptions = {},
): Promise<Result> {
  const script = new URL(`scripts/${name}.ts`, ROOT).pathname;
  const permissions = await permissionsOf(name, options.env?.API_URL);
  return await runProcess(
    Deno.execPath(),
    ["run", ...permissions, script, ...words(args)],
    { ...options, env: { ...options.env, ...taken("DENO_COVERAGE_DIR") } },
  );
}

/** Splits a command line that needs no quotes. */
function words(args: Args): string[] {
  return typeof args === "string" ? args.split(" ").filter(Boolean) : args;
}

/**
 * Lets a test use a folder of its own, below the one that processes run in, so
 * that a script may read and write there.
 *
 * @param test The test.
 */
export async function withFolder(
  test: (folder: string) => Promise<void>,
): Promise<void> {
  const dir = FOLDER.pathname;
  const folder = await Deno.makeTempDir({ dir, prefix: ".test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Lets a test use a file in a folder of its own, see {@linkcode withFolder}.
 *
 * @param text What the file holds.
 * @param test The test.
 */
export async function withFile(
  text: string,
  test: (path: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, text);
    await test(`${folder}/file`);
  });
}

/**
 * Runs a process to its end.
 *
 * @param command The program.
 * @param args Its command line.
 * @param options The variables it sees, its input and its folder.
 * @returns What it left behind.
 */
export async function runProcess(
  command: string,
  args: string[],
  { env = {}, stdin, cwd = FOLDER }: RunOptions = {},
): Promise<Result> {
  const child = new Deno.Command(command, {
    args,
    cwd,
    clearEnv: true,
    // Asking for a newer Deno is no part of what is tested: a proxy would see it.
    env: { DENO_NO_UPDATE_CHECK: "1", ...inherited(), ...env },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** What Deno itself needs to find its cache; no credentials of the developer. */
function inherited(): Record<string, string> {
  return taken(
    "PATH",
    "HOME",
    "DENO_DIR",
    "XDG_CACHE_HOME",
    "NO_PROXY",
    "NPM_CONFIG_REGISTRY",
  );
}

/**
 * What a process needs that gets packages, as `deno bundle` does its bundler the
 * first time: the way out of this network.
 */
export function wayOut(): Record<string, string> {
  return taken(
    "HTTPS_PROXY",
    "DENO_CERT",
    "DENO_TLS_CA_STORE",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
  );
}

/** Those of some variables that are set for the tests themselves. */
export function taken(...names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
