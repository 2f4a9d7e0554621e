/**
 * Runs the scripts as users do: as processes, with the rights of their first
 * line, against a local Port over real HTTP.
 *
 * @module
 */
import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import {
  type LocalPort,
  type LocalPortOptions,
  startLocalPort,
} from "../scripts/local_port.ts";

/** The folder of this repository. */
export const ROOT = new URL("..", import.meta.url);

/** Where processes run: there, unlike in ROOT, no developer keeps a `.env`. */
export const FOLDER = new URL("scripts/", ROOT);

/** The made-up secret of these tests; it must appear in no output. */
export const SECRET = "made-up-secret-of-the-tests";

/** The credentials that the local Port of these tests takes. */
export const CREDENTIALS = {
  PORT_CLIENT_ID: "made-up-id",
  PORT_CLIENT_SECRET: SECRET,
};

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

/** A local Port for one test, with a client for looking into its catalogue. */
export interface TestPort extends LocalPort {
  /** One line for each request that arrived. */
  log: string[];
  /** Resolves when a line with this text is logged that was not there before. */
  logged(text: string): Promise<void>;
  /** Variables that lead a script to it. */
  env: Record<string, string>;
  /** Sends a request past the scripts, logged in. */
  call(method: string, path: string, body?: unknown): Promise<Response>;
  /** The entity as the catalogue holds it; `undefined` when it is not there. */
  entity(blueprint: string, identifier: string): Promise<unknown>;
}

/**
 * Starts a local Port, lets a test use it and ends it.
 *
 * @param options How it is to behave.
 * @param test The test.
 */
export async function withPort(
  options: LocalPortOptions,
  test: (port: TestPort) => Promise<void>,
): Promise<void> {
  const log: string[] = [];
  const waiting: { text: string; resolve: () => void }[] = [];
  const local = await startLocalPort({
    clientId: CREDENTIALS.PORT_CLIENT_ID,
    clientSecret: CREDENTIALS.PORT_CLIENT_SECRET,
    log: (line) => {
      log.push(line);
      for (const { text, resolve } of waiting) {
        if (line.includes(text)) resolve();
      }
    },
    ...options,
  });
  const logged = (text: string) =>
    new Promise<void>((resolve) => waiting.push({ text, resolve }));
  try {
    await test({ ...testPort(local, log), logged });
  } finally {
    await local.close();
  }
}

function testPort(
  { url, close }: LocalPort,
  log: string[],
): Omit<TestPort, "logged"> {
  let authorization: string | undefined;
  const send = async (method: string, path: string, body?: unknown) =>
    await fetch(`${url}/v1${path}`, {
      method,
      headers: {
        "content-type": "application/json",
        ...(authorization !== undefined && { authorization }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
  const call = async (method: string, path: string, body?: unknown) => {
    if (authorization === undefined) {
      const login = await send("POST", "/auth/access_token", {
        clientId: CREDENTIALS.PORT_CLIENT_ID,
        clientSecret: CREDENTIALS.PORT_CLIENT_SECRET,
      });
      authorization = `Bearer ${(await login.json()).accessToken}`;
    }
    return await send(method, path, body);
  };
  const entity = async (blueprint: string, identifier: string) => {
    const path = `/blueprints/${blueprint}/entities/${
      encodeURIComponent(identifier)
    }`;
    return (await (await call("GET", path)).json()).entity;
  };
  return {
    url,
    close,
    log,
    env: { ...CREDENTIALS, API_URL: url },
    call,
    entity,
  };
}

/**
 * The rights that a script's first line gives it.
 *
 * @param name The script's file name without the ending.
 * @param url Where the local Port is, to stand in place of Port's hosts.
 * @returns The flags for `deno run`.
 */
export async function rightsOf(name: string, url?: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(`scripts/${name}.ts`, ROOT));
  const [shebang = ""] = text.split("\n", 1);
  const [start, ...rights] = shebang.split(" --allow-");
  if (start !== "#!/usr/bin/env -S deno run") {
    throw new Error(`scripts/${name}.ts does not begin with its rights`);
  }
  const host = url && new URL(url).host;
  return rights.map((right) =>
    host && right.startsWith("net=")
      ? `--allow-net=${host}`
      : `--allow-${right}`
  );
}

/**
 * Runs a script with exactly the rights of its first line.
 *
 * @param name The script's file name without the ending.
 * @param args Its command line.
 * @param options The variables it sees, its input and its folder.
 * @returns What it left behind.
 */
export async function runScriptFile(
  name: string,
  args: string[],
  options: RunOptions = {},
): Promise<Result> {
  const url = options.env?.API_URL;
  const script = new URL(`scripts/${name}.ts`, ROOT).pathname;
  const rights = await rightsOf(name, url);
  return await runProcess(
    Deno.execPath(),
    ["run", ...rights, script, ...args],
    { ...options, env: { ...options.env, ...taken("DENO_COVERAGE_DIR") } },
  );
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

/** A wrong command line, and what the one line it gets must say. */
export type WrongCall = [args: string[], says: string];

/**
 * Fails unless each wrong call ends with exit code 2, one line that says what is
 * wrong, and no request.
 *
 * @param name The script's file name without the ending.
 * @param calls The wrong calls.
 */
export async function assertWrongCalls(
  name: string,
  calls: WrongCall[],
): Promise<void> {
  await withPort({}, async ({ env, log }) => {
    await Promise.all(calls.map(async ([args, says]) => {
      const result = await runScriptFile(name, args, { env });
      assertEquals([result.code, result.stdout], [2, ""], result.stderr);
      assertMatch(result.stderr, /^error: [^\n]*\(see --help\)\n$/);
      assertStringIncludes(result.stderr, says);
    }));
    assertEquals(log, []);
  });
}

/** A URL where nothing listens: what listened there has just ended. */
export async function deadUrl(): Promise<string> {
  const { url, close } = await startLocalPort();
  await close();
  return url;
}

/** Runs shell commands in a shell of their own. */
export type Shell = (
  commands: string,
  env?: Record<string, string>,
) => Promise<Result>;

/**
 * Lets a test run shell commands as a user or CircleCI would, in a copy of this
 * repository. `deno` and `npx` on their path are Deno itself, with one right on
 * top: to reach the local Port, which stands where the commands expect Port.
 *
 * @param port The local Port.
 * @param test The test.
 */
export async function withShell<Outcome>(
  port: TestPort,
  test: (shell: Shell) => Promise<Outcome>,
): Promise<Outcome> {
  const folder = await Deno.makeTempDir();
  const repository = `${folder}/repository`;
  const path = `${folder}/bin:${Deno.env.get("PATH")}`;
  try {
    await copyRepository(repository);
    await writeShims(folder, new URL(port.url).host);
    return await test(async (commands, env) => {
      const result = await runProcess(
        "bash",
        ["-eo", "pipefail", "-c", commands],
        {
          cwd: repository,
          env: { ...wayOut(), ...port.env, ...env, PATH: path },
        },
      );
      const files = [...Deno.readDirSync(repository)].map(({ name }) => name);
      if (!files.includes("pwned")) return result;
      throw new Error("A value was run as a command");
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs one lot of shell commands, see {@linkcode withShell}. */
export async function runInShell(
  commands: string,
  port: TestPort,
  env: Record<string, string> = {},
): Promise<Result> {
  return await withShell(port, (shell) => shell(commands, env));
}

/** What CircleCI sets for every job; made up. */
export const CIRCLECI = {
  CIRCLECI: "true",
  CIRCLE_BRANCH: "main",
  CIRCLE_BUILD_NUM: "42",
  CIRCLE_BUILD_URL: "https://circleci.com/gh/acme/shop/42",
  CIRCLE_JOB: "build",
  CIRCLE_NODE_INDEX: "0",
  CIRCLE_NODE_TOTAL: "1",
  CIRCLE_REPOSITORY_URL: "git@github.com:acme/shop.git",
  CIRCLE_SHA1: "d6cd1e2bd19e03a81132a23b2025920577f84e37",
  CIRCLE_USERNAME: "octocat",
  CIRCLE_WORKFLOW_ID: "7e3c5c2e-0000-4000-8000-000000000001",
  CIRCLE_WORKFLOW_JOB_ID: "7e3c5c2e-0000-4000-8000-000000000002",
};

/** Flags that name an entity. */
export const ENTITY = ["-b", "service", "-i", "checkout"];

/** A call of each script that talks to Port, and its standard input. */
export const CALLS: Record<string, { args: string[]; stdin?: string }> = {
  upsert_entity: { args: ENTITY },
  get_entity: { args: ENTITY },
  report_ci_job: { args: ["--status", "running"] },
  upsert_blueprint: { args: ["blueprints/image.json"] },
  bulk_upsert_entities: {
    args: ["-b", "service", "--concurrency", "1"],
    stdin: '{"identifier": "checkout"}',
  },
  search_entities: { args: ["-b", "service"] },
  delete_entity: { args: ENTITY },
  create_action_run: { args: ["-a", "deploy"] },
  update_action_run: { args: ["--log", "Built"] },
};

/**
 * Puts there what {@linkcode CALLS} work on.
 *
 * @param port The local Port.
 * @returns The id of the run that one of them updates, as `PORT_RUN_ID`.
 */
export async function prepare(port: TestPort): Promise<string> {
  await port.call("POST", "/blueprints/service/entities?upsert=true", {
    identifier: "checkout",
  });
  const start = await port.call("POST", "/actions/deploy/runs", {
    properties: {},
  });
  return (await start.json()).run.id;
}

/**
 * Copies what a user copies, to a new folder.
 *
 * @param target The folder.
 */
export async function copyRepository(target: string): Promise<void> {
  const parts = ["scripts", "lib", "deno.json", "deno.lock", "LICENSE"];
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
function taken(...names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
