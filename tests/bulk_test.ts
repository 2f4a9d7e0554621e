import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import fc from "npm:fast-check@4.10.2";
import {
  type BulkItem,
  type BulkOptions,
  bulkUpsert,
  Pacer,
  type SendBatch,
} from "../lib/bulk.ts";
import { readShard } from "../lib/circleci.ts";
import type { Entity } from "../lib/entity.ts";
import {
  AccessError,
  NotFoundError,
  RejectedError,
  UnreachableError,
} from "../lib/errors.ts";
import type { BulkAnswer } from "../lib/entities.ts";
import type { Attempt } from "../lib/port_client.ts";

/** Items of one blueprint, each with a number as its value. */
function makeItems(identifiers: (string | undefined)[]): BulkItem[] {
  return identifiers.map((identifier, number) => ({
    place: `test:${number + 1}`,
    blueprint: "service",
    entity: {
      ...(identifier !== undefined && { identifier }),
      properties: { number },
    },
    size: 50,
  }));
}

/** What became of each item, by its place. */
interface Outcome {
  ends: Map<string, string>;
  error: unknown;
}

/** Sends items, and keeps what became of each. */
async function run(
  { sendBatch }: { sendBatch: SendBatch },
  items: BulkItem[],
  options: Partial<BulkOptions> = {},
): Promise<Outcome> {
  const ends = new Map<string, string>();
  const end = ({ place }: BulkItem, what: string) => {
    assert(!ends.has(place), `${place} ended twice`);
    ends.set(place, what);
  };
  let error: unknown;
  await bulkUpsert(sendBatch, ReadableStream.from(items), {
    concurrency: 5,
    retries: 4,
    onDone: (item, created) => end(item, created ? "created" : "updated"),
    onFailed: (item, reason) => end(item, reason),
    pacer: new Pacer(),
    sleep: () => Promise.resolve(),
    ...options,
  }).catch((thrown) => error = thrown);
  assertEquals(ends.size, items.length, "every item ends");
  return { ends, error };
}

type Respond = (
  entity: Entity,
) => true | { statusCode: number; message: string };

/** A catalogue that answers each entity by itself, and remembers the order. */
function makeClient(respond: Respond = () => true) {
  const stored = new Map<string, unknown[]>();
  const requests: Entity[][] = [];
  let underWay = 0;
  let most = 0;
  const sendBatch = async (_: string, entities: Entity[]) => {
    requests.push(entities);
    most = Math.max(most, ++underWay);
    // Answers do not come in the order of the requests.
    for (let turn = 200 * (1 + requests.length % 3); turn > 0; turn--) {
      await Promise.resolve();
    }
    const answer: BulkAnswer = { entities: [], errors: [] };
    for (const [index, entity] of entities.entries()) {
      const response = respond(entity);
      if (response !== true) {
        answer.errors.push({ index, ...response });
        continue;
      }
      const id = String(entity.identifier);
      const values = stored.get(id) ?? [];
      answer.entities.push({ index, created: values.length === 0 });
      stored.set(id, [...values, entity.properties?.number]);
    }
    underWay--;
    return answer;
  };
  return { sendBatch, stored, requests, mostUnderWay: () => most };
}

const names = (count: number) =>
  Array.from({ length: count }, (_, number) => `e${number}`);

Deno.test("bulkUpsert() sends 20 at once, several requests at once", async () => {
  const client = makeClient();
  const { ends } = await run(client, makeItems(names(205)), { concurrency: 4 });
  assertEquals(client.requests.length, 11);
  assertEquals(client.mostUnderWay(), 4);
  assertEquals(new Set(ends.values()), new Set(["created"]));
});

Deno.test("bulkUpsert() keeps the order of the same entity, whatever fails on the way", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(12), { maxLength: 200 }),
      fc.array(fc.constantFrom(0, 0, 429, 500, 404), { minLength: 50 }),
      fc.integer({ min: 1, max: 20 }),
      async (numbers, faults, concurrency) => {
        let turn = 0;
        const client = makeClient(() => {
          // After a while all is well, so that all can get in.
          const statusCode = faults[turn++] ?? 0;
          return statusCode === 0 ? true : { statusCode, message: "Fault" };
        });
        const items = makeItems(numbers.map((number) => `e${number}`));
        const { ends } = await run(client, items, {
          concurrency,
          retries: 1000,
        });
        for (const values of client.stored.values()) {
          assertEquals(
            values,
            values.toSorted((a, b) => Number(a) - Number(b)),
          );
        }
        const failed = [...ends.values()].filter((end) => /Fault/.test(end));
        const stored = [...client.stored.values()].flat().length;
        assertEquals(stored + failed.length, numbers.length);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("bulkUpsert() lets entities without identifier go side by side", async () => {
  const client = makeClient();
  await run(client, makeItems(Array(40).fill(undefined)));
  assertEquals(client.requests.map(({ length }) => length), [20, 20]);
  assertEquals(client.mostUnderWay(), 2);
});

Deno.test("bulkUpsert() tries what needs a later entity after the rest, however far it goes", async () => {
  // Each needs the next one.
  const there = new Set<string>();
  const client = makeClient(({ identifier }) => {
    const number = Number(String(identifier).slice(1));
    if (number < 29 && !there.has(`e${number + 1}`)) {
      return { statusCode: 404, message: "Not there" };
    }
    there.add(String(identifier));
    return true;
  });
  const { ends } = await run(client, makeItems(names(30)));
  assertEquals(new Set(ends.values()), new Set(["created"]));
});

Deno.test("bulkUpsert() fails what stays without its related entity", async () => {
  const client = makeClient(({ identifier }) =>
    identifier === "e3" ? { statusCode: 404, message: "No e9" } : true
  );
  const { ends } = await run(client, makeItems(names(30)));
  assertEquals(ends.get("test:4"), "404: No e9");
  assertEquals(
    [...ends.values()].filter((end) => end === "created").length,
    29,
  );
});

Deno.test("bulkUpsert() gives up on one entity after so many attempts", async () => {
  let asked = 0;
  const client = makeClient(({ identifier }) =>
    identifier === "e1" && ++asked > 0
      ? { statusCode: 500, message: "Down" }
      : true
  );
  const { ends } = await run(client, makeItems(names(3)), { retries: 4 });
  assertEquals([ends.get("test:2"), asked], ["500: Down", 5]);
});

/** A client that refuses whole requests. */
function refusing(refuse: (entities: Entity[]) => Error | undefined) {
  const client = makeClient();
  return {
    ...client,
    sendBatch: async (blueprint: string, entities: Entity[]) => {
      const error = refuse(entities);
      if (error) throw error;
      return await client.sendBatch(blueprint, entities);
    },
  };
}

Deno.test("bulkUpsert() halves what Port refuses as a whole, down to the culprit", async () => {
  const client = refusing((entities) =>
    entities.some(({ identifier }) => identifier === "e7")
      ? new RejectedError("Too large")
      : undefined
  );
  const { ends } = await run(client, makeItems(names(20)));
  assertEquals(ends.get("test:8"), "Too large");
  assertEquals(
    [...ends.values()].filter((end) => end === "created").length,
    19,
  );
});

Deno.test("bulkUpsert() goes on after a request that failed, and stops when it is hopeless", async () => {
  let asked = 0;
  const once = refusing(() =>
    ++asked === 1 ? new UnreachableError("Down") : undefined
  );
  const { ends, error } = await run(once, makeItems(names(60)));
  assertEquals(error, undefined);
  assertEquals([...ends.values()].filter((end) => end === "Down").length, 20);
  const never = refusing(() => new UnreachableError("Down"));
  assert(
    (await run(never, makeItems(names(900)))).error instanceof UnreachableError,
  );
  const noRight = refusing(() => new AccessError("No right"));
  const refused = await run(noRight, makeItems(names(200)));
  assert(refused.error instanceof AccessError);
  assertStringIncludes(refused.ends.get("test:200") ?? "", "No right");
  const missing = refusing(() => new NotFoundError("No blueprint"));
  assertEquals((await run(missing, makeItems(names(3)))).error, undefined);
});

Deno.test("bulkUpsert() sends nothing more when it is stopped", async () => {
  const controller = new AbortController();
  const client = makeClient(() => {
    controller.abort();
    return true;
  });
  const { ends } = await run(client, makeItems(names(200)), {
    concurrency: 1,
    signal: controller.signal,
  });
  assertEquals(client.requests.length, 1);
  assertEquals(
    [...ends.values()].filter((end) => end === "created").length,
    20,
  );
  assertMatch(ends.get("test:200") ?? "", /interrupted/);
});

Deno.test("bulkUpsert() does not wait for ever for what is under way when it is stopped", async () => {
  const controller = new AbortController();
  const hanging = Promise.withResolvers<BulkAnswer>();
  const client = {
    sendBatch: () => {
      controller.abort();
      return hanging.promise;
    },
  };
  const { ends } = await run(client, makeItems(names(3)), {
    signal: controller.signal,
    grace: 1,
  });
  assertMatch(ends.get("test:1") ?? "", /interrupted/);
});

/** A clock that only sleeping moves. */
function makeClock() {
  let time = 1_000_000;
  const slept: number[] = [];
  return {
    slept,
    now: () => time,
    sleep: (milliseconds: number) => {
      slept.push(milliseconds);
      time += milliseconds;
      return Promise.resolve();
    },
  };
}

function attempt(
  remaining: number,
  reset: number,
  more: Partial<Attempt> = {},
) {
  const headers = new Headers({
    "x-ratelimit-limit": "1000",
    "x-ratelimit-remaining": String(remaining),
    "x-ratelimit-reset": String(reset),
  });
  const path = "/v1";
  const base = { method: "POST", path, attempt: 1, milliseconds: 1 };
  return { ...base, outcome: "Port answered 200", headers, ...more };
}

Deno.test("Pacer does not wait while much remains, and spreads what is left", async () => {
  const { now, sleep, slept } = makeClock();
  const pacer = new Pacer(now, sleep);
  await pacer.turn();
  pacer.learn(attempt(900, 1_010));
  await pacer.turn();
  assertEquals(slept, []);
  // 10 s left for 50 requests.
  pacer.learn(attempt(50, 1_010));
  await pacer.turn();
  await pacer.turn();
  assertEquals(slept, [200, 200]);
});

Deno.test("Pacer waits for the new window when nothing remains, no longer", async () => {
  const { now, sleep, slept } = makeClock();
  const pacer = new Pacer(now, sleep);
  pacer.learn(attempt(0, 1_010));
  await pacer.turn();
  await pacer.turn();
  assertEquals(slept, [10_000]);
});

Deno.test("Pacer holds all requests after a 429", async () => {
  const { now, sleep, slept } = makeClock();
  const pacer = new Pacer(now, sleep);
  pacer.learn(
    attempt(900, 1_010, { status: 429, retryIn: 3_000 }),
  );
  await pacer.turn();
  await pacer.turn();
  assertEquals(slept, [3_000]);
});

Deno.test("readShard() parts what there is, each key in one part", () => {
  const shards = [0, 1, 2, 3].map((index) => readShard(`${index}/4`));
  const counts = [0, 0, 0, 0];
  for (const key of names(10_000)) {
    const takers = shards.flatMap((shard, index) =>
      shard.takes(key) ? [index] : []
    );
    assertEquals(takers.length, 1);
    counts[takers[0] ?? 0]!++;
  }
  for (const count of counts) assert(Math.abs(count - 2500) < 250, `${counts}`);
  const node: Record<string, string> = {
    CIRCLE_NODE_INDEX: "1",
    CIRCLE_NODE_TOTAL: "4",
  };
  const auto = readShard("auto", (name) => node[name]);
  assert(names(100).every((key) => auto.takes(key) === shards[1]?.takes(key)));
  assert(readShard(undefined).takes("x"));
});

Deno.test("bulkUpsert() does not hide a bug", async () => {
  const sendBatch = () => Promise.reject(new RangeError("Bug"));
  await assertRejects(
    () =>
      bulkUpsert(sendBatch, ReadableStream.from(makeItems(["a"])), {
        concurrency: 1,
        retries: 0,
        onDone: () => {},
        onFailed: () => {},
        pacer: new Pacer(),
      }),
    RangeError,
    "Bug",
  );
});
