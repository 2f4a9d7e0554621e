import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { XMLParser, XMLValidator } from "npm:fast-xml-parser@4.5.3";
import {
  BULK,
  bulk,
  catalogue,
  type Line,
  ndjson,
  services,
  withBoth,
} from "./support/bulk.ts";
import {
  assertError,
  assertWrongCalls,
  put,
  type TestPort,
  withPort,
} from "./support/port.ts";
import { readOutput, start } from "./support/run.ts";
import { withHangingPort } from "./support/server.ts";

Deno.test("bulk_upsert_entities takes NDJSON and arrays, files and a pipe", async () => {
  await withBoth({}, async (port, folder) => {
    const file = `${folder}/a.ndjson`;
    await Deno.writeTextFile(
      file,
      ndjson([
        { blueprint: "service", identifier: "a", properties: { build: "1" } },
        { blueprint: "image", identifier: "i" },
      ]),
    );
    const array = '[{"identifier": "b"},\n {"identifier": "a"}]';
    const flags = `${file} - -b service`;
    const { code, stdout, stderr } = await bulk(port, array, flags);
    assertEquals(code, 0, stderr);
    const none = {
      created: 0,
      updated: 0,
      unchanged: 0,
      deleted: 0,
      failed: 0,
    };
    assertEquals(JSON.parse(stdout), {
      created: 3,
      updated: 1,
      unchanged: 0,
      deleted: 0,
      failed: 0,
      blueprints: {
        service: { ...none, created: 2, updated: 1 },
        image: { ...none, created: 1 },
      },
    });
    assertMatch(stderr, /^blueprint +created +updated +failed\n/);
    const there = await catalogue(port, "service");
    assertEquals(there.get("a")?.properties, { build: "1" });
    assertEquals([...there.keys()].sort(), ["a", "b"]);
  });
});

Deno.test("bulk_upsert_entities sends its flags on", async () => {
  await withPort({}, async (port) => {
    await bulk(port, '{"blueprint":"service","identifier":"a","title":"A"}');
    const line =
      '{"blueprint":"service","identifier":"a","relations":{"image":"i"}}';
    const create = "--create-missing-related-entities";
    const checked = await bulk(port, line, `--validate-only ${create}`);
    assertEquals(checked.code, 0, checked.stderr);
    assertEquals((await catalogue(port, "image")).size, 0);
    const flags = `--replace ${create} --run-id=r_1 --concurrency=20`;
    const replaced = await bulk(port, line, flags);
    assertEquals(replaced.code, 0, replaced.stderr);
    assertEquals(await port.entity("service", "a"), {
      identifier: "a",
      properties: {},
      relations: { image: "i" },
    });
    assertMatch(port.log.join("\n"), /[?&]run_id=r_1/);
  });
});

Deno.test("bulk_upsert_entities keeps what fails, each with its reason, ready to be run again", async () => {
  await withBoth({}, async (port, folder) => {
    const failed = `${folder}/failed.ndjson`;
    const junit = `${folder}/results/port.xml`;
    const bad = { identifier: "bad", properties: { colour: "red" } };
    const orphan = { identifier: "orphan", relations: { image: "none" } };
    const lost = { blueprint: "nowhere", identifier: "x" };
    const broken = ["nope", '{"identifier": "a b"}'];
    const { code, stdout, stderr } = await bulk(
      port,
      ndjson([{ identifier: "good" }, bad, ...broken, orphan, lost]),
      `-b=service --failed-file=${failed} --junit=${junit}`,
    );
    assertEquals(code, 8);
    assertMatch(stderr, /\nerror: Cannot upsert 5 of 6 entities, the first /);
    assert(stderr.includes(`; see "${failed}.errors"`), stderr);
    const { created, updated, failed: count } = JSON.parse(stdout);
    assertEquals([created, updated, count], [1, 0, 5]);
    const text = await Deno.readTextFile(failed);
    const kept = [bad, orphan].map((line) => ({
      blueprint: "service",
      ...line,
    }));
    assertEquals(
      text.split("\n").sort(),
      ndjson([lost, ...kept, ...broken]).split("\n").sort(),
    );
    const reasons = await Deno.readTextFile(`${failed}.errors`);
    assertEquals(reasons.split("\n").length, 5 + 1);
    assertMatch(reasons, /standard input:2: service\/bad: 422: .*"colour"/);
    assertMatch(reasons, /standard input:3: .*"nope" is not valid JSON/);
    assertMatch(reasons, /standard input:4: .*identifier "a b"/);
    assertMatch(reasons, /standard input:5: service\/orphan: 404: .*"none"/);
    assertMatch(reasons, /standard input:6: nowhere\/x: .*"nowhere"/);
    const report = await Deno.readTextFile(junit);
    assertMatch(report, /name="bad" .*\n {4}<failure message="[^"]*colour/);
    // Corrected, the kept lines are all that is missing.
    await put(port, "image", ["none"]);
    const again = ndjson(kept.slice(1));
    assertEquals((await bulk(port, again)).code, 0);
  });
});

Deno.test("bulk_upsert_entities shows why without --failed-file, and fails softly", async () => {
  await withPort({}, async (port) => {
    const line = '{"identifier":"x"}';
    const { code, stderr } = await bulk(port, line, "--soft-fail");
    assertEquals(code, 0);
    assertMatch(stderr, /^warning: standard input:1: .*--blueprint ID/);
    assertMatch(stderr, /\nwarning: .*--failed-file .*\(--soft-fail\)\n$/);
  });
});

Deno.test("bulk_upsert_entities names one position, that in the input", async () => {
  const array =
    '[{"identifier": "a"},\n  {"identifier": "b" "c"}, {\n"d": 1,}]';
  const cases: [stdin: string, places: string[]][] = [
    ['{"identifier": "a"}\n{"identifier": "b" "c"}\n', ["2:20"]],
    [array, ["2:22", "3:8"]],
    ["nope\n", ["1"]],
  ];
  await withPort({}, async (port) => {
    for (const [stdin, places] of cases) {
      const { stderr } = await bulk(port, stdin, "-b service");
      const named = stderr.matchAll(/^warning: standard input:(\S+): /gm);
      assertEquals([...named].map(([, place]) => place), places, stderr);
      assertEquals(/\bposition|\bline \d|\bcolumn \d/.test(stderr), false);
    }
  });
});

Deno.test("bulk_upsert_entities sums up related entities that do not exist", async () => {
  await withBoth({}, async (port, folder) => {
    const stdin = ndjson(
      services(100).map((line, number) => ({
        ...line,
        relations: { image: `i${number % 50}` },
      })),
    );
    for (const flags of ["", `--failed-file=${folder}/failed`]) {
      const { code, stderr } = await bulk(port, stdin, flags);
      assertEquals(code, 8);
      const warnings = stderr.split("\n").filter((line) =>
        line.startsWith("warning: ")
      );
      assertEquals(warnings.length, 1, stderr);
      assertMatch(
        warnings.join(),
        /: 100 failed, .* "image" lacks 50 entities: i\d+, i\d+, i\d+, …;/,
      );
    }
    const reasons = await Deno.readTextFile(`${folder}/failed.errors`);
    assertEquals(reasons.match(/: 404: /g)?.length, 100);
  });
});

Deno.test("bulk_upsert_entities refuses other formats before it sends or writes anything", async () => {
  await withBoth({}, async (port, folder) => {
    const good = `${folder}/good.ndjson`;
    await Deno.writeTextFile(good, ndjson(services(20)));
    const stdin = "identifier,title\na,A\nb,B\n";
    const flags = `${good} - --failed-file=${folder}/failed`;
    assertError(await bulk(port, stdin, flags), 2, "input: it looks like CSV;");
    assertEquals(port.log, []);
    assertEquals([...Deno.readDirSync(folder)].length, 1);
  });
});

Deno.test("bulk_upsert_entities --max-errors stops early, and keeps the rest", async () => {
  await withBoth({}, async (port, folder) => {
    const lines = services(100).map((line, number) =>
      number < 20 ? { ...line, blueprint: "nowhere" } : line
    );
    const file = `${folder}/failed.ndjson`;
    const flags = `--max-errors=5 --concurrency=1 --failed-file=${file}`;
    const { code, stdout } = await bulk(port, ndjson(lines), flags);
    assertEquals([code, JSON.parse(stdout).failed], [8, 100]);
    assertEquals(await Deno.readTextFile(file), ndjson(lines));
  });
});

Deno.test("bulk_upsert_entities explains the rest once, and keeps its bytes in their order", async () => {
  await withBoth({}, async (port, folder) => {
    const input = ["nothing", ...Array(30_000).fill('{"identifier": "a" }')];
    const file = `${folder}/failed.ndjson`;
    for (const text of [input.join("\n"), `[${input.join(",")}]`]) {
      const flags = `--max-errors=1 --failed-file=${file}`;
      const { code, stdout, stderr } = await bulk(port, text, flags);
      assertEquals([code, JSON.parse(stdout).failed], [8, input.length]);
      assertMatch(
        stderr,
        /since --max-errors 1 is reached; the same holds for all that/,
      );
      assertEquals(await Deno.readTextFile(file), input.join("\n") + "\n");
      const reasons = await Deno.readTextFile(`${file}.errors`);
      assertEquals(reasons.split("\n").length, 3);
    }
  });
});

Deno.test("bulk_upsert_entities --shard takes each entity in one part", async () => {
  await withPort({}, async (port) => {
    const count = async (flags: string, env = {}) => {
      const options = { env, stdin: ndjson(services(50)) };
      const { stdout, stderr } = await port.run(BULK, flags, options);
      const { created, updated } = JSON.parse(stdout || "{}");
      assertEquals(updated, 0, stderr);
      return created;
    };
    const first = await count("--shard=0/2");
    const circleci = { CIRCLE_NODE_INDEX: "1", CIRCLE_NODE_TOTAL: "2" };
    const second = await count("--shard=auto", circleci);
    assertEquals(first + second, 50);
    assert(first > 5 && second > 5);
  });
});

/** Sends signals after the first request; returns how the script ended. */
async function interrupt(
  port: TestPort,
  flags: string,
  [first, second]: [Deno.Signal, Deno.Signal?],
  stdin?: string,
) {
  const child = await start(BULK, flags, { env: port.env, stdin });
  const { said, result } = readOutput(child);
  await port.logged("/entities/bulk");
  child.kill(first);
  if (second) {
    await said("Interrupted: ");
    child.kill(second);
  }
  const { code, stdout, stderr } = await result;
  // Nobody reads any more.
  if (stdin !== undefined) await child.stdin.close().catch(() => {});
  const { created, failed } = JSON.parse(stdout || "{}");
  return { code, created, failed, stderr };
}

Deno.test("bulk_upsert_entities ends well on SIGINT and SIGTERM, and loses nothing", async () => {
  const cases: [signals: [Deno.Signal, Deno.Signal?], code: number][] = [
    [["SIGINT"], 130],
    [["SIGTERM"], 143],
    // As from a terminal and, once more, from `deno task`.
    [["SIGINT", "SIGINT"], 130],
  ];
  for (const [signals, expected] of cases) {
    await withBoth({ latency: 250 }, async (port, folder) => {
      const all = `${folder}/all.ndjson`;
      const file = `${folder}/failed.ndjson`;
      await Deno.writeTextFile(all, ndjson(services(600)));
      const flags = `${all} --failed-file=${file}`;
      const end = await interrupt(port, flags, signals);
      const { code, created, failed } = end;
      assertEquals([code, created + failed], [expected, 600]);
      assertMatch(end.stderr, /^Interrupted: /m);
      assertMatch(end.stderr, /, run "\S+" to send the rest\n$/);
      const kept = (await Deno.readTextFile(file)).trim().split("\n");
      const there = await catalogue(port, "service");
      assertEquals([kept.length, there.size], [failed, created]);
      assert(kept.every((line) => !there.has(JSON.parse(line).identifier)));
      const again = await bulk(port, ndjson(kept), "--concurrency=20");
      assertEquals(again.code, 0, again.stderr);
      assertEquals((await catalogue(port, "service")).size, 600);
    });
  }
});

Deno.test("bulk_upsert_entities ends at once on a later signal, though requests hang", async () => {
  await withHangingPort("/bulk", async (env, arrived) => {
    const stdin = ndjson(services(20));
    const child = await start(BULK, "", { env, stdin });
    await child.stdin.close();
    const { said, result } = readOutput(child);
    await arrived;
    child.kill("SIGINT");
    await said("Interrupted: ");
    // For a second, further signals count as the same one.
    const timer = setInterval(() => child.kill("SIGTERM"), 100);
    await child.status;
    clearInterval(timer);
    const { code, stdout } = await result;
    assertEquals([code, stdout], [143, ""]);
  });
});

Deno.test("bulk_upsert_entities is interrupted while it waits for the rate limit, too", async () => {
  const rateLimits = { bulk: { requests: 2, period: 60 * 60 * 1000 } };
  await withBoth({ rateLimits }, async (port, folder) => {
    const all = `${folder}/all.ndjson`;
    await Deno.writeTextFile(all, ndjson(services(100)));
    const flags = `${all} --concurrency=1`;
    const { code, created, failed } = await interrupt(port, flags, ["SIGTERM"]);
    assertEquals([code, created + failed, failed >= 40], [143, 100, true]);
  });
});

Deno.test("bulk_upsert_entities is not slowed down by the limit of logins", async () => {
  const rateLimits = { login: { requests: 1, period: 20_000 } };
  await withPort({ rateLimits }, async (port) => {
    const input = ndjson(services(200));
    const { code, stderr } = await bulk(port, input, "--concurrency=1");
    assertEquals(code, 0, stderr);
    // A wait for the limit would be logged after 10 s.
    assertEquals(stderr.includes("waiting for the rate limit"), false, stderr);
  });
});

Deno.test("bulk_upsert_entities ends though its input neither goes on nor ends", async () => {
  await withPort({}, async (port) => {
    const input = ndjson(services(20));
    const end = await interrupt(port, "", ["SIGTERM"], input);
    assertEquals([end.code, end.created], [143, 20]);
    assertMatch(
      end.stderr,
      /^warning: standard input: .* run this input again$/m,
    );
  });
});

Deno.test("bulk_upsert_entities ends though its input goes on for ever", async () => {
  await withPort({}, async (port) => {
    const child = await start(BULK, "", { env: port.env, stdin: "" });
    const { result } = readOutput(child);
    const input = ReadableStream.from((function* () {
      for (;;) yield new TextEncoder().encode(ndjson(services(100)));
    })());
    // It ends before its input.
    const writing = input.pipeTo(child.stdin).catch(() => {});
    await port.logged("/entities/bulk");
    child.kill("SIGTERM");
    const { code, stderr } = await result;
    await writing;
    assertEquals(code, 143);
    assertMatch(stderr, /^warning: standard input: .* run this input again$/m);
  });
});

Deno.test("bulk_upsert_entities says when there is nothing to read", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await bulk(port, "\n");
    assertEquals([code, stderr], [0, "warning: There was no entity to read\n"]);
  });
});

Deno.test("bulk_upsert_entities leaves the same catalogue after kill -9 and a second run", async () => {
  const lines = services(1000).flatMap((line, number): Line[] => [
    { ...line, relations: { image: `i${number % 50}` } },
    { identifier: `e${number % 10}`, properties: { build: String(number) } },
    { blueprint: "image", identifier: `i${49 - number % 50}` },
  ]);
  await withBoth({ latency: 10 }, async (port, folder) => {
    const all = `${folder}/all.ndjson`;
    await Deno.writeTextFile(all, ndjson(lines));
    const flags = `${all} --blueprint=service`;
    const fill = async (port: TestPort) => {
      const { code, stderr } = await bulk(port, "", flags);
      assertEquals(code, 0, stderr);
      return [await catalogue(port, "service"), await catalogue(port, "image")];
    };
    await interrupt(port, flags, ["SIGKILL"]);
    const there = await catalogue(port, "service");
    assert(there.size < 1000, `${there.size}`);
    const again = await fill(port);
    await withPort({}, async (clean) => {
      assertEquals(again, await fill(clean));
    });
  });
});

Deno.test("bulk_upsert_entities --junit writes what CircleCI reads, whatever the names hold", async () => {
  await withBoth({}, async (port, folder) => {
    const hostile = "<&\"'\u0001\ud800]]>\n";
    const lines = [
      { blueprint: "service", identifier: "a" },
      { blueprint: "image", identifier: "i" },
      { blueprint: "service", properties: { [hostile]: 1 } },
      { blueprint: hostile },
      hostile,
    ];
    const flags = `--concurrency=1 --junit=${folder}/port.xml`;
    await bulk(port, ndjson(lines), flags);
    const text = await Deno.readTextFile(`${folder}/port.xml`);
    assertEquals(XMLValidator.validate(text), true);
    const parser = new XMLParser({
      ignoreAttributes: false,
      attributeNamePrefix: "",
      ignoreDeclaration: true,
    });
    const { testcase, ...suite } = parser.parse(text).testsuite;
    assertEquals(suite, { name: "port" });
    const cases: { failure?: { message: string } }[] = testcase;
    const file = "standard input";
    const classname = "(not an entity)";
    const name = "1 created";
    assertEquals(cases.map(({ failure: _, ...attributes }) => attributes), [
      { classname, name: `${file}:4`, file, time: "0" },
      { classname, name: `${file}:5`, file, time: "0" },
      { classname: "service", name: "(no identifier)", file, time: "0" },
      { classname: "service", name, file: "", time: "0" },
      { classname: "image", name, file: "", time: "0" },
    ]);
    const messages = cases.flatMap(({ failure }) => failure?.message ?? []);
    assertEquals(messages.length, 3);
    assertMatch(messages[0] ?? "", /:4: .* blueprint .*"<&"'\\u0001\?\]\]> "/);
    assertMatch(messages[1] ?? "", /:5: .* is not valid JSON/);
    assertMatch(messages[2] ?? "", /:3: 422: .*"<&"'\\u0001\?\]\]> "/);
  });
});

/** Reads past the simulated failures: asks until it is answered. */
async function settled(port: TestPort, blueprint: string) {
  for (;;) {
    try {
      return await catalogue(port, blueprint);
    } catch {
      // Readers fail, too.
    }
  }
}

Deno.test("bulk_upsert_entities ends exactly right through simulated failures", async () => {
  // Services come before the images that they need, and some come twice.
  const numbers = Array.from({ length: 1000 }, (_, number) => number);
  const services = numbers.map((number) => ({
    identifier: `s${number % 800}`,
    properties: { build: String(number) },
    relations: { image: `i${(number * 7) % 1000}` },
  }));
  const images = numbers.map((number) => ({
    blueprint: "image",
    identifier: `i${number}`,
  }));
  const stdin = ndjson([...services, ...images]);
  const options = {
    failRate: 0.3,
    rateLimits: { bulk: { requests: 80, period: 5_000 } },
  };
  await Promise.all(
    [1, 2, 3].map((seed) =>
      withPort(
        { ...options, seed, failures: ["none", "none"] },
        async (port) => {
          await port.call("GET", "/blueprints/none");
          const flags = "-b service --concurrency=20";
          const { code, stdout, stderr } = await bulk(port, stdin, flags);
          assertEquals(code, 0, stderr);
          const { created, updated, failed } = JSON.parse(stdout);
          assertEquals([created + updated, failed], [2000, 0]);
          assertEquals((await settled(port, "image")).size, 1000);
          const there = await settled(port, "service");
          const last = new Map(services.map((line) => [line.identifier, line]));
          assertEquals(there, last);
        },
      )
    ),
  );
});

Deno.test("bulk_upsert_entities answers a wrong call with one line, exit code 2 and no request", async () => {
  await assertWrongCalls(BULK, [
    ["no/such.ndjson", "No such file or directory"],
    ["blueprints", "it is a folder"],
    ["--concurrency=0", '--concurrency "0"'],
    ["--concurrency=21", "--concurrency over 20"],
    ["--max-errors=x", '--max-errors "x"'],
    ["--shard=2/2", '--shard "2/2"'],
    ["--shard=1/2/3", '--shard "1/2/3"'],
    ["--shard=auto", "CIRCLE_NODE_INDEX"],
    ["--failed-file=demo.ts/x", 'Cannot write "demo.ts/x"'],
    ["--junit=/proc/x.xml", 'Requires read access to "/proc/x.xml"'],
    ["--failed-file=x --junit=demo.ts/x", 'Cannot write "demo.ts/x"'],
    ["--failed-file=demo.ts", 'without "demo.ts.errors" it is no failed file'],
    ["--failed-file=blueprints", "it exists"],
    ["--junit=blueprints", 'Cannot write "blueprints": it is a folder'],
    ["--replace=1", "--replace takes no value"],
    ["--validate-only=1", "--validate-only takes no value"],
    [
      "--create-missing-related-entities=1",
      "--create-missing-related-entities takes no value",
    ],
    ["--run-id=", "--run-id ID is empty"],
    ["--blueprint=", "--blueprint ID is empty"],
  ]);
});
