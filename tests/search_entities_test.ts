import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import {
  assertFailures,
  assertWrongCalls,
  put,
  type TestPort,
  withPort,
  withServer,
  WRONG_SECRET,
  type WrongCall,
} from "./support/port.ts";
import { type Args, run, type RunOptions, withFile } from "./support/run.ts";

const SERVICES = [
  {
    identifier: "cart",
    title: "Cart",
    properties: {
      version: "1.4.2",
      replicas: 3,
      tags: ["go", "api"],
      locked_in_prod: true,
      url: "https://cart.example/?page=1",
    },
    relations: { image: "cart-1" },
  },
  {
    identifier: "checkout",
    title: "Checkout",
    properties: { version: "2", replicas: 1, locked_in_prod: false },
    relations: {},
  },
  { identifier: "stub", properties: {}, relations: {} },
];

/** Lets a test search three services and an image. */
async function withServices(test: (port: TestPort) => Promise<void>) {
  await withPort({}, async (port) => {
    await put(port, "image", ["cart-1"]);
    await put(port, "service", SERVICES);
    await test(port);
  });
}

/** The lines that a search must print, with nothing on standard error. */
async function found(
  port: TestPort,
  args: Args,
  options?: RunOptions,
): Promise<string[]> {
  const result = await port.run("search_entities", args, options);
  assertEquals([result.code, result.stderr], [0, ""], args.toString());
  return result.stdout.split("\n").slice(0, -1);
}

/** Fails unless each search in the services prints these lines. */
async function assertFound(
  common: string,
  cases: [flags: string, prints: string[]][],
) {
  await withServices(async (port) => {
    await Promise.all(cases.map(async ([flags, prints]) => {
      const args = `-b service ${common} ${flags}`;
      assertEquals(await found(port, args), prints, flags);
    }));
  });
}

/** How many requests for a page arrived. */
function searchesIn({ log }: TestPort): number {
  return log.filter((line) => line.includes("/entities/search")).length;
}

function query(property: string, operator: string, value: string): string {
  const rules = [{ property, operator, value }];
  return JSON.stringify({ combinator: "and", rules });
}

Deno.test("search_entities prints one entity per line, or one array of JSON", async () => {
  await withServices(async (port) => {
    const lines = await found(port, "-b service");
    assertEquals(lines.map((line) => JSON.parse(line)), SERVICES);
    assertEquals(await found(port, "-b service --output ndjson"), lines);
    assertEquals(await found(port, "-b team"), []);
    const array = await found(port, "-b service --output=json");
    assertEquals(JSON.parse(array.join("\n")), SERVICES);
    assertEquals(await found(port, "-b team --output=json"), ["[]"]);
  });
});

Deno.test("search_entities --where accepts each operator and JSON, and all rules must hold", async () => {
  await assertFound("--select identifier", [
    ["--where version=1.4.2", ["cart"]],
    ["--where version!=1.4.2", ["checkout", "stub"]],
    ["--where replicas>1", ["cart"]],
    ["--where replicas>=1", ["cart", "checkout"]],
    ["--where replicas<3", ["checkout"]],
    ["--where replicas<=3", ["cart", "checkout"]],
    ["--where replicas>=1 --where replicas<3", ["checkout"]],
    ["--where $title=Cart", ["cart"]],
    ["--where $identifier!=cart --where $identifier!=stub", ["checkout"]],
    ["--where image=cart-1", ["cart"]],
    ["-w locked_in_prod=true", ["cart"]],
    ["-w locked_in_prod=false", ["checkout"]],
    ['-w tags=["go","api"]', ["cart"]],
    ["-w version=null", ["stub"]],
    // A number is not equal to the same digits as text.
    ["-w version=2", []],
    ['-w version="2"', ["checkout"]],
    // Only the first operator counts.
    ["-w url=https://cart.example/?page=1", ["cart"]],
  ]);
});

Deno.test("search_entities --query accepts JSON, a file or standard input, and needs no blueprint", async () => {
  const stdin = query("$identifier", "beginsWith", "c");
  const services = ["cart", "checkout"];
  const args = "--select identifier --query";
  await withFile(`\uFEFF${stdin}`, async (path) => {
    await withServices(async (port) => {
      const inBlueprint = `-b service ${args}`;
      assertEquals(await found(port, `${inBlueprint} ${stdin}`), services);
      assertEquals(await found(port, `${inBlueprint} @-`, { stdin }), services);
      const all = await found(port, `${args} @${path}`);
      assertEquals(all.sort(), ["cart", "cart-1", "checkout"]);
      assertMatch(port.log.at(-1) ?? "", /POST \/v1\/entities\/search 200/);
    });
  });
});

Deno.test("search_entities requests parts by the same paths in one blueprint and in all", async () => {
  const cart = "--where $identifier=cart";
  const include = ["identifier", "properties.version", "relations.image"];
  const exclude = ["title", "properties.tags", "properties.url"];
  await withServices(async (port) => {
    for (const blueprint of ["-b service", ""]) {
      const get = async (flag: string, paths: string[]) => {
        const flags = paths.map((path) => `${flag} ${path}`).join(" ");
        const [line = ""] = await found(port, `${blueprint} ${cart} ${flags}`);
        return JSON.parse(line);
      };
      assertEquals(await get("--include", include), {
        identifier: "cart",
        properties: { version: "1.4.2" },
        relations: { image: "cart-1" },
      });
      assertEquals(await get("--exclude", exclude), {
        identifier: "cart",
        properties: { version: "1.4.2", replicas: 3, locked_in_prod: true },
        relations: { image: "cart-1" },
      });
    }
  });
});

Deno.test("search_entities --limit prints at most that many, and requests no more", async () => {
  await assertFound("--select identifier --limit", [
    ["2", ["cart", "checkout"]],
    ["3", ["cart", "checkout", "stub"]],
    ["999999999", ["cart", "checkout", "stub"]],
  ]);
  const limits: unknown[] = [];
  const answer = async (request: Request) => {
    limits.push((await request.json()).limit);
    return Response.json({ entities: SERVICES.slice(0, 2), next: "more" });
  };
  await withServer(answer, async (env) => {
    const args = "-b service --limit 2 --select identifier";
    const { stdout, stderr } = await run("search_entities", args, { env });
    assertEquals([stdout, stderr], ["cart\ncheckout\n", ""]);
  });
  assertEquals(limits, [2]);
});

Deno.test("search_entities --select prints a value of each entity that has it", async () => {
  await assertFound("--select", [
    ["properties.version", ["1.4.2", "2"]],
    ["properties.replicas", ["3", "1"]],
    ["properties.tags", ['["go","api"]']],
    ['properties["tags"][1]', ["api"]],
    ["relations", ['{"image":"cart-1"}', "{}", "{}"]],
    ["properties.build", []],
    ["properties.version --output json", ["[", '  "1.4.2",', '  "2"', "]"]],
  ]);
});

Deno.test("search_entities --count prints only how many there are", async () => {
  await assertFound("--count", [
    ["", ["3"]],
    ["--where replicas>=1", ["2"]],
    ["--where replicas>9", ["0"]],
    ["--limit 2", ["2"]],
    ["--output json", ["3"]],
  ]);
  await withServices(async (port) => {
    const all = "-w $blueprint!=team --count";
    assertEquals(await found(port, all), ["4"]);
    assertEquals(await found(port, `${all} --limit 1`), ["1"]);
  });
});

Deno.test("search_entities --expect-any ends with exit code 7 if nothing is found", async () => {
  const cases: [flags: string, code: number, stdout: string][] = [
    ["version=1.4.2 --select identifier", 0, "cart\n"],
    ["version=9", 7, ""],
    ["version=9 --soft-fail", 7, ""],
    ["version=9 --count", 7, "0\n"],
    ["version=9 --output=json", 7, "[]\n"],
  ];
  const unmet = /^error: Cannot continue: nothing is found; [^\n]*\n$/;
  await withServices(async (port) => {
    for (const [flags, code, stdout] of cases) {
      const args = `--expect-any -b service --where ${flags}`;
      const result = await port.run("search_entities", args);
      assertEquals([result.code, result.stdout], [code, stdout], flags);
      assertMatch(result.stderr, code === 7 ? unmet : /^$/);
    }
  });
});

/** Identifiers in the order in which Port returns them. */
function makeNames(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `s${number}`).sort();
}

/** No failure while a test logs in and puts entities, and `more` requests. */
function noFailures(count: number, more: number): "none"[] {
  return Array(1 + Math.ceil(count / 20) + more).fill("none");
}

Deno.test("search_entities goes on from page to page, through simulated failures", async () => {
  const names = makeNames(2_001);
  const failures = [
    ...noFailures(names.length, 1),
    ...["bad-gateway", "none", "cut-middle", "cut-before", "none"] as const,
    "error" as const,
  ];
  await withPort({ failures }, async (port) => {
    await put(port, "service", names);
    const args = "-b service --select identifier";
    const { code, stdout, stderr } = await port.run("search_entities", args);
    assertEquals(code, 0, stderr);
    assertEquals(stdout, names.map((name) => `${name}\n`).join(""));
    const warnings = stderr.match(/^warning: .*; next attempt in .*$/gm);
    assertEquals(warnings?.length, 4);
    assertEquals(searchesIn(port), 3 + 4, "three pages and four repeats");
    const some = await found(port, `${args} --limit 1500`);
    assertEquals(some, names.slice(0, 1_500));
    assertEquals(searchesIn(port), 7 + 2);
    const json = await found(port, `${args} --output json`);
    assertEquals(JSON.parse(json.join("")), names);
    assertEquals(await found(port, "-b service --count"), ["2001"]);
  });
});

Deno.test("search_entities has printed what came before a page that fails", async () => {
  const names = makeNames(1_001);
  const failures = [...noFailures(names.length, 2), "error" as const];
  await withPort({ failures }, async (port) => {
    await put(port, "service", names);
    const { code, stdout, stderr } = await port.run(
      "search_entities",
      "-b service --select identifier --retries 0",
    );
    assertEquals([code, stdout], [6, names.slice(0, 1_000).join("\n") + "\n"]);
    assertMatch(
      stderr,
      /^error: Cannot search entities of blueprint "service": Port answered 500/,
    );
  });
});

Deno.test("search_entities ends with the exit code of what failed", async () => {
  const operator = 'value of tag "operator" must be in oneOf';
  const service = "-b service";
  await withServices(async (port) => {
    await assertFailures(port, "search_entities", [
      [service, 3, "Cannot log in to Port", { env: WRONG_SECRET }],
      ["-b nope", 4, 'Blueprint with identifier "nope" does not exist'],
      [`--query=${query("version", "~", "1")}`, 5, `"rules.0" ${operator}`],
      // Port orders numbers and times only.
      [`${service} -w version>x`, 5, `"query.rules.0`],
      [`${service} --include nothing`, 5, 'Property "nothing" does not exist'],
    ]);
  });
});

Deno.test("search_entities rejects wrong arguments with exit code 2, before any request", async () => {
  const give = "give --blueprint, --where or --query";
  const spaced = ["version = 1", "version =1", " version=1"];
  const rules = ["version", "=1", "version==1", "version!1", ...spaced];
  await assertWrongCalls("search_entities", [
    ["", give],
    ["--limit=5", give],
    ["-b a=b", 'Cannot use the blueprint identifier "a=b"'],
    ...rules.map((rule): WrongCall => [
      ["--where", rule],
      `Cannot read --where "${rule}"`,
    ]),
    ["-w a=1 --query {}", "Cannot use --query and --where together"],
    ["--query {", "Cannot read --query: Expected property"],
    ["--query []", "Cannot read --query: it must be a JSON object"],
    ["--query @no/such.json", 'Cannot read "no/such.json": No such file'],
    ["--query @-", "Cannot read standard input: Unexpected end of JSON"],
    ["-b x --include properties", 'Cannot use "properties" with --blueprint'],
    ["-b x --limit 0", 'Cannot use --limit "0"'],
    ["-b x --limit -1", 'Cannot use --limit "-1"'],
    ["-b x --limit 1.5", 'Cannot use --limit "1.5"'],
    ["-b x --soft-fail --limit all", 'Cannot use --limit "all"'],
    ["-b x --select a..b", 'Cannot read the path "a..b"'],
    ["-b x --output yaml", 'Cannot use --output "yaml"'],
  ]);
});
