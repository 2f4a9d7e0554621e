import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import {
  assertFailures,
  assertWrongCalls,
  deadUrl,
  put,
  withPort,
  WRONG_SECRET,
} from "./support/port.ts";
import { run, withFile } from "./support/run.ts";

const CHECKOUT = "-b service -i checkout";

Deno.test("upsert_entity creates the entity that its flags describe", async () => {
  await withPort({}, async (port) => {
    await put(port, "image", ["checkout-1.4.2"]);
    await put(port, "team", ["payments", "core"]);
    const expected = {
      identifier: "checkout",
      title: "Checkout",
      icon: "Microservice",
      team: ["payments", "core"],
      properties: { version: "1.4.2", replicas: 3, tags: ["go", "api"] },
      relations: { image: "checkout-1.4.2", owners: ["payments", "core"] },
    };
    const { code, stdout, stderr } = await port.run(
      "upsert_entity",
      "--blueprint service --identifier checkout --title Checkout " +
        "--icon Microservice --team payments --team core " +
        "--property version=1.4.2 --property replicas:=3 " +
        '--property tags:=["go","api"] --relation image=checkout-1.4.2 ' +
        '--relation owners:=["payments","core"]',
    );
    const done = 'Created or updated entity "checkout" of "service"\n';
    assertEquals([code, stderr], [0, done]);
    assertEquals(JSON.parse(stdout), expected);
    assertEquals(await port.entity("service", "checkout"), expected);
  });
});

Deno.test("upsert_entity merges: omitted fields are kept, null clears", async () => {
  const steps: [flags: string, properties: Record<string, string>][] = [
    ["--title Checkout -p version=1 -p build=7", { version: "1", build: "7" }],
    ["-p version=2 -p language=c", { version: "2", build: "7", language: "c" }],
    ["-p build:=null", { version: "2", language: "c" }],
  ];
  await withPort({}, async (port) => {
    for (const [flags, properties] of steps) {
      await port.run("upsert_entity", `${CHECKOUT} ${flags}`);
      assertEquals(await port.entity("service", "checkout"), {
        identifier: "checkout",
        title: "Checkout",
        properties,
        relations: {},
      });
    }
  });
});

Deno.test("upsert_entity --replace removes omitted fields", async () => {
  await withPort({}, async (port) => {
    await port.run("upsert_entity", `${CHECKOUT} -p version=1 -p language=go`);
    const { stderr } = await port.run(
      "upsert_entity",
      `${CHECKOUT} -p version=2 --replace`,
    );
    assertStringIncludes(stderr, "Created or replaced");
    assertEquals(Object(await port.entity("service", "checkout")).properties, {
      version: "2",
    });
  });
});

Deno.test("upsert_entity reads a file, and flags override it", async () => {
  const file = {
    blueprint: "service",
    identifier: "checkout",
    title: "Old",
    properties: { version: "1", language: "go" },
  };
  await withFile(JSON.stringify(file), async (path) => {
    await withPort({}, async (port) => {
      const flags = `-f ${path} --title New -p version=2`;
      const { code, stderr } = await port.run("upsert_entity", flags);
      assertEquals(code, 0, stderr);
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
    const stdin = '\uFEFF{"identifier":"cart"}';
    const { code, stdout, stderr } = await port.run(
      "upsert_entity",
      "-b service -f -",
      { stdin },
    );
    assertEquals([code, JSON.parse(stdout).identifier], [0, "cart"], stderr);
    assertEquals(await port.entity("service", "cart"), JSON.parse(stdout));
  });
});

Deno.test("upsert_entity accepts whole objects of properties and relations", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await port.run(
      "upsert_entity",
      `${CHECKOUT} --create-missing-related-entities -p language=go ` +
        '--properties {"version":"1","replicas":2} ' +
        '--relations {"image":"new-image"} -r owners:=["core"]',
    );
    assertEquals(code, 0, stderr);
    assertEquals(await port.entity("service", "checkout"), {
      identifier: "checkout",
      properties: { version: "1", replicas: 2, language: "go" },
      relations: { image: "new-image", owners: ["core"] },
    });
  });
});

Deno.test("upsert_entity creates missing related entities only on request", async () => {
  await withPort({}, async (port) => {
    const args = `${CHECKOUT} -r image=new-image`;
    const refused = await port.run("upsert_entity", args);
    assertEquals([refused.code, refused.stdout], [4, ""]);
    assertMatch(
      refused.stderr,
      /^error: Cannot upsert entity "checkout" in blueprint "service": Port answered 404: .*"new-image".*--create-missing-related-entities\n$/,
    );
    const flag = "--create-missing-related-entities";
    const { code } = await port.run("upsert_entity", `${args} ${flag}`);
    assertEquals(code, 0);
    const image = Object(await port.entity("image", "new-image"));
    assertEquals(image.identifier, "new-image");
  });
});

Deno.test("upsert_entity --validate-only has Port validate and saves nothing", async () => {
  await withPort({}, async (port) => {
    const args = `${CHECKOUT} --validate-only -p`;
    const good = await port.run("upsert_entity", `${args} version=1`);
    assertEquals(good.code, 0);
    assertStringIncludes(good.stderr, "Checked, and wrote nothing of,");
    await assertFailures(port, "upsert_entity", [
      [`${args} replicas=many`, 5, '"replicas" must be number'],
    ]);
    assertEquals(await port.entity("service", "checkout"), undefined);
  });
});

Deno.test("upsert_entity sends --run-id and lets Port generate an identifier", async () => {
  await withPort({}, async (port) => {
    const { code, stdout, stderr } = await port.run(
      "upsert_entity",
      "-b service --title x --run-id r_1",
    );
    assertEquals(code, 0);
    const { identifier } = JSON.parse(stdout);
    assertStringIncludes(stderr, `entity "${identifier}" of "service"`);
    assertEquals(Object(await port.entity("service", identifier)).title, "x");
    assertStringIncludes(port.log[1] ?? "", "run_id=r_1");
  });
});

Deno.test("upsert_entity --dry-run prints the request and needs neither network nor credentials", async () => {
  const { code, stdout, stderr } = await run(
    "upsert_entity",
    "-b service -i a/b -p build=007 --replace --dry-run",
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), {
    method: "POST",
    url: "https://api.port.io/v1/blueprints/service/entities?upsert=true",
    body: { identifier: "a/b", properties: { build: "007" } },
  });
});

Deno.test("upsert_entity accepts identifiers with /, \\, = and Cyrillic letters", async () => {
  await withPort({}, async (port) => {
    for (const identifier of ["a/b", "каса", "a\\b=c", "x:y@z+1"]) {
      const args = ["-b", "service", "-i", identifier];
      const { code, stdout } = await port.run("upsert_entity", args);
      const stored = Object(await port.entity("service", identifier));
      assertEquals(
        [code, JSON.parse(stdout).identifier, stored.identifier],
        [0, identifier, identifier],
      );
    }
  });
});

Deno.test("upsert_entity rejects wrong arguments with exit code 2, before any request", async () => {
  await assertWrongCalls("upsert_entity", [
    ["-i x", "Cannot tell the blueprint"],
    ["-b=", "The value of --blueprint ID is empty"],
    ["-b a=b", 'Cannot use the blueprint identifier "a=b"'],
    ["-b service -i ..", 'Cannot use the entity identifier ".."'],
    [["-b=service", "-i=a b"], 'Cannot use the entity identifier "a b"'],
    ["-b service -i 50%", 'Cannot use the entity identifier "50%"'],
    [`-b service -i ${"x".repeat(1001)}`, "longer than 1000 characters"],
    [["-b=service", "-p=version = 1"], "without spaces around the name"],
    ["-b service -p version", '--property "version": write name=text'],
    [
      "-b service -p replicas:=three",
      '--property "replicas": line 1, column 1: "three"',
    ],
    ["-b service -p a=1 -p a=2", 'Cannot set property "a": it is given twice'],
    ["-b service -r image", '--relation "image": write name=text'],
    [
      '-b service -r a=1 --relations {"a":"2"}',
      'Cannot set relation "a": it is given twice',
    ],
    ["-b service --properties []", "--properties: it must be a JSON object"],
    ["-b service --relations {", "Cannot read --relations: line 1, column 2"],
    ["-b service -f no/such.json", 'file "no/such.json": there is no such'],
    ["-b service -f /etc/hostname", '--allow-read="/etc/hostname"'],
    [
      "-b service -f -",
      "Cannot read standard input: line 1, column 4: ",
      { stdin: "[1," },
    ],
    // What the option parser and the settings reject, one of each kind.
    ["-b service --run-id", "Missing the value of --run-id ID"],
    ["-b service --replace=no", "--replace takes no value"],
    ["-b service --proprety a=1", "did you mean --property?"],
    ["-b service --region mars", 'Cannot use --region "mars"'],
    ["-b service x", 'Unexpected argument "x"'],
  ]);
});

Deno.test("upsert_entity names line, column and text of a broken file", async () => {
  const text = '{\n  "identifier": "x",\n  "title": nope\n}';
  await withFile(text, async (path) => {
    await assertWrongCalls("upsert_entity", [[
      `-b service -f ${path}`,
      `Cannot read file "${path}": line 3, column 12: "nope" is not valid JSON`,
    ]]);
  });
});

Deno.test("upsert_entity rejects a body over 1 MiB, before any request", async () => {
  const version = "x".repeat(1024 * 1024);
  await withFile(JSON.stringify({ properties: { version } }), async (path) => {
    await assertWrongCalls("upsert_entity", [[
      `${CHECKOUT} -f ${path}`,
      "bytes: Port takes at most 1 MiB in one request",
    ]]);
  });
});

Deno.test("upsert_entity ends with the exit code of what failed", async () => {
  const dead = { env: { API_URL: await deadUrl() } };
  await withPort({}, async (port) => {
    await assertFailures(port, "upsert_entity", [
      [CHECKOUT, 3, "Port answered 401", { env: WRONG_SECRET }],
      ["-b nope -i x", 4, 'blueprint "nope": Port answered 404'],
      [`${CHECKOUT} -p colour=red`, 5, 'Property "colour" does not exist'],
      [`${CHECKOUT} --retries 0`, 6, "check the API URL and the network", dead],
    ]);
  });
});

Deno.test("upsert_entity does not repeat an upsert without identifier after a cut connection", async () => {
  await withPort({ failures: ["none", "cut-before"] }, async (port) => {
    await assertFailures(port, "upsert_entity", [[
      "-b service --title x",
      6,
      "it was not repeated, as Port may have acted on it",
    ]]);
    const answer = await port.call("GET", "/blueprints/service/entities");
    assertEquals((await answer.json()).entities.length, 1);
  });
});

Deno.test("upsert_entity accepts the flags that every script has", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await port.run(
      "upsert_entity",
      `${CHECKOUT} --api-url ${port.url}/v1/ --timeout 1m --retries 0 --quiet`,
      { env: { PORT_API_URL: "https://nowhere.test" } },
    );
    assertEquals([code, stderr], [0, ""]);
  });
  await withFile("PORT_REGION=us\n", async (path) => {
    for (const flags of ["--region us", `--env-file ${path}`]) {
      const args = `${CHECKOUT} --dry-run ${flags}`;
      const { stdout } = await run("upsert_entity", args);
      assertStringIncludes(stdout, '"url": "https://api.us.port.io/v1/');
    }
  });
});
