import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import { assertWrongCalls, type TestPort, withPort } from "./support/port.ts";
import { run } from "./support/run.ts";

type Members = Record<string, unknown>;

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
async function upsert(port: TestPort, input: unknown, ...flags: string[]) {
  return await run("upsert_blueprint", ["-", ...flags], {
    env: port.env,
    stdin: JSON.stringify(input),
  });
}

/** Names of the properties and relations that a blueprint has in Port. */
async function namesIn(port: TestPort, identifier: string) {
  const answer = await port.call("GET", `/blueprints/${identifier}`);
  const { schema, relations } = (await answer.json()).blueprint;
  return [...Object.keys(schema.properties), ...Object.keys(relations ?? {})];
}

const STRING = { type: "string" };

Deno.test("upsert_blueprint creates the targets of relations first", async () => {
  await withPort({}, async (port) => {
    const { code, stdout, stderr } = await upsert(port, [
      blueprint("region", {}, { zone: relation("zone") }),
      blueprint("zone", { name: STRING }, { self: relation("zone") }),
    ]);
    assertEquals(
      [code, stderr],
      [0, 'Created blueprint "zone"\nCreated blueprint "region"\n'],
    );
    assertEquals(
      JSON.parse(stdout).map(({ identifier }: Members) => identifier),
      ["zone", "region"],
    );
    assertEquals(await namesIn(port, "region"), ["zone"]);
  });
});

Deno.test("upsert_blueprint creates blueprints that are related in a circle", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await upsert(port, [
      blueprint("one", {}, { next: relation("two") }),
      blueprint("two", {}, { next: relation("three") }),
      blueprint("three", {}, { next: relation("one") }),
    ]);
    assertEquals(code, 0, stderr);
    for (const identifier of ["one", "two", "three"]) {
      assertEquals(await namesIn(port, identifier), ["next"]);
    }
  });
});

Deno.test("upsert_blueprint closes a circle with a blueprint that is there", async () => {
  await withPort({}, async (port) => {
    await upsert(port, blueprint("one"));
    const { code, stderr } = await upsert(port, [
      blueprint("two", {}, { next: relation("one") }),
      blueprint("one", {}, { next: relation("two") }),
    ]);
    assertEquals(
      [code, stderr],
      [
        0,
        'Created blueprint "two"\n' +
        'Updated blueprint "one": added relations.next\n',
      ],
    );
  });
});

Deno.test("upsert_blueprint merges: the user's own properties stay", async () => {
  await withPort({}, async (port) => {
    await upsert(port, {
      ...blueprint("region", { own: STRING, zone: STRING }, {
        service: relation("service"),
      }),
      schema: { properties: { own: STRING, zone: STRING }, required: ["own"] },
    });
    const { code, stderr } = await upsert(port, {
      ...blueprint("region", { zone: { type: "number" }, size: STRING }),
      title: "Region",
    });
    assertEquals(
      [code, stderr],
      [
        0,
        'Updated blueprint "region": added properties.size, ' +
        "changed title properties.zone\n",
      ],
    );
    assertEquals(await namesIn(port, "region"), [
      "own",
      "zone",
      "size",
      "service",
    ]);
    const answer = await port.call("GET", "/blueprints/region");
    assertEquals((await answer.json()).blueprint.schema.required, ["own"]);
  });
});

Deno.test("upsert_blueprint sends nothing when nothing would change", async () => {
  await withPort({}, async (port) => {
    const { stderr } = await run("upsert_blueprint", [
      "blueprints/ci_job.json",
      "blueprints/image.json",
    ], { env: port.env });
    assertEquals(
      stderr,
      'Blueprint "image" is as it should be\n' +
        'Blueprint "ciJob" is as it should be\n',
    );
    assertEquals(port.log.filter((line) => line.startsWith("P")).length, 1);
  });
});

Deno.test("upsert_blueprint --replace keeps nothing that is not named", async () => {
  await withPort({}, async (port) => {
    await upsert(port, blueprint("region", { a: STRING, b: STRING }));
    const { code, stderr } = await upsert(
      port,
      blueprint("region", { b: STRING }),
      "--replace",
    );
    assertEquals(
      [code, stderr],
      [0, 'Replaced blueprint "region": removed properties.a\n'],
    );
    assertEquals(await namesIn(port, "region"), ["b"]);
  });
});

Deno.test("upsert_blueprint tells each refusal of Port with its exit code", async () => {
  await withPort({}, async (port) => {
    const broken = blueprint("region", { a: { type: "date" } });
    const content = await upsert(port, broken);
    assertEquals(content.code, 5);
    assertStringIncludes(content.stderr, '"schema.properties.a.type"');
    const target = await upsert(
      port,
      blueprint("region", {}, { a: relation("nowhere") }),
    );
    assertEquals(target.code, 4);
    assertStringIncludes(target.stderr, '"nowhere" does not exist');
    const login = await run("upsert_blueprint", ["-"], {
      env: { ...port.env, PORT_CLIENT_SECRET: "wrong" },
      stdin: JSON.stringify(blueprint("region")),
    });
    assertEquals(login.code, 3);
  });
});

Deno.test("upsert_blueprint answers a wrong call with one line, exit code 2 and no request", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await upsert(port, [{ title: "No name" }]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, 'each with an "identifier"');
    const twice = await upsert(port, [blueprint("a")], "-");
    assertEquals(twice.code, 2);
    assertStringIncludes(twice.stderr, "Cannot read standard input twice");
    assertEquals(port.log, []);
  });
  await assertWrongCalls("upsert_blueprint", [
    [[], "Missing FILE"],
    [["no/such.json"], 'Cannot read the file "no/such.json"'],
    [["demo.ts"], 'Cannot read file "demo.ts": line 1, column 1'],
    [
      ["blueprints/image.json", "blueprints/image.json"],
      'Cannot use blueprint "image": it is given twice',
    ],
    [["--replace=1", "blueprints/image.json"], "takes no value"],
    [["--repalce", "x.json"], "did you mean --replace?"],
  ]);
});
