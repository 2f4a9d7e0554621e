import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { startLocalPort } from "../scripts/local_port/server.ts";
import {
  CREDENTIALS,
  SECRET,
  type TestPort,
  withPort,
} from "./support/port.ts";
import { permissionsOf, ROOT, run } from "./support/run.ts";

type Body = Record<string, unknown>;

/** What a refused request must answer. */
interface Refused {
  method: string;
  path: string;
  body?: unknown;
  status: number;
  error: string;
  message: string;
}

async function assertRefused(port: TestPort, refused: Refused) {
  const { method, path, body, status, error, message } = refused;
  const response = await port.call(method, path, body);
  const answer = await response.json();
  assertEquals([response.status, answer.ok, answer.error], [
    status,
    false,
    error,
  ], JSON.stringify({ ...refused, answer }));
  assertStringIncludes(answer.message, message);
}

/** Sends a request that must succeed, and gives the body of its answer. */
async function must(
  port: TestPort,
  method: string,
  path: string,
  body?: unknown,
): Promise<Body> {
  const response = await port.call(method, path, body);
  const answer = await response.json();
  assertEquals(answer.ok, true, JSON.stringify(answer));
  return answer;
}

/** The header of a request that goes past `port.call()`. */
async function logIn(port: TestPort): Promise<string> {
  const { accessToken } = await must(port, "POST", "/auth/access_token", {
    clientId: CREDENTIALS.PORT_CLIENT_ID,
    clientSecret: SECRET,
  });
  return `Bearer ${accessToken}`;
}

const SERVICES = "/blueprints/service/entities";
const UPSERT = `${SERVICES}?upsert=true`;
const MERGE = `${SERVICES}?upsert=true&merge=true`;

Deno.test("local_port logs in with its credentials only", async () => {
  await withPort({}, async ({ url }) => {
    const logIn = (body: unknown) =>
      fetch(`${url}/v1/auth/access_token`, {
        method: "POST",
        body: JSON.stringify(body),
      });
    const right = {
      clientId: CREDENTIALS.PORT_CLIENT_ID,
      clientSecret: SECRET,
    };
    const answer = await (await logIn(right)).json();
    assertEquals([answer.ok, answer.expiresIn, answer.tokenType], [
      true,
      10_800,
      "Bearer",
    ]);
    const wrong = await logIn({ ...right, clientSecret: "other" });
    assertEquals([wrong.status, (await wrong.json()).error], [
      401,
      "unauthorized",
    ]);
    const half = await logIn({ clientId: right.clientId });
    assertEquals(half.status, 422);
    assertStringIncludes((await half.json()).message, "clientSecret");
  });
});

Deno.test("local_port refuses a token that is missing, made up or expired", async () => {
  await withPort({ tokenLifetime: 0 }, async (port) => {
    for (const authorization of ["", "Bearer made-up", "Basic eDp5"]) {
      const response = await fetch(`${port.url}/v1/blueprints`, {
        headers: { authorization },
      });
      assertEquals(response.status, 401);
      await response.body?.cancel();
    }
    await assertRefused(port, {
      method: "GET",
      path: "/blueprints",
      status: 401,
      error: "unauthorized",
      message: "expired",
    });
  });
});

Deno.test("local_port starts with the blueprints of Port's examples", async () => {
  await withPort({}, async (port) => {
    const { blueprints } = await must(port, "GET", "/blueprints") as {
      blueprints: Body[];
    };
    assertEquals(blueprints.map(({ identifier }) => identifier).sort(), [
      "ciJob",
      "image",
      "service",
      "team",
      "test-blueprint",
    ]);
  });
});

Deno.test("local_port creates, reads, changes, replaces and deletes a blueprint", async () => {
  await withPort({}, async (port) => {
    const blueprint = {
      identifier: "region",
      title: "Region",
      schema: { properties: { zone: { type: "string" } } },
      relations: { main: { target: "service", required: false, many: false } },
    };
    const created = await port.call("POST", "/blueprints", blueprint);
    assertEquals(created.status, 201);
    await created.body?.cancel();
    const title = async () => {
      const { blueprint } = await must(port, "GET", "/blueprints/region");
      const { title, relations } = blueprint as Body;
      return [title, Object.keys(relations ?? {})];
    };
    assertEquals(await title(), ["Region", ["main"]]);
    await must(port, "PATCH", "/blueprints/region", { title: "Area" });
    assertEquals(await title(), ["Area", ["main"]]);
    const { relations: _, ...plain } = blueprint;
    await must(port, "PUT", "/blueprints/region", plain);
    assertEquals(await title(), ["Region", []]);
    await must(port, "DELETE", "/blueprints/region");
    assertEquals((await port.call("GET", "/blueprints/region")).status, 404);
  });
});

Deno.test("local_port refuses blueprints that Port refuses", async () => {
  await withPort({}, async (port) => {
    const good = {
      identifier: "region",
      title: "Region",
      schema: { properties: {} },
    };
    const refuse = (change: Body, rest: Partial<Refused>) =>
      assertRefused(port, {
        method: "POST",
        path: "/blueprints",
        body: { ...good, ...change },
        status: 422,
        error: "invalid_request",
        message: "",
        ...rest,
      });
    await refuse({ identifier: "service" }, {
      status: 409,
      error: "identifier_taken",
      message: '"service" already exists',
    });
    await refuse({ title: "" }, { message: '"title"' });
    await refuse({ identifier: "a b" }, { message: '"identifier"' });
    await refuse({ description: "x".repeat(201) }, {
      message: '"description"',
    });
    await refuse({ icon: 5 }, { message: '"icon"' });
    await refuse({ ownership: { type: "Mine" } }, { message: '"ownership' });
    await refuse({ calculationProperties: { c: {} } }, {
      message: '"calculationProperties.c"',
    });
    await refuse({ mirrorProperties: { m: { path: "title" } } }, {
      message: '"mirrorProperties.m.path"',
    });
    await refuse({ aggregationProperties: [] }, {
      message: '"aggregationProperties"',
    });
    const target = { target: "service", required: false, many: false };
    await refuse({ relations: { "r r": target } }, { message: '"relations"' });
    await refuse({ relations: { r: { ...target, bogus: 1 } } }, {
      message: '"bogus"',
    });
    await refuse({ schema: { properties: { a: { type: "date" } } } }, {
      message: '"schema.properties.a.type"',
    });
    await refuse({
      schema: { properties: { a: { type: "string", pattern: "[" } } },
    }, { message: '"schema"' });
    await refuse({
      relations: { a: { target: "nothing", required: false, many: false } },
    }, {
      status: 404,
      error: "not_found",
      message: 'Blueprint with identifier "nothing" does not exist',
    });
    await must(port, "POST", UPSERT, { identifier: "a" });
    await refuse({}, {
      method: "DELETE",
      path: "/blueprints/service",
      message: "still has entities",
    });
  });
});

Deno.test("local_port creates an entity once, unless it is told to upsert", async () => {
  await withPort({}, async (port) => {
    const entity = { identifier: "a", title: "A" };
    const path = `${SERVICES}?upsert=false`;
    const created = await port.call("POST", path, entity);
    assertEquals([created.status, (await created.json()).entity], [
      201,
      { ...entity, properties: {}, relations: {} },
    ]);
    await assertRefused(port, {
      method: "POST",
      path,
      body: entity,
      status: 409,
      error: "identifier_taken",
      message: '"a" already exists in the blueprint "service"',
    });
    await must(port, "POST", UPSERT, { identifier: "a", title: "B" });
    const { entity: made } = await must(port, "POST", path, {});
    assertMatch(String((made as Body).identifier), /^e_/);
    const { entities } = await must(port, "GET", SERVICES);
    assertEquals((entities as Body[]).length, 2);
  });
});

Deno.test("local_port replaces without merge, and clears with null", async () => {
  await withPort({}, async (port) => {
    const full = {
      identifier: "a",
      title: "A",
      team: "core",
      properties: { version: "1", replicas: 2 },
    };
    const put = async (path: string, body: Body) => {
      await must(port, "POST", path, body);
      return await port.entity("service", "a");
    };
    await put(UPSERT, full);
    assertEquals(
      await put(MERGE, { identifier: "a", properties: { version: "2" } }),
      { ...full, properties: { version: "2", replicas: 2 }, relations: {} },
    );
    assertEquals(
      await put(MERGE, {
        identifier: "a",
        properties: { version: null },
      }),
      { ...full, properties: { replicas: 2 }, relations: {} },
    );
    assertEquals(
      await put(UPSERT, { identifier: "a", properties: { version: "3" } }),
      { identifier: "a", properties: { version: "3" }, relations: {} },
    );
  });
});

Deno.test("local_port changes with PATCH and replaces with PUT", async () => {
  await withPort({}, async (port) => {
    const one = `${SERVICES}/a`;
    await must(port, "POST", UPSERT, {
      identifier: "a",
      title: "A",
      properties: { version: "1", replicas: 2 },
    });
    await must(port, "PATCH", one, {
      title: null,
      properties: { version: "2" },
    });
    assertEquals(await port.entity("service", "a"), {
      identifier: "a",
      properties: { version: "2", replicas: 2 },
      relations: {},
    });
    await must(port, "PUT", one, { identifier: "a", properties: {} });
    assertEquals(await port.entity("service", "a"), {
      identifier: "a",
      properties: {},
      relations: {},
    });
  });
});

Deno.test("local_port checks and writes nothing with validation_only", async () => {
  await withPort({}, async (port) => {
    const path =
      `${UPSERT}&validation_only=true&create_missing_related_entities=true`;
    const body = { identifier: "a", relations: { image: "i" } };
    await must(port, "POST", path, body);
    assertEquals(await port.entity("service", "a"), undefined);
    assertEquals(await port.entity("image", "i"), undefined);
    await must(port, "POST", path.replace("only=true", "only=false"), body);
    assert(await port.entity("service", "a"));
    await assertRefused(port, {
      method: "POST",
      path,
      body: { identifier: "a", properties: { replicas: "three" } },
      status: 422,
      error: "invalid_request",
      message: '"replicas" must be number',
    });
  });
});

Deno.test("local_port refuses entities that break their blueprint", async () => {
  await withPort({}, async (port) => {
    const refuse = (body: unknown, message: string, status = 422) =>
      assertRefused(port, {
        method: "POST",
        path: UPSERT,
        body,
        status,
        error: status === 404 ? "not_found" : "invalid_request",
        message,
      });
    await refuse({ properties: { colour: "red" } }, 'Property "colour"');
    await refuse({ properties: { constructor: "x" } }, '"constructor"');
    await refuse({ properties: { replicas: "3" } }, '"replicas" must be');
    await refuse({ properties: { versoin: null } }, 'Property "versoin"');
    await refuse({ relations: { imgae: null } }, 'Relation "imgae"');
    const query = { combinator: "and", rules: [] };
    await refuse({ team: query }, "name the teams");
    await refuse({ relations: { twin: "x" } }, 'Relation "twin"');
    await refuse({ relations: { image: ["x"] } }, '"relations.image"');
    await refuse({ relations: { owners: "x" } }, '"relations.owners"');
    await refuse(
      { relations: { image: "x" } },
      'Entity with identifier "x" does not exist in the blueprint "image"',
      404,
    );
    await refuse({ identifier: ".." }, '"identifier"');
    await refuse({ identifier: "a b" }, '"identifier"');
    await refuse({ identifier: "a".repeat(1001) }, '"identifier"');
    await refuse([], '"entity" must be object');
    await refuse(undefined, '"entity" must be object');
  });
});

Deno.test("local_port says what is not there", async () => {
  await withPort({}, async (port) => {
    const refuse = (method: string, path: string, message: string) =>
      assertRefused(port, {
        method,
        path,
        status: 404,
        error: "not_found",
        message,
      });
    const noEntity =
      'Entity with identifier "x" does not exist in the blueprint "service"';
    await refuse("GET", `${SERVICES}/x`, noEntity);
    await refuse("DELETE", `${SERVICES}/x?delete_dependents=true`, noEntity);
    const noBlueprint = 'Blueprint with identifier "x" does not exist';
    await refuse("GET", "/blueprints/x", noBlueprint);
    await refuse("POST", "/blueprints/x/entities", noBlueprint);
    await refuse("GET", "/blueprints/x/entities/y", noBlueprint);
    await refuse("GET", "/nothing", "Route GET:/v1/nothing not found");
    await refuse("PATCH", SERVICES, "not found");
  });
});

Deno.test("local_port refuses what is no request of Port's", async () => {
  await withPort({}, async (port) => {
    const authorization = await logIn(port);
    const post = async (path: string, body: string) => {
      const response = await fetch(`${port.url}${path}`, {
        method: "POST",
        headers: { authorization },
        body,
      });
      const { error } = await response.json();
      return [response.status, error];
    };
    const entities = `/v1${SERVICES}`;
    assertEquals(await post(entities, "{"), [422, "invalid_request"]);
    assertEquals(await post(`/v1${UPSERT}yes`, "{}"), [422, "invalid_request"]);
    assertEquals(await post("/v2/blueprints", "{}"), [404, "not_found"]);
    assertEquals(await post("//", "{}"), [404, "not_found"]);
    const notBoolean = "/v1/blueprints?create_catalog_page=banana";
    assertEquals(await post(notBoolean, "{}"), [422, "invalid_request"]);
    assertEquals(await post("/v1/%ff", "{}"), [422, "invalid_request"]);
    const tooMuch = JSON.stringify({ title: "x".repeat(1024 * 1024) });
    assertEquals(await post(entities, tooMuch), [413, "request_too_large"]);
  });
});

Deno.test("local_port creates missing related entities when asked", async () => {
  await withPort({}, async (port) => {
    await must(port, "POST", `${UPSERT}&create_missing_related_entities=true`, {
      identifier: "a",
      relations: { image: "i", owners: ["t", "u"] },
    });
    assertEquals(await port.entity("image", "i"), {
      identifier: "i",
      title: "i",
      properties: {},
      relations: {},
    });
    assertNotEquals(await port.entity("team", "u"), undefined);
  });
});

Deno.test("local_port deletes dependents only when told to", async () => {
  await withPort({}, async (port) => {
    await must(port, "POST", `${UPSERT}&create_missing_related_entities=true`, {
      identifier: "a",
      relations: { image: "i" },
    });
    const image = "/blueprints/image/entities/i";
    const refuse = (path: string, message: string) =>
      assertRefused(port, {
        method: "DELETE",
        path,
        status: 422,
        error: "invalid_request",
        message,
      });
    await refuse(image, '"delete_dependents" is required');
    await refuse(`${image}?delete_dependents=false`, "has 1 dependents");
    await must(port, "DELETE", `${image}?delete_dependents=true`);
    assertEquals(await port.entity("image", "i"), undefined);
    assertEquals(await port.entity("service", "a"), undefined);
  });
});

Deno.test("local_port answers with the parts that are asked for", async () => {
  await withPort({}, async (port) => {
    await must(port, "POST", UPSERT, {
      identifier: "a",
      title: "A",
      properties: { version: "1", replicas: 2 },
    });
    const get = async (query: string) =>
      (await must(port, "GET", `${SERVICES}/a?${query}`)).entity;
    assertEquals(await get("include=identifier&include=properties.version"), {
      identifier: "a",
      properties: { version: "1" },
    });
    assertEquals(await get("exclude=properties.version&exclude=title"), {
      identifier: "a",
      properties: { replicas: 2 },
      relations: {},
    });
    const { entities } = await must(port, "GET", `${SERVICES}?include=title`);
    assertEquals(entities, [{ title: "A" }]);
  });
});

Deno.test("local_port tells its rate limit, and holds to it", async () => {
  const rateLimit = { requests: 3, period: 3_600_000 };
  await withPort({ rateLimit }, async (port) => {
    const remaining = async () => {
      const { status, headers, body } = await port.call("GET", "/blueprints");
      await body?.cancel();
      return [status, headers.get("x-ratelimit-remaining")];
    };
    assertEquals(await remaining(), [200, "1"]);
    assertEquals(await remaining(), [200, "0"]);
    const response = await port.call("GET", "/blueprints");
    assertEquals(response.status, 429);
    assertEquals((await response.json()).ok, false);
    const header = (name: string) => Number(response.headers.get(name));
    assertEquals(header("x-ratelimit-limit"), 3);
    assertEquals(header("x-ratelimit-period"), 3600);
    const left = header("x-ratelimit-reset") - Date.now() / 1000;
    assertEquals(left > 3000 && left <= 3601, true, `${left} s left`);
    assertEquals(header("retry-after") > 3000, true);
  });
});

Deno.test("local_port makes each kind of failure", async () => {
  const met = async (failures: "error" | "unavailable" | "bad-gateway") => {
    let seen = "";
    await withPort({ failures: ["none", failures] }, async (port) => {
      const response = await port.call("GET", "/blueprints");
      seen = `${response.status} ${await response.text()}`;
    });
    return seen;
  };
  assertStringIncludes(await met("error"), "500 {");
  assertStringIncludes(await met("unavailable"), "503 {");
  assertStringIncludes(await met("bad-gateway"), "502 <html>");
  await withPort({ failures: ["none", "rate-limited"] }, async (port) => {
    const response = await port.call("GET", "/blueprints");
    assertEquals([response.status, response.headers.get("retry-after")], [
      429,
      "1",
    ]);
    await response.body?.cancel();
  });
  await withPort({ failures: ["none", "none", "cut-before"] }, async (port) => {
    const authorization = await logIn(port);
    // On a connection used before, Deno's fetch would repeat it by itself.
    using client = Deno.createHttpClient({});
    await assertRejects(() =>
      fetch(`${port.url}/v1${UPSERT}`, {
        method: "POST",
        headers: { authorization },
        body: '{"identifier":"a"}',
        client,
      })
    );
    assertNotEquals(await port.entity("service", "a"), undefined);
  });
  await withPort({ failures: ["none", "cut-middle"] }, async (port) => {
    const response = await port.call("GET", "/blueprints");
    assertEquals(response.status, 200);
    await assertRejects(() => response.text());
  });
});

Deno.test("local_port repeats its failures with the same seed", async () => {
  const run = async (seed: number) => {
    const statuses: string[] = [];
    await withPort({ failRate: 0.5, seed }, async ({ url, log }) => {
      for (let request = 0; request < 30; request++) {
        const response = await fetch(`${url}/v1/blueprints`).catch(() => null);
        await response?.text().catch(() => {});
      }
      statuses.push(...log.map((line) => line.replace(/ \d+ms/, "")));
    });
    return statuses;
  };
  const first = await run(1);
  assertEquals(await run(1), first);
  assertNotEquals(await run(2), first);
});

Deno.test("local_port keeps the catalogue in a file over a restart", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const data = `${folder}/port.json`;
    let before: unknown;
    await withPort({ data }, async (port) => {
      await must(port, "POST", UPSERT, { identifier: "a", title: "A" });
      await must(port, "PATCH", "/blueprints/service", { title: "Mine" });
      before = (await must(port, "GET", "/blueprints")).blueprints;
    });
    await withPort({ data }, async (port) => {
      assertEquals((await must(port, "GET", "/blueprints")).blueprints, before);
      assertEquals(await port.entity("service", "a"), {
        identifier: "a",
        title: "A",
        properties: {},
        relations: {},
      });
    });
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), [
      "port.json",
    ]);
    const [old, text] = [`${folder}/old`, await Deno.readTextFile(data)];
    await Deno.link(data, old);
    await withPort({ data }, async (port) => {
      await must(port, "POST", UPSERT, { identifier: "b" });
    });
    assertEquals(await Deno.readTextFile(old), text, "it was written over");
    await Deno.writeTextFile(data, '{"blueprints":[');
    await assertRejects(
      () => startLocalPort({ data }),
      Error,
      `Cannot read the data file "${data}"`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("local_port says when it cannot keep the catalogue", async () => {
  const folder = await Deno.makeTempDir();
  await withPort({ data: `${folder}/port.json` }, async (port) => {
    await must(port, "POST", UPSERT, { identifier: "a" });
    await Deno.remove(folder, { recursive: true });
    const answer = await port.call("POST", UPSERT, { identifier: "b" });
    const { message } = await answer.json();
    assertEquals(answer.status, 500);
    assertStringIncludes(message, "Cannot write the data file");
  });
});

Deno.test("local_port takes blueprints of the user's own", async () => {
  const blueprints = await Deno.makeTempDir();
  try {
    const blueprint = {
      identifier: "pet",
      title: "Pet",
      schema: { properties: {} },
    };
    const file = `${blueprints}/pet.json`;
    await Deno.writeTextFile(file, JSON.stringify(blueprint));
    await withPort({ blueprints }, async (port) => {
      await must(port, "POST", "/blueprints/pet/entities?upsert=false", {
        identifier: "a",
      });
      assertEquals((await port.call("GET", "/blueprints/image")).status, 404);
    });
    await Deno.writeTextFile(file, JSON.stringify({ ...blueprint, title: 1 }));
    await assertRejects(
      () => startLocalPort({ blueprints }),
      Error,
      'Cannot use the blueprint "pet": "title" must be string',
    );
  } finally {
    await Deno.remove(blueprints, { recursive: true });
  }
});

Deno.test("local_port prints one line a request, and no secret", async () => {
  await withPort({}, async (port) => {
    await port.call("GET", "/blueprints/no%1B[31m");
    assertEquals(port.log.length, 2);
    for (const line of port.log) {
      assertMatch(line, /^(?:POST|GET) \/v1\/\S+ \d{3} \d+ms$/);
      assertEquals(line.includes(SECRET), false);
    }
  });
});

/** Runs the script until it is interrupted, and gives all it printed. */
async function withScript(
  args: string[],
  test: (url: string) => Promise<void>,
): Promise<{ code: number; output: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      ...await permissionsOf("local_port"),
      "scripts/local_port.ts",
      ...args,
    ],
    cwd: ROOT,
    env: CREDENTIALS,
    stdout: "piped",
  }).spawn();
  let output = "";
  let used = false;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    const [url] = /http:\S+(?=\n)/.exec(output) ?? [];
    if (url === undefined || used) continue;
    used = true;
    try {
      await test(url);
    } finally {
      child.kill("SIGINT");
    }
  }
  return { code: (await child.status).code, output };
}

Deno.test("local_port runs as a script with the rights of its first line", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const flags = [
      "--port=0",
      "--latency=1ms",
      "--fail-rate=0.1",
      "--rate-limit=50/1m",
      "--token-lifetime=30s",
      "--seed=3",
      `--blueprints=${new URL("scripts/blueprints", ROOT).pathname}`,
      `--data=${folder}/port.json`,
    ];
    const { code, output } = await withScript(flags, async (url) => {
      const { code, stderr } = await run(
        "upsert_entity",
        ["-b", "service", "-i", "a", "--verbose"],
        { env: { ...CREDENTIALS, API_URL: url } },
      );
      assertEquals(code, 0, stderr);
    });
    assertEquals(code, 130);
    assertMatch(output, /\nPOST \/v1\/auth\/access_token 200 \d+ms\n/);
    assertMatch(output, /\nPOST \/v1\/blueprints\/service\/entities\S* 201 /);
    assertEquals(output.includes(SECRET), false);
    const kept = await Deno.readTextFile(`${folder}/port.json`);
    assertStringIncludes(kept, '["service",[{"identifier":"a"');
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("local_port --help shows every flag", async () => {
  const { code, stdout } = await run("local_port", ["--help"]);
  assertEquals(code, 0);
  const flags = "port blueprints data latency fail-rate rate-limit " +
    "token-lifetime seed help";
  for (const flag of flags.split(" ")) {
    assertStringIncludes(stdout, `--${flag}`);
  }
});

Deno.test("local_port answers a wrong command line with one line and exit code 2", async () => {
  const calls = [
    ["--prot=0", '"--prot=0"'],
    ["--latncy=1ms", "did you mean --latency?"],
    ["8787", '"8787"'],
    ["--port=", "Missing the value of --port"],
    ["--port=x", '--port "x"'],
    ["--port=1.5", '--port "1.5"'],
    ["--port=65536", '--port "65536"'],
    ["--blueprints=nowhere", 'the folder of blueprints "nowhere"'],
    ["--blueprints=", "--blueprints"],
    ["--data=", "--data"],
    ["--data=no/folder.json", 'Cannot write the data file "no/folder.json"'],
    ["--latency=50", '--latency "50"'],
    ["--fail-rate=2", '--fail-rate "2"'],
    ["--rate-limit=100", '--rate-limit "100"'],
    ["--rate-limit=0/1s", '--rate-limit "0/1s"'],
    ["--token-lifetime=long", '--token-lifetime "long"'],
    ["--seed=x", '--seed "x"'],
    ["--seed=1 --seed=2", "--seed is given twice"],
  ];
  await withPort({}, async ({ url }) => {
    const { port } = new URL(url);
    const all = [...calls, [
      `--port=${port}`,
      `Cannot listen on port ${port}: `,
    ]];
    await Promise.all(all.map(async ([flag = "", says = ""]) => {
      const args = flag.split(" ");
      const { code, stderr } = await run("local_port", args);
      assertEquals(code, 2, flag);
      assertMatch(stderr, /^error: [^\n]*\n$/);
      assertStringIncludes(stderr, says);
    }));
  });
});
