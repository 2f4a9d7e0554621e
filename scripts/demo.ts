#!/usr/bin/env -S deno run --allow-run --allow-read
/**
 * Runs the scripts against a local Port, and checks that they read the values
 * that they saved.
 *
 * @module
 */

const HELP = `Save and read entities in a local Port

Usage: deno task demo`;

/** The example entity in Port's CircleCI documentation. */
const EXAMPLE = {
  myStringProp: "My value",
  myNumberProp: 1,
  myBooleanProp: true,
  myArrayProp: ["myVal1", "myVal2"],
  myObjectProp: { myKey: "myVal", myExtraKey: "myExtraVal" },
};

const ROOT = new URL("..", import.meta.url);

/** Valid for the local Port only. */
const CREDENTIALS = {
  PORT_CLIENT_ID: "local-id",
  PORT_CLIENT_SECRET: "local-secret",
};

async function demo(): Promise<void> {
  const port = startLocalPort();
  try {
    const url = await readUrl(port.stdout);
    console.log(`Local Port listens on ${url}\n`);
    await saveExample(url);
    await saveVersion(url);
  } finally {
    port.kill();
    await port.status;
  }
  console.log(
    `The scripts read the values that they saved. Next, use your own Port:

  1. In Port, choose ... > Credentials. Copy the client id and secret.
  2. Run cp .env.example .env and paste both into .env.
  3. Run npx -y deno@2.9.6 task get -b YOUR_BLUEPRINT -i YOUR_ENTITY
  4. For CircleCI, see "CircleCI in five minutes" in README.md.`,
  );
}

async function saveExample(url: string): Promise<void> {
  const properties = Object.entries(EXAMPLE).map(([name, value]) =>
    typeof value === "string"
      ? `${name}=${value}`
      : `${name}:=${JSON.stringify(value)}`
  );
  const entity = [
    "--blueprint",
    "test-blueprint",
    "--identifier",
    "example-entity",
  ];
  await runTask(
    url,
    "upsert",
    ...entity,
    ...properties.flatMap((text) => ["--property", text]),
  );
  const saved = JSON.parse(await runTask(url, "get", ...entity));
  expectSame(saved.properties, EXAMPLE);
}

async function saveVersion(url: string): Promise<void> {
  const entity = ["--blueprint", "service", "--identifier", "checkout"];
  await runTask(url, "upsert", ...entity, "--property", "version=1.4.2");
  const version = await runTask(
    url,
    "get",
    ...entity,
    "--select",
    "properties.version",
  );
  expectSame(version, "1.4.2\n");
}

function startLocalPort(): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "local-port", "--port", "0"],
    cwd: ROOT,
    env: CREDENTIALS,
    stdout: "piped",
  }).spawn();
}

/** The URL is the last word of the first line. */
async function readUrl(stdout: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const line = /^(.*)\n/.exec(text)?.[1];
    if (line !== undefined) return line.split(" ").at(-1) ?? "";
  }
  throw new Error("The local Port did not start");
}

/** Prints a command, runs it, prints its output and returns it. */
async function runTask(
  url: string,
  task: string,
  ...args: string[]
): Promise<string> {
  console.log(`$ deno task ${[task, ...args].map(quote).join(" ")}`);
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", task, ...args],
    cwd: ROOT,
    // Bypass any proxy.
    env: { ...CREDENTIALS, PORT_API_URL: url, NO_PROXY: "127.0.0.1" },
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  console.log(text);
  if (!success) throw new Error(`Command failed: deno task ${task}`);
  return text;
}

/** Quotes an argument for a shell if needed. */
function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg)
    ? arg
    : `'${arg.replaceAll("'", `'\\''`)}'`;
}

function expectSame(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) === JSON.stringify(expected)) return;
  throw new Error(
    `Unexpected value: ${JSON.stringify(actual)}, expected ` +
      JSON.stringify(expected),
  );
}

async function main(args: string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(HELP);
    return 0;
  }
  if (args.length > 0) {
    console.error(`error: Unexpected argument "${args[0]}" (see --help)`);
    return 2;
  }
  try {
    await demo();
    return 0;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
