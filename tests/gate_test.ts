import {
  assertEquals,
  assertMatch,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import { UsageError } from "../lib/errors.ts";
import { ExpectationError } from "../lib/poll.ts";
import { checkExpectations, parseExpectation } from "../scripts/get_entity.ts";
import { CIRCLECI } from "./support/calls.ts";
import {
  assertFailures,
  assertWrongCalls,
  deadUrl,
  put,
  withPort,
} from "./support/port.ts";
import { FOLDER, permissionsOf } from "./support/run.ts";

const CHECKOUT = "-b service -i checkout";

Deno.test("get_entity --expect ends with exit code 7 and a line for each", async () => {
  await withPort({}, async (port) => {
    const properties = { locked_in_prod: true, version: "1" };
    await put(port, "service", [{ identifier: "checkout", properties }]);
    const lock = "--expect properties.locked_in_prod!=true";
    const { code, stdout, stderr } = await port.run(
      "get_entity",
      `${CHECKOUT} ${lock} --expect properties.version="2" --soft-fail`,
    );
    assertEquals([code, stdout], [7, ""]);
    const locked =
      "properties.locked_in_prod is true, expected anything but true";
    assertEquals(stderr.split("\n"), [
      locked,
      'properties.version is "1", expected "2"',
      `error: Cannot continue: of entity "checkout", ${locked} (and 1 more); ` +
      "change it in Port, then run again",
      "",
    ]);
    await assertFailures(port, "get_entity", [
      [`-b service -i other ${lock}`, 7, 'Cannot get entity "other"'],
    ]);
  });
});

Deno.test("get_entity --wait opens no gate because Port is down or slow", async () => {
  const args = `${CHECKOUT} --wait=1s --retries=0 --soft-fail`;
  await withPort({ latency: 60_000 }, async (port) => {
    const env = { API_URL: await deadUrl() };
    const down = await port.run("get_entity", args, { env });
    assertEquals(down.code, 7);
    assertMatch(down.stderr, /\nerror: .*no connection.*\(waited 1 s\)\n$/);
    const slow = await port.run("get_entity", args);
    assertEquals(slow.code, 7);
    assertMatch(
      slow.stderr,
      /error: .*no response within 6 s.*\(waited 1 s\)\n$/,
    );
  });
});

Deno.test("get_entity --wait goes on once the expectation is met", async () => {
  await withPort({}, async (port) => {
    await port.call("GET", "/blueprints");
    const version = "properties.version";
    const running = port.run(
      "get_entity",
      `${CHECKOUT} --expect ${version}=1.4.2 --wait 2s --select ${version}`,
    );
    await port.logged(" 404 ");
    const properties = { version: "1.4.2" };
    await put(port, "service", [{ identifier: "checkout", properties }]);
    const { code, stdout, stderr } = await running;
    assertEquals([code, stdout], [0, "1.4.2\n"], stderr);
    assertMatch(stderr, /^Waiting: Cannot get entity [^\n]*again in 2 s\n$/);
  });
});

Deno.test("get_entity --wait ends at once with exit code 130 on Ctrl-C", async () => {
  await withPort({}, async (port) => {
    const permissions = await permissionsOf("get_entity", port.url);
    const args = [...CHECKOUT.split(" "), "--wait=10m"];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", ...permissions, "get_entity.ts", ...args],
      cwd: FOLDER,
      env: port.env,
      stdout: "null",
      stderr: "null",
    }).spawn();
    await port.logged(" 404 ");
    child.kill("SIGINT");
    assertEquals((await child.status).code, 130);
  });
});

Deno.test("get_entity and upsert_entity --set-env set variables for later steps", async () => {
  const bashEnv = await Deno.makeTempFile();
  const env = { ...CIRCLECI, NO_COLOR: "1", BASH_ENV: bashEnv };
  const written = "\nexport ID='checkout'\n\nexport VERSION='it'\\''s 2'\n" +
    `export ALL='{"version":"it'\\''s 2"}'\n`;
  try {
    await withPort({}, async (port) => {
      const id = "--set-env=ID=identifier";
      const version = [...CHECKOUT.split(" "), "-p=version=it's 2", id];
      const upsert = await port.run("upsert_entity", version, { env });
      assertEquals(upsert.code, 0, upsert.stderr);
      const all =
        "--set-env=VERSION=properties.version --set-env=ALL=properties";
      const get = await port.run("get_entity", `${CHECKOUT} ${all}`, { env });
      assertEquals(get.code, 0, get.stderr);
      assertEquals(await Deno.readTextFile(bashEnv), written);
      const missing = 'Cannot find "title" in the entity';
      await assertFailures(port, "upsert_entity", [
        [`${CHECKOUT} ${id} --dry-run`, 2, "--set-env with --dry-run", { env }],
      ]);
      await assertFailures(port, "get_entity", [
        [`${CHECKOUT} ${id} --set-env=TITLE=title`, 4, missing, { env }],
        [`${CHECKOUT} ${id} --select=title`, 4, missing, { env }],
      ]);
      assertEquals(await Deno.readTextFile(bashEnv), written);
    });
  } finally {
    await Deno.remove(bashEnv);
  }
});

Deno.test("get_entity and upsert_entity reject wrong gates and variables, before any request", async () => {
  const id = `${CHECKOUT} --set-env ID=identifier`;
  const bashEnv = (path: string) => ({ env: { BASH_ENV: path } });
  await assertWrongCalls("get_entity", [
    [`${CHECKOUT} --set-env PATH=title`, 'Cannot use --set-env "PATH=title"'],
    [`${CHECKOUT} --expect title`, 'Cannot read --expect "title"'],
    [`${CHECKOUT} --wait soon`, 'Cannot use --wait "soon"'],
  ]);
  const noFolder = "/tmp/no/such/folder/env";
  await assertWrongCalls("upsert_entity", [
    [id, "BASH_ENV is not set"],
    [id, `Cannot write "${noFolder}": No such`, bashEnv(noFolder)],
  ]);
  await withPort({}, async (port) => {
    await assertFailures(port, "upsert_entity", [
      [id, 2, 'Requires write access to "/var/x"', bashEnv("/var/x")],
    ]);
    assertEquals(port.log, []);
  });
});

const ENTITY = {
  identifier: "checkout",
  title: "Checkout",
  properties: {
    locked: false,
    version: "1.4.2",
    build: "7",
    minor: "1.10",
    commit: "7e12345",
    replicas: 3,
    tags: ["go", { a: 1, b: 2 }],
    none: null,
    "a=b": "x",
  },
};

/** The lines about expectations that are not met; none when they are. */
async function unmet(...texts: string[]): Promise<readonly string[]> {
  try {
    await checkExpectations(ENTITY, texts.map(parseExpectation));
    return [];
  } catch (error) {
    if (error instanceof ExpectationError) return error.details;
    throw error;
  }
}

Deno.test("checkExpectations() compares with JSON if the value is valid JSON", async () => {
  const texts = [
    "title=Checkout",
    "properties.locked=false",
    "properties.version=1.4.2",
    'properties.build="7"',
    "properties.replicas=3",
    "properties.replicas!=3.5",
    'properties.tags.1={"b": 2, "a": 1}',
    "properties.none=null",
    "properties.locked!=true",
    'properties["a=b"]=x',
    "properties.gone!=x",
    "properties.version!=",
    'properties.minor="1.10"',
    "properties.minor!=1.1",
    "properties.commit=7e12345",
  ];
  for (const text of texts) assertEquals(await unmet(text), [], text);
  assertEquals(await unmet(...texts), []);
});

Deno.test("checkExpectations() shows the actual value for each that is not met", async () => {
  const text = "; for text write 'properties";
  const cases: [text: string, line: string][] = [
    ["locked!=false", "is false, expected anything but false"],
    ["version=1.4.3", 'is "1.4.2", expected "1.4.3"'],
    ["build=7", `is "7", expected 7${text}.build="7"'`],
    ["gone=null", "is missing, expected null"],
    ["minor=1.10", `is "1.10", expected 1.10${text}.minor="1.10"'`],
    ["minor!=1.10", 'is "1.10", expected anything but 1.10'],
    ["version!=1.4.2", 'is "1.4.2", expected anything but "1.4.2"'],
    ['tags.1={"a":1}', 'is {"a":1,"b":2}, expected {"a":1}'],
  ];
  const lines = cases.map(([text, line]) =>
    `properties.${text.replace(/!?=.*/, "")} ${line}`
  );
  const texts = cases.map(([text]) => `properties.${text}`);
  assertEquals(await unmet("title=Checkout", ...texts), lines);
});

Deno.test("parseExpectation() rejects what is not PATH=VALUE", () => {
  const typos = ["a==b", "a!==b", "a != b", "a = b", " a=b"];
  for (const text of ["", "title", "=x", "!=x", 'a["b=c', "a!b", ...typos]) {
    assertThrows(
      () => parseExpectation(text),
      UsageError,
      `"${text}": write PATH=VALUE or PATH!=VALUE`,
    );
  }
  assertThrows(() => parseExpectation("a..b=c"), UsageError, 'path "a..b"');
});
