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
} from "./support/port.ts";
import { type Result, run, withFolder } from "./support/run.ts";

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

async function put(port: TestPort, blueprint: string, entities: unknown[]) {
  const path = `/blueprints/${blueprint}/entities/bulk?upsert=true`;
  const answer = await port.call("POST", path, { entities });
  assertEquals(answer.status, 200, await answer.text());
}

/** Lets a test search three services and an image. */
async function withServices(test: (port: TestPort) => Promise<void>) {
  await withPort({}, async (port) => {
    await put(port, "image", [{ identifier: "cart-1" }]);
    await put(port, "service", SERVICES);
    await test(port);
  });
}

async function search(port: TestPort, ...args: string[]): Promise<Result> {
  return await run("search_entities", args, { env: port.env });
}

/** The lines that a search must print, with nothing on standard error. */
async function found(port: TestPort, ...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await search(port, ...args);
  assertEquals([code, stderr], [0, ""], args.join(" "));
  return stdout.split("\n").slice(0, -1);
}

/** How many requests for a page arrived. */
function searchesIn({ log }: TestPort): number {
  return log.filter((line) => line.includes("/entities/search")).length;
}

function query(property: string, operator: string, value: unknown): string {
  return JSON.stringify({
    combinator: "and",
    rules: [{ property, operator, value }],
  });
}

Deno.test("search_entities prints an entity a line", async () => {
  await withServices(async (port) => {
    const lines = await found(port, "-b", "service");
    assertEquals(lines.map((line) => JSON.parse(line)), SERVICES);
    assertEquals(await found(port, "-b", "team"), []);
  });
});

Deno.test("search_entities --output json prints one array", async () => {
  await withServices(async (port) => {
    const all = await search(port, "--blueprint=service", "--output=json");
    assertEquals(JSON.parse(all.stdout), SERVICES);
    const none = await search(port, "-bteam", "--output=json");
    assertEquals([none.code, none.stdout], [0, "[]\n"]);
    const lines = await found(port, "-b=service", "--output=ndjson");
    assertEquals(lines.length, 3);
  });
});

Deno.test("search_entities --where takes each operator, and all rules must hold", async () => {
  const cases: [rules: string[], finds: string[]][] = [
    [["version=1.4.2"], ["cart"]],
    [["version!=1.4.2"], ["checkout", "stub"]],
    [["replicas>1"], ["cart"]],
    [["replicas>=1"], ["cart", "checkout"]],
    [["replicas<3"], ["checkout"]],
    [["replicas<=3"], ["cart", "checkout"]],
    [["replicas>=1", "replicas<3"], ["checkout"]],
    [["$title=Cart"], ["cart"]],
    [["$identifier!=cart", "$identifier!=stub"], ["checkout"]],
    [["image=cart-1"], ["cart"]],
  ];
  await withServices(async (port) => {
    await Promise.all(cases.map(async ([rules, finds]) => {
      const flags = rules.map((rule) => `--where=${rule}`);
      const args = ["-b", "service", "--select", "identifier", ...flags];
      assertEquals(await found(port, ...args), finds, rules.join(" "));
    }));
  });
});

Deno.test("search_entities --where reads a value as JSON where it is JSON", async () => {
  const cases: [rule: string, finds: string[]][] = [
    ["locked_in_prod=true", ["cart"]],
    ["locked_in_prod=false", ["checkout"]],
    ['tags=["go","api"]', ["cart"]],
    ["version=null", ["stub"]],
    // A number is no text that looks like one.
    ["version=2", []],
    ['version="2"', ["checkout"]],
    // Only the first operator counts.
    ["url=https://cart.example/?page=1", ["cart"]],
  ];
  await withServices(async (port) => {
    await Promise.all(cases.map(async ([rule, finds]) => {
      const args = ["-b", "service", "-w", rule, "--select", "identifier"];
      assertEquals(await found(port, ...args), finds, rule);
    }));
  });
});

Deno.test("search_entities --query takes JSON, a file or standard input", async () => {
  const args = ["--select", "identifier", "--query"];
  const text = query("$identifier", "beginsWith", "c");
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/query.json`, `\uFEFF${text}`);
    await withServices(async (port) => {
      const inBlueprint = ["-b", "service", ...args];
      const services = ["cart", "checkout"];
      assertEquals(await found(port, ...inBlueprint, text), services);
      const all = await found(port, ...args, `@${folder}/query.json`);
      assertEquals(all.sort(), ["cart", "cart-1", "checkout"]);
      const piped = await run(
        "search_entities",
        [...inBlueprint, "@-"],
        { env: port.env, stdin: text },
      );
      assertEquals([piped.code, piped.stdout], [0, "cart\ncheckout\n"]);
    });
  });
});

Deno.test("search_entities searches all blueprints without --blueprint", async () => {
  await withServices(async (port) => {
    const args = ["--where", "$identifier!=stub", "--select=identifier"];
    const all = await found(port, ...args);
    assertEquals(all.sort(), ["cart", "cart-1", "checkout"]);
    const [line = ""] = port.log.slice(-1);
    assertStringIncludes(line, "POST /v1/entities/search 200");
  });
});

Deno.test("search_entities asks for parts by the same paths in one blueprint and in all", async () => {
  const cart = ["--where=$identifier=cart"];
  const include = ["identifier", "properties.version", "relations.image"];
  const exclude = ["title", "properties.tags", "properties.url"];
  await withServices(async (port) => {
    for (const blueprint of [["-b", "service"], []]) {
      const get = async (flag: string, paths: string[]) => {
        const flags = paths.flatMap((path) => [flag, path]);
        const [line = ""] = await found(port, ...blueprint, ...cart, ...flags);
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

Deno.test("search_entities --limit prints at most so many", async () => {
  await withServices(async (port) => {
    const args = ["--select", "identifier", "--limit"];
    assertEquals(await found(port, "-b=service", ...args, "2"), [
      "cart",
      "checkout",
    ]);
    const three = ["cart", "checkout", "stub"];
    assertEquals(await found(port, "-b=service", ...args, "3"), three);
    assertEquals(await found(port, "-b=service", ...args, "999999999"), three);
    const all = await found(port, "-w=$identifier!=x", ...args, "1");
    assertEquals(all.length, 1);
  });
});

Deno.test("search_entities --limit asks for no more than it prints", async () => {
  await withServices(async (port) => {
    await found(port, "-b=service", "--limit=2");
    assertEquals(searchesIn(port), 1);
  });
});

Deno.test("search_entities --select prints a value of each entity that has it", async () => {
  await withServices(async (port) => {
    const select = (path: string, ...args: string[]) =>
      found(port, "-b=service", "--select", path, ...args);
    const cases: [path: string, prints: string[]][] = [
      ["properties.version", ["1.4.2", "2"]],
      ["properties.replicas", ["3", "1"]],
      ["properties.tags", ['["go","api"]']],
      ['properties["tags"][1]', ["api"]],
      ["relations", ['{"image":"cart-1"}', "{}", "{}"]],
      ["properties.build", []],
    ];
    await Promise.all(cases.map(async ([path, prints]) => {
      assertEquals(await select(path), prints, path);
    }));
    const json = await select("properties.version", "--output=json");
    assertEquals(json.join(""), '[  "1.4.2",  "2"]');
  });
});

Deno.test("search_entities --count prints how many there are only", async () => {
  await withServices(async (port) => {
    const count = (...args: string[]) =>
      found(port, "--blueprint=service", "--count", ...args);
    const cases: [flags: string[], prints: string][] = [
      [[], "3"],
      [["--where=replicas>=1"], "2"],
      [["--where=replicas>9"], "0"],
      [["--limit=2"], "2"],
      [["--output=json"], "3"],
    ];
    await Promise.all(cases.map(async ([flags, prints]) => {
      assertEquals(await count(...flags), [prints], flags.join());
    }));
    const all = await found(port, "--count", "-w", "$blueprint!=team");
    assertEquals(all, ["4"]);
  });
});

Deno.test("search_entities --expect-any ends with exit code 7 when nothing is found", async () => {
  await withServices(async (port) => {
    const expect = (...args: string[]) =>
      search(port, "--expect-any", "-b=service", ...args);
    assertEquals((await expect("--where=version=1.4.2")).code, 0);
    for (const flags of [[], ["--soft-fail"]]) {
      const none = await expect("--where=version=9", ...flags);
      assertEquals([none.code, none.stdout], [7, ""]);
      assertMatch(none.stderr, /^error: Cannot go on: nothing is found; .*\n$/);
    }
    const count = await expect("--where=version=9", "--count");
    assertEquals([count.code, count.stdout], [7, "0\n"]);
    const json = await expect("--where=version=9", "--output=json");
    assertEquals([json.code, json.stdout], [7, "[]\n"]);
  });
});

/** Puts many services there, 20 a request. */
async function putMany(port: TestPort, names: string[]) {
  for (let at = 0; at < names.length; at += 20) {
    const batch = names.slice(at, at + 20);
    await put(port, "service", batch.map((identifier) => ({ identifier })));
  }
}

Deno.test("search_entities goes on from page to page, through simulated failures", async () => {
  const names = Array.from({ length: 2_001 }, (_, number) => `s${number}`)
    .sort();
  const calm = Array<"none">(1 + Math.ceil(names.length / 20) + 1).fill("none");
  const failures = [
    ...calm,
    "bad-gateway" as const,
    "none" as const,
    "cut-middle" as const,
    "cut-before" as const,
    "none" as const,
    "error" as const,
  ];
  await withPort({ failures }, async (port) => {
    await putMany(port, names);
    const args = ["-b", "service", "--select", "identifier"];
    const { code, stdout, stderr } = await search(port, ...args);
    assertEquals(code, 0, stderr);
    assertEquals(stdout, names.map((name) => `${name}\n`).join(""));
    assertEquals(stderr.match(/^warning: .*; attempt \d in .*$/gm)?.length, 4);
    assertEquals(searchesIn(port), 3 + 4, "three pages and four repeats");
    const some = await found(port, ...args, "--limit", "1500");
    assertEquals(some, names.slice(0, 1_500));
    assertEquals(searchesIn(port), 7 + 2);
    const json = await search(port, ...args, "--output=json");
    assertEquals(JSON.parse(json.stdout), names);
    assertEquals(await found(port, "-b=service", "--count"), ["2001"]);
  });
});

Deno.test("search_entities has printed what came before a page that fails", async () => {
  const names = Array.from({ length: 1_001 }, (_, number) => `s${number}`);
  const calm = Array<"none">(1 + Math.ceil(names.length / 20) + 2).fill("none");
  await withPort({ failures: [...calm, "error"] }, async (port) => {
    await putMany(port, names);
    const args = ["-b=service", "--select=identifier", "--retries=0"];
    const { code, stdout, stderr } = await search(port, ...args);
    assertEquals([code, stdout.split("\n").length - 1], [6, 1_000]);
    assertMatch(
      stderr,
      /^error: Cannot search entities of blueprint "service": Port answered 500/,
    );
  });
});

Deno.test("search_entities tells each refusal of Port with its exit code and message", async () => {
  await withServices(async (port) => {
    const refused = async (
      code: number,
      says: string,
      args: string[],
      env: Record<string, string> = {},
    ) => {
      const result = await run("search_entities", args, {
        env: { ...port.env, ...env },
      });
      assertEquals([result.code, result.stdout], [code, ""], result.stderr);
      assertMatch(result.stderr, /^error: [^\n]*\n$/);
      assertStringIncludes(result.stderr, says);
    };
    await refused(3, "Cannot log in to Port", ["-b=service"], {
      PORT_CLIENT_SECRET: "wrong",
    });
    await refused(4, 'Cannot search entities of blueprint "nope"', ["-b=nope"]);
    await refused(5, "Cannot search entities: Port answered 422", [
      `--query=${query("version", "~", "1")}`,
    ]);
    // Port orders numbers and times only.
    await refused(5, "Port answered 422", ["-b=service", "-w=version>x"]);
    await refused(5, '"nothing"', ["-b=service", "--include=nothing"]);
    await refused(6, "check the API URL", ["-b=service", "--retries=0"], {
      API_URL: await deadUrl(),
    });
  });
});

Deno.test("search_entities without credentials ends with exit code 3", async () => {
  const { code, stdout, stderr } = await run("search_entities", [
    "-b=service",
  ]);
  assertEquals([code, stdout], [3, ""]);
  assertStringIncludes(stderr, "PORT_CLIENT_ID and PORT_CLIENT_SECRET not set");
});

Deno.test("search_entities --soft-fail turns Port's refusal into a warning", async () => {
  await withPort({}, async (port) => {
    const { code, stdout, stderr } = await search(
      port,
      "-b=nope",
      "--soft-fail",
    );
    assertEquals([code, stdout], [0, ""]);
    assertMatch(stderr, /^warning: Cannot search .* \(--soft-fail\)\n$/);
  });
});

Deno.test("search_entities takes the flags that every script has", async () => {
  await withServices(async ({ url, env }) => {
    const args = ["-b", "service", "--count", "--timeout=1m", "--retries=0"];
    const verbose = await run(
      "search_entities",
      [...args, "--api-url", `${url}/v1/`, "--verbose"],
      {
        env: { ...CREDENTIALS, API_URL: url, PORT_API_URL: "https://no.test" },
      },
    );
    assertEquals([verbose.code, verbose.stdout], [0, "3\n"]);
    assertMatch(
      verbose.stderr,
      /^POST \/v1\/auth\/access_token: .*\nPOST \S+\/entities\/search: Port answered 200 \(attempt 1, \d+ ms\)\n$/,
    );
    const quiet = await run(
      "search_entities",
      [...args, "--quiet"],
      { env },
    );
    assertEquals([quiet.code, quiet.stderr], [0, ""]);
  });
});

Deno.test("search_entities answers a wrong call with one line, exit code 2 and no request", async () => {
  const give = "give --blueprint, --where or --query";
  await assertWrongCalls("search_entities", [
    [[], give],
    [["--limit=5"], give],
    [["-b", "a=b"], "blueprint identifier"],
    [["-b", ""], "--blueprint ID"],
    [["-b", "service", "-b", "image"], "--blueprint is given twice"],
    [["--where"], "Missing the value of --where RULE"],
    [["-w", "version"], 'Cannot read --where "version"'],
    [["-w", "=1"], 'Cannot read --where "=1"'],
    [["-w", "version = 1"], 'Cannot read --where "version = 1"'],
    [["-w", "version =1"], 'Cannot read --where "version =1"'],
    [["-w", " version=1"], 'Cannot read --where " version=1"'],
    [["-w", "version==1"], 'Cannot read --where "version==1"'],
    [["-w", "version!1"], 'Cannot read --where "version!1"'],
    [["-w", "a=1", "--query", "{}"], "--query and --where together"],
    [["--query"], "Missing the value of --query"],
    [["--query", "{"], "Cannot read --query: line 1, column 2"],
    [["--query", "[]"], "Cannot read --query: it must be a JSON object"],
    [["--query", "@no/such.json"], 'Cannot read the file "no/such.json"'],
    [["--query", "@/etc/hostname"], '--allow-read="/etc/hostname"'],
    [["--query", "@-"], 'Cannot read file "-"'],
    [["-b", "x", "--include"], "Missing the value of --include PATH"],
    [["-b", "x", "--exclude"], "Missing the value of --exclude PATH"],
    [["-b", "x", "--limit", "0"], '--limit "0"'],
    [["-b", "x", "--limit", "-1"], '--limit "-1"'],
    [["-b", "x", "--limit", "1.5"], '--limit "1.5"'],
    [["-b", "x", "--limit", "all"], '--limit "all"'],
    [["-b", "x", "--select", "a..b"], 'Cannot read the path "a..b"'],
    [["-b", "x", "--output", "yaml"], 'Cannot use --output "yaml"'],
    [["-b", "x", "--count=1"], "--count takes no value"],
    [["-b", "x", "--expect-any=1"], "--expect-any takes no value"],
    [["-b", "x", "--whree=a=1"], "did you mean --where?"],
    [["-b", "x", "extra"], 'Unexpected argument "extra"'],
    [["-b", "x", "--soft-fail", "--limit=x"], '--limit "x"'],
  ]);
});

Deno.test("search_entities names line and column of a broken query file", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/query.json`;
    await Deno.writeTextFile(path, '{\n  "combinator": and\n}');
    await assertWrongCalls("search_entities", [
      [
        ["--query", `@${path}`],
        `Cannot read file "${path}": line 2, column 17`,
      ],
    ]);
  });
});
