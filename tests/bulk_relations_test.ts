import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import fc from "npm:fast-check@4.10.2";
import type { BulkItem } from "../lib/bulk/batches.ts";
import { Pacer } from "../lib/bulk/pace.ts";
import {
  type BulkAnswer,
  type BulkOptions,
  bulkUpsert,
} from "../lib/bulk/run.ts";
import { Stop } from "../lib/bulk/stop.ts";
import { PortError } from "../lib/port.ts";
import type { LocalPortOptions } from "../scripts/local_port/server.ts";
import { bulk, catalogue, type Line, ndjson } from "./support/bulk.ts";
import { assertExact, type Graph, graphs } from "./support/graph.ts";
import { type TestPort, withPort } from "./support/port.ts";
import { withFolder } from "./support/run.ts";

/** Blueprints with relations: target, `[]` if many, `!` if required. */
const BLUEPRINTS: Record<string, Record<string, string>> = {
  node: { next: "node", peers: "node[]", host: "host" },
  host: { node: "node", nodes: "node[]" },
  // Each needs the other one, and a car needs an engine.
  lock: { key: "key!" },
  key: { lock: "lock!" },
  car: { engine: "engine!" },
  engine: { car: "car" },
};

function makeBlueprint(identifier: string) {
  const relations = Object.entries(BLUEPRINTS[identifier] ?? {}).map(
    ([name, target]) => [name, {
      target: /\w+/.exec(target)?.[0],
      many: target.endsWith("[]"),
      required: target.endsWith("!"),
    }],
  );
  return {
    identifier,
    title: identifier,
    schema: { properties: { text: { type: "string" } }, required: [] },
    relations: Object.fromEntries(relations),
  };
}

/** Lets a test use a local Port with the blueprints. */
async function withBlueprints(
  options: LocalPortOptions,
  test: (port: TestPort) => Promise<void>,
): Promise<void> {
  await withFolder(async (blueprints) => {
    for (const name of Object.keys(BLUEPRINTS)) {
      const text = JSON.stringify(makeBlueprint(name));
      await Deno.writeTextFile(`${blueprints}/${name}.json`, text);
    }
    await withPort({ ...options, blueprints }, test);
  });
}

/** Makes an entity from `blueprint/identifier`. */
function entity(name: string, relations: Record<string, unknown> = {}): Line {
  const [blueprint = "", identifier = ""] = name.split("/");
  return { blueprint, identifier, relations };
}

/** All entities, as `blueprint/identifier`, with their relations. */
async function everything(port: TestPort): Promise<Record<string, unknown>> {
  const all: [string, unknown][] = [];
  for (const blueprint of Object.keys(BLUEPRINTS)) {
    for (const [name, { relations }] of await catalogue(port, blueprint)) {
      all.push([`${blueprint}/${name}`, relations]);
    }
  }
  return Object.fromEntries(all);
}

/** The same of the input. */
function inputOf(lines: Line[]): Record<string, unknown> {
  return Object.fromEntries(
    lines.map(({ blueprint, identifier, relations }) => [
      `${blueprint}/${identifier}`,
      relations,
    ]),
  );
}

Deno.test("bulk_upsert_entities accepts new entities that relate to each other", async () => {
  const many = Array.from({ length: 50 }, (_, number) => number);
  const cases: Record<string, Line[]> = {
    "two": [entity("node/a", { next: "b" }), entity("node/b", { next: "a" })],
    "three": [
      entity("node/a", { next: "b" }),
      entity("node/b", { next: "c" }),
      entity("node/c", { next: "a" }),
    ],
    "itself": [entity("node/a", { next: "a", peers: ["a"] })],
    "across blueprints, with the same identifier": [
      entity("node/a", { host: "a" }),
      entity("host/a", { node: "a" }),
    ],
    "many": [
      entity("node/a", { peers: ["b", "c"] }),
      entity("node/b", { peers: ["c", "a"] }),
      entity("node/c", { peers: ["a", "b", "c"], next: "b" }),
    ],
    "two circles and what leads to them": [
      entity("node/start", { next: "to" }),
      entity("node/to", { next: "a" }),
      entity("node/a", { next: "b" }),
      entity("node/b", { next: "a", host: "h" }),
      entity("host/h", { node: "c" }),
      entity("node/c", { peers: ["c"] }),
    ],
    "more than a request holds": many.map((number) =>
      entity(`node/n${number}`, { next: `n${(number + 1) % many.length}` })
    ),
    "only one of them is required": [
      entity("car/a", { engine: "b" }),
      entity("engine/b", { car: "a" }),
    ],
  };
  for (const [name, lines] of Object.entries(cases)) {
    await withBlueprints({}, async (port) => {
      const { code, stdout, stderr } = await bulk(port, ndjson(lines));
      assertEquals(code, 0, `${name}: ${stderr}`);
      const { created, updated, failed } = JSON.parse(stdout);
      assertEquals([created, updated, failed], [lines.length, 0, 0], name);
      assertEquals(await everything(port), inputOf(lines), name);
    });
  }
});

Deno.test("bulk_upsert_entities fails what needs an entity that nobody gives", async () => {
  const lines = [
    // A chain, and a circle that both end in it.
    entity("node/a", { next: "b" }),
    entity("node/b", { next: "none" }),
    entity("node/c", { next: "d" }),
    entity("node/d", { next: "c", host: "none" }),
    // The same identifier in another blueprint is another entity.
    entity("node/same", { host: "same" }),
    entity("node/good"),
  ];
  await withBlueprints({}, async (port) => {
    const { code, stdout, stderr } = await bulk(port, ndjson(lines));
    assertEquals([code, JSON.parse(stdout).failed], [8, 5], stderr);
    const there = await everything(port);
    // Only Port knows that "d" cannot be saved: "c" was saved without it.
    assertEquals(there, { "node/c": {}, "node/good": {} });
    assertMatch(stderr, /: 2 failed, .* "host" lacks 2 entities: none, same;/);
  });
});

Deno.test("bulk_upsert_entities says that entities which require each other are impossible", async () => {
  await withBlueprints({}, async (port) => {
    const { code, stdout, stderr } = await bulk(
      port,
      ndjson([
        entity("lock/a", { key: "b" }),
        entity("key/b", { lock: "a" }),
      ]),
    );
    assertEquals([code, JSON.parse(stdout).failed], [8, 2], stderr);
    for (const [name, relation] of [["lock/a", "key"], ["key/b", "lock"]]) {
      const reason = `${name}: 422: Relation "${relation}" is required; it and`;
      assertStringIncludes(stderr, reason);
    }
    assertStringIncludes(stderr, "neither can be first: make one of the");
    assertEquals(await everything(port), {});
  });
});

Deno.test("bulk_upsert_entities --validate-only saves no part of an entity", async () => {
  const lines = [
    entity("node/a", { next: "b" }),
    entity("node/b", { next: "a" }),
  ];
  await withBlueprints({}, async (port) => {
    const { code, stderr } = await bulk(
      port,
      ndjson(lines),
      "--validate-only",
    );
    assertEquals(code, 8, stderr);
    assertEquals(await everything(port), {});
  });
});

Deno.test("bulk_upsert_entities keeps the order of versions that relate to each other", async () => {
  const version = (name: string, next: string, text: string) => ({
    ...entity(name, { next }),
    properties: { text },
  });
  const stdin = ndjson([
    version("node/a", "b", "1"),
    version("node/a", "a", "2"),
    version("node/b", "a", "1"),
    version("node/b", "b", "2"),
  ]);
  for (const flags of ["", "--replace"]) {
    await withBlueprints({}, async (port) => {
      const { stdout, stderr } = await bulk(port, stdin, flags);
      const { created, updated, failed } = JSON.parse(stdout);
      assertEquals([created, updated, failed], [2, 2, 0], stderr);
      for (const name of ["a", "b"]) {
        assertEquals(await port.entity("node", name), {
          identifier: name,
          properties: { text: "2" },
          relations: { next: name },
        });
      }
    });
  }
});

/** A Port that knows one blueprint, and fails as it is told. */
function makePort(faults: number[]) {
  const saved = new Map<string, string[]>();
  let turn = 0;
  const send: BulkOptions["send"] = async (_, entities) => {
    await Promise.resolve();
    const answer: BulkAnswer = { entities: [], errors: [] };
    for (const [index, { identifier, relations }] of entities.entries()) {
      const name = String(identifier);
      const { peers }: { peers?: string[] } = Object(relations);
      const missing = peers?.find((peer) => !saved.has(peer));
      const statusCode = faults[turn++] ?? (missing === undefined ? 0 : 404);
      if (statusCode === 0) {
        answer.entities.push({ index, created: !saved.has(name) });
        saved.set(name, peers ?? saved.get(name) ?? []);
        continue;
      }
      const message = `Entity with identifier "${missing}" does not exist ` +
        'in the blueprint "node"';
      answer.errors.push({ index, statusCode, message });
    }
    return answer;
  };
  return { send, saved };
}

/** Upserts a graph; returns how each entity ended. */
async function upsert(
  graph: Graph,
  send: BulkOptions["send"],
  options: Partial<BulkOptions> = {},
): Promise<Map<string, string>> {
  const items = graph.map((peers, number): BulkItem => ({
    place: `test:${number}`,
    blueprint: "node",
    entity: { identifier: `n${number}`, relations: { peers } },
    size: 50,
  }));
  const ends = new Map<string, string>();
  const end = ({ entity }: BulkItem, what: string) => {
    const name = String(entity.identifier);
    assert(!ends.has(name), `${name} ended twice`);
    ends.set(name, what);
  };
  const { random } = Math;
  // No pause before a retry.
  Math.random = () => 0;
  await bulkUpsert(ReadableStream.from(items), {
    send,
    concurrency: 5,
    retries: 1000,
    validateOnly: false,
    pacer: new Pacer(),
    stop: new Stop(String),
    graceOver: new AbortController().signal,
    onDone: (item, created) => end(item, created ? "created" : "updated"),
    onFailed: end,
    ...options,
  });
  Math.random = random;
  assertEquals(ends.size, graph.length, "every item ends");
  return ends;
}

Deno.test("bulkUpsert() saves whole what finds its related entities, and reports each once", async () => {
  await fc.assert(
    fc.asyncProperty(
      graphs(30, 1),
      fc.array(fc.constantFrom(429, 500, 503), { maxLength: 40 }),
      fc.integer({ min: 1, max: 20 }),
      async (graph, faults, concurrency) => {
        const { send, saved } = makePort(faults);
        const ends = await upsert(graph, send, { concurrency });
        const failed = [...ends].filter(([_, end]) => end.startsWith("404: "));
        assertExact(graph, saved, new Set(failed.map(([name]) => name)));
        const created = [...ends.values()].filter((end) => end === "created");
        assertEquals(created.length + failed.length, graph.length);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("bulkUpsert() halves rejected requests and repeats failed ones of parts, too", async () => {
  const facts = { method: "POST", path: "/v1", idempotent: true } as const;
  const rejected = { kind: "rejected", ...facts, maybeApplied: false } as const;
  const { send, saved } = makePort(Array(30).fill(503));
  const sizes: number[] = [];
  const graph = Array.from({ length: 30 }, (_, at) => [`n${(at + 1) % 30}`]);
  const ends = await upsert(graph, async (blueprint, entities, signal) => {
    sizes.push(entities.length);
    if (entities.length > 3) throw new PortError("Too large", rejected);
    return await send(blueprint, entities, signal);
  });
  assertEquals(new Set(ends.values()), new Set(["created"]));
  assertExact(graph, saved, new Set());
  assertEquals(Math.max(...sizes), 20);
});

Deno.test("bulkUpsert() stopped between part and whole fails the whole", async () => {
  const { send, saved } = makePort([]);
  const stop = new Stop(String);
  const sendAndStop: BulkOptions["send"] = async (...args) => {
    const answer = await send(...args);
    if (answer.entities.length > 0) stop.because("interrupted");
    return answer;
  };
  const ends = await upsert([["n1"], ["n0"]], sendAndStop, { stop });
  assertEquals([...ends.values()], ["interrupted", "interrupted"]);
  assertEquals(saved, new Map([["n0", []], ["n1", []]]));
});

/** Reads past the simulated failures. */
async function settled(port: TestPort): Promise<Map<string, Line>> {
  for (;;) {
    try {
      return await catalogue(port, "node");
    } catch {
      // Readers fail, too.
    }
  }
}

Deno.test("bulk_upsert_entities ends exactly right with circles, through simulated failures", async () => {
  await Promise.all([1, 4, 5].map((seed) => {
    const [graph = []] = fc.sample(graphs(150, 1), { seed, numRuns: 1 });
    const lines = graph.map((peers, number) =>
      entity(`node/n${number}`, { peers })
    );
    const options: LocalPortOptions = {
      failRate: 0.3,
      failures: ["none", "none"],
      seed,
    };
    return withBlueprints(options, async (port) => {
      await port.call("GET", "/blueprints/none");
      await withFolder(async (folder) => {
        const kept = `${folder}/failed.ndjson`;
        const flags = `--concurrency=20 --failed-file=${kept}`;
        const { stdout, stderr } = await bulk(port, ndjson(lines), flags);
        const { created, updated, failed } = JSON.parse(stdout);
        assertEquals(created + updated + failed, graph.length, stderr);
        // What failed is kept as a whole.
        const names = new Map(
          lines.map((line) => [JSON.stringify(line), line.identifier]),
        );
        const text = await Deno.readTextFile(kept);
        const failures = text.split("\n").slice(0, -1)
          .map((line) => names.get(line) ?? line);
        const there = await settled(port);
        const peers = there.entries().map(([name, { relations }]) =>
          [name, relations?.peers] as const
        );
        assertExact(graph, new Map(peers), new Set(failures));
      });
    });
  }));
});
