/**
 * Runs scripts and other programs as processes.
 *
 * @module
 */

/** The folder of this repository. */
export const ROOT = new URL("../..", import.meta.url);

/** The folder in which processes run; unlike ROOT, it has no developer's `.env`. */
export const FOLDER = new URL("scripts/", ROOT);

/** The result of a process. */
export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** How to run a process. */
export interface RunOptions {
  /** Variables, in addition to those that Deno itself needs. */
  env?: Record<string, string>;
  /** Standard input. @default none */
  stdin?: string | undefined;
  /** The working directory. */
  cwd?: string | URL;
  /** The permissions of a script. @default those of its first line */
  permissions?: string[] | undefined;
}

/**
 * Reads the permissions in a script's first line.
 *
 * @param name The script's file name without its extension.
 * @param url The URL of the local Port, whose host replaces Port's hosts.
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

/** A command line: words separated by spaces, or a list of arguments. */
export type Args = string | string[];

/**
 * Runs a script with exactly the permissions of its first line.
 *
 * @param name The script's file name without its extension.
 * @param args Its command line.
 * @param options Its environment, input and working directory.
 * @returns Its exit code and output.
 */
export async function run(
  name: string,
  args: Args,
  options: RunOptions = {},
): Promise<Result> {
  return await finish(await start(name, args, options), options);
}

/**
 * Starts a script, for a test that acts while it runs. Standard input stays open
 * after the given text.
 *
 * @param name The script's file name without its extension.
 * @param args Its command line.
 * @param options Its environment, input and working directory.
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

/** Splits a command line at its spaces. */
export function words(args: Args): string[] {
  return typeof args === "string" ? args.split(" ").filter(Boolean) : args;
}

/**
 * Creates a folder, runs a test with it and removes it. By default the folder is
 * below FOLDER, so that scripts can read and write there.
 *
 * @param test The test.
 * @param dir The parent folder.
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
 * Creates a file in its own folder, see {@linkcode withFolder}.
 *
 * @param text The content of the file.
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
 * Lets a test use a file as `$BASH_ENV` names one.
 *
 * @param test The test.
 */
export async function withBashEnv(
  test: (path: string) => Promise<void> | void,
): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

/**
 * Runs a process to its end.
 *
 * @param command The program.
 * @param args Its command line.
 * @param options Its environment, input and working directory.
 * @returns Its exit code and output.
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
    // A test's proxy must not see requests for the newest version of Deno.
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

/** The output of a running process. */
export interface Output {
  /** Resolves when standard error contains a text; rejects if it ends first. */
  said(text: string): Promise<void>;
  /** Resolves when the process ends. */
  result: Promise<Result>;
}

/** Reads the output of a process, for a test that acts while it runs. */
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

/** The variables that Deno itself needs; none has the developer's credentials. */
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
 * The proxy and certificates for a process that downloads packages; `deno bundle`
 * downloads its bundler the first time.
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

/** The variables, of those named, that are set for the tests. */
export function taken(...names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
