import { assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { catalogue, type Line, ndjson, withBoth } from "./support/bulk.ts";
import { put } from "./support/port.ts";
import {
  marked,
  names,
  summaryOf,
  sync,
  withServices,
  writes,
} from "./support/sync.ts";

Deno.test("bulk_upsert_entities --changed-only sends only what differs", async () => {
  const held = [
    {
      identifier: "a",
      title: "A",
      team: ["x"],
      properties: { tags: [{ n: 1 }], replicas: 2 },
    },
    { identifier: "b", properties: { version: "1" }, relations: {} },
    { identifier: "c", title: "C", properties: { version: "1", build: "1" } },
  ];
  const same: Line[] = [
    { identifier: "a" },
    {
      identifier: "a",
      properties: { replicas: 2, tags: [{ n: 1 }] },
      team: "x",
    } as Line,
    {
      identifier: "b",
      properties: { version: "1", build: null },
      relations: { image: null },
    },
    { identifier: "b", title: null } as Line,
  ];
  const different: [Line, what: string][] = [
    [{ identifier: "a", properties: { tags: [{ n: 2 }] } }, "updated"],
    [{ identifier: "a", title: "B" } as Line, "updated"],
    [{ identifier: "b", properties: { version: null } }, "updated"],
    [{ identifier: "new" }, "created"],
    [{ properties: { version: "1" } }, "created"],
  ];
  await withServices(held, async (port) => {
    const before = await catalogue(port, "service");
    const unchanged = await sync(port, same, "-b service --changed-only");
    assertEquals(unchanged.code, 0, unchanged.stderr);
    assertEquals(summaryOf(unchanged), { unchanged: same.length });
    assertEquals(writes(port), []);
    assertEquals(await catalogue(port, "service"), before);
    for (const [line, what] of different) {
      const mixed = await sync(
        port,
        [...same, line],
        "-b service --changed-only",
      );
      assertEquals(mixed.code, 0, mixed.stderr);
      assertEquals(summaryOf(mixed), { unchanged: same.length, [what]: 1 });
      await put(port, "service", held);
    }
  });
});

Deno.test("bulk_upsert_entities --changed-only --replace also sends what removes", async () => {
  const a = {
    identifier: "a",
    title: "A",
    properties: { version: "1", build: "2" },
  };
  const cases: [Line, what: string][] = [
    [a, "unchanged"],
    [
      { identifier: "a", title: "A", properties: { version: "1" } } as Line,
      "updated",
    ],
    [{ identifier: "a", properties: a.properties }, "updated"],
  ];
  await withServices([], async (port) => {
    for (const [line, what] of cases) {
      await put(port, "service", [a]);
      const done = await sync(
        port,
        [line],
        "-b service --changed-only --replace",
      );
      assertEquals(summaryOf(done), { [what]: 1 }, done.stderr);
    }
  });
});

Deno.test("bulk_upsert_entities --changed-only lets the last version of an entity win", async () => {
  await withServices([marked("a", "1")], async (port) => {
    const titles = ["1", "2", "1"];
    const lines = titles.map((title) => marked("a", title));
    const done = await sync(port, lines, "-b service --changed-only");
    assertEquals(summaryOf(done), { unchanged: 1, updated: 2 });
    assertEquals((await catalogue(port, "service")).get("a"), {
      ...marked("a", "1"),
      relations: {},
    });
  });
});

Deno.test("bulk_upsert_entities --changed-only reads 500 entities at once, and writes nothing for 10,000 that are the same", async () => {
  const services = names("e", 10_000).map((name) => marked(name));
  await withServices(services, async (port) => {
    const done = await sync(port, services, "-b service --changed-only");
    assertEquals(summaryOf(done), { unchanged: 10_000 }, done.stderr);
    assertEquals(writes(port), []);
    const reads = port.log.filter((line) => line.includes("/search "));
    assertEquals(reads.length, 20);
  });
});

Deno.test("bulk_upsert_entities --changed-only reads fewer of large entities at once", async () => {
  const large = names("e", 20).map((name) => marked(name, "x".repeat(900_000)));
  await withServices([], async (port) => {
    const done = await sync(port, large, "-b service --changed-only --dry-run");
    assertEquals(summaryOf(done), { created: 20 }, done.stderr);
    const reads = port.log.filter((line) => line.includes("/search "));
    assertEquals(reads.length, 2);
  });
});

Deno.test("bulk_upsert_entities --changed-only says why it cannot compare, and keeps everything", async () => {
  await withBoth({}, async (port, folder) => {
    const failed = `${folder}/failed.ndjson`;
    const flags = `--changed-only --failed-file ${failed}`;
    const lines = names("e", 30).map((identifier) => ({
      blueprint: "nowhere",
      identifier,
    }));
    const done = await sync(port, lines, flags);
    assertEquals(done.code, 8);
    assertMatch(
      done.stderr,
      /"nowhere" does not exist; create the blueprint first/,
    );
    assertEquals(await Deno.readTextFile(failed), ndjson(lines));
  });
});
