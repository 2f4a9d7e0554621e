import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import {
  assertError,
  assertFailures,
  assertWrongCalls,
  CREDENTIALS,
  put,
  type TestPort,
  withHandler,
  withPort,
  WRONG_SECRET,
} from "./support/port.ts";
import { readOutput, run, start } from "./support/run.ts";

/** The two ways to name an entity `a`, with the standard input of each. */
const WAYS = [["-i a", ""], ["-i -", "a\n"]] as const;

/** Deletes services. */
async function remove(port: TestPort, flags: string, stdin = "") {
  return await port.run("delete_entity", `-b service ${flags}`, { stdin });
}

/** The line that reports how many services were deleted. */
function report(deleted: number, all: number): string {
  return `Deleted ${deleted} of ${all} entities of "service"\n`;
}

/** Lets a test delete services. */
async function withServices(
  names: string[],
  test: (port: TestPort) => Promise<void>,
) {
  await withPort({}, async (port) => {
    await put(port, "service", names);
    await test(port);
  });
}

/** The services that are left. */
async function left(port: TestPort): Promise<string[]> {
  const answer = await port.call("GET", "/blueprints/service/entities");
  const { entities } = await answer.json() as {
    entities: { identifier: string }[];
  };
  return entities.map(({ identifier }) => identifier);
}

/** The requests to delete that arrived, without their times. */
function deletions({ log }: TestPort): string[] {
  return log.filter((line) => /^DELETE|entities\/delete/.test(line))
    .map((line) => line.replace(/ \d+ms/, ""));
}

/** More identifiers than one request may hold. */
function makeNames(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `s${number}`);
}

/** Flags, standard input, what they delete and how many they name. */
type Deletion = [flags: string, stdin: string, deletes: string[], of: number];

/** Fails unless each call deletes and reports these entities, and no other. */
async function assertDeletes(calls: Deletion[]) {
  const names = ["a", "b", "a/b", "каса", "a\\b=c", "-"];
  await Promise.all(
    calls.map(([flags, stdin, deletes, of]) =>
      withServices(names, async (port) => {
        const { code, stdout, stderr } = await remove(port, flags, stdin);
        const line = report(deletes.length, of);
        assertEquals([code, stdout, stderr], [0, "", line], flags);
        const others = names.filter((name) => !deletes.includes(name));
        assertEquals(await left(port), others, flags);
      })
    ),
  );
}

Deno.test("delete_entity deletes each --identifier once, with --if-exists also if some are gone", async () => {
  await assertDeletes([
    ["--identifier a", "", ["a"], 1],
    ["-i a/b -i=каса -ia\\b=c", "", ["a/b", "каса", "a\\b=c"], 3],
    ["-i b -i b", "", ["b"], 1],
    ["-i -", "a\na\n", ["a"], 1],
    ["--if-exists -i gone -i a", "", ["a"], 2],
    ["--if-exists -i -", "gone\nb\n", ["b"], 2],
  ]);
});

Deno.test("delete_entity deletes the others if some do not exist, and ends with exit code 4", async () => {
  const cases: [flags: string, stdin: string, of: number, error: RegExp][] = [
    [
      "-i a -i gone -i b",
      "",
      3,
      /"gone" .* 404: .*, or add --if-exists\n$/,
    ],
    ["-i x -i a -i y -i b -i z", "", 5, /"x" .* \(and 2 more\)\n$/],
    ["-i -", "gone\na\nno\nb\n", 4, /"gone" .*-exists \(and 1 more\)\n$/],
  ];
  for (const [flags, stdin, of, error] of cases) {
    await withServices(["a", "b"], async (port) => {
      const { code, stdout, stderr } = await remove(port, flags, stdin);
      const line = `${report(2, of)}error: Cannot delete entity `;
      assertEquals([code, stdout], [4, ""]);
      assertEquals(stderr.slice(0, line.length), line);
      assertMatch(stderr.slice(line.length), error);
      assertEquals(await left(port), []);
    });
  }
});

Deno.test("delete_entity -i - deletes the lines of standard input, 100 per request", async () => {
  const names = makeNames(250);
  await withServices(["left", ...names], async (port) => {
    // As other programs write them: with blank lines, spaces and repeats.
    const text = `\uFEFF${names.join("\r\n")}\n\n  s0  \ns1`;
    const { code, stdout, stderr } = await remove(port, "-i - --max 250", text);
    assertEquals([code, stdout, stderr], [0, "", report(250, 250)]);
    assertEquals(await left(port), ["left"]);
    const path = "/v1/blueprints/service/bulk/entities/delete";
    assertEquals(
      deletions(port),
      Array(3).fill(`POST ${path}?delete_dependents=false 200`),
    );
  });
});

Deno.test("delete_entity -i - has nothing to do for an empty input", async () => {
  await withPort({}, async (port) => {
    for (const text of ["", "\n \r\n"]) {
      const { code, stderr } = await remove(port, "-i -", text);
      assertEquals(code, 0);
      assertEquals(stderr, "warning: There was no identifier to read\n");
    }
    assertEquals(port.log, []);
  });
});

Deno.test("delete_entity --delete-dependents deletes related entities too, and only then", async () => {
  for (const [flags, stdin] of [["-i i", ""], ["-i -", "j\ni\n"]] as const) {
    await withPort({}, async (port) => {
      await put(port, "image", ["i", "j"]);
      const relations = { image: "i" };
      await put(port, "service", [{ identifier: "a", relations }]);
      const args = `-b image ${flags}`;
      const reason = 'Entity "i" of the blueprint "image" has 1 dependents';
      const options = { stdin };
      await assertFailures(port, "delete_entity", [[args, 5, reason, options]]);
      assertEquals(await left(port), ["a"]);
      const all = `${args} --delete-dependents`;
      const { code } = await port.run("delete_entity", all, options);
      assertEquals([code, await left(port)], [0, []]);
      assertEquals(await port.entity("image", "i"), undefined);
    });
  }
});

Deno.test("delete_entity sends --run-id with each request", async () => {
  await withServices(["a", "b"], async (port) => {
    const args = ["-b=service", "-i=a", "--run-id=r 1&x"];
    await port.run("delete_entity", args);
    await remove(port, "-i- --run-id r_2", "b\n");
    const [one = "", many = ""] = deletions(port);
    assertStringIncludes(one, "?delete_dependents=false&run_id=r+1%26x 200");
    assertStringIncludes(many, "?delete_dependents=false&run_id=r_2 200");
  });
});

Deno.test("delete_entity --dry-run prints the requests and needs neither network nor credentials", async () => {
  const base = "https://api.port.io/v1/blueprints/service";
  const call = async (flags: string, stdin = "") => {
    const args = `-b service --dry-run ${flags}`;
    const { stdout, stderr } = await run("delete_entity", args, { stdin });
    assertEquals(stderr, "");
    return JSON.parse(stdout);
  };
  assertEquals(
    await call("-i a/b -i c --delete-dependents --run-id r_1"),
    ["a%2Fb", "c"].map((name) => ({
      method: "DELETE",
      url: `${base}/entities/${name}?delete_dependents=true&run_id=r_1`,
    })),
  );
  const names = makeNames(101);
  assertEquals(
    await call("-i - --max=101", names.join("\n")),
    [names.slice(0, 100), names.slice(100)].map((entities) => ({
      method: "POST",
      url: `${base}/bulk/entities/delete?delete_dependents=false`,
      body: { entities },
    })),
  );
});

Deno.test("delete_entity succeeds after one failure, even if the entity is gone by then", async () => {
  const kinds = [
    ["cut-middle", "200 cut-middle"],
    ["cut-before", "200 cut-before"],
    ["error", "500"],
    ["bad-gateway", "502"],
    ["unavailable", "503"],
  ] as const;
  for (const [kind, logged] of kinds) {
    await Promise.all(WAYS.map(async ([flags, stdin]) => {
      // The log-in and upsert of the test, the log-in of the script.
      const failures = ["none", "none", "none", kind] as const;
      await withPort({ failures: [...failures] }, async (port) => {
        await put(port, "service", ["a"]);
        const { code, stderr } = await remove(port, flags, stdin);
        assertEquals(code, 0, stderr);
        assertMatch(stderr, /^warning: .*; next attempt in .*\n.*\n$/);
        const isGone = kind.startsWith("cut");
        const gone = "; 1 more gone (deleted, or never there)";
        const line = report(isGone ? 0 : 1, 1);
        assertStringIncludes(stderr, isGone ? line.replace("\n", gone) : line);
        const [first = "", second = "", ...more] = deletions(port);
        assertEquals(first.split(" ").slice(2).join(" "), logged);
        assertStringIncludes(second, isGone && !stdin ? " 404" : " 200");
        assertEquals([await left(port), more], [[], []]);
      });
    }));
  }
});

Deno.test("delete_entity claims no deletion that it cannot know of, also over a new login", async () => {
  const notFound = Response.json({ message: "None" }, { status: 404 });
  const none = Response.json({ deletedEntities: [] });
  for (const [flags, stdin] of WAYS) {
    for (
      const [between, hasBlueprint] of [[[], true], [[401], true], [
        [],
        false,
      ]] as const
    ) {
      const last = stdin ? none : notFound;
      const answers = [500, ...between].map((status) =>
        Response.json({ message: "No" }, { status })
      );
      const responses = [...answers, last.clone()];
      const handler = ({ url, method }: Request) => {
        if (url.endsWith("/access_token")) {
          return Response.json({ accessToken: "made-up-token" });
        }
        if (method !== "GET") return responses.shift() ?? last.clone();
        // Whoever answers 404 to all that it is asked knows of no entity.
        return hasBlueprint
          ? Response.json({ blueprint: { identifier: "service" } })
          : notFound.clone();
      };
      await withHandler(handler, async (API_URL) => {
        const env = { ...CREDENTIALS, API_URL };
        const args = `-b service ${flags}`;
        const { code, stderr } = await run("delete_entity", args, {
          env,
          stdin,
        });
        const expected = hasBlueprint ? 0 : 4;
        assertEquals([code, responses.length], [expected, 0], stderr);
        const line = 'Deleted 0 of 1 entities of "service"; 1 more gone (';
        assertStringIncludes(stderr, line);
      });
    }
  }
});

Deno.test("delete_entity reports a missing entity even if Port was unavailable at first", async () => {
  for (const [flags, stdin] of WAYS) {
    await withPort({ failures: ["none", "unavailable"] }, async (port) => {
      const { code, stderr } = await remove(port, flags, stdin);
      // Port does not act before a 503: the first attempt deleted nothing.
      assertEquals([code, deletions(port).length], [4, 2], stderr);
      assertStringIncludes(stderr, report(0, 1));
    });
  }
});

Deno.test("delete_entity ends with the exit code of what failed", async () => {
  const nope = 'Blueprint with identifier "nope" does not exist';
  await withServices(["a"], async (port) => {
    for (const [flags, stdin] of WAYS) {
      const wrong = { stdin, env: WRONG_SECRET };
      await assertFailures(port, "delete_entity", [
        [`-b service ${flags}`, 3, "Port answered 401", wrong],
        [`-b nope --quiet ${flags}`, 4, nope, { stdin }],
        [`-b nope --quiet --if-exists ${flags}`, 4, nope, { stdin }],
      ]);
    }
    assertEquals(await left(port), ["a"]);
  });
});

Deno.test("delete_entity -i - does not wait for the end of what it refuses", async () => {
  const cases: [stdin: string, message: string][] = [
    [`${makeNames(101).join("\n")}\n`, "more than 100 entities"],
    ["x".repeat(2 ** 20 + 1), "1 MiB without another identifier"],
  ];
  for (const [stdin, message] of cases) {
    const args = "-b service -i -";
    const child = await start("delete_entity", args, {
      env: CREDENTIALS,
      stdin,
    });
    assertError(await readOutput(child).result, 2, message);
    await child.stdin.abort();
  }
});

Deno.test("delete_entity rejects wrong arguments with exit code 2, before any request", async () => {
  const give = "give --identifier ID, again for more, or - for one per line";
  const alone = "Cannot use --identifier - with another: write all to standard";
  const identifier = (text: string) =>
    `Cannot use the entity identifier "${text}`;
  const wrongLine = (text: string) => ({
    stdin: [...makeNames(50), text].join("\n"),
  });
  const long = "x".repeat(1001);
  const names = (count: number) => ({ stdin: makeNames(count).join("\n") });
  const many = (max: number) =>
    `Cannot delete more than ${max} entities: check the list, then raise --max`;
  const idle = "1 MiB without another identifier; write one per line";
  await assertWrongCalls("delete_entity", [
    ["-i x", "Missing --blueprint ID"],
    ["-b service", give],
    ["-b service -i - -i x", alone],
    ["-b service -i - -i -", alone],
    ["-b service --soft-fail", give],
    ["-b a=b -i x", 'Cannot use the blueprint identifier "a=b"'],
    ["-b service -i=", "The value of --identifier ID is empty"],
    ["-b service -i ..", identifier('.."')],
    [["-b=service", "-i=x", "-i=a b"], identifier('a b"')],
    ["-b service -i .. --dry-run", identifier('.."')],
    ["-b service -i-", identifier('a b"'), wrongLine("a b")],
    ["-b service -i-", identifier('.."'), wrongLine("..")],
    ["-b service -i-", identifier('50%"'), wrongLine("50%")],
    ["-b service -i-", identifier("\ufffd"), wrongLine("\ufffd")],
    ["-b service -i-", identifier("xxx"), wrongLine(long)],
    ["-b service -i-", many(100), names(101)],
    ["-b service -i- --max 9", many(9), names(10)],
    ["-b service -i- --dry-run", many(100), names(101)],
    ["-b service -i x -i y --max 1", many(1)],
    ["-b service -i-", idle, { stdin: "\n".repeat(2 ** 20 + 1) }],
    [["-bservice", "-i=a\nb"], identifier("a b")],
    ["-b service -i x --max 0", 'Cannot use --max "0"'],
  ]);
});
