import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import {
  assertFailures,
  assertWrongCalls,
  contentOf,
  deadUrl,
  put,
  type TestPort,
  withPort,
  withServer,
  WRONG_SECRET,
} from "./support/port.ts";
import { type Result, run } from "./support/run.ts";

const CHECKOUT = "-b service -i checkout";

const ENTITY = {
  identifier: "checkout",
  title: "Checkout",
  properties: { version: "1.4.2", replicas: 3, tags: ["go", "api"] },
  relations: {},
};

/** Lets a test read the entity `checkout`, with these flags added. */
async function withCheckout(
  test: (
    get: (flags: string) => Promise<Result>,
    port: TestPort,
  ) => Promise<void>,
) {
  await withPort({}, async (port) => {
    await put(port, "service", [ENTITY]);
    const get = (flags: string) =>
      port.run("get_entity", `${CHECKOUT} ${flags}`);
    await test(get, port);
  });
}

Deno.test("get_entity prints the entity", async () => {
  await withCheckout(async (get) => {
    const { code, stdout, stderr } = await get("");
    assertEquals([code, stderr], [0, ""]);
    assertEquals(contentOf(JSON.parse(stdout)), ENTITY);
  });
});

Deno.test("get_entity --include and --exclude request parts of the entity", async () => {
  await withCheckout(async (get, port) => {
    const some = await get("--include identifier --include properties.version");
    assertEquals(JSON.parse(some.stdout), {
      identifier: "checkout",
      properties: { version: "1.4.2" },
    });
    const rest = await get(
      "--exclude properties --exclude relations " +
        "--exclude-calculated-properties",
    );
    assertEquals(contentOf(JSON.parse(rest.stdout)), {
      identifier: "checkout",
      title: "Checkout",
    });
    const [request = ""] = port.log.slice(-1);
    assertStringIncludes(request, "exclude_calculated_properties=true");
  });
});

Deno.test("get_entity --select prints text as it is, anything else as JSON, or --default", async () => {
  const cases: [flags: string, prints: string][] = [
    ["--select properties.version", "1.4.2\n"],
    ["--select properties.replicas", "3\n"],
    ["--select properties.tags.1", "api\n"],
    ['--select properties["tags"]', '[\n  "go",\n  "api"\n]\n'],
    ["--select properties.owner --default nobody", "nobody\n"],
    ["--select properties.owner --default=", "\n"],
    ["--select properties.version --default none", "1.4.2\n"],
  ];
  await withCheckout(async (get) => {
    await Promise.all(cases.map(async ([flags, prints]) => {
      assertEquals((await get(flags)).stdout, prints, flags);
    }));
  });
});

Deno.test("get_entity --select prints a value that is null", async () => {
  const answer = () => Response.json({ entity: { team: null } });
  await withServer(answer, async (env) => {
    const args = `${CHECKOUT} --select team --default none`;
    assertEquals((await run("get_entity", args, { env })).stdout, "null\n");
  });
});

Deno.test("get_entity accepts identifiers with / and Cyrillic letters", async () => {
  const identifiers = ["a/b", "каса", "a\\b=c"];
  await withPort({}, async (port) => {
    await put(port, "service", identifiers);
    for (const identifier of identifiers) {
      const args = ["-b", "service", "-i", identifier];
      const { code, stdout } = await port.run("get_entity", args);
      assertEquals([code, JSON.parse(stdout).identifier], [0, identifier]);
    }
  });
});

Deno.test("get_entity ends with the exit code of what failed", async () => {
  const dead = { env: { API_URL: await deadUrl() } };
  await withCheckout(async (_, port) => {
    await assertFailures(port, "get_entity", [
      [CHECKOUT, 3, "Port answered 401", { env: WRONG_SECRET }],
      ["-b service -i x", 4, 'Entity with identifier "x" does not exist'],
      ["-b nope -i x", 4, 'Blueprint with identifier "nope" does not exist'],
      [
        `${CHECKOUT} --select properties.versoin`,
        4,
        'Cannot find "properties.versoin" in the entity: it has ' +
        "properties.version, properties.replicas, properties.tags\n",
      ],
      [`${CHECKOUT} --retries 0`, 6, "check the API URL and the network", dead],
    ]);
  });
});

Deno.test("get_entity rejects wrong arguments with exit code 2, before any request", async () => {
  await assertWrongCalls("get_entity", [
    ["-i x", "Missing --blueprint ID"],
    ["-b x", "Missing --identifier ID"],
    ["-b a=b -i x", 'Cannot use the blueprint identifier "a=b"'],
    ["-b service -i ..", 'Cannot use the entity identifier ".."'],
    [["-b=service", "-i=a b"], 'Cannot use the entity identifier "a b"'],
    [`${CHECKOUT} --select a..b`, 'Cannot read the path "a..b"'],
    [`${CHECKOUT} --select a --select b`, "--select is given twice"],
    [`${CHECKOUT} --default x`, "Cannot use --default without --select"],
  ]);
});
