import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import {
  assertWrongCalls,
  CREDENTIALS,
  deadUrl,
  type TestPort,
  withPort,
  type WrongCall,
} from "./support/port.ts";
import { run } from "./support/run.ts";

const CHECKOUT = {
  identifier: "checkout",
  title: "Checkout",
  properties: { version: "1.4.2", replicas: 3, tags: ["go", "api"] },
  relations: {},
};

/** Lets a test read the entity `checkout` of the blueprint `service`. */
async function withCheckout(test: (port: TestPort) => Promise<void>) {
  await withPort({}, async (port) => {
    await port.call(
      "POST",
      "/blueprints/service/entities?upsert=true",
      CHECKOUT,
    );
    await test(port);
  });
}

/** Reads `checkout` with these flags on top. */
async function get(port: TestPort, ...args: string[]) {
  return await run("get_entity", [
    "-b",
    "service",
    "-i",
    "checkout",
    ...args,
  ], { env: port.env });
}

Deno.test("get_entity prints the entity", async () => {
  await withCheckout(async (port) => {
    const { code, stdout, stderr } = await get(port);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(JSON.parse(stdout), CHECKOUT);
  });
});

Deno.test("get_entity asks for parts of the entity", async () => {
  await withCheckout(async (port) => {
    const some = await get(
      port,
      "--include",
      "identifier",
      "--include",
      "properties.version",
    );
    assertEquals(JSON.parse(some.stdout), {
      identifier: "checkout",
      properties: { version: "1.4.2" },
    });
    const rest = await get(
      port,
      "--exclude",
      "properties",
      "--exclude",
      "relations",
      "--exclude-calculated-properties",
    );
    assertEquals(JSON.parse(rest.stdout), {
      identifier: "checkout",
      title: "Checkout",
    });
    assertEquals(
      port.log.some((line) =>
        line.includes("exclude_calculated_properties=true")
      ),
      true,
    );
  });
});

Deno.test("get_entity --select prints text as it is and anything else as JSON", async () => {
  await withCheckout(async (port) => {
    assertEquals(
      (await get(port, "--select", "properties.version")).stdout,
      "1.4.2\n",
    );
    assertEquals(
      (await get(port, "--select", "properties.replicas")).stdout,
      "3\n",
    );
    assertEquals(
      (await get(port, "--select", "properties.tags.1")).stdout,
      "api\n",
    );
    assertEquals(
      (await get(port, "--select", 'properties["tags"]')).stdout,
      '[\n  "go",\n  "api"\n]\n',
    );
  });
});

Deno.test("get_entity --select ends with exit code 4 and the paths that are there", async () => {
  await withCheckout(async (port) => {
    const { code, stdout, stderr } = await get(
      port,
      "--select",
      "properties.versoin",
    );
    assertEquals([code, stdout], [4, ""]);
    assertEquals(
      stderr,
      'error: Cannot find "properties.versoin" in the entity: there is ' +
        "properties.version, properties.replicas, properties.tags\n",
    );
  });
});

Deno.test("get_entity --default stands in for a path that is not there, only then", async () => {
  await withCheckout(async (port) => {
    assertEquals(
      (await get(port, "--select", "properties.owner", "--default", "nobody"))
        .stdout,
      "nobody\n",
    );
    assertEquals(
      (await get(port, "--select", "properties.owner", "--default", "")).stdout,
      "\n",
    );
    assertEquals(
      (await get(port, "--select", "properties.version", "--default", "none"))
        .stdout,
      "1.4.2\n",
    );
  });
});

Deno.test("get_entity reads identifiers with / and Cyrillic letters", async () => {
  await withPort({}, async (port) => {
    for (const identifier of ["a/b", "каса", "a\\b=c"]) {
      await port.call("POST", "/blueprints/service/entities?upsert=true", {
        identifier,
      });
      const { code, stdout } = await run("get_entity", [
        "-b",
        "service",
        "-i",
        identifier,
      ], { env: port.env });
      assertEquals([code, JSON.parse(stdout).identifier], [0, identifier]);
    }
  });
});

Deno.test("get_entity tells each refusal of Port with its exit code and message", async () => {
  await withPort({}, async (port) => {
    const missing = await get(port);
    assertEquals(missing.code, 4);
    assertStringIncludes(
      missing.stderr,
      'Entity with identifier "checkout" does not exist in the blueprint "service"',
    );
    const blueprint = await run("get_entity", [
      "-b",
      "nope",
      "-i",
      "x",
    ], { env: port.env });
    assertEquals(blueprint.code, 4);
    const login = await run("get_entity", [
      "-b",
      "service",
      "-i",
      "x",
    ], {
      env: { ...port.env, PORT_CLIENT_SECRET: "wrong" },
    });
    assertEquals(login.code, 3);
    const network = await run("get_entity", [
      "-b",
      "service",
      "-i",
      "x",
      "--retries",
      "0",
    ], {
      env: { ...CREDENTIALS, API_URL: await deadUrl() },
    });
    assertEquals(network.code, 6);
    for (const { stdout, stderr } of [missing, blueprint, login, network]) {
      assertEquals(stdout, "");
      assertMatch(stderr, /^error: [^\n]*\n$/);
    }
  });
});

Deno.test("get_entity tells a rejected request with exit code 5", async () => {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) =>
      request.url.endsWith("/access_token")
        ? Response.json({
          ok: true,
          accessToken: "made-up",
          expiresIn: 60,
          tokenType: "Bearer",
        })
        : Response.json({
          ok: false,
          error: "invalid_request",
          message: "No such path",
        }, { status: 422 }),
  );
  try {
    const env = {
      ...CREDENTIALS,
      API_URL: `http://127.0.0.1:${server.addr.port}`,
    };
    const { code, stderr } = await run("get_entity", [
      "-b",
      "service",
      "-i",
      "x",
      "--include",
      "%",
    ], { env });
    assertEquals(code, 5);
    assertStringIncludes(stderr, "Port answered 422: No such path");
  } finally {
    await server.shutdown();
  }
});

Deno.test("get_entity --soft-fail turns Port's refusal into a warning", async () => {
  await withPort({}, async (port) => {
    const { code, stdout, stderr } = await get(port, "--soft-fail");
    assertEquals([code, stdout], [0, ""]);
    assertMatch(stderr, /^warning: Cannot get entity .* \(--soft-fail\)\n$/);
  });
});

/** A wrong call, and what its one line must say. */
const WRONG: WrongCall[] = [
  [["-i", "x"], "Missing --blueprint ID"],
  [["-b", "x"], "Missing --identifier ID"],
  [["-b", "a=b", "-i", "x"], "blueprint identifier"],
  [["-b", "service", "-i", ".."], "entity identifier"],
  [["-b", "service", "-i", "a b"], "entity identifier"],
  [
    ["-b", "service", "-i", "x", "--include"],
    "Missing the value of --include PATH",
  ],
  [
    ["-b", "service", "-i", "x", "--exclude"],
    "Missing the value of --exclude PATH",
  ],
  [
    ["-b", "service", "-i", "x", "--exclude-calculated-properties=1"],
    "takes no value",
  ],
  [
    ["-b", "service", "-i", "x", "--select", "a..b"],
    'Cannot read the path "a..b"',
  ],
  [
    ["-b", "service", "-i", "x", "--select", "a", "--select", "b"],
    "--select is given twice",
  ],
  [
    ["-b", "service", "-i", "x", "--default", "x"],
    "Cannot use --default without --select",
  ],
  [["-b", "service", "-i", "x", "extra"], 'Unexpected argument "extra"'],
];

Deno.test("get_entity answers a wrong call with one line, exit code 2 and no request", async () => {
  await assertWrongCalls("get_entity", WRONG);
});
