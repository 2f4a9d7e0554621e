import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import { Ajv } from "npm:ajv@8.20.0";
import { XMLParser, XMLValidator } from "npm:fast-xml-parser@4.5.3";
import { CIRCLECI } from "./support/calls.ts";
import { assertWrongCalls, type TestPort, withPort } from "./support/port.ts";
import {
  FOLDER,
  permissionsOf,
  run,
  runProcess,
  withFolder,
} from "./support/run.ts";

const BULK = "bulk_upsert_entities";

interface Line {
  blueprint?: string;
  identifier?: string;
  properties?: Record<string, unknown>;
  relations?: Record<string, unknown>;
}

function ndjson(lines: (Line | string)[]): string {
  return lines.map((line) =>
    (typeof line === "string" ? line : JSON.stringify(line)) + "\n"
  ).join("");
}

/** Gives entities to the script by standard input. */
async function bulk(port: TestPort, stdin: string, ...flags: string[]) {
  return await run(BULK, flags, { env: port.env, stdin });
}

/** All entities of a blueprint by identifier. */
async function catalogue(port: TestPort, blueprint: string) {
  const answer = await port.call("GET", `/blueprints/${blueprint}/entities`);
  const { entities } = await answer.json() as {
    entities: (Line & { identifier: string })[];
  };
  return new Map(entities.map((entity) => [entity.identifier, entity]));
}

Deno.test("bulk_upsert_entities takes NDJSON and arrays, files and a pipe", async () => {
  await withFolder(async (folder) => {
    await withPort({}, async (port) => {
      const file = `${folder}/a.ndjson`;
      await Deno.writeTextFile(
        file,
        ndjson([
          { blueprint: "service", identifier: "a", properties: { build: "1" } },
          { blueprint: "image", identifier: "i" },
        ]),
      );
      const array = '[{"identifier": "b"},\n {"identifier": "a"}]';
      const { code, stdout, stderr } = await bulk(
        port,
        array,
        file,
        "-",
        "-b",
        "service",
      );
      assertEquals(code, 0, stderr);
      assertEquals(JSON.parse(stdout), {
        created: 3,
        updated: 1,
        failed: 0,
        blueprints: {
          service: { created: 2, updated: 1, failed: 0 },
          image: { created: 1, updated: 0, failed: 0 },
        },
      });
      assertMatch(stderr, /^blueprint +created +updated +failed\n/);
      const services = await catalogue(port, "service");
      assertEquals(services.get("a")?.properties, { build: "1" });
      assertEquals([...services.keys()].sort(), ["a", "b"]);
    });
  });
});

Deno.test("bulk_upsert_entities sends its flags on", async () => {
  await withPort({}, async (port) => {
    await bulk(port, '{"blueprint":"service","identifier":"a","title":"A"}');
    const line =
      '{"blueprint":"service","identifier":"a","relations":{"image":"i"}}';
    const checked = await bulk(
      port,
      line,
      "--validate-only",
      "--create-missing-related-entities",
    );
    assertEquals(checked.code, 0, checked.stderr);
    assertEquals((await catalogue(port, "image")).size, 0);
    const replaced = await bulk(
      port,
      line,
      "--replace",
      "--create-missing-related-entities",
      "--run-id=r_1",
      "--concurrency=20",
    );
    assertEquals(replaced.code, 0, replaced.stderr);
    assertEquals(await port.entity("service", "a"), {
      identifier: "a",
      properties: {},
      relations: { image: "i" },
    });
    assert(port.log.some((line) => line.includes("run_id=r_1")));
  });
});

Deno.test("bulk_upsert_entities keeps what fails, each with its reason, ready to be run again", async () => {
  await withFolder(async (folder) => {
    await withPort({}, async (port) => {
      const failed = `${folder}/failed.ndjson`;
      const bad = { identifier: "bad", properties: { colour: "red" } };
      const orphan = { identifier: "orphan", relations: { image: "none" } };
      const input = ndjson([
        { identifier: "good" },
        bad,
        "nope",
        '{"identifier": "a b"}',
        orphan,
        { blueprint: "nowhere", identifier: "x" },
      ]);
      const { code, stdout, stderr } = await bulk(
        port,
        input,
        "-b=service",
        `--failed-file=${failed}`,
        `--junit=${folder}/results/port.xml`,
      );
      assertEquals(code, 8);
      assertMatch(
        stderr,
        /\nerror: Cannot upsert 5 of 6 entities, the first .*; see /,
      );
      const { created, updated, failed: count } = JSON.parse(stdout);
      assertEquals([created, updated, count], [1, 0, 5]);
      const lines = (await Deno.readTextFile(failed)).trim().split("\n");
      assertEquals(
        new Set(lines),
        new Set([
          JSON.stringify({ blueprint: "nowhere", identifier: "x" }),
          JSON.stringify({ blueprint: "service", ...bad }),
          JSON.stringify({ blueprint: "service", ...orphan }),
          '{"identifier": "a b"}',
          "nope",
        ]),
      );
      const reasons = (await Deno.readTextFile(`${failed}.errors`)).trim();
      assertEquals(reasons.split("\n").length, 5);
      assertMatch(reasons, /standard input:2: service\/bad: 422: .*"colour"/);
      assertMatch(reasons, /standard input:3: .*"nope" is not valid JSON/);
      assertMatch(reasons, /standard input:4: .*"a b"/);
      const junit = await Deno.readTextFile(`${folder}/results/port.xml`);
      assertMatch(
        junit,
        /classname="service" name="bad" file="standard input" time="0">\n {4}<failure message="[^"]*colour/,
      );
      assertStringIncludes(
        junit,
        'name="1 created, 0 updated" file="" time="0"/>',
      );
      // Corrected, the kept lines are all that is missing.
      await port.call("POST", "/blueprints/image/entities?upsert=true", {
        identifier: "none",
      });
      const again = lines.find((line) => line.includes("orphan")) ?? "";
      assertEquals((await bulk(port, again)).code, 0);
    });
  });
});

Deno.test("bulk_upsert_entities shows why without --failed-file, and fails softly", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await bulk(
      port,
      '{"identifier":"x"}',
      "--soft-fail",
    );
    assertEquals(code, 0);
    assertMatch(stderr, /^warning: standard input:1: .*--blueprint ID/);
    assertMatch(stderr, /\nwarning: .*--failed-file .*\(--soft-fail\)\n$/);
  });
});

Deno.test("bulk_upsert_entities shows what a full disk cannot hold", async () => {
  await withFolder(async (folder) => {
    await withPort({}, async (port) => {
      await Deno.symlink("/dev/full", `${folder}/failed.part`);
      const { code, stderr } = await runProcess(
        Deno.execPath(),
        // Deno lets nothing less write to a device.
        [
          "run",
          "-A",
          `${BULK}.ts`,
          "-bservice",
          `--failed-file=${folder}/failed`,
        ],
        { env: port.env, stdin: '{"identifier": "a b"}\n{"identifier": "c"}' },
      );
      assertEquals(code, 8, stderr);
      assertStringIncludes(stderr, "warning: Cannot write ");
      assertStringIncludes(stderr, ': {"identifier": "a b"}\n');
      assert(await port.entity("service", "c"));
    });
  });
});

Deno.test("bulk_upsert_entities --max-errors stops early, and keeps the rest", async () => {
  await withFolder(async (folder) => {
    await withPort({}, async (port) => {
      const lines = Array.from({ length: 100 }, (_, number) => ({
        blueprint: number < 20 ? "nowhere" : "service",
        identifier: `e${number}`,
      }));
      const { code, stdout } = await bulk(
        port,
        ndjson(lines),
        "--max-errors=5",
        "--concurrency=1",
        `--failed-file=${folder}/failed.ndjson`,
      );
      assertEquals(code, 8);
      assertEquals(JSON.parse(stdout).failed, 100);
      const kept = await Deno.readTextFile(`${folder}/failed.ndjson`);
      assertEquals(kept, ndjson(lines));
    });
  });
});

Deno.test("bulk_upsert_entities --shard takes each entity in one part", async () => {
  await withPort({}, async (port) => {
    const lines = Array.from({ length: 50 }, (_, number) => ({
      blueprint: "service",
      identifier: `e${number}`,
    }));
    const count = async (shard: string, node = "0") => {
      const env = { ...port.env, ...CIRCLECI, NO_COLOR: "1" };
      const { stdout, stderr } = await run(
        BULK,
        [`--shard=${shard}`],
        {
          env: { ...env, CIRCLE_NODE_INDEX: node, CIRCLE_NODE_TOTAL: "2" },
          stdin: ndjson(lines),
        },
      );
      const { created, updated } = JSON.parse(stdout || "{}");
      assertEquals(updated, 0, stderr);
      return created;
    };
    const first = await count("0/2");
    const second = await count("auto", "1");
    assertEquals(first + second, 50);
    assert(first > 5 && second > 5);
  });
});

/** Starts the script without waiting for its end. */
async function start(port: TestPort, ...args: string[]) {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      ...await permissionsOf(BULK, port.url),
      `${BULK}.ts`,
      ...args,
    ],
    cwd: FOLDER,
    env: port.env,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** So many services with names of their own. */
function services(count: number): Line[] {
  return Array.from({ length: count }, (_, number) => ({
    blueprint: "service",
    identifier: `e${number}`,
  }));
}

Deno.test("bulk_upsert_entities ends well on SIGINT and SIGTERM, and loses nothing", async () => {
  for (
    const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const
  ) {
    await withFolder(async (folder) => {
      await withPort({ latency: 20 }, async (port) => {
        const all = `${folder}/all.ndjson`;
        await Deno.writeTextFile(all, ndjson(services(2000)));
        const failed = `${folder}/failed.ndjson`;
        const child = await start(port, all, `--failed-file=${failed}`);
        await port.logged("/entities/bulk");
        child.kill(signal);
        const { code, stdout } = await child.output();
        assertEquals(code, expected);
        const { created, failed: count } = JSON.parse(
          new TextDecoder().decode(stdout),
        );
        const kept = (await Deno.readTextFile(failed)).trim().split("\n");
        const there = await catalogue(port, "service");
        assertEquals([created + count, kept.length], [2000, count]);
        assertEquals(there.size, created);
        for (const line of kept) {
          assert(!there.has(JSON.parse(line).identifier));
        }
        assertEquals((await bulk(port, ndjson(kept))).code, 0);
        assertEquals((await catalogue(port, "service")).size, 2000);
      });
    });
  }
});

Deno.test("bulk_upsert_entities is interrupted while it waits for the rate limit, too", async () => {
  await withFolder(async (folder) => {
    const rateLimit = { requests: 3, period: 60 * 60 * 1000 };
    await withPort({ rateLimit }, async (port) => {
      const all = `${folder}/all.ndjson`;
      await Deno.writeTextFile(all, ndjson(services(100)));
      const child = await start(port, all, "--concurrency=1");
      await port.logged("/entities/bulk");
      child.kill("SIGTERM");
      const { code, stdout } = await child.output();
      assertEquals(code, 143);
      const { created, failed } = JSON.parse(new TextDecoder().decode(stdout));
      assertEquals([created + failed, failed >= 40], [100, true]);
    });
  });
});

Deno.test("bulk_upsert_entities takes a signal that comes twice at once for one", async () => {
  await withFolder(async (folder) => {
    await withPort({ latency: 50 }, async (port) => {
      const all = `${folder}/all.ndjson`;
      await Deno.writeTextFile(all, ndjson(services(2000)));
      const failed = `${folder}/failed.ndjson`;
      const child = await start(port, all, `--failed-file=${failed}`);
      await port.logged("/entities/bulk");
      // As from a terminal and, once more, from `deno task`.
      child.kill("SIGINT");
      child.kill("SIGINT");
      const { code, stdout, stderr } = await child.output();
      assertEquals(code, 130);
      assertStringIncludes(new TextDecoder().decode(stderr), "Interrupted: ");
      const { failed: count } = JSON.parse(new TextDecoder().decode(stdout));
      const kept = (await Deno.readTextFile(failed)).trim().split("\n");
      assertEquals(kept.length, count);
    });
  });
});

Deno.test("bulk_upsert_entities ends though its input neither goes on nor ends", async () => {
  await withPort({}, async (port) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", ...await permissionsOf(BULK, port.url), `${BULK}.ts`],
      cwd: FOLDER,
      env: port.env,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(ndjson(services(20))));
    await port.logged("/entities/bulk");
    child.kill("SIGTERM");
    const { code, stdout } = await child.output();
    assertEquals(code, 143);
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)).created, 20);
    await writer.close().catch(() => {
      // Nobody reads any more.
    });
  });
});

Deno.test("bulk_upsert_entities reads the file that it writes what fails to", async () => {
  await withFolder(async (folder) => {
    await withPort({}, async (port) => {
      const file = `${folder}/failed.ndjson`;
      const lines = [{ identifier: "a" }, { identifier: "b c" }];
      await Deno.writeTextFile(file, ndjson(lines));
      const flags = [file, "-bservice", `--failed-file=${file}`];
      assertEquals((await bulk(port, "", ...flags)).code, 8);
      assertEquals(await Deno.readTextFile(file), '{"identifier":"b c"}\n');
      assert(await port.entity("service", "a"));
    });
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
  await withFolder(async (folder) => {
    const all = `${folder}/all.ndjson`;
    await Deno.writeTextFile(all, ndjson(lines));
    const args = [all, "--blueprint=service"];
    const fill = async (port: TestPort) => {
      const { code, stderr } = await bulk(port, "", ...args);
      assertEquals(code, 0, stderr);
      return [await catalogue(port, "service"), await catalogue(port, "image")];
    };
    await withPort({ latency: 10 }, async (port) => {
      const child = await start(port, ...args);
      await port.logged("/service/entities/bulk");
      child.kill("SIGKILL");
      await child.output();
      const there = await catalogue(port, "service");
      assert(there.size < 1000, `${there.size}`);
      const again = await fill(port);
      await withPort({}, async (clean) => {
        assertEquals(again, await fill(clean));
      });
    });
  });
});

/** What CircleCI reads of a report, as a JSON schema of the parsed XML. */
const JUNIT = {
  type: "object",
  properties: {
    testsuite: {
      type: "object",
      properties: {
        name: { type: "string", minLength: 1 },
        testcase: {
          type: "array",
          items: {
            type: "object",
            properties: {
              classname: { type: "string", minLength: 1 },
              name: { type: "string", minLength: 1 },
              file: { type: "string" },
              time: { type: "string", pattern: "^\\d+(\\.\\d+)?$" },
              failure: {
                type: "object",
                properties: { message: { type: "string", minLength: 1 } },
                required: ["message"],
                additionalProperties: false,
              },
            },
            required: ["classname", "name", "file", "time"],
            additionalProperties: false,
          },
        },
      },
      required: ["name", "testcase"],
      additionalProperties: false,
    },
  },
  required: ["testsuite"],
  additionalProperties: false,
};

Deno.test("bulk_upsert_entities --junit writes what CircleCI reads, whatever the names hold", async () => {
  await withFolder(async (folder) => {
    await withPort({}, async (port) => {
      const junit = `${folder}/port.xml`;
      const hostile = "<&\"'\u0001\ud800]]>\n";
      await bulk(
        port,
        ndjson([
          { blueprint: "service", identifier: "a" },
          { blueprint: "image", identifier: "i" },
          { blueprint: "service", properties: { [hostile]: 1 } },
          { blueprint: hostile },
          hostile,
        ]),
        `--junit=${junit}`,
      );
      const text = await Deno.readTextFile(junit);
      assertEquals(XMLValidator.validate(text), true);
      const parsed = new XMLParser({
        ignoreAttributes: false,
        attributeNamePrefix: "",
        ignoreDeclaration: true,
        isArray: (name) => name === "testcase",
      }).parse(text);
      const check = new Ajv().compile(JUNIT);
      assert(check(parsed), JSON.stringify(check.errors));
      const cases: { classname: string; name: string; failure?: unknown }[] =
        parsed.testsuite.testcase;
      assertEquals(cases.filter(({ failure }) => failure).length, 3);
      assertEquals(
        cases.filter(({ failure }) => !failure).map(({ classname, name }) => [
          classname,
          name,
        ]),
        [
          ["service", "1 created, 0 updated"],
          ["image", "1 created, 0 updated"],
        ],
      );
    });
  });
});

Deno.test("bulk_upsert_entities ends exactly right on a bad day", async () => {
  // Services come before the images that they need, and some come twice.
  const count = 2500;
  const lines: Line[] = [];
  for (let number = 0; number < count; number++) {
    lines.push({
      blueprint: "service",
      identifier: `s${number % 2000}`,
      properties: { build: String(number) },
      relations: { image: `i${(number * 7) % count}` },
    });
  }
  for (let number = 0; number < count; number++) {
    lines.push({ blueprint: "image", identifier: `i${number}` });
  }
  const expected = new Map(
    lines.slice(0, count).map((line) => [line.identifier, line]),
  );
  await Promise.all([1, 2, 3].map((seed) =>
    withPort({
      failRate: 0.3,
      rateLimit: { requests: 200, period: 5_000 },
      seed,
      failures: ["none", "none"],
    }, async (port) => {
      await port.call("GET", "/blueprints/none");
      const { code, stdout, stderr } = await bulk(
        port,
        ndjson(lines),
        "--concurrency=20",
      );
      assertEquals(code, 0, stderr);
      const { created, updated, failed } = JSON.parse(stdout);
      assertEquals([created + updated, failed], [5000, 0]);
      const quiet = await settled(port);
      assertEquals(quiet.images, count);
      assertEquals(quiet.services.size, expected.size);
      for (const [identifier, { properties, relations }] of expected) {
        const there = quiet.services.get(String(identifier));
        assertEquals([there?.properties, there?.relations], [
          properties,
          relations,
        ], identifier);
      }
    })
  ));
});

/** Reads the catalogue past the failures: asks until it is answered. */
async function settled(port: TestPort) {
  const read = async (blueprint: string) => {
    for (;;) {
      try {
        return await catalogue(port, blueprint);
      } catch {
        // A bad day for readers too.
      }
    }
  };
  return {
    services: await read("service"),
    images: (await read("image")).size,
  };
}

Deno.test("bulk_upsert_entities answers a wrong call with one line, exit code 2 and no request", async () => {
  await assertWrongCalls(BULK, [
    [["no/such.ndjson"], "there is no such file"],
    [["blueprints"], "it is a folder"],
    [["--concurrency=0", "demo.ts"], '--concurrency "0"'],
    [["--concurrency=21", "demo.ts"], "--concurrency over 20"],
    [["--max-errors=x", "demo.ts"], '--max-errors "x"'],
    [["--shard=2/2", "demo.ts"], '--shard "2/2"'],
    [["--shard=1/2/3", "demo.ts"], '--shard "1/2/3"'],
    [["--shard=auto", "demo.ts"], "CIRCLE_NODE_INDEX"],
    [["demo.ts", "--junit=demo.ts"], 'Cannot use "demo.ts" twice'],
    [["demo.ts", "--failed-file=demo.ts/x"], 'Cannot write "demo.ts/x"'],
    [["demo.ts", "--junit=/proc/x.xml"], '--allow-write="/proc"'],
    [["demo.ts", "--replace=1"], "takes no value"],
    [["demo.ts", "--validate-only=1"], "takes no value"],
    [["demo.ts", "--create-missing-related-entities=1"], "takes no value"],
    [["demo.ts", "--run-id"], "Missing the value of --run-id"],
    [["demo.ts", "--blueprint"], "Missing the value of --blueprint"],
  ]);
});
