import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import type { Failure } from "../scripts/local_port/failures.ts";
import type { LocalPortOptions } from "../scripts/local_port/server.ts";
import {
  assertWrongCalls,
  deadUrl,
  type TestPort,
  withPort,
} from "./support/port.ts";
import { type Result, run } from "./support/run.ts";

async function remove(
  port: TestPort,
  args: string[],
  stdin?: string,
): Promise<Result> {
  return await run("delete_entity", ["-b", "service", ...args], {
    env: port.env,
    ...(stdin !== undefined && { stdin }),
  });
}

async function put(port: TestPort, blueprint: string, entities: unknown[]) {
  const path = `/blueprints/${blueprint}/entities/bulk?upsert=true`;
  const answer = await port.call("POST", path, { entities });
  assertEquals(answer.status, 200, await answer.text());
}

/** Lets a test delete services; two requests have put them there. */
async function withServices(
  names: string[],
  test: (port: TestPort) => Promise<void>,
  options: LocalPortOptions = {},
) {
  await withPort(options, async (port) => {
    await put(port, "service", names.map((identifier) => ({ identifier })));
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

Deno.test("delete_entity deletes one entity", async () => {
  await withServices(["a", "b"], async (port) => {
    const { code, stdout, stderr } = await remove(port, ["--identifier", "a"]);
    assertEquals([code, stdout, stderr], [
      0,
      "",
      'Deleted 1 of 1 entities of "service"\n',
    ]);
    assertEquals(await left(port), ["b"]);
  });
});

Deno.test("delete_entity deletes each --identifier", async () => {
  const names = ["a/b", "каса", "a\\b=c", "-", "x"];
  await withServices(names, async (port) => {
    const args = ["-i", "a/b", "-i=каса", "-ia\\b=c"];
    const { code, stderr } = await remove(port, args);
    assertEquals([code, stderr], [
      0,
      'Deleted 3 of 3 entities of "service"\n',
    ]);
    assertEquals(await left(port), ["-", "x"]);
  });
});

Deno.test("delete_entity deletes the others when one is gone, and ends with exit code 4", async () => {
  await withServices(["a", "b"], async (port) => {
    const args = ["-i", "a", "-i", "gone", "-i", "b"];
    const { code, stdout, stderr } = await remove(port, args);
    assertEquals([code, stdout], [4, ""]);
    assertMatch(
      stderr,
      /^Deleted 2 of 3 entities of "service"\nerror: Cannot delete entity "gone" of blueprint "service": Port answered 404: .*; check --blueprint and --identifier, or add --if-exists\n$/,
    );
    assertEquals(await left(port), []);
    const more = await remove(port, ["-i", "a", "-i", "b", "-i", "c"]);
    assertMatch(more.stderr, /\nerror: .*entity "a".* \(and 2 more\)\n$/);
  });
});

Deno.test("delete_entity deletes once what is named twice", async () => {
  await withServices(["a", "b"], async (port) => {
    const piped = await remove(port, ["-i", "-"], "a\na\n");
    assertEquals([piped.code, piped.stderr], [
      0,
      'Deleted 1 of 1 entities of "service"\n',
    ]);
    const { code, stderr } = await remove(port, ["-i", "b", "-i", "b"]);
    assertEquals([code, stderr], [
      0,
      'Deleted 1 of 1 entities of "service"\n',
    ]);
  });
});

Deno.test("delete_entity --if-exists does not mind what is gone", async () => {
  await withServices(["a", "b"], async (port) => {
    const some = await remove(port, ["--if-exists", "-i", "gone", "-i", "a"]);
    assertEquals([some.code, some.stderr], [
      0,
      'Deleted 1 of 2 entities of "service"\n',
    ]);
    const piped = await remove(port, ["--if-exists", "-i", "-"], "gone\nb\n");
    assertEquals([piped.code, piped.stderr], [
      0,
      'Deleted 1 of 2 entities of "service"\n',
    ]);
    assertEquals(await left(port), []);
  });
});

Deno.test("delete_entity --if-exists minds a blueprint that is not there", async () => {
  await withPort({}, async ({ env }) => {
    const call = (args: string[], stdin?: string) =>
      run("delete_entity", ["-b=srevice", "--if-exists", ...args], {
        env,
        ...(stdin !== undefined && { stdin }),
      });
    for (const result of [await call(["-i-"], "a\n"), await call(["-ia"])]) {
      assertEquals([result.code, result.stdout], [4, ""], result.stderr);
      assertStringIncludes(result.stderr, '"srevice"');
    }
  });
});

Deno.test("delete_entity -i - deletes what standard input names, 100 at once", async () => {
  const names = Array.from({ length: 250 }, (_, number) => `s${number}`);
  await withServices(["left"], async (port) => {
    for (let at = 0; at < names.length; at += 20) {
      const batch = names.slice(at, at + 20);
      await put(port, "service", batch.map((identifier) => ({ identifier })));
    }
    // As other programs write them: with blank lines, spaces and repeats.
    const text = `\uFEFF${names.join("\r\n")}\n\n  s0  \ns1`;
    const { code, stdout, stderr } = await remove(port, ["-i", "-"], text);
    assertEquals([code, stdout, stderr], [
      0,
      "",
      'Deleted 250 of 250 entities of "service"\n',
    ]);
    assertEquals(await left(port), ["left"]);
    const path = "/v1/blueprints/service/bulk/entities/delete";
    assertEquals(
      deletions(port),
      Array(3).fill(`POST ${path}?delete_dependents=false 200`),
    );
  });
});

Deno.test("delete_entity -i - deletes the others when some are gone, and ends with exit code 4", async () => {
  await withServices(["a", "b"], async (port) => {
    const text = "gone\na\nlost\nb\n";
    const { code, stdout, stderr } = await remove(port, ["-i-"], text);
    assertEquals([code, stdout], [4, ""]);
    assertMatch(
      stderr,
      /^Deleted 2 of 4 entities of "service"\nerror: Cannot delete entity "gone" .* \(and 1 more\)\n$/,
    );
    assertEquals(await left(port), []);
  });
});

Deno.test("delete_entity -i - has nothing to do for an empty input", async () => {
  await withPort({}, async (port) => {
    for (const text of ["", "\n \r\n"]) {
      const { code, stderr } = await remove(port, ["-i", "-"], text);
      assertEquals([code, stderr], [
        0,
        "warning: There was no identifier to read\n",
      ]);
    }
    assertEquals(port.log, []);
  });
});

Deno.test("delete_entity -i - sends nothing when one of the lines is no identifier", async () => {
  await withPort({}, async (port) => {
    const names = Array.from({ length: 150 }, (_, number) => `s${number}`);
    for (const wrong of ["a b", "..", "50%", "x".repeat(1001)]) {
      const text = [...names, wrong].join("\n");
      const { code, stdout, stderr } = await remove(port, ["-i-"], text);
      assertEquals([code, stdout], [2, ""]);
      assertMatch(stderr, /^error: Cannot use the entity identifier .*\n$/);
    }
    assertEquals(port.log, []);
  });
});

/** Lets a test delete the image of a service. */
async function withImages(test: (port: TestPort) => Promise<void>) {
  await withPort({}, async (port) => {
    await put(port, "image", [{ identifier: "i" }, { identifier: "j" }]);
    await put(port, "service", [{
      identifier: "a",
      relations: { image: "i" },
    }]);
    await test(port);
  });
}

Deno.test("delete_entity --delete-dependents deletes what is related too, and only then", async () => {
  for (
    const [args, stdin] of [[["-i", "i"]], [["-i", "-"], "j\ni\n"]] as const
  ) {
    await withImages(async (port) => {
      const call = (...flags: string[]) =>
        run("delete_entity", ["-b", "image", ...args, ...flags], {
          env: port.env,
          ...(stdin !== undefined && { stdin }),
        });
      const refused = await call();
      assertEquals([refused.code, refused.stdout], [5, ""]);
      assertMatch(
        refused.stderr,
        /^error: Cannot delete .*: Port answered 422: .*"i".* 1 dependents; .*\n$/,
      );
      assertEquals(await left(port), ["a"]);
      assertEquals((await call("--delete-dependents")).code, 0);
      assertEquals(await left(port), []);
      assertEquals(await port.entity("image", "i"), undefined);
    });
  }
});

Deno.test("delete_entity sends --run-id with each request", async () => {
  await withServices(["a", "b"], async (port) => {
    await remove(port, ["-i", "a", "--run-id", "r 1&x"]);
    await remove(port, ["-i-", "--run-id=r_2"], "b\n");
    const [one = "", many = ""] = deletions(port);
    assertStringIncludes(one, "?delete_dependents=false&run_id=r+1%26x 200");
    assertStringIncludes(many, "?delete_dependents=false&run_id=r_2 200");
  });
});

Deno.test("delete_entity --dry-run prints the requests and needs neither network nor credentials", async () => {
  const base = "https://api.port.io/v1/blueprints/service";
  const call = async (args: string[], stdin?: string) => {
    const { code, stdout, stderr } = await run(
      "delete_entity",
      ["-b", "service", "--dry-run", ...args],
      stdin === undefined ? {} : { stdin },
    );
    assertEquals([code, stderr], [0, ""]);
    return JSON.parse(stdout);
  };
  const flags = "?delete_dependents=true&run_id=r_1";
  assertEquals(
    await call(["-i=a/b", "-i=c", "--delete-dependents", "--run-id=r_1"]),
    ["a%2Fb", "c"].map((name) => ({
      method: "DELETE",
      url: `${base}/entities/${name}${flags}`,
    })),
  );
  const names = Array.from({ length: 101 }, (_, number) => `s${number}`);
  assertEquals(
    await call(["-i", "-"], names.join("\n")),
    [names.slice(0, 100), names.slice(100)].map((entities) => ({
      method: "POST",
      url: `${base}/bulk/entities/delete?delete_dependents=false`,
      body: { entities },
    })),
  );
});

/** Deletes in the failures of the first request that deletes. */
async function removeIn(
  kind: Failure,
  args: string[],
  stdin: string | undefined,
  test: (result: Result, port: TestPort) => void,
) {
  // Log-in and upsert of the test, log-in of the script.
  const failures: LocalPortOptions["failures"] = ["none", "none", "none", kind];
  await withServices(["a"], async (port) => {
    test(await remove(port, args, stdin), port);
    assertEquals(await left(port), []);
  }, { failures });
}

Deno.test("delete_entity takes for deleted what it finds gone after a cut answer", async () => {
  await removeIn("cut-middle", ["-i", "a"], undefined, (result, port) => {
    assertEquals(result.code, 0, result.stderr);
    assertStringIncludes(result.stderr, "Deleted 1 of 1");
    const [first = "", second = ""] = deletions(port);
    assertMatch(first, /^DELETE .* 200 cut-middle$/);
    assertMatch(second, /^DELETE .* 404$/);
  });
  await removeIn("cut-middle", ["-i", "-"], "a\n", (result, port) => {
    assertEquals(result.code, 0, result.stderr);
    assertStringIncludes(result.stderr, "Deleted 1 of 1");
    assertEquals(deletions(port).length, 2);
  });
});

Deno.test("delete_entity takes for deleted what it finds gone after no answer", async () => {
  for (const [args, stdin] of [[["-i", "a"]], [["-i", "-"], "a\n"]] as const) {
    await removeIn("cut-before", [...args], stdin, ({ code, stderr }) => {
      assertEquals(code, 0, stderr);
      assertStringIncludes(stderr, "Deleted 1 of 1");
    });
  }
});

Deno.test("delete_entity survives the failures that Port does not act in", async () => {
  for (const kind of ["error", "bad-gateway", "unavailable"] as const) {
    await removeIn(kind, ["-i", "a"], undefined, ({ code, stderr }, port) => {
      assertEquals(code, 0, stderr);
      assertEquals(deletions(port).length, 2);
    });
  }
});

Deno.test("delete_entity tells what is gone though Port was unavailable at first", async () => {
  const failures: LocalPortOptions["failures"] = ["none", "unavailable"];
  for (const [args, stdin] of [[["-i", "a"]], [["-i", "-"], "a\n"]] as const) {
    await withPort({ failures }, async (port) => {
      const { code, stderr } = await remove(port, [...args], stdin);
      // A 503 was turned away: the attempt before has deleted nothing.
      assertEquals([code, deletions(port).length], [4, 2], stderr);
      assertStringIncludes(stderr, "Deleted 0 of 1");
    });
  }
});

Deno.test("delete_entity tells each refusal of Port with its exit code", async () => {
  await withServices(["a"], async (port) => {
    const refused = async (
      code: number,
      says: string,
      args: string[],
      env: Record<string, string> = {},
    ) => {
      const result = await run("delete_entity", args, {
        env: { ...port.env, ...env },
        stdin: "a\n",
      });
      assertEquals([result.code, result.stdout], [code, ""], result.stderr);
      assertMatch(result.stderr, /error: [^\n]*\n$/);
      assertStringIncludes(result.stderr, says);
    };
    const one = ["-b=service", "-i=a"];
    const piped = ["-b=service", "-i=-"];
    const wrong = { PORT_CLIENT_SECRET: "wrong" };
    await refused(3, "Port answered 401", one, wrong);
    await refused(3, "Port answered 401", piped, wrong);
    await refused(4, 'identifier "nope"', ["-b=nope", "-i=a"]);
    await refused(4, 'identifier "nope"', ["-b=nope", "-i=-"]);
    const dead = { API_URL: await deadUrl() };
    await refused(6, "check the API URL", [...one, "--retries=0"], dead);
    await refused(6, "check the API URL", [...piped, "--retries=0"], dead);
    assertEquals(await left(port), ["a"]);
  });
});

Deno.test("delete_entity --soft-fail turns Port's refusal into a warning", async () => {
  await withPort({}, async (port) => {
    const { code, stderr } = await remove(port, ["-i", "x", "--soft-fail"]);
    assertEquals(code, 0);
    assertMatch(stderr, /\nwarning: Cannot delete .* \(--soft-fail\)\n$/);
  });
});

Deno.test("delete_entity takes the flags that every script has", async () => {
  await withServices(["a", "b"], async (port) => {
    const quiet = await remove(port, ["-i", "a", "--quiet", "--timeout=1m"]);
    assertEquals([quiet.code, quiet.stderr], [0, ""]);
    const { stderr } = await remove(port, ["-i-", "--verbose"], "b\n");
    assertMatch(
      stderr,
      /\nPOST \S+\/bulk\/entities\/delete\S*: Port answered 200 \(attempt 1, \d+ ms\)\n/,
    );
  });
});

Deno.test("delete_entity answers a wrong call with one line, exit code 2 and no request", async () => {
  const give = "give --identifier ID, again for more, or --identifier - alone";
  const service = ["-b", "service"];
  await assertWrongCalls("delete_entity", [
    [["-i", "x"], "Missing --blueprint ID"],
    [service, give],
    [[...service, "-i", "-", "-i", "x"], give],
    [[...service, "-i", "-", "-i", "-"], give],
    [["-b", "a=b", "-i", "x"], "blueprint identifier"],
    [[...service, "-b", "image", "-i", "x"], "--blueprint is given twice"],
    [[...service, "-i", ""], "--identifier ID is empty"],
    [[...service, "-i"], "Missing the value of -i ID"],
    [[...service, "-i", ".."], 'entity identifier ".."'],
    [[...service, "-i", "x", "-i", "a b"], 'entity identifier "a b"'],
    [[...service, "-i", "x", "--run-id"], "Missing the value of --run-id ID"],
    [[...service, "-i", "x", "--run-id="], "--run-id ID is empty"],
    [[...service, "-i", "x", "--delete-dependents=1"], "takes no value"],
    [[...service, "-i", "x", "--if-exists=no"], "takes no value"],
    [[...service, "-i", "x", "--dry-run=1"], "takes no value"],
    [[...service, "-i", "..", "--dry-run"], 'entity identifier ".."'],
    [[...service, "-i", "x", "--if-exist"], "did you mean --if-exists?"],
    [[...service, "-i", "x", "y"], 'Unexpected argument "y"'],
    [[...service, "--soft-fail"], give],
  ]);
});
