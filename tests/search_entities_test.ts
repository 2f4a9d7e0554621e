import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { Port } from "../lib/port.ts";
import { searchEntities } from "../lib/search.ts";
import {
  assertFailures,
  assertWrongCalls,
  contentOf,
  put,
  type TestPort,
  withPort,
  withServer,
  WRONG_SECRET,
  type WrongCall,
} from "./support/port.ts";
import { createRelease, RELEASE } from "./support/release.ts";
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
    assertEquals(lines.map((line) => contentOf(JSON.parse(line))), SERVICES);
    assertEquals(await found(port, "-b service --output ndjson"), lines);
    assertEquals(await found(port, "-b team"), []);
    const array = await found(port, "-b service --output=json");
    assertEquals(JSON.parse(array.join("\n")).map(contentOf), SERVICES);
    assertEquals(await found(port, "-b team --output=json"), ["[]"]);
  });
});

Deno.test("search_entities --where accepts each operator and path, and all rules must hold", async () => {
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
    ["-w version=2", ["checkout"]],
    ['-w version="2"', ["checkout"]],
    ["-w version:=null", ["stub"]],
    ["-w version!:=null", ["cart", "checkout"]],
    ['-w tags:=["go","api"]', ["cart"]],
    // A path means what it means in every other flag.
    ["-w properties.version!=1.4.2", ["checkout", "stub"]],
    ["-w relations.image=cart-1", ["cart"]],
    ["-w identifier!=cart -w title!=Checkout", ["stub"]],
    ["-w title=Cart", ["cart"]],
    // Only the first operator counts.
    ["-w url=https://cart.example/?page=1", ["cart"]],
  ]);
});

/** What a script sends as the rules of a search. */
async function rulesOf(args: string): Promise<unknown> {
  let rules: unknown;
  const answer = async (request: Request) => {
    if (request.method === "GET") return Response.json({ blueprint: RELEASE });
    const { query, ...body } = await request.json();
    rules = (query ?? body).rules;
    return Response.json({ entities: [] });
  };
  await withServer(answer, async (env) => {
    const { code, stderr } = await run("search_entities", args, { env });
    assertEquals([code, stderr], [0, ""], args);
  });
  return rules;
}

Deno.test("search_entities --where sends the name that Port searches for, and the value in its type", async () => {
  const cases: [rule: string, property: string, value: unknown][] = [
    ["version=1.10", "version", "1.10"],
    ["replicas=1.10", "replicas", 1.1],
    ["isBig=true", "isBig", true],
    ["images=3", "images", 3],
    ["imageTag=x", "imageTag", "x"],
    ['owners=["core"]', "owners", ["core"]],
    ["relations.image=1.10", "image", "1.10"],
    ["expires=2025-01-31", "expires", "2025-01-31T00:00:00Z"],
    ["$updatedAt=2025-01-31", "$updatedAt", "2025-01-31T00:00:00Z"],
    ["createdBy=x", "$createdBy", "x"],
    ["properties.title=x", "title", "x"],
    ["$title=x", "$title", "x"],
    ["team=core", "$team", "core"],
  ];
  const flags = cases.map(([rule]) => `-w ${rule}`).join(" ");
  const rules = cases.map(([_, property, value]) => ({
    property,
    operator: "=",
    value,
  }));
  assertEquals(await rulesOf(`-b release ${flags}`), rules);
  assertEquals(await rulesOf("-w properties.a!=x -w b:=1 -w title=1.10"), [
    { property: "a", operator: "!=", value: "x" },
    { property: "b", operator: "=", value: 1 },
    { property: "$title", operator: "=", value: "1.10" },
  ]);
});

Deno.test("search_entities --where rejects what the blueprint does not have, before the search", async () => {
  const has = (name: string) => `blueprint "release" has no ${name}`;
  const objects = "Port's search cannot compare objects";
  const cases: [rule: string, message: string][] = [
    ["verion!=1", `${has("verion")}, did you mean version?`],
    [
      "properties.verion!=1",
      `${has("properties.verion")}, did you mean properties.version?`,
    ],
    ["properties.image!=x", "did you mean relations.image?"],
    ["relations.imgae!=x", "did you mean relations.image?"],
    ["relations.scv!=x", `${has("relations.scv")} (see --help)`],
    ["$version!=1", "Port's search has no $version"],
    ["$updatedat!=1", "no $updatedat, did you mean $updatedAt?"],
    ["locked!=True", "must be compared with true or false"],
    ["locked!=yes", "must be compared with true or false"],
    ["version>1.9", "must be compared with = or !="],
    ["version!:=1.10", "must be compared with text"],
    ["imageTag!=1.10", `'imageTag!="1.10"' for text`],
    ["title!=x", "it may mean $title or properties.title: write one of them"],
    ["config={}", objects],
    ["config.on=true", objects],
  ];
  await withPort({}, async (port) => {
    await createRelease(port);
    await assertFailures(
      port,
      "search_entities",
      cases.map(([rule, message]) => [["-brelease", "-w", rule], 2, message]),
    );
    assertEquals(searchesIn(port), 0);
  });
});

Deno.test("search_entities and delete_entity delete no entity that a rule was not meant to match", async () => {
  await withPort({}, async (port) => {
    await put(port, "service", [
      { identifier: "old", properties: { version: "1.9" } },
      { identifier: "live", properties: { version: "1.10" } },
    ]);
    const clean = async (rule: string) => {
      const search = await port.run("search_entities", rule);
      const stdin = search.stdout;
      await port.run("delete_entity", "-b service -i -", { stdin });
      return search.code;
    };
    const id = "--select identifier";
    assertEquals(await clean(`-w version!=1.10 ${id}`), 2);
    assertEquals(await clean(`-b service -w verion!=1.10 ${id}`), 2);
    assertEquals(await clean(`-b service -w identifier!=live ${id}`), 0);
    assertEquals(await port.entity("service", "old"), undefined);
    assertEquals(await clean(`-b service -w version!=1.10 ${id}`), 0);
    assertEquals(await found(port, `-b service ${id}`), ["live"]);
  });
});

Deno.test("searchEntities() requests a page only once the one before is used up", async () => {
  let pages = 0;
  const answer = () => {
    pages++;
    const entities = SERVICES.slice(0, 2);
    return Response.json({ entities, next: `page ${pages}` });
  };
  await withServer(answer, async ({ API_URL: apiUrl = "" }) => {
    const port = new Port({ apiUrl, accessToken: "made-up" });
    const query = { combinator: "and", rules: [] };
    const search = { blueprint: "service", query, limit: 2 };
    let read = 0;
    for await (const _ of searchEntities(port, search)) {
      read++;
      assertEquals(pages, Math.ceil(read / 2));
      if (read === 4) break;
    }
    assertEquals(pages, 2);
  });
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
        return contentOf(JSON.parse(line));
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
      [`-b nope -w version=1`, 4, 'Cannot get blueprint "nope"'],
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
    ["-w version!=1.10", `'version!="1.10"' for text, or 'version!:=1.10'`],
    ["-w locked=true", `'locked="true"' for text, or 'locked:=true' for JSON`],
    ["-w locked!=null", `'locked!="null"' for text, or 'locked!:=null'`],
    ["-w version>x", "version must be compared with a number or a date"],
    ["-w $updatedAt<yesterday", "$updatedAt must be compared with a date"],
    ["-w title>1", "title must be compared with = or !="],
    ["-w $titel!=x", "Port's search has no $titel, did you mean $title?"],
    ...[
      "properties.config.on=true",
      "tags.0=go",
      "properties!=x",
      "$scorecards=x",
    ]
      .map((rule): WrongCall => [
        ["--where", rule],
        `Cannot use --where "${rule}": Port's search cannot compare objects`,
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

Deno.test("search_entities warns if no entity has the path of --select", async () => {
  await withPort({}, async (port) => {
    await put(port, "service", ["a", "b"]);
    const call = (flags: string) =>
      port.run("search_entities", `-b service ${flags}`);
    const { code, stdout, stderr } = await call("--select identifer");
    const line = 'warning: None of them has "identifer" (--select)\n';
    assertEquals([code, stdout, stderr], [0, "", line]);
    for (const flags of ["--select identifier", "--count", "-w identifier=x"]) {
      assertEquals((await call(flags)).stderr, "");
    }
  });
});
