import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import {
  assertError,
  assertWrongCalls,
  type TestPort,
  withHandler,
  withPort,
} from "./support/port.ts";
import type { Result } from "./support/run.ts";

type Members = Record<string, unknown>;

const STRING = { type: "string" };
const NUMBER = { type: "number" };
const COUNT = { func: "count", calculationBy: "entities" };
const HINT = "What differs from the file was kept; --overwrite changes it\n";

function relation(target: string) {
  return { target, required: false, many: false };
}

function blueprint(
  identifier: string,
  properties: Members = {},
  relations: Members = {},
) {
  return { identifier, title: identifier, schema: { properties }, relations };
}

/** Gives blueprints to the script by standard input. */
async function upsert(
  port: TestPort,
  input: unknown,
  flags = "",
  env: Record<string, string> = {},
) {
  const stdin = JSON.stringify(input);
  return await port.run("upsert_blueprint", `- ${flags}`, { stdin, env });
}

/** Fails unless a run has ended well, with these lines on standard output. */
function assertDone({ code, stdout, stderr }: Result, ...lines: string[]) {
  assertEquals([code, stdout.split("\n")], [0, [...lines, ""]], stderr);
}

/** The blueprint in Port, without what Port itself sets. */
async function read(port: TestPort, identifier: string) {
  const answer = await port.call("GET", `/blueprints/${identifier}`);
  const { blueprint } = await answer.json();
  const {
    createdAt: _1,
    createdBy: _2,
    updatedAt: _3,
    updatedBy: _4,
    ...rest
  } = blueprint ?? {};
  return rest;
}

/** The requests of a run, but for the log-in. */
async function requestsOf(port: TestPort, run: () => Promise<unknown>) {
  const start = port.log.length;
  await run();
  return port.log.slice(start)
    .map((line) => line.split(" ").slice(0, 2).join(" "))
    .filter((request) => !request.endsWith("/auth/access_token"));
}

/** Two blueprints, each of which has all that depends on the other. */
const CIRCLE = ["one", "two"].map((name, index, names) => {
  const other = names[1 - index] ?? "";
  return {
    ...blueprint(name, { p: STRING }, { next: relation(other) }),
    description: "Related, mirrored, counted",
    calculationProperties: { c: { calculation: ".title", type: "string" } },
    mirrorProperties: { m: { path: "next.p" }, n: { path: "next.c" } },
    aggregationProperties: {
      a: { title: "A", target: other, calculationSpec: COUNT },
    },
    ownership: index === 0
      ? { type: "Inherited", path: "next" }
      : { type: "Direct" },
  };
});

Deno.test("upsert_blueprint creates blueprints that depend on each other", async () => {
  await withPort({}, async (port) => {
    const created = ["one", "two"].map((id) => `Blueprint "${id}": created`);
    assertDone(await upsert(port, CIRCLE), ...created);
    for (const wanted of CIRCLE) {
      const { schema, ...rest } = await read(port, wanted.identifier);
      assertEquals({ ...rest, schema }, wanted);
    }
    const same = ["one", "two"].map((id) => `Blueprint "${id}": unchanged`);
    assertDone(await upsert(port, CIRCLE), ...same);
  });
});

Deno.test("upsert_blueprint adds what depends on each other to what exists", async () => {
  await withPort({}, async (port) => {
    const [one] = CIRCLE;
    await upsert(port, blueprint("one"));
    const { code, stdout, stderr } = await upsert(port, CIRCLE);
    assertEquals(code, 0, stderr);
    const relations = '  relations.next: none -> {"target":"two",';
    assertStringIncludes(stdout, 'Blueprint "one": extended by 8\n');
    assertStringIncludes(stdout, relations);
    assertEquals(await read(port, "one"), {
      ...one,
      schema: { ...one?.schema, required: [] },
    });
  });
});

/** A blueprint in Port, and a file that has it otherwise. */
const REGION = {
  ...blueprint("region", {}, { main: relation("service") }),
  schema: {
    properties: { own: STRING, zone: { ...STRING, icon: "Lock" } },
    required: ["own", "zone"],
  },
  mirrorProperties: { m: { path: "main.version" } },
};
const FILE = {
  ...blueprint("region", { zone: NUMBER, size: STRING }),
  title: "Area",
  icon: "Cluster",
  schema: { properties: { zone: NUMBER, size: STRING }, required: ["size"] },
  relations: { main: relation("image"), second: relation("image") },
  mirrorProperties: { m: { path: "main.imageTag" } },
};

const ADDED = [
  ["schema.properties.size", "none", '{"type":"string"}'],
  ["schema.required.size", "none", "true"],
  ["relations.second", "none", JSON.stringify(relation("image"))],
  ["icon", "none", '"Cluster"'],
];
const DIFFERENT = [
  ["title", '"region"', '"Area"'],
  ["schema.properties.zone.type", '"string"', '"number"'],
  ["schema.properties.zone.icon", '"Lock"', "none"],
  ["schema.required.zone", "true", "none"],
  ["relations.main.target", '"service"', '"image"'],
  ["mirrorProperties.m.path", '"main.version"', '"main.imageTag"'],
];
const REMOVED = [
  ["schema.properties.own", '{"type":"string"}', "none"],
  ["schema.required.own", "true", "none"],
];

/** What each flag makes of {@linkcode REGION}. */
const MODES = [
  {
    flag: "",
    outcome: "extended by 4, 6 differ",
    changed: ADDED,
    kept: DIFFERENT,
    stored: {
      ...REGION,
      icon: "Cluster",
      schema: {
        properties: { ...REGION.schema.properties, size: STRING },
        required: ["own", "zone", "size"],
      },
      relations: { ...REGION.relations, second: relation("image") },
    },
  },
  {
    flag: "--overwrite",
    outcome: "extended by 4, changed in 4, reduced by 2",
    changed: [...ADDED, ...DIFFERENT],
    kept: [],
    stored: {
      ...FILE,
      schema: {
        properties: { own: STRING, zone: NUMBER, size: STRING },
        required: ["own", "size"],
      },
    },
  },
  {
    flag: "--replace",
    outcome: "extended by 4, changed in 4, reduced by 4",
    changed: [...ADDED, ...DIFFERENT, ...REMOVED],
    kept: [],
    stored: FILE,
  },
];

/** Fails unless a run shows an outcome, and its differences in any order. */
function assertReport(
  { stdout }: Result,
  outcome: string,
  { changed, kept }: { changed: string[][]; kept: string[][] },
) {
  const [head, ...lines] = stdout.trimEnd().split("\n");
  assertEquals(head, `Blueprint "region": ${outcome}`);
  const wanted = [
    ...changed.map(([path, old, now]) => `  ${path}: ${old} -> ${now}`),
    ...kept.map(([path, old, now]) =>
      `  ${path}: kept ${old}, file has ${now}`
    ),
  ];
  assertEquals(lines.sort(), wanted.sort());
}

for (const mode of MODES) {
  const { flag, outcome, stored } = mode;
  const hint = flag === "" ? HINT : "";

  Deno.test(`upsert_blueprint ${flag} stores what it says`, async () => {
    await withPort({}, async (port) => {
      await upsert(port, REGION);
      const result = await upsert(port, FILE, flag);
      assertReport(result, outcome, mode);
      assertEquals([result.code, result.stderr], [0, hint]);
      assertEquals(await read(port, "region"), stored);
      const again = await upsert(port, FILE, flag);
      const rest = { changed: [], kept: mode.kept };
      assertReport(
        again,
        flag === "" ? "unchanged, 6 differ" : "unchanged",
        rest,
      );
    });
  });

  Deno.test(`upsert_blueprint ${flag} --dry-run and --check only read`, async () => {
    await withPort({}, async (port) => {
      await upsert(port, REGION);
      const requests = await requestsOf(port, async () => {
        const planned = await upsert(port, FILE, `${flag} --dry-run`);
        assertReport(planned, `would be ${outcome}`, mode);
        assertEquals([planned.code, planned.stderr], [0, hint]);
        const checked = await upsert(port, FILE, `${flag} --check`);
        assertReport(checked, `would be ${outcome}`, mode);
        const line =
          'error: Port differs from the files: blueprints "region"; ' +
          "run without --check to add what is missing, with --overwrite to " +
          "change the rest\n";
        assertEquals([checked.code, checked.stderr], [7, line]);
      });
      const get = "GET /v1/blueprints/region";
      assertEquals(requests, [get, get]);
      assertEquals(await read(port, "region"), REGION);
    });
  });
}

Deno.test("upsert_blueprint --check passes only if the file says nothing else", async () => {
  await withPort({}, async (port) => {
    const absent = await upsert(port, FILE, "--check");
    assertEquals(
      [absent.code, absent.stdout],
      [7, 'Blueprint "region": would be created\n'],
    );
    await upsert(port, REGION);
    const cases: [code: number, flags: string, file: Members][] = [
      [0, "", REGION],
      // What Port has beyond the file is no difference, but to --replace.
      [0, "", blueprint("region", { zone: STRING })],
      [0, "--overwrite", blueprint("region", { zone: STRING })],
      [7, "--replace", blueprint("region", { zone: STRING })],
      [0, "--replace", { ...REGION, createdAt: "2020-01-01T00:00:00.000Z" }],
      [7, "", { ...REGION, title: "Area" }],
      [7, "", {
        identifier: "region",
        schema: { properties: {}, required: ["x"] },
      }],
    ];
    for (const [code, flags, file] of cases) {
      const result = await upsert(port, file, `--check ${flags}`);
      assertEquals(result.code, code, JSON.stringify({ flags, file, result }));
    }
  });
});

Deno.test("upsert_blueprint sends nothing when nothing would change", async () => {
  await withPort({}, async (port) => {
    const files = "blueprints/ci_job.json blueprints/image.json";
    const requests = await requestsOf(port, async () => {
      const result = await port.run("upsert_blueprint", files);
      const same = ["ciJob", "image"].map((id) =>
        `Blueprint "${id}": unchanged`
      );
      assertDone(result, ...same);
    });
    const paths = ["ciJob", "image"].map((id) => `GET /v1/blueprints/${id}`);
    assertEquals(requests, paths);
  });
});

Deno.test("upsert_blueprint prints the blueprint only with --verbose", async () => {
  await withPort({}, async (port) => {
    const { stdout } = await upsert(port, blueprint("region"), "--verbose");
    const [line, ...json] = stdout.split("\n");
    assertEquals(line, 'Blueprint "region": created');
    const [{ identifier, createdBy }] = JSON.parse(json.join("\n"));
    assertEquals([identifier, createdBy], ["region", "local-port"]);
  });
});

Deno.test("upsert_blueprint shows no URL of a webhook", async () => {
  await withPort({}, async (port) => {
    const url = "https://example.com/hook?token=";
    const file = (secret: string) => ({
      ...blueprint("region"),
      changelogDestination: { type: "WEBHOOK", url: url + secret },
    });
    await upsert(port, file("one"));
    const head = 'Blueprint "region": unchanged, 1 differs';
    const line = "  changelogDestination.url: kept (hidden), file has (hidden)";
    assertDone(await upsert(port, file("two")), head, line);
  });
});

for (const status of [409, 422]) {
  Deno.test(`upsert_blueprint goes on after ${status} when another run has created it`, async () => {
    await withPort({}, async (port) => {
      /** Creates the blueprint just before the script does. */
      const race = async (request: Request) => {
        const { pathname, search } = new URL(request.url);
        const isCreation = request.method === "POST" &&
          pathname === "/v1/blueprints";
        if (isCreation) await port.call("POST", "/blueprints", REGION);
        const response = await fetch(port.url + pathname + search, {
          method: request.method,
          headers: request.headers,
          body: await request.text() || null,
        });
        if (!isCreation) return response;
        assertEquals(response.status, 409);
        return new Response(response.body, { status });
      };
      await withHandler(race, async (API_URL) => {
        const result = await upsert(port, FILE, "", { API_URL });
        assertReport(result, "extended by 4, 6 differ", {
          changed: ADDED,
          kept: DIFFERENT,
        });
        assertEquals(result.code, 0, result.stderr);
      });
    });
  });
}

Deno.test("upsert_blueprint ends each refusal of Port with its exit code", async () => {
  await withPort({}, async (port) => {
    const broken = blueprint("region", { a: { type: "date" } });
    assertError(await upsert(port, broken), 5, '"schema.properties.a.type"');
    const options = { env: { PORT_CLIENT_SECRET: "wrong" } };
    const files = "blueprints/image.json";
    const login = await port.run("upsert_blueprint", files, options);
    assertError(login, 3, "Cannot log in to Port");
    const flags = "--dry-run";
    const dry = await upsert(port, FILE, flags, { PORT_CLIENT_SECRET: "" });
    assertError(dry, 3, "PORT_CLIENT_SECRET is not set");
  });
});

Deno.test("upsert_blueprint shows what it stored before an error", async () => {
  await withPort({}, async (port) => {
    const lost = blueprint("region", {}, { a: relation("nowhere") });
    const { code, stdout, stderr } = await upsert(port, [
      blueprint("zone"),
      lost,
    ]);
    assertEquals(code, 4);
    assertStringIncludes(stderr, '"nowhere" does not exist');
    const missing = JSON.stringify(relation("nowhere"));
    assertEquals(stdout.trimEnd().split("\n"), [
      'Blueprint "zone": created',
      'Blueprint "region": created, 1 differs',
      `  relations.a: kept none, file has ${missing}`,
    ]);
  });
});

Deno.test("upsert_blueprint answers a wrong call with one line, exit code 2 and no request", async () => {
  await withPort({}, async (port) => {
    const cases: [input: unknown, message: string, flags?: string][] = [
      [[{ title: "No name" }], 'each with an "identifier"'],
      [[blueprint("a")], "Cannot read standard input twice", "-"],
      [
        { ...blueprint("a"), relation: {} },
        'Cannot use blueprint "a": unknown member "relation", did you mean relations?',
      ],
      [{ ...blueprint("a"), schema: [] }, '"schema" must be a JSON object'],
      [
        { ...blueprint("a"), relations: [] },
        '"relations" must be a JSON object',
      ],
    ];
    for (const [input, message, flags] of cases) {
      assertError(await upsert(port, input, flags), 2, message);
    }
    assertEquals(port.log, []);
  });
  const image = "blueprints/image.json";
  await assertWrongCalls("upsert_blueprint", [
    ["", "Missing FILE"],
    ["no/such.json", 'Cannot read "no/such.json"'],
    ["demo.ts", 'Cannot read "demo.ts": Unexpected token'],
    [`${image} ${image}`, 'Cannot use blueprint "image": it is given twice'],
    [`${image} --replace=1`, "--replace takes no value"],
    [`${image} --replace --overwrite`, "Cannot use --overwrite with --replace"],
  ]);
});
