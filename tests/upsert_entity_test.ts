import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import {
  assertWrongCalls,
  deadUrl,
  type TestPort,
  withPort,
  type WrongCall,
} from "./support/port.ts";
import { run, withFolder } from "./support/run.ts";

/** Runs the script against a local Port. */
async function upsert(port: TestPort, args: string[], stdin?: string) {
  return await run("upsert_entity", args, {
    env: port.env,
    ...(stdin !== undefined && { stdin }),
  });
}

/** A file that lasts as long as the test. */
async function withFile(
  text: string,
  test: (path: string) => Promise<void>,
) {
  await withFolder(async (folder) => {
    const path = `${folder}/entity.json`;
    await Deno.writeTextFile(path, text);
    await test(path);
  });
}

Deno.test("upsert_entity creates the entity that its flags describe", async () => {
  await withPort({}, async (port) => {
    await port.call("POST", "/blueprints/image/entities?upsert=true", {
      identifier: "checkout-1.4.2",
    });
    for (const identifier of ["payments", "core"]) {
      await port.call("POST", "/blueprints/team/entities?upsert=true", {
        identifier,
      });
    }
    const expected = {
      identifier: "checkout",
      title: "Checkout",
      icon: "Microservice",
      team: ["payments", "core"],
      properties: { version: "1.4.2", replicas: 3, tags: ["go", "api"] },
      relations: { image: "checkout-1.4.2", owners: ["payments", "core"] },
    };
    const args = [
      ...[
        "--blueprint",
        "service",
        "--identifier",
        "checkout",
        "--title",
        "Checkout",
      ],
      ...["--icon", "Microservice", "--team", "payments", "--team", "core"],
      ...["--property", "version=1.4.2", "--property", "replicas:=3"],
      ...[
        "--property",
        'tags:=["go","api"]',
        "--relation",
        "image=checkout-1.4.2",
      ],
      ...["--relation", 'owners:=["payments","core"]'],
    ];
    const { code, stdout, stderr } = await upsert(port, args);
    assertEquals([code, stderr], [
      0,
      'Created or updated entity "checkout" of "service"\n',
    ]);
    assertEquals(JSON.parse(stdout), expected);
    assertEquals(await port.entity("service", "checkout"), expected);
  });
});

Deno.test("upsert_entity merges: what is not named stays, null clears", async () => {
  await withPort({}, async (port) => {
    await upsert(port, [
      "-b",
      "service",
      "-i",
      "checkout",
      "--title",
      "Checkout",
      "-p",
      "version=1",
      "-p",
      "build=007",
    ]);
    await upsert(port, [
      "-b",
      "service",
      "-i",
      "checkout",
      "-p",
      "version=2",
      "-p",
      "language=go",
    ]);
    assertEquals(await port.entity("service", "checkout"), {
      identifier: "checkout",
      title: "Checkout",
      properties: { version: "2", build: "007", language: "go" },
      relations: {},
    });
    await upsert(port, [
      "-b",
      "service",
      "-i",
      "checkout",
      "-p",
      "build:=null",
    ]);
    const { properties } = Object(await port.entity("service", "checkout"));
    assertEquals(properties.build ?? null, null);
    assertEquals(properties.version, "2");
  });
});

Deno.test("upsert_entity --replace keeps nothing that is not named", async () => {
  await withPort({}, async (port) => {
    await upsert(port, [
      "-b",
      "service",
      "-i",
      "checkout",
      "-p",
      "version=1",
      "-p",
      "language=go",
    ]);
    const { stderr } = await upsert(port, [
      "-b",
      "service",
      "-i",
      "checkout",
      "-p",
      "version=2",
      "--replace",
    ]);
    assertStringIncludes(stderr, "Created or replaced");
    assertEquals(Object(await port.entity("service", "checkout")).properties, {
      version: "2",
    });
  });
});

Deno.test("upsert_entity reads a file, and flags win over it", async () => {
  const file = {
    blueprint: "service",
    identifier: "checkout",
    title: "Old",
    properties: { version: "1", language: "go" },
  };
  await withFile(JSON.stringify(file), async (path) => {
    await withPort({}, async (port) => {
      const { code, stderr } = await upsert(port, [
        "-f",
        path,
        "--title",
        "New",
        "-p",
        "version=2",
      ]);
      assertEquals([code, stderr], [
        0,
        'Created or updated entity "checkout" of "service"\n',
      ]);
      assertEquals(await port.entity("service", "checkout"), {
        identifier: "checkout",
        title: "New",
        properties: { version: "2", language: "go" },
        relations: {},
      });
    });
  });
});

Deno.test("upsert_entity reads standard input", async () => {
  await withPort({}, async (port) => {
    const { code } = await upsert(
      port,
      ["-b", "service", "-f", "-"],
      '\uFEFF{"identifier":"cart"}',
    );
    assertEquals(code, 0);
    assertEquals(
      Object(await port.entity("service", "cart")).identifier,
      "cart",
    );
    const broken = await upsert(port, ["-b", "service", "-f", "-"], "[1,");
    assertEquals([broken.code, broken.stdout], [2, ""]);
    assertMatch(
      broken.stderr,
      /^error: Cannot read standard input: line 1, column 4: .*\n$/,
    );
  });
});

Deno.test("upsert_entity takes whole objects of properties and relations", async () => {
  await withPort({}, async (port) => {
    const { code } = await upsert(port, [
      ...[
        "-b",
        "service",
        "-i",
        "checkout",
        "--create-missing-related-entities",
      ],
      ...[
        "--properties",
        '{"version": "1", "replicas": 2}',
        "-p",
        "language=go",
      ],
      ...["--relations", '{"image": "new-image"}', "-r", 'owners:=["core"]'],
    ]);
    assertEquals(code, 0);
    const { properties, relations } = Object(
      await port.entity("service", "checkout"),
    );
    assertEquals(properties, { version: "1", replicas: 2, language: "go" });
    assertEquals(relations, { image: "new-image", owners: ["core"] });
  });
});

Deno.test("upsert_entity creates missing related entities only when it is told to", async () => {
  await withPort({}, async (port) => {
    const args = ["-b", "service", "-i", "checkout", "-r", "image=new-image"];
    const refused = await upsert(port, args);
    assertEquals(refused.code, 4);
    assertMatch(
      refused.stderr,
      /^error: Cannot upsert entity "checkout" in blueprint "service": Port answered 404: .*"new-image".*--create-missing-related-entities\n$/,
    );
    assertEquals(
      (await upsert(port, [...args, "--create-missing-related-entities"])).code,
      0,
    );
    assertEquals(
      Object(await port.entity("image", "new-image")).identifier,
      "new-image",
    );
  });
});

Deno.test("upsert_entity --validate-only lets Port check and write nothing", async () => {
  await withPort({}, async (port) => {
    const args = ["-b", "service", "-i", "checkout", "--validate-only"];
    const good = await upsert(port, [...args, "-p", "version=1"]);
    assertEquals(good.code, 0);
    assertStringIncludes(good.stderr, "Checked");
    const bad = await upsert(port, [...args, "-p", "replicas=many"]);
    assertEquals(bad.code, 5);
    assertStringIncludes(bad.stderr, "replicas");
    assertEquals(await port.entity("service", "checkout"), undefined);
  });
});

Deno.test("upsert_entity sends --run-id and lets Port make up an identifier", async () => {
  await withPort({}, async (port) => {
    const { code, stdout, stderr } = await upsert(port, [
      "-b",
      "service",
      "--title",
      "x",
      "--run-id",
      "r_1",
    ]);
    assertEquals(code, 0);
    const { identifier } = JSON.parse(stdout);
    assertStringIncludes(stderr, `"${identifier}"`);
    assertEquals(Object(await port.entity("service", identifier)).title, "x");
    assertEquals(port.log.some((line) => line.includes("run_id=r_1")), true);
  });
});

Deno.test("upsert_entity --dry-run prints the request and needs neither network nor credentials", async () => {
  const args = [
    "-b",
    "service",
    "-i",
    "a/b",
    "-p",
    "build=007",
    "--replace",
    "--dry-run",
  ];
  const { code, stdout, stderr } = await run("upsert_entity", args);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), {
    method: "POST",
    url: "https://api.port.io/v1/blueprints/service/entities?upsert=true",
    body: { identifier: "a/b", properties: { build: "007" } },
  });
});

Deno.test("upsert_entity carries identifiers with /, \\, = and Cyrillic letters", async () => {
  await withPort({}, async (port) => {
    for (const identifier of ["a/b", "каса", "a\\b=c", "x:y@z+1"]) {
      const { code, stdout } = await upsert(port, [
        "-b",
        "service",
        "-i",
        identifier,
      ]);
      assertEquals(code, 0);
      assertEquals(JSON.parse(stdout).identifier, identifier);
      assertEquals(
        Object(await port.entity("service", identifier)).identifier,
        identifier,
      );
    }
  });
});

/** A wrong call, and what its one line must say. */
const WRONG: WrongCall[] = [
  [["-i", "x"], "Cannot tell the blueprint"],
  [["-b", ""], "The value of --blueprint ID is empty"],
  [["-b", "service", "-i", ".."], 'Cannot use the entity identifier ".."'],
  [["-b", "service", "-i", "a b"], 'Cannot use the entity identifier "a b"'],
  [["-b", "service", "-i", "50%"], 'Cannot use the entity identifier "50%"'],
  [["-b", "service", "-i", "x".repeat(1001)], "longer than 1000 characters"],
  [
    ["-b", "service", "-p", "version = 1"],
    "without spaces around the name",
  ],
  [
    ["-b", "service", "-p", "version"],
    '--property "version": write name=text or name:=json',
  ],
  [
    ["-b", "service", "-p", "replicas:=three"],
    '--property "replicas": line 1, column 1: "three"',
  ],
  [
    ["-b", "service", "-p", "a=1", "-p", "a=2"],
    'Cannot set property "a": it is given twice',
  ],
  [["-b", "service", "-r", "image"], '--relation "image"'],
  [
    ["-b", "service", "-r", "a=1", "--relations", '{"a":"2"}'],
    'Cannot set relation "a": it is given twice',
  ],
  [
    ["-b", "service", "--properties", "[]"],
    "Cannot read --properties: it must be a JSON object",
  ],
  [
    ["-b", "service", "--relations", "{"],
    "Cannot read --relations: line 1, column 2",
  ],
  [
    ["-b", "service", "-f", "no/such.json"],
    'Cannot read the file "no/such.json": there is no such file',
  ],
  [["-b", "service", "-f", "/etc/hostname"], '--allow-read="/etc/hostname"'],
  [["-b", "service", "--title"], "Missing the value of --title TEXT"],
  [
    ["-b", "service", "--team", "--icon", "x"],
    "Missing the value of --team NAME",
  ],
  [["-b", "service", "--run-id"], "Missing the value of --run-id ID"],
  [["-b", "service", "--replace=no"], "--replace takes no value"],
  [["-b", "service", "--dry-run=1"], "--dry-run takes no value"],
  [["-b", "service", "--validate-only=1"], "--validate-only takes no value"],
  [["-b", "service", "--create-missing-related-entities=1"], "takes no value"],
  [
    ["-b", "service", "--proprety", "a=1"],
    'Unknown flag "--proprety", did you mean --property?',
  ],
  [["-b", "service", "--region", "mars"], 'Cannot use --region "mars"'],
  [
    ["-b", "service", "--api-url", "http://api.port.io"],
    "would send the secret in the clear",
  ],
  [["-b", "service", "--env-file", "no/such.env"], "--env-file"],
  [["-b", "service", "--timeout", "0s"], "--timeout"],
  [["-b", "service", "--retries", "x"], "--retries"],
];

Deno.test("upsert_entity answers a wrong call with one line, exit code 2 and no request", async () => {
  await assertWrongCalls("upsert_entity", WRONG);
});

Deno.test("upsert_entity names line, column and text of a broken file", async () => {
  const text = '{\n  "identifier": "x",\n  "title": nope\n}';
  await withFile(text, async (path) => {
    await assertWrongCalls("upsert_entity", [[
      ["-b", "service", "-f", path],
      `Cannot read file "${path}": line 3, column 12: "nope" is not valid JSON`,
    ]]);
  });
});

Deno.test("upsert_entity refuses a body over 1 MiB before anything is sent", async () => {
  const version = "x".repeat(1024 * 1024);
  await withFile(JSON.stringify({ properties: { version } }), async (path) => {
    await assertWrongCalls("upsert_entity", [[
      ["-b", "service", "-i", "x", "-f", path],
      "bytes: Port takes at most 1 MiB in one request",
    ]]);
  });
});

Deno.test("upsert_entity tells each refusal of Port with its exit code", async () => {
  await withPort({}, async (port) => {
    const call = async (args: string[], env: Record<string, string> = {}) => {
      const { code, stdout, stderr } = await run(
        "upsert_entity",
        args,
        { env: { ...port.env, ...env } },
      );
      assertEquals(stdout, "");
      assertMatch(stderr, /^error: [^\n]*\n$/);
      return { code, stderr };
    };
    const login = await call(["-b", "service", "-i", "x"], {
      PORT_CLIENT_SECRET: "wrong",
    });
    assertEquals(login.code, 3);
    assertStringIncludes(
      login.stderr,
      "Port answered 401",
    );
    const blueprint = await call(["-b", "nope", "-i", "x"]);
    assertEquals(blueprint.code, 4);
    assertStringIncludes(blueprint.stderr, '"nope"');
    const content = await call([
      "-b",
      "service",
      "-i",
      "x",
      "-p",
      "colour=red",
    ]);
    assertEquals(content.code, 5);
    assertStringIncludes(content.stderr, '"colour"');
    const network = await call(["-b", "service", "-i", "x", "--retries", "0"], {
      API_URL: await deadUrl(),
    });
    assertEquals(network.code, 6);
    assertStringIncludes(network.stderr, "check the API URL and the network");
  });
});

Deno.test("upsert_entity without credentials says which are missing", async () => {
  const { code, stderr } = await run("upsert_entity", [
    "-b",
    "service",
    "-i",
    "x",
  ]);
  assertEquals(code, 3);
  assertStringIncludes(stderr, "PORT_CLIENT_ID and PORT_CLIENT_SECRET not set");
  const fork = await run("upsert_entity", [
    "-b=service",
    "-i=x",
    "--soft-fail",
  ]);
  assertEquals(fork.code, 0);
  assertStringIncludes(fork.stderr, "a pull request from a fork");
});

Deno.test("upsert_entity does not repeat an upsert without identifier after a cut connection", async () => {
  await withPort({ failures: ["none", "cut-before"] }, async (port) => {
    const { code, stderr } = await upsert(port, [
      "-b",
      "service",
      "--title",
      "x",
    ]);
    assertEquals(code, 6);
    assertStringIncludes(
      stderr,
      "it was not repeated, as Port may have acted on it",
    );
    const list = await (await port.call("GET", "/blueprints/service/entities"))
      .json();
    assertEquals(list.entities.length, 1);
  });
});

Deno.test("upsert_entity takes the flags that every script has", async () => {
  await withPort({}, async ({ url, env }) => {
    const entity = ["-b", "service", "-i", "x"];
    const limits = ["--timeout", "1m", "--retries", "0", "--quiet"];
    const { code, stderr } = await run(
      "upsert_entity",
      [...entity, "--api-url", `${url}/v1/`, ...limits],
      { env: { ...env, API_URL: url, PORT_API_URL: "https://nowhere.test" } },
    );
    assertEquals([code, stderr], [0, ""]);
    const us = [...entity, "--region", "us", "--dry-run"];
    const { stdout } = await run("upsert_entity", us, { env });
    assertStringIncludes(stdout, '"url": "https://api.us.port.io/v1/');
    await withFile("PORT_REGION=us\n", async (path) => {
      const settings = [...entity, "--env-file", path, "--dry-run"];
      const { stdout } = await run("upsert_entity", settings);
      assertStringIncludes(stdout, '"url": "https://api.us.port.io/v1/');
    });
  });
});
