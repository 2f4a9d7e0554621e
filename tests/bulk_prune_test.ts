import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { BULK, bulk, catalogue, type Line, ndjson } from "./support/bulk.ts";
import {
  assertError,
  assertWrongCalls,
  CREDENTIALS,
  put,
  type TestPort,
} from "./support/port.ts";
import {
  type Output,
  readOutput,
  run,
  start,
  withFolder,
} from "./support/run.ts";
import {
  type Answer,
  type Received,
  withHandler,
  withProxy,
} from "./support/server.ts";
import {
  marked,
  names,
  PRUNE,
  summaryOf,
  sync,
  withOld,
  withServices,
  writes,
} from "./support/sync.ts";

Deno.test("bulk_upsert_entities --prune deletes what is marked and not in the input", async () => {
  const others = [{ identifier: "other", properties: { language: "go" } }];
  const services = [...names("k", 30), "gone1", "gone2"].map((name) =>
    marked(name)
  );
  await withServices([...services, ...others], async (port) => {
    const input = [...services.slice(0, 30), marked("new")];
    const plan = await sync(port, input, `${PRUNE} --dry-run --changed-only`);
    assertEquals(plan.code, 0, plan.stderr);
    const counts = { created: 1, unchanged: 30, deleted: 2 };
    assertEquals(summaryOf(plan), counts);
    const lines = plan.stderr.split("\n").filter((line) =>
      line.includes("would")
    );
    assertEquals(lines, [
      "standard input:31: service/new would be created",
      "service/gone1 would be deleted",
      "service/gone2 would be deleted",
    ]);
    assertMatch(plan.stderr, /\nNothing was sent, as this was a dry run\n/);
    assertEquals(writes(port), []);
    const done = await sync(port, input, `${PRUNE} --changed-only`);
    assertEquals(done.code, 0, done.stderr);
    assertEquals(summaryOf(done), counts);
    assertMatch(
      done.stderr,
      /service\/gone1 deleted\nservice\/gone2 deleted\n/,
    );
    const left = [...(await catalogue(port, "service")).keys()].sort();
    assertEquals(left, [...names("k", 30), "new", "other"].sort());
  });
});

Deno.test("bulk_upsert_entities --prune deletes nothing if it were more than --prune-max", async () => {
  const services = [...names("k", 30), ...names("gone", 12)].map((name) =>
    marked(name)
  );
  const cases: [max: string, code: number][] = [
    ["", 7],
    ["--prune-max 11", 7],
    ["--prune-max 20%", 7],
    ["--prune-max 12", 0],
    ["--prune-max 30%", 0],
  ];
  for (const [max, code] of cases) {
    await withServices(services, async (port) => {
      const done = await sync(port, services.slice(0, 30), `${PRUNE} ${max}`);
      assertEquals(done.code, code, done.stderr);
      const { size } = await catalogue(port, "service");
      assertEquals(size, code === 0 ? 30 : 42);
      if (code === 0) return;
      assertMatch(
        done.stderr,
        /Cannot prune: 12 of 42 entities that match are not in the input, and at most \d+ may be deleted: service\/gone0, (?:service\/gone\d+, ){9}…; none was deleted/,
      );
    });
  }
});

Deno.test("bulk_upsert_entities --prune deletes nothing after a failure, or if the input may not be whole", async () => {
  const services = names("e", 3).map((name) => marked(name));
  const cases: [input: (Line | string)[], code: number, reason: string][] = [
    [
      [marked("e0"), "nope"],
      8,
      "Nothing was pruned, since not all entities were saved",
    ],
    [
      [marked("e0"), { identifier: "x", properties: { colour: "red" } }],
      8,
      "Nothing was pruned",
    ],
    [[], 2, "Cannot prune: the input holds no entity"],
    [
      [marked("e0"), { title: "No identifier" } as Line],
      2,
      "Cannot prune: standard input:2 has no identifier that is known here; nothing was deleted",
    ],
    [
      [marked("e0"), { blueprint: "image", identifier: "i" }],
      2,
      'blueprint "image" has no language, so sync that blueprint in a run without it; nothing was deleted, the summary shows what was saved',
    ],
  ];
  for (const [input, code, reason] of cases) {
    await withServices(services, async (port) => {
      const flags = `${PRUNE} --prune-max 100%`;
      const done = await bulk(port, ndjson(input), flags);
      assertEquals(done.code, code, done.stderr);
      assert(done.stderr.includes(reason), done.stderr);
      const left = await catalogue(port, "service");
      for (const { identifier } of services) assert(left.has(identifier));
    });
  }
});

Deno.test("bulk_upsert_entities --prune refuses the failed file of an earlier run, which is not the whole input", async () => {
  await withFolder(async (folder) => {
    const services = names("e", 3).map((name) => marked(name));
    await withServices(services, async (port) => {
      const failed = `--failed-file ${folder}/failed.ndjson`;
      const first = await bulk(port, "nope\n", `${PRUNE} ${failed}`);
      assertEquals(first.code, 8, first.stderr);
      await Deno.writeTextFile(
        `${folder}/failed.ndjson`,
        ndjson([marked("e0")]),
      );
      port.log.length = 0;
      const flags = `${folder}/failed.ndjson ${PRUNE} --prune-max 100%`;
      assertError(await bulk(port, "", flags), 2, "then the whole input again");
      assertEquals(port.log, []);
    });
  });
});

Deno.test("bulk_upsert_entities answers a wrong call to --prune with one line, exit code 2 and no request", async () => {
  await assertWrongCalls(BULK, [
    ["--prune language!=go", "Cannot use --prune without a rule NAME=VALUE"],
    ["--prune language:=null", "Cannot use --prune without a rule NAME=VALUE"],
    [
      "--prune $blueprint=service --prune language!=go",
      "Cannot use --prune without a rule NAME=VALUE",
    ],
    ["--prune blueprint=service", "it must say what marks the entities"],
    ["--prune language", "write NAME=VALUE"],
    ["--prune-max 3", "without --prune"],
    ["--prune language=go --prune-max 0", "--prune-max"],
    ["--prune language=go --prune-max 101%", "at most 100%"],
    ["--prune language=go --shard 0/2", "--shard"],
    ["--prune language=go --validate-only", "--validate-only"],
    ["--dry-run --validate-only", "--validate-only"],
  ]);
});

Deno.test("bulk_upsert_entities --prune warns if it would never delete, or not yet", async () => {
  await withServices([marked("old")], async (port) => {
    const unmarked = [{ identifier: "a" }];
    const never = await sync(port, unmarked, `${PRUNE} --quiet`);
    assertEquals(never.code, 0);
    assertMatch(
      never.stderr,
      /^warning: No entity of the input matches --prune/,
    );
    await put(port, "service", [marked("new")]);
    const notYet = await sync(port, [marked("a")], `${PRUNE} --quiet`);
    assertEquals(notYet.code, 0);
    assertMatch(
      notYet.stderr,
      /^warning: 1 kept, though not in the input, as they may have changed since this run began: service\/new; run it again\n$/,
    );
  });
});

Deno.test("bulk_upsert_entities --prune names a rule that the blueprint does not know before it sends anything", async () => {
  await withServices([], async (port) => {
    const done = await sync(
      port,
      [marked("a")],
      "-b service --prune lang=sync",
    );
    assertError(done, 2, 'blueprint "service" has no lang');
    assertEquals(writes(port), []);
  });
});

/** A blueprint whose entities can depend on each other. */
const NODE = {
  identifier: "node",
  title: "Node",
  schema: { properties: { language: { type: "string" } } },
  relations: { parent: { target: "node", required: false, many: false } },
};

Deno.test("bulk_upsert_entities --prune deletes what depends on each other, and nothing else that depends on it", async () => {
  const child = (name: string, parent: string) => ({
    ...marked(name),
    relations: { parent },
  });
  const setUp = async (port: TestPort) => {
    await port.call("POST", "/blueprints", NODE);
    await put(port, "node", ["root", "used", "k"].map((name) => marked(name)));
    await put(port, "node", [child("middle", "root")]);
    await put(port, "node", [child("leaf", "middle")]);
    const other = { identifier: "other", relations: { parent: "used" } };
    await put(port, "node", [other]);
  };
  await withOld(setUp, async (port) => {
    const flags = "-b node --prune language=sync --prune-max 100%";
    const done = await sync(port, [marked("k")], flags);
    assertEquals(done.code, 8, done.stderr);
    assertEquals(summaryOf(done), { updated: 1, deleted: 3, failed: 1 });
    assertMatch(
      done.stderr,
      /error: Cannot delete 1 of 4 entities, the first --prune: node\/used: .*422.*dependents/,
    );
    const left = [...(await catalogue(port, "node")).keys()].sort();
    assertEquals(left, ["k", "other", "used"]);
  });
});

/** Sends a request again until it gets through the simulated failures. */
async function mustSave(port: TestPort, blueprint: string, entity: Line) {
  const path = `/blueprints/${blueprint}/entities?upsert=true&merge=true`;
  for (;;) {
    const response = await port.call("POST", path, entity).catch(() =>
      undefined
    );
    const isSaved = response?.ok;
    await response?.body?.cancel().catch(() => {});
    if (isSaved) return;
  }
}

for (const seed of [1, 2, 3]) {
  Deno.test(`bulk_upsert_entities --prune leaves exactly the input and the work of others, through simulated failures with seed ${seed}`, async () => {
    const kept = names("k", 40).map((name) => marked(name));
    const stale = names("s", 60);
    const setUp = async (port: TestPort) => {
      for (const entity of [...kept, ...stale.map((name) => marked(name))]) {
        await mustSave(port, "service", entity);
      }
    };
    await withOld(setUp, async (port) => {
      const others = new Map<string, string>();
      let turn = 0;
      // Right before each read, another program creates and changes entities.
      const write = async (name: string) => {
        others.set(name, `of another ${turn}`);
        await mustSave(port, "service", marked(name, others.get(name)));
      };
      const before = async ({ path, body }: { path: string; body: string }) => {
        if (!path.endsWith("/search") || !body.includes('"sync"')) return;
        turn++;
        await write(`o${turn}`);
        await write(`s${(turn * 7 * seed) % 60}`);
      };
      await withProxy(port.url, before, async (url) => {
        const input = [...kept, ...names("n", 10).map((name) => marked(name))];
        const flags = `${PRUNE} --prune-max 100% --changed-only --retries 40`;
        const done = await port.run(BULK, flags, {
          stdin: ndjson(input),
          env: { API_URL: url },
        });
        assertEquals(done.code, 0, done.stderr);
        assert(turn >= 4, done.stderr);
        assertEquals(
          await titlesOf(port),
          new Map([
            ...input.map(({ identifier }) => [identifier, identifier] as const),
            ...others,
          ].sort()),
          done.stderr,
        );
      });
    }, { failRate: 0.3, seed });
  });
}

/** Titles by identifier, read through the simulated failures. */
async function titlesOf(port: TestPort): Promise<Map<string, unknown>> {
  for (;;) {
    const there = await catalogue(port, "service").catch(() => undefined);
    if (!there) continue;
    return new Map(
      [...there].map(([name, entity]) => [name, Object(entity).title] as const)
        .sort(),
    );
  }
}

Deno.test("bulk_upsert_entities --prune reports what it deleted when it is interrupted, and a second run ends the work", async () => {
  const services = [...names("k", 3), ...names("s", 60)].map((name) =>
    marked(name)
  );
  await withServices(services, async (port) => {
    const flags = `${PRUNE} --prune-max 100%`;
    const ready = Promise.withResolvers<[Deno.ChildProcess, Output]>();
    let deletions = 0;
    const before = async ({ path }: { path: string }) => {
      if (!path.includes("/delete") || ++deletions < 2) return;
      const [process, { said }] = await ready.promise;
      process.kill("SIGTERM");
      await said("Interrupted");
    };
    await withProxy(port.url, before, async (url) => {
      const process = await start(BULK, `- ${flags}`, {
        env: { ...port.env, API_URL: url },
        stdin: ndjson(services.slice(0, 3)),
      });
      const output = readOutput(process);
      ready.resolve([process, output]);
      await process.stdin.close();
      const { code, stdout, stderr } = await output.result;
      assertEquals(code, 143, stderr);
      assertEquals(JSON.parse(stdout).deleted, 40);
      assertEquals(stderr.match(/ deleted\n/g)?.length, 40);
      assertMatch(stderr, /error: Interrupted.* 40 deleted; run it again/);
      assertEquals((await catalogue(port, "service")).size, 23);
    });
    const again = await sync(port, services.slice(0, 3), flags);
    assertEquals(again.code, 0, again.stderr);
    assertEquals([...(await catalogue(port, "service")).keys()], names("k", 3));
  });
});

Deno.test("bulk_upsert_entities --prune exits with the code of the signal, whatever request it waits for", async () => {
  const services = names("e", 3).map((name) => marked(name));
  await withServices(services, async (port) => {
    const interruptAt = async (part: string) => {
      const waits = Promise.withResolvers<void>();
      const before = async ({ path }: { path: string }) => {
        if (!path.includes(part)) return;
        waits.resolve();
        await new Promise(() => {});
      };
      await withProxy(port.url, before, async (url) => {
        const flags = `${PRUNE} --prune-max 100% --soft-fail`;
        const process = await start(BULK, `- ${flags}`, {
          env: { ...port.env, API_URL: url },
          stdin: ndjson([marked("e0")]),
        });
        await process.stdin.close();
        const output = readOutput(process);
        await waits.promise;
        process.kill("SIGTERM");
        const { code, stderr } = await output.result;
        assertEquals(code, 143, stderr);
        assertMatch(stderr, /error: Interrupted.*; run it again\n$/);
      });
    };
    const parts = ["/blueprints/service", "/search", "/delete"];
    await Promise.all(parts.map(interruptAt));
    assertEquals((await catalogue(port, "service")).size, 3);
  });
});

Deno.test("bulk_upsert_entities --prune does not report what somebody else changed as deleted", async () => {
  let updatedAt = "2020-01-01T00:00:00.000Z";
  const answer = ({ path }: Received): Answer => {
    if (path.includes("/delete")) {
      updatedAt = "2999-01-01T00:00:00.000Z";
      return 500;
    }
    return Response.json({
      accessToken: "made-up",
      blueprint: {
        schema: { properties: { language: { type: "string" } } },
      },
      entities: path.endsWith("/search")
        ? [{ identifier: "b", updatedAt }]
        : [{ index: 0, created: false }],
      errors: [],
    });
  };
  await withHandler(answer, async (API_URL) => {
    const done = await run(BULK, `- ${PRUNE}`, {
      env: { ...CREDENTIALS, API_URL },
      stdin: ndjson([marked("a")]),
    });
    assertEquals(done.code, 0, done.stderr);
    assertEquals(summaryOf(done), { updated: 1 });
  });
});

Deno.test("bulk_upsert_entities --prune exits with the code of the signal, though its input never begins", async () => {
  await withServices([], async (port) => {
    const ready = Promise.withResolvers<Deno.ChildProcess>();
    const before = async ({ path }: { path: string }) => {
      if (path.includes("/blueprints/")) (await ready.promise).kill("SIGTERM");
    };
    await withProxy(port.url, before, async (url) => {
      const process = await start(BULK, `- ${PRUNE}`, {
        env: { ...port.env, API_URL: url },
        stdin: "",
      });
      ready.resolve(process);
      const { code, stderr } = await readOutput(process).result;
      await process.stdin.close();
      assertEquals([code, stderr], [143, "error: Interrupted\n"]);
    });
  });
});

Deno.test("bulk_upsert_entities --prune reads again before it repeats a deletion, whatever the answer was", async () => {
  const faults: Answer[] = ["cut before", "cut in the middle", 500, 503, 429];
  const found = ["a", "gone"].map((identifier) => ({
    identifier,
    updatedAt: "2020-01-01T00:00:00.000Z",
  }));
  const blueprint = {
    schema: { properties: { language: { type: "string" } } },
  };
  let deletions = 0;
  const answer = ({ path }: Received): Answer => {
    if (path.includes("/delete")) {
      return faults[deletions++] ??
        Response.json({ deletedEntities: ["gone"] });
    }
    return Response.json({
      accessToken: "made-up",
      blueprint,
      entities: path.endsWith("/search")
        ? found
        : [{ index: 0, created: false }],
      errors: [],
    });
  };
  await withHandler(answer, async (API_URL, requests) => {
    const done = await run(BULK, `- ${PRUNE} --prune-max 1`, {
      env: { ...CREDENTIALS, API_URL },
      stdin: ndjson([marked("a")]),
    });
    assertEquals(done.code, 0, done.stderr);
    const paths = requests.map(({ path }) => path.replace(/^.*\/|\?.*/g, ""));
    assertEquals(paths.slice(paths.indexOf("bulk") + 1), [
      "search",
      ...[...faults, 200].flatMap(() => ["search", "delete"]),
    ]);
  });
});
