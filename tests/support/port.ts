/**
 * Starts a local Port, or another server, for one test.
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
} from "../../scripts/local_port/server.ts";
import { type Args, type Result, run, type RunOptions } from "./run.ts";

/** The made-up secret of these tests; it must appear in no output. */
export const SECRET = "made-up-secret-of-the-tests";

/** The credentials that the local Port of these tests accepts. */
export const CREDENTIALS = {
  PORT_CLIENT_ID: "made-up-id",
  PORT_CLIENT_SECRET: SECRET,
};

/** A secret that the local Port rejects. */
export const WRONG_SECRET = { PORT_CLIENT_SECRET: "wrong" };

/** A local Port for one test, with a client to inspect its catalogue. */
export interface TestPort extends LocalPort {
  /** One line per request. */
  log: string[];
  /** Resolves when a new line with this text is logged. */
  logged(text: string): Promise<void>;
  /** Runs a script against it. */
  run(name: string, args: Args, options?: RunOptions): Promise<Result>;
  /** The variables with which a script connects to it. */
  env: Record<string, string>;
  /** Sends a request directly, logged in. */
  call(method: string, path: string, body?: unknown): Promise<Response>;
  /** What clients wrote of an entity; `undefined` if it does not exist. */
  entity(blueprint: string, identifier: string): Promise<unknown>;
}

/**
 * Runs a test with a local Port.
 *
 * @param options How it behaves.
 * @param test The test.
 */
export async function withPort<Outcome>(
  options: LocalPortOptions,
  test: (port: TestPort) => Promise<Outcome>,
): Promise<Outcome> {
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
    return await test({ ...testPort(local, log), logged });
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
    return contentOf((await (await call("GET", path)).json()).entity);
  };
  const env = { ...CREDENTIALS, API_URL: url };
  return {
    url,
    close,
    log,
    env,
    call,
    entity,
    run: (name, args, options) =>
      run(name, args, { ...options, env: { ...env, ...options?.env } }),
  };
}

/**
 * Leaves out of an entity what Port adds to it.
 *
 * @param entity The entity; `undefined` if it does not exist.
 * @returns The rest.
 */
export function contentOf(entity: unknown): unknown {
  if (entity === undefined) return undefined;
  const isContent = ([name]: [string, unknown]) => !ADDED.test(name);
  return Object.fromEntries(Object.entries(Object(entity)).filter(isContent));
}

const ADDED = /^(?:blueprint|createdAt|createdBy|updatedAt|updatedBy)$/;

/**
 * Creates entities directly, 20 per request.
 *
 * @param port The local Port.
 * @param blueprint Identifier of the blueprint.
 * @param entities The entities, or only their identifiers.
 */
export async function put(
  port: TestPort,
  blueprint: string,
  entities: (string | Record<string, unknown>)[],
): Promise<void> {
  const path = `/blueprints/${blueprint}/entities/bulk?upsert=true`;
  for (let at = 0; at < entities.length; at += 20) {
    const batch = entities.slice(at, at + 20).map((entity) =>
      typeof entity === "string" ? { identifier: entity } : entity
    );
    const answer = await port.call("POST", path, { entities: batch });
    assertEquals(answer.status, 200, await answer.text());
  }
}

/** A wrong command line, and what its one error line must contain. */
export type WrongCall = [args: Args, message: string, options?: RunOptions];

/**
 * Fails unless each wrong call exits with code 2 and one line that names the
 * mistake, and sends no request.
 *
 * @param name The script's file name without its extension.
 * @param calls The wrong calls.
 */
export async function assertWrongCalls(
  name: string,
  calls: WrongCall[],
): Promise<void> {
  await withPort({}, async (port) => {
    await Promise.all(calls.map(async ([args, message, options]) => {
      assertError(await port.run(name, args, options), 2, message);
    }));
    assertEquals(port.log, []);
  });
}

/**
 * Fails unless a script printed nothing to standard output and one error line,
 * without the secret.
 *
 * @param result The result of the script.
 * @param expected The exit code.
 * @param message What the line must contain.
 */
export function assertError(
  { code, stdout, stderr }: Result,
  expected: number,
  message: string,
): void {
  assertEquals([code, stdout], [expected, ""], stderr);
  assertMatch(stderr, /^error: [^\n]*\n$/);
  assertStringIncludes(stderr, message);
  const isUsage = expected === 2 && !stderr.includes("Permission denied");
  assertEquals(stderr.includes(" (see --help)"), isUsage, stderr);
  assertEquals(stderr.includes(SECRET), false);
}

/** A failing call, its exit code, and what its one error line must contain. */
export type FailingCall = [
  args: Args,
  code: number,
  message: string,
  options?: RunOptions,
];

/**
 * Fails unless each call exits with its code and one line, and prints nothing.
 *
 * @param port The local Port.
 * @param name The script's file name without its extension.
 * @param calls The failing calls.
 */
export async function assertFailures(
  port: TestPort,
  name: string,
  calls: FailingCall[],
): Promise<void> {
  await Promise.all(calls.map(async ([args, code, message, options]) => {
    assertError(await port.run(name, args, options), code, message);
  }));
}

/**
 * Counts the logins that a local Port answered.
 *
 * @param port The local Port.
 * @returns Their number.
 */
export function logins({ log }: TestPort): number {
  return log.filter((line) => line.includes("/auth/access_token")).length;
}

/**
 * Runs a test with a server that replaces Port and accepts every login.
 *
 * @param answer Answers every other request.
 * @param test Called with the variables with which a script connects to it.
 */
export async function withServer(
  answer: (request: Request) => Response | Promise<Response>,
  test: (env: Record<string, string>) => Promise<void>,
): Promise<void> {
  await withHandler(
    (request) =>
      request.url.endsWith("/access_token")
        ? Response.json({ accessToken: "made-up", expiresIn: 60 })
        : answer(request),
    (API_URL) => test({ ...CREDENTIALS, API_URL }),
  );
}

/**
 * Runs a test with a server.
 *
 * @param handler Answers each request.
 * @param test Called with the server's URL.
 */
export async function withHandler(
  handler: Deno.ServeHandler,
  test: (url: string) => Promise<void>,
): Promise<void> {
  const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
  const server = Deno.serve(options, handler);
  try {
    await test(`http://127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
}

/** Returns a URL where nothing listens any more. */
export async function deadUrl(): Promise<string> {
  const { url, close } = await startLocalPort();
  await close();
  return url;
}
