import { assertEquals } from "jsr:@std/assert@1.0.19";
import {
  assertError,
  assertWrongCalls,
  type TestPort,
  withPort,
} from "./support/port.ts";
import type { Result } from "./support/run.ts";

type Members = Record<string, unknown>;

const STRING = { type: "string" };

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
async function upsert(port: TestPort, input: unknown, flags = "") {
  const stdin = JSON.stringify(input);
  return await port.run("upsert_blueprint", `- ${flags}`, { stdin });
}

/** Fails unless a run has ended well, with these lines on standard error. */
function assertDone({ code, stderr }: Result, ...lines: string[]) {
  assertEquals([code, stderr.split("\n")], [0, [...lines, ""]]);
}

async function read(port: TestPort, identifier: string) {
  const answer = await port.call("GET", `/blueprints/${identifier}`);
  return (await answer.json()).blueprint;
}

/** Names of the properties and relations that a blueprint has in Port. */
async function namesIn(port: TestPort, identifier: string) {
  const { schema, relations } = await read(port, identifier);
  return Object.keys({ ...schema.properties, ...relations });
}

Deno.test("upsert_blueprint creates the targets of relations first", async () => {
  await withPort({}, async (port) => {
    const result = await upsert(port, [
      blueprint("region", {}, { zone: relation("zone") }),
      blueprint("zone", { name: STRING }, { self: relation("zone") }),
    ]);
    const lines = ['Created blueprint "zone"', 'Created blueprint "region"'];
    assertDone(result, ...lines);
    const printed: Members[] = JSON.parse(result.stdout);
    const names = printed.map(({ identifier }) => identifier);
    assertEquals(names, ["zone", "region"]);
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

Deno.test("upsert_blueprint closes a circle with a blueprint that exists", async () => {
  await withPort({}, async (port) => {
    await upsert(port, blueprint("one"));
    const result = await upsert(port, [
      blueprint("two", {}, { next: relation("one") }),
      blueprint("one", {}, { next: relation("two") }),
    ]);
    const updated = 'Updated blueprint "one": added relations.next';
    assertDone(result, 'Created blueprint "two"', updated);
  });
});

Deno.test("upsert_blueprint merges: the user's own properties stay", async () => {
  await withPort({}, async (port) => {
    const own = { own: STRING, zone: STRING };
    await upsert(port, {
      ...blueprint("region", {}, { service: relation("service") }),
      schema: { properties: own, required: ["own"] },
    });
    const zone = { type: "number" };
    const more = blueprint("region", { zone, size: STRING });
    assertDone(
      await upsert(port, { ...more, title: "Region" }),
      'Updated blueprint "region": added properties.size, ' +
        "changed title properties.zone",
    );
    const names = await namesIn(port, "region");
    assertEquals(names, ["own", "zone", "size", "service"]);
    const { title, schema } = await read(port, "region");
    assertEquals([title, schema.required], ["Region", ["own"]]);
    assertEquals(schema.properties.zone, zone);
  });
});

Deno.test("upsert_blueprint sends nothing when nothing would change", async () => {
  await withPort({}, async (port) => {
    const files = "blueprints/ci_job.json blueprints/image.json";
    assertDone(
      await port.run("upsert_blueprint", files),
      'Blueprint "image" is up to date',
      'Blueprint "ciJob" is up to date',
    );
    const sent = port.log.filter((line) => !line.startsWith("GET"));
    assertEquals(sent.length, 1, "the log-in");
  });
});

Deno.test("upsert_blueprint --replace keeps nothing that is not named", async () => {
  await withPort({}, async (port) => {
    await upsert(port, blueprint("region", { a: STRING, b: STRING }));
    const only = blueprint("region", { b: STRING });
    const replaced = 'Replaced blueprint "region": removed properties.a';
    assertDone(await upsert(port, only, "--replace"), replaced);
    assertEquals(await namesIn(port, "region"), ["b"]);
  });
});

Deno.test("upsert_blueprint ends each refusal of Port with its exit code", async () => {
  await withPort({}, async (port) => {
    const broken = blueprint("region", { a: { type: "date" } });
    assertError(await upsert(port, broken), 5, '"schema.properties.a.type"');
    const lost = blueprint("region", {}, { a: relation("nowhere") });
    assertError(await upsert(port, lost), 4, '"nowhere" does not exist');
    const options = { env: { PORT_CLIENT_SECRET: "wrong" } };
    const files = "blueprints/image.json";
    const login = await port.run("upsert_blueprint", files, options);
    assertError(login, 3, "Cannot log in to Port");
  });
});

Deno.test("upsert_blueprint answers a wrong call with one line, exit code 2 and no request", async () => {
  await withPort({}, async (port) => {
    const nameless = await upsert(port, [{ title: "No name" }]);
    assertError(nameless, 2, 'each with an "identifier"');
    const twice = await upsert(port, [blueprint("a")], "-");
    assertError(twice, 2, "Cannot read standard input twice");
    assertEquals(port.log, []);
  });
  const image = "blueprints/image.json";
  await assertWrongCalls("upsert_blueprint", [
    ["", "Missing FILE"],
    ["no/such.json", 'Cannot read "no/such.json"'],
    ["demo.ts", 'Cannot read "demo.ts": Unexpected token'],
    [`${image} ${image}`, 'Cannot use blueprint "image": it is given twice'],
    [`${image} --replace=1`, "--replace takes no value"],
  ]);
});
