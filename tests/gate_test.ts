import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import {
  AccessError,
  ExpectationError,
  NotFoundError,
  UnreachableError,
  UsageError,
} from "../lib/errors.ts";
import { type Clock, waitFor } from "../lib/wait.ts";
import { checkExpectations, parseExpectation } from "../scripts/get_entity.ts";
import { CIRCLECI } from "./support/calls.ts";
import {
  assertWrongCalls,
  CREDENTIALS,
  deadUrl,
  type TestPort,
  withPort,
} from "./support/port.ts";
import { FOLDER, permissionsOf, run } from "./support/run.ts";

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

/** The lines about expectations that do not hold; none when all do. */
function unmet(...texts: string[]): readonly string[] {
  try {
    checkExpectations(ENTITY, texts.map(parseExpectation));
    return [];
  } catch (error) {
    if (error instanceof ExpectationError) return error.details;
    throw error;
  }
}

Deno.test("checkExpectations() compares with JSON where the value is JSON", () => {
  assertEquals(
    unmet(
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
    ),
    [],
  );
});

Deno.test("checkExpectations() shows what is there for each that does not hold", () => {
  assertEquals(
    unmet(
      "properties.locked!=false",
      "title=Checkout",
      "properties.version=1.4.3",
      "properties.build=7",
      "properties.gone=null",
      "properties.minor=1.10",
      "properties.minor!=1.10",
      "properties.version!=1.4.2",
      'properties.tags.1={"a":1}',
    ),
    [
      "properties.locked is false, expected anything but false",
      'properties.version is "1.4.2", expected "1.4.3"',
      'properties.build is "7", expected 7; for text write \'properties.build="7"\'',
      "properties.gone is not there, expected null",
      'properties.minor is "1.10", expected 1.10; for text write \'properties.minor="1.10"\'',
      'properties.minor is "1.10", expected anything but 1.10',
      'properties.version is "1.4.2", expected anything but "1.4.2"',
      'properties.tags.1 is {"a":1,"b":2}, expected {"a":1}',
    ],
  );
});

Deno.test("parseExpectation() refuses what is no PATH=VALUE", () => {
  const typos = ["a==b", "a!==b", "a != b", "a = b", " a=b"];
  for (const text of ["", "title", "=x", "!=x", 'a["b=c', "a!b", ...typos]) {
    assertThrows(
      () => parseExpectation(text),
      UsageError,
      "write PATH=VALUE or PATH!=VALUE",
    );
  }
  assertThrows(() => parseExpectation("a..b=c"), UsageError, "the path");
});

/** A clock that only sleeping moves. */
function makeClock(): Clock & { slept: number[] } {
  const slept: number[] = [];
  return {
    slept,
    now: () => slept.reduce((sum, pause) => sum + pause, 0),
    sleep: (milliseconds) => {
      slept.push(milliseconds);
      return Promise.resolve();
    },
  };
}

/** Throws these errors, one a call and the last for ever; `undefined` is done. */
function failing(...errors: (Error | undefined)[]) {
  return () => {
    const error = errors.length > 1 ? errors.shift() : errors[0];
    return error === undefined
      ? Promise.resolve("done")
      : Promise.reject(error);
  };
}

/** As patient as `get_entity --wait`. */
const patience = (wait: number) => ({ wait, first: 5_000, longest: 30_000 });

const UNMET = new ExpectationError("Cannot go on", ["a is 1, expected 2"]);

Deno.test("waitFor() asks from every 5 s up to every 30 s until the time is over", async () => {
  const clock = makeClock();
  const lines: string[] = [];
  const error = await assertRejects(
    () =>
      waitFor(
        failing(UNMET),
        patience(110_000),
        (line) => lines.push(line),
        clock,
      ),
    ExpectationError,
    "Cannot go on (waited 110 s)",
  );
  assertEquals(error.details, UNMET.details);
  assertEquals(clock.slept, [5_000, 10_000, 20_000, 30_000, 30_000, 15_000]);
  assertEquals(
    lines[0],
    "Waiting: a is 1, expected 2; asking again in 5 s",
  );
});

Deno.test("waitFor() waits for an entity, and survives a Port that is down", async () => {
  const clock = makeClock();
  const lines: string[] = [];
  const ask = failing(
    new NotFoundError("No such entity"),
    new UnreachableError("No answer"),
    UNMET,
    undefined,
  );
  assertEquals(
    await waitFor(ask, patience(60_000), (line) => lines.push(line), clock),
    "done",
  );
  assertEquals(lines.length, 3);
  assertStringIncludes(lines[1] ?? "", "No answer");
});

Deno.test("waitFor() ends at once with what waiting does not change", async () => {
  const clock = makeClock();
  const run = (error: Error) => () =>
    waitFor(failing(error), patience(60_000), () => {}, clock);
  await assertRejects(run(new AccessError("No right")), AccessError);
  assertEquals(clock.slept, []);
  await assertRejects(
    run(new UnreachableError("Down")),
    ExpectationError,
    "Down (waited 60 s)",
  );
  await assertRejects(
    run(new NotFoundError("Not there")),
    ExpectationError,
    "Not there (waited 60 s)",
  );
});

const CHECKOUT = ["-b", "service", "-i", "checkout"];

async function store(port: TestPort, properties: Record<string, unknown>) {
  await port.call("POST", "/blueprints/service/entities?upsert=true", {
    identifier: "checkout",
    properties,
  });
}

Deno.test("get_entity --expect ends with exit code 7 and a line for each", async () => {
  await withPort({}, async ({ env, ...port }) => {
    await store({ env, ...port }, { locked_in_prod: true, version: "1" });
    const lock = ["--expect", "properties.locked_in_prod!=true"];
    const version = ["--expect", 'properties.version="2"'];
    const { code, stdout, stderr } = await run(
      "get_entity",
      [...CHECKOUT, ...lock, ...version, "--soft-fail"],
      { env },
    );
    assertEquals([code, stdout], [7, ""]);
    assertEquals(
      stderr,
      "properties.locked_in_prod is true, expected anything but true\n" +
        'properties.version is "1", expected "2"\n' +
        'error: Cannot go on: of entity "checkout", properties.locked_in_prod ' +
        "is true, expected anything but true (and 1 more); change it in Port, " +
        "then run again\n",
    );
    const missing = await run(
      "get_entity",
      ["-b", "service", "-i", "other", ...lock],
      { env },
    );
    assertEquals(missing.code, 7);
    assertMatch(missing.stderr, /^error: Cannot get entity "other"/);
  });
});

Deno.test("get_entity --wait opens no gate because Port is down or slow", async () => {
  const args = [...CHECKOUT, "--wait=1s", "--retries=0", "--soft-fail"];
  const env = { ...CREDENTIALS, API_URL: await deadUrl() };
  const down = await run("get_entity", args, { env });
  assertEquals(down.code, 7);
  assertMatch(down.stderr, /no connection.*\(waited 1 s\)\n$/);
  await withPort({ latency: 60_000 }, async (port) => {
    const slow = await run("get_entity", args, { env: port.env });
    assertEquals(slow.code, 7);
    assertMatch(slow.stderr, /no answer within \d\.\d s/);
  });
});

Deno.test("get_entity --wait goes on when what is expected comes", async () => {
  await withPort({}, async (port) => {
    await port.call("GET", "/blueprints");
    const running = run("get_entity", [
      ...CHECKOUT,
      "--expect",
      "properties.version=1.4.2",
      "--wait",
      "2s",
      "--select",
      "properties.version",
    ], { env: port.env });
    await port.logged(" 404 ");
    await store(port, { version: "1.4.2" });
    const { code, stdout, stderr } = await running;
    assertEquals([code, stdout], [0, "1.4.2\n"], stderr);
    assertMatch(stderr, /^Waiting: Cannot get entity [^\n]*again in 2 s\n$/);
  });
});

Deno.test("get_entity --wait ends at once with exit code 130 on Ctrl-C", async () => {
  await withPort({}, async (port) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        ...await permissionsOf("get_entity", port.url),
        "get_entity.ts",
        ...CHECKOUT,
        "--wait",
        "10m",
      ],
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

Deno.test("get_entity and upsert_entity set variables for later steps", async () => {
  const bashEnv = await Deno.makeTempFile();
  try {
    await withPort({}, async (port) => {
      const env = { ...port.env, ...CIRCLECI, BASH_ENV: bashEnv };
      const upsert = await run("upsert_entity", [
        ...CHECKOUT,
        "--property=version=it's 2",
        "--set-env=ID=identifier",
      ], { env });
      assertEquals(upsert.code, 0, upsert.stderr);
      const get = await run("get_entity", [
        ...CHECKOUT,
        "--set-env=VERSION=properties.version",
        "--set-env=ALL=properties",
      ], { env });
      assertEquals(get.code, 0, get.stderr);
      assertEquals(
        await Deno.readTextFile(bashEnv),
        "\nexport ID='checkout'\n\nexport VERSION='it'\\''s 2'\n" +
          `export ALL='{"version":"it'\\''s 2"}'\n`,
      );
      const gone = await run("get_entity", [
        ...CHECKOUT,
        "--set-env=TITLE=title",
      ], { env });
      assertEquals([gone.code, gone.stdout], [4, ""]);
      const before = await Deno.readTextFile(bashEnv);
      const unselected = await run("get_entity", [
        ...CHECKOUT,
        "--set-env=ID=identifier",
        "--select=title",
      ], { env });
      assertEquals(unselected.code, 4);
      assertEquals(await Deno.readTextFile(bashEnv), before);
    });
  } finally {
    await Deno.remove(bashEnv);
  }
});

Deno.test("get_entity and upsert_entity refuse gates and variables that cannot be", async () => {
  await assertWrongCalls("get_entity", [
    [[...CHECKOUT, "--set-env", "VERSION=title"], "BASH_ENV is not set"],
    [[...CHECKOUT, "--set-env", "PATH=title"], 'Cannot set "PATH"'],
    [[...CHECKOUT, "--expect", "title"], '--expect "title"'],
    [[...CHECKOUT, "--wait", "soon"], '--wait "soon"'],
  ]);
  await assertWrongCalls("upsert_entity", [
    [[...CHECKOUT, "--set-env", "VERSION=title"], "BASH_ENV is not set"],
    [[...CHECKOUT, "--set-env", "x"], '--set-env "x"'],
  ]);
});

Deno.test("--set-env asks for its right before anything is sent", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await run(
      "upsert_entity",
      [...CHECKOUT, "--set-env", "ID=identifier"],
      { env: { ...port.env, BASH_ENV: "/var/elsewhere" } },
    );
    assertEquals(code, 2);
    assertStringIncludes(stderr, '--allow-write="$BASH_ENV"');
    const gone = await run(
      "upsert_entity",
      [...CHECKOUT, "--set-env", "ID=identifier"],
      { env: { ...port.env, BASH_ENV: "/tmp/no/such/folder/env" } },
    );
    assertEquals(gone.code, 2);
    assertStringIncludes(gone.stderr, 'Cannot write to "/tmp/no/such');
    assertEquals(port.log, []);
  });
});
