import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import {
  assertFailures,
  assertWrongCalls,
  contentOf,
  deadUrl,
  type FailingCall,
  put,
  withPort,
  WRONG_SECRET,
} from "./support/port.ts";
import { run, withFile, withFolder } from "./support/run.ts";

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
    assertEquals(contentOf(JSON.parse(stdout)), expected);
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
    await port.run("upsert_entity", `${CHECKOUT} -p version=2 --replace`);
    const { properties } = Object(await port.entity("service", "checkout"));
    assertEquals(properties, { version: "2" });
  });
});

Deno.test("upsert_entity reads a file or standard input, and flags override it", async () => {
  const text = "\uFEFF" + JSON.stringify({
    blueprint: "service",
    identifier: "checkout",
    title: "Old",
    properties: { version: "1", language: "go" },
  });
  await withFile(text, async (path) => {
    for (const [file, stdin] of [[path, ""], ["-", text]] as const) {
      await withPort({}, async (port) => {
        const flags = `-f ${file} --title New -p version=2`;
        const result = await port.run("upsert_entity", flags, { stdin });
        assertEquals(result.code, 0, result.stderr);
        assertEquals(await port.entity("service", "checkout"), {
          identifier: "checkout",
          title: "New",
          properties: { version: "2", language: "go" },
          relations: {},
        });
      });
    }
  });
});

Deno.test("upsert_entity creates missing related entities only on request", async () => {
  const args = `${CHECKOUT} --properties {"version":"1"} -p language=go ` +
    '--relations {"image":"new"} -r owners:=["core"]';
  const missing = 'Port answered 404: Entity with identifier "new"';
  const flag = "--create-missing-related-entities";
  await withPort({}, async (port) => {
    await put(port, "team", ["core"]);
    await assertFailures(port, "upsert_entity", [
      [args, 4, `entity "checkout" in blueprint "service": ${missing}`],
      [args, 4, `create what is missing, or use ${flag}`],
    ]);
    await port.run("upsert_entity", `${args} ${flag}`);
    assertEquals(await port.entity("service", "checkout"), {
      identifier: "checkout",
      properties: { version: "1", language: "go" },
      relations: { image: "new", owners: ["core"] },
    });
    const image = Object(await port.entity("image", "new"));
    assertEquals(image.identifier, "new");
  });
});

Deno.test("upsert_entity --validate-only has Port validate and saves nothing", async () => {
  await withPort({}, async (port) => {
    const args = `${CHECKOUT} --validate-only -p`;
    const good = await port.run("upsert_entity", `${args} version=1`);
    assertEquals(good.code, 0);
    assertStringIncludes(good.stderr, "Validated (not saved): entity");
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

Deno.test("upsert_entity rejects wrong arguments with exit code 2, before any request", async () => {
  await assertWrongCalls("upsert_entity", [
    ["-i x", 'Missing --blueprint ID, or "blueprint" in the file'],
    ["-b=", "The value of --blueprint ID is empty"],
    [["-b=service", "-i=a b"], 'Cannot use the entity identifier "a b"'],
    ["-b service -p version", '--property "version": write name=text'],
    ["-b service -p a=1 -p a=2", 'Cannot set property "a": it is given twice'],
    ["-b service -r image", '--relation "image": write name=text'],
    ["-b service --properties []", "--properties: it must be a JSON object"],
    ["-b service --relations {", "Cannot read --relations: Expected property"],
    ["-b service -f no/such.json", 'Cannot read "no/such.json": No such file'],
    ["-b x -f -", "standard input: Unexpected end of JSON", { stdin: "" }],
    // What the option parser and the settings reject, one of each kind.
    ["-b service --run-id", "Missing the value of --run-id ID"],
    ["-b service --replace=no", "--replace takes no value"],
    ["-b service --proprety a=1", "did you mean --property?"],
    ["-b service --region mars", "Cannot use --region for Port's API URL"],
    ["-b service x", 'Unexpected argument "x"'],
    ["-b x", "Cannot use API_URL", {
      env: { API_URL: "https://foreign.test" },
    }],
  ]);
});

Deno.test("upsert_entity names line and column of a broken file", async () => {
  const text = '{\n  "identifier": "x",\n  "title": "y",\n}';
  await withFile(text, async (path) => {
    const message = `Cannot read "${path}": Expected double-quoted property ` +
      "name in JSON at position 39 (line 4 column 1)";
    await assertWrongCalls("upsert_entity", [[`-b x -f ${path}`, message]]);
  });
});

Deno.test("upsert_entity sends nothing without permission or credentials", async () => {
  const secret = { env: { PORT_CLIENT_SECRET: "" } };
  await withPort({}, async (port) => {
    await assertFailures(port, "upsert_entity", [
      ["-b x -f /etc/hostname", 2, 'Requires read access to "/etc/hostname"'],
      [CHECKOUT, 3, "PORT_CLIENT_SECRET is not set or not readable", secret],
    ]);
    assertEquals(port.log, []);
  });
});

Deno.test("upsert_entity ends with the exit code of what failed", async () => {
  const dead = { env: { API_URL: await deadUrl() } };
  const large = { stdin: `{"title": "${"x".repeat(1024 * 1024)}"}` };
  await withPort({}, async (port) => {
    await assertFailures(port, "upsert_entity", [
      [CHECKOUT, 3, "Port answered 401", { env: WRONG_SECRET }],
      ["-b nope -i x", 4, 'blueprint "nope": Port answered 404'],
      [`${CHECKOUT} -p colour=red`, 5, 'Property "colour" does not exist'],
      [`${CHECKOUT} -p replicas=3`, 5, "for non-string values use NAME:=JSON"],
      [`${CHECKOUT} -f -`, 5, "Port answered 413: Request body is too", large],
      [`${CHECKOUT} --retries 0`, 6, "check the API URL and the network", dead],
    ]);
  });
});

Deno.test("upsert_entity does not repeat an upsert without identifier after a cut connection", async () => {
  await withPort({ failures: ["none", "cut-before"] }, async (port) => {
    const reason = "it was not sent again: Port may have acted on it";
    const call: FailingCall = ["-b service --title x", 6, reason];
    await assertFailures(port, "upsert_entity", [call]);
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

Deno.test("upsert_entity says that it wrote the entity if --set-env cannot use a value", async () => {
  const cases: [flags: string[], code: number, reason: string][] = [
    [
      ['-p=version:="\\u0000"', "--set-env=A=properties.version"],
      2,
      'Cannot set "A": bash cannot hold a NUL',
    ],
    [["--set-env=A=properties.size"], 4, 'Cannot find "properties.size"'],
  ];
  await withFolder(async (folder) => {
    const env = { BASH_ENV: `${folder}/env` };
    await withPort({}, async (port) => {
      for (const [flags, code, reason] of cases) {
        const args = [...CHECKOUT.split(" "), ...flags];
        const result = await port.run("upsert_entity", args, { env });
        assertEquals([result.code, result.stdout], [code, ""], result.stderr);
        assertStringIncludes(result.stderr, reason);
        const written = 'Created or updated entity "checkout" of "service"';
        assertStringIncludes(result.stderr, `; before that: ${written}`);
        assertEquals(await Deno.readTextFile(env.BASH_ENV), "");
      }
    });
  }, "/tmp");
});
