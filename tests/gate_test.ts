import {
  assertEquals,
  assertMatch,
  assertRejects,
} from "jsr:@std/assert@1.0.19";
import { ScriptError } from "../lib/errors.ts";
import { ExpectationError } from "../lib/poll.ts";
import { type JsonObject, Port } from "../lib/port.ts";
import { parseRule } from "../lib/rules.ts";
import { Gate } from "../scripts/get_entity.ts";
import { CIRCLECI } from "./support/calls.ts";
import {
  assertFailures,
  assertWrongCalls,
  CREDENTIALS,
  deadUrl,
  put,
  type TestPort,
  withPort,
  withServer,
  type WrongCall,
} from "./support/port.ts";
import { createRelease } from "./support/release.ts";
import { run, start } from "./support/run.ts";

const CHECKOUT = "-b service -i checkout";

Deno.test("get_entity --expect ends with exit code 7 and names each", async () => {
  await withPort({}, async (port) => {
    const properties = { locked_in_prod: true, version: "1" };
    await put(port, "service", [{ identifier: "checkout", properties }]);
    const lock = "--expect properties.locked_in_prod!=true";
    const { code, stdout, stderr } = await port.run(
      "get_entity",
      `${CHECKOUT} ${lock} --expect properties.version="2"`,
    );
    assertEquals([code, stdout], [7, ""]);
    const locked = "properties.locked_in_prod is true, expected not true";
    assertEquals(
      stderr,
      `error: Cannot continue: entity "checkout": ${locked}, ` +
        'properties.version is "1", expected "2"; change it in Port, then run ' +
        "again\n",
    );
    await assertFailures(port, "get_entity", [
      [
        `-b service -i other ${lock}`,
        7,
        'Entity with identifier "other" does not exist',
      ],
      [`-b nope -i other ${lock}`, 7, 'Cannot get blueprint "nope"'],
    ]);
  });
});

Deno.test("get_entity --expect reads VALUE as the type of the property", async () => {
  await withPort({}, async (port) => {
    const properties = { locked_in_prod: true, version: "1.10" };
    await put(port, "service", [{ identifier: "checkout", properties }]);
    const boolean = "must be compared with true or false";
    await assertFailures(port, "get_entity", [
      [`${CHECKOUT} --expect properties.locked_in_prod!=True`, 7, boolean],
      [`${CHECKOUT} --expect properties.locked_in_prod!=yes`, 7, boolean],
    ]);
    for (const [rule, code] of [["=1.10", 0], ["!=1.10", 7], ["=1.1", 7]]) {
      const args = `${CHECKOUT} --expect properties.version${rule}`;
      assertEquals((await port.run("get_entity", args)).code, code, args);
    }
  });
});

Deno.test("get_entity --wait ends at once with exit code 7 if a name is mistyped", async () => {
  const lock = "properties.locked_in_prod";
  const typo = "--wait 30m --expect properties.lockedInProd";
  const reason =
    `blueprint "service" has no properties.lockedInProd, did you ` +
    "mean properties.locked_in_prod?";
  await withPort({}, async (port) => {
    await put(port, "service", ["checkout"]);
    await assertFailures(port, "get_entity", [
      [`${CHECKOUT} ${typo}!=true`, 7, reason],
      [`${CHECKOUT} ${typo}=false`, 7, reason],
      [`-b service -i other ${typo}!=true`, 7, reason],
      [`-b service -i other --expect ${lock}=True --wait 30m`, 7, "true or"],
      ["-b servcie -i checkout --wait 30m", 7, 'blueprint "servcie"'],
    ]);
  });
});

Deno.test("get_entity --expect stays shut if the blueprint cannot be read", async () => {
  const lock = "--retries 0 --expect properties.locked_in_prod!=true";
  const cases: [status: number, args: string, code: number][] = [
    [403, lock, 3],
    [403, `${lock} --wait 30m`, 3],
    [403, `${lock} --allow-missing`, 3],
    [500, lock, 6],
    [404, `${lock} --allow-missing`, 7],
  ];
  for (const entity of [{ identifier: "checkout" }, undefined]) {
    for (const [status, args, code] of cases) {
      const answer = ({ url }: Request) =>
        url.includes("/entities/")
          ? Response.json({ entity }, { status: entity ? 200 : 404 })
          : Response.json({ message: "No" }, { status });
      await withServer(answer, async (env) => {
        const result = await run("get_entity", `${CHECKOUT} ${args}`, { env });
        assertEquals([result.code, result.stdout], [code, ""], result.stderr);
        assertMatch(result.stderr, /^error: Cannot get blueprint "service"/);
      });
    }
  }
});

Deno.test("get_entity --allow-missing passes the gate if only the entity does not exist", async () => {
  const gate = "--allow-missing --expect properties.locked_in_prod!=true";
  const first = `-b service -i first ${gate}`;
  const passed = 'warning: The gate was passed because entity "first" of ' +
    'blueprint "service" does not exist (--allow-missing)\n';
  const cases: [args: string, stdout: string, stderr: string][] = [
    [first, "", passed],
    [`${first} --select properties.version`, "", passed],
    [`${first} --select properties.version --default 0`, "0\n", passed],
    [`${first} --default 0`, "0\n", passed],
    [`${CHECKOUT} ${gate} --select identifier --default 0`, "checkout\n", ""],
  ];
  await withPort({}, async (port) => {
    const locked = {
      identifier: "locked",
      properties: { locked_in_prod: true },
    };
    await put(port, "service", ["checkout", locked]);
    for (const [args, stdout, stderr] of cases) {
      const result = await port.run("get_entity", args);
      assertEquals(result, { code: 0, stdout, stderr }, args);
    }
    const typo = "--expect properties.locked!=true";
    const name = 'blueprint "service" has no properties.locked';
    const shut = await port.run("get_entity", `-b service -i locked ${gate}`);
    assertEquals([shut.code, shut.stdout], [7, ""], shut.stderr);
    await assertFailures(port, "get_entity", [
      [`-b nope -i first ${gate}`, 7, 'Cannot get blueprint "nope"'],
      [`${first} ${typo}`, 7, name],
    ]);
  });
});

Deno.test("get_entity --wait opens no gate because Port is down or slow", async () => {
  const args = `${CHECKOUT} --wait=1s --retries=0`;
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
    const child = await start("get_entity", `${CHECKOUT} --wait=10m`, {
      env: port.env,
    });
    await port.logged(" 404 ");
    child.kill("SIGINT");
    assertEquals((await child.output()).code, 130);
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
      const fallback = `${CHECKOUT} --set-env=T=title --default=new`;
      const missing = 'Cannot find "title" in the entity';
      await assertFailures(port, "upsert_entity", [
        [`${CHECKOUT} ${id} --dry-run`, 2, "--set-env with --dry-run", { env }],
      ]);
      await assertFailures(port, "get_entity", [
        [`${CHECKOUT} ${id} --set-env=TITLE=title`, 4, missing, { env }],
        [`${CHECKOUT} ${id} --select=title`, 4, missing, { env }],
      ]);
      assertEquals(await Deno.readTextFile(bashEnv), written);
      const first = "-b service -i first --allow-missing --set-env=F=title";
      for (const args of [fallback, `${first} --default=none`]) {
        const { code, stderr } = await port.run("get_entity", args, { env });
        assertEquals(code, 0, stderr);
      }
      const added = "\nexport T='new'\n\nexport F='none'\n";
      assertEquals(await Deno.readTextFile(bashEnv), written + added);
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
    [`${CHECKOUT} --expect title=null`, 'Cannot use --expect "title=null"'],
    [`${CHECKOUT} --wait soon`, 'Cannot use --wait "soon"'],
    [`${CHECKOUT} --wait 5s --allow-missing`, "--allow-missing with --wait"],
    [
      `${CHECKOUT} --allow-missing --set-env A=title`,
      "Cannot use --allow-missing with --set-env unless --default",
    ],
    ...["--include title", "--exclude title", "--exclude-calculated-properties"]
      .map((part): WrongCall => [
        `${CHECKOUT} --expect title!=x ${part}`,
        "Cannot use --expect with --include",
      ]),
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
  identifier: "r1",
  title: "Release 1",
  team: ["core"],
  createdAt: "2025-01-31T00:00:00.000Z",
  properties: {
    version: "1.10",
    replicas: 3,
    locked: false,
    tags: ["go", { a: 1, b: 2 }],
    config: { on: true, none: null },
    expires: null,
    imageTag: "7",
    "a=b": "x",
  },
  relations: { image: "1.10" },
  scorecards: { ready: { level: "Gold" } },
};

/** Lets a test check expectations of a release, or of another entity. */
async function withGate(
  test: (
    check: (rules: string[], entity?: JsonObject) => Promise<void>,
    port: TestPort,
  ) => Promise<void>,
) {
  await withPort({}, async (port) => {
    await createRelease(port);
    const { PORT_CLIENT_ID: clientId, PORT_CLIENT_SECRET: clientSecret } =
      CREDENTIALS;
    const client = new Port({ apiUrl: port.url, clientId, clientSecret });
    const check = (rules: string[], entity: JsonObject = ENTITY) => {
      const parsed = rules.map((rule) => parseRule("--expect", rule));
      return new Gate(client, "release", parsed).check(entity);
    };
    await test(check, port);
  });
}

/** Fails unless no expectation is met, each for its reason. */
async function assertUnmet(check: Promise<void>, lines: string[]) {
  const error = await assertRejects(() => check, ExpectationError);
  assertEquals(error.reason, lines.join(", "));
}

Deno.test("Gate reads a value as the type of what the entity holds, without the blueprint", async () => {
  const met = [
    "title=Release 1",
    "createdAt=2025-01-31",
    "createdAt>=2025-01-31",
    "createdAt<2025-01-31T02:00:00+01:00",
    "properties.version=1.10",
    'properties.version="1.10"',
    "properties.version!=1.1",
    "properties.replicas=3.0",
    "properties.replicas:=3",
    "properties.replicas!=3.5",
    "properties.replicas>2",
    "properties.replicas<=3",
    "properties.locked=false",
    "properties.locked!=true",
    "properties.tags.0=go",
    'properties.tags.1={"b": 2, "a": 1}',
    "properties.config.on=true",
    "properties.imageTag=7",
    'properties["a=b"]=x',
    "relations.image=1.10",
    "scorecards.ready.level=Gold",
  ];
  await withGate(async (check, port) => {
    for (const rule of met) await check([rule]);
    await check(met);
    assertEquals(port.log.filter((line) => line.includes("GET")), []);
  });
});

Deno.test("Gate shows the actual value for each expectation that is not met", async () => {
  const cases: [rule: string, line: string][] = [
    ["title!=Release 1", 'is "Release 1", expected not "Release 1"'],
    ["properties.version=1.1", 'is "1.10", expected "1.1"'],
    ["properties.version!=1.10", 'is "1.10", expected not "1.10"'],
    ["properties.replicas>3", "is 3, expected >3"],
    ["properties.replicas>=4", "is 3, expected >=4"],
    ["properties.replicas<3", "is 3, expected <3"],
    ["properties.locked!=false", "is false, expected not false"],
    ["properties.imageTag!=7", 'is "7", expected not "7"'],
    ['properties.tags.1={"a":1}', 'is {"a":1,"b":2}, expected {"a":1}'],
    [
      "createdAt!=2025-01-31",
      'is "2025-01-31T00:00:00.000Z", expected not ' +
      '"2025-01-31T00:00:00Z"',
    ],
  ];
  await withGate(async (check) => {
    const lines = cases.map(([rule, line]) =>
      `${rule.replace(/[!<>]?=.*|[<>].*/, "")} ${line}`
    );
    await assertUnmet(check(cases.map(([rule]) => rule)), lines);
  });
});

Deno.test("Gate takes the type of what is not set from the blueprint, read once", async () => {
  const met = [
    "properties.version!=1.10",
    "properties.locked!=true",
    "properties.expires!=2025-01-31",
    "properties.isBig!=true",
    "properties.images!=1",
    "properties.imageTag!=7",
    "relations.image!=1.10",
    'relations.owners!=["core"]',
    "properties.locked:=null",
    "properties.imageTag:=null",
    "icon!=Lock",
  ];
  const missing = "is missing, expected";
  const unmet: [rule: string, line: string][] = [
    ["properties.version=1.10", `properties.version ${missing} "1.10"`],
    ["properties.replicas<3", `properties.replicas ${missing} <3`],
    ["properties.imageTag=7", `properties.imageTag ${missing} 7`],
    [
      "properties.locked!:=null",
      `properties.locked ${missing} not null`,
    ],
    // A blueprint does not say which names are inside a value.
    [
      "properties.config.onn!=true",
      `properties.config.onn ${missing} not true`,
    ],
    [
      "scorecards.raedy.level!=Gold",
      `scorecards.raedy.level ${missing} not Gold`,
    ],
  ];
  const entity = { identifier: "r2", properties: { locked: null } };
  const [rule, line] = ["properties.locked=false", "properties.locked is null"];
  await withGate(async (check, port) => {
    const blueprints = () =>
      port.log.filter((line) => line.includes("/blueprints/release")).length;
    await check(met, entity);
    assertEquals(blueprints(), 1);
    await assertUnmet(check([rule], entity), [`${line}, expected false`]);
    const rules = unmet.map(([rule]) => rule);
    const lines = unmet.map(([, line]) => line);
    await assertUnmet(check(rules, { identifier: "r3" }), lines);
    assertEquals(blueprints(), 3);
  });
});

Deno.test("Gate stays shut if an expectation cannot be met", async () => {
  const has = (name: string) => `blueprint "release" has no ${name}`;
  const bool = "must be compared with true or false";
  const date = "must be compared with a date such as";
  const cases: [rule: string, message: string, entity?: JsonObject][] = [
    ["properties.locked!=True", bool],
    ["properties.locked!=yes", bool],
    ["properties.locked!=yes", bool, {}],
    ["properties.isBig!=True", bool, {}],
    // The type of a mirror is that of its value, if there is one.
    ["properties.imageTag!=True", "'properties.imageTag!:=true' for JSON", {}],
    ["properties.version>1.9", "must be compared with = or !="],
    ["properties.replicas!=x", "must be compared with a number"],
    ["properties.version!:=1.10", "must be compared with text"],
    ["relations.owners!=core", "must be compared with a JSON array"],
    ["updatedAt!=2025-1-31", date, { updatedAt: "2025-01-31T00:00:00Z" }],
    ["updatedAt!=true", date, { updatedAt: "2025-01-31T00:00:00Z" }],
    ["updatedAt>2025-01-31T00", date, { updatedAt: "2025-01-31T00:00:00Z" }],
    [
      "properties.lokced!=true",
      `${has("properties.lokced")}, did you mean properties.locked?`,
    ],
    ["version!=1", `${has("version")}, did you mean properties.version?`],
    [
      "properties.image!=x",
      `${has("properties.image")}, did you mean relations.image?`,
    ],
    ["titel!=x", `${has("titel")}, did you mean title?`],
    ["properties.zzz.a!=x", has("properties.zzz")],
    ['properties["config.on"]!=x', has("properties.config.on")],
  ];
  await withGate(async (check) => {
    for (const [rule, message, entity] of cases) {
      const error = await assertRejects(
        () => check(["title!=x", rule], entity),
        ScriptError,
        message,
      );
      assertEquals([error.exitCode, error instanceof ExpectationError], [
        7,
        false,
      ]);
    }
  });
});
