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
  /** What it reads from standard input; none by default. */
  stdin?: string | undefined;
  /** The folder it runs in. */
  cwd?: string | URL;
  /** The permissions of a script, in place of those of its first line. */
  permissions?: string[] | undefined;
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
  return await finish(await start(name, args, options), options);
}

/**
 * Starts a script, for a test that acts while it runs; standard input stays
 * open after what is given.
 *
 * @param name The script's file name without the ending.
 * @param args Its command line.
 * @param options The variables it sees, its input and its folder.
 * @returns The process.
 */
export async function start(
  name: string,
  args: Args,
  options: RunOptions = {},
): Promise<Deno.ChildProcess> {
  const script = new URL(`scripts/${name}.ts`, ROOT).pathname;
  const permissions = options.permissions ??
    await permissionsOf(
      name,
      options.env?.API_URL ?? options.env?.PORT_API_URL,
    );
  return await spawn(
    Deno.execPath(),
    ["run", ...permissions, script, ...words(args)],
    { ...options, env: { ...options.env, ...taken("DENO_COVERAGE_DIR") } },
  );
}

/** Splits a command line that needs no quotes. */
export function words(args: Args): string[] {
  return typeof args === "string" ? args.split(" ").filter(Boolean) : args;
}

/**
 * Lets a test use a folder of its own; by default below the one that processes
 * run in, so that a script may read and write there.
 *
 * @param test The test.
 * @param dir The folder around it.
 */
export async function withFolder<Outcome>(
  test: (folder: string) => Promise<Outcome>,
  dir = FOLDER.pathname,
): Promise<Outcome> {
  const folder = await Deno.makeTempDir({ dir, prefix: ".test-" });
  try {
    return await test(folder);
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
  options: RunOptions = {},
): Promise<Result> {
  return await finish(await spawn(command, args, options), options);
}

async function spawn(
  command: string,
  args: string[],
  { env = {}, stdin, cwd = FOLDER }: RunOptions,
): Promise<Deno.ChildProcess> {
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
    writer.releaseLock();
  }
  return child;
}

async function finish(
  child: Deno.ChildProcess,
  { stdin }: RunOptions,
): Promise<Result> {
  if (stdin !== undefined) await child.stdin.close();
  return await readOutput(child).result;
}

/** What a process writes. */
export interface Output {
  /** Resolves when standard error brings a text; fails when it ends before. */
  said(text: string): Promise<void>;
  /** All that it left behind, at its end. */
  result: Promise<Result>;
}

/** Reads what a process writes, for a test that acts while it runs. */
export function readOutput(child: Deno.ChildProcess): Output {
  const [watched, kept] = child.stderr.tee();
  const parts = watched.pipeThrough(new TextDecoderStream());
  const said = async (text: string) => {
    let all = "";
    for await (const part of parts.values({ preventCancel: true })) {
      all += part;
      if (all.includes(text)) return;
    }
    throw new Error(`The script has ended: ${all}`);
  };
  const read = async () => {
    const [stdout, stderr, { code }] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(kept).text(),
      child.status,
    ]);
    return { code, stdout, stderr };
  };
  return { said, result: read() };
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
    "JSR_URL",
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
