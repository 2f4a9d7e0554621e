#!/usr/bin/env -S deno run --allow-run --allow-read
/**
 * Shows the scripts at work against a local Port, and checks that what came back
 * is what went in.
 *
 * @module
 */

/** Port's own example entity, from its CircleCI page. */
const EXAMPLE = {
  myStringProp: "My value",
  myNumberProp: 1,
  myBooleanProp: true,
  myArrayProp: ["myVal1", "myVal2"],
  myObjectProp: { myKey: "myVal", myExtraKey: "myExtraVal" },
};

const ROOT = new URL("..", import.meta.url);

/** Credentials that the local Port takes and no other does. */
const CREDENTIALS = {
  PORT_CLIENT_ID: "local-id",
  PORT_CLIENT_SECRET: "local-secret",
};

/** Runs the demo. */
async function demo(): Promise<void> {
  const port = startLocalPort();
  try {
    const url = await readUrl(port.stdout);
    console.log(`A stand-in for Port listens on ${url}\n`);
    await storeExample(url);
    await storeVersion(url);
  } finally {
    port.kill();
    await port.status;
  }
  console.log(`What came back is what went in. Next, with your own Port:

  1. In Port: ... > Credentials. Copy the client id and the client secret.
  2. cp .env.example .env, and write them there.
  3. npx -y deno@2.9.6 task get --blueprint YOUR_BLUEPRINT --identifier YOUR_ENTITY
  4. For CircleCI: README.md, "In CircleCI".`);
}

async function storeExample(url: string): Promise<void> {
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
  await show(
    url,
    "upsert",
    ...entity,
    ...properties.flatMap((text) => ["--property", text]),
  );
  const stored = JSON.parse(await show(url, "get", ...entity));
  expectSame(stored.properties, EXAMPLE);
}

async function storeVersion(url: string): Promise<void> {
  const entity = ["--blueprint", "service", "--identifier", "checkout"];
  await show(url, "upsert", ...entity, "--property", "version=1.4.2");
  const version = await show(
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

/** Shows a command, runs it as a user would and shows what it printed. */
async function show(
  url: string,
  task: string,
  ...args: string[]
): Promise<string> {
  console.log(`$ deno task ${[task, ...args].map(quote).join(" ")}`);
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", task, ...args],
    cwd: ROOT,
    // A proxy must not come between.
    env: { ...CREDENTIALS, PORT_API_URL: url, NO_PROXY: "127.0.0.1" },
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  console.log(text);
  if (!success) throw new Error(`The command above failed: deno task ${task}`);
  return text;
}

/** Quotes an argument for a shell where that is needed. */
function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg)
    ? arg
    : `'${arg.replaceAll("'", `'\\''`)}'`;
}

function expectSame(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) === JSON.stringify(expected)) return;
  throw new Error(
    `What came back is not what went in: ${JSON.stringify(actual)} is not ` +
      JSON.stringify(expected),
  );
}

if (import.meta.main) {
  try {
    await demo();
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
