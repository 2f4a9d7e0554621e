import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import fc from "npm:fast-check@4.10.2";
import {
  type BulkItem,
  isNamed,
  keyOf,
  makeBatches,
  MAX_BODY,
} from "../lib/bulk/batches.ts";
import { MissingRelations } from "../lib/bulk/missing.ts";
import { Pacer } from "../lib/bulk/pace.ts";
import { Report } from "../lib/bulk/report.ts";
import {
  type BulkAnswer,
  type BulkOptions,
  bulkUpsert,
} from "../lib/bulk/run.ts";
import { Stop } from "../lib/bulk/stop.ts";
import { readShard } from "../lib/bulk/shard.ts";
import { type JsonObject, PortError, type PortErrorKind } from "../lib/port.ts";

type Send = BulkOptions["send"];

/** Items of one blueprint, each with its number as a property. */
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

/** Identifiers: e0, e1 and so on. */
function names(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `e${number}`);
}

const messageOf = (error: unknown) => Error.isError(error) ? error.message : "";

/** Sends items without a pause before retries; returns how each ended. */
async function run(
  send: Send,
  items: BulkItem[],
  options: Partial<BulkOptions> = {},
  source: Iterable<BulkItem> = items,
) {
  const ends = new Map<string, string>();
  const end = ({ place }: BulkItem, what: string) => {
    assert(!ends.has(place), `${place} ended twice`);
    ends.set(place, what);
  };
  const { random } = Math;
  Math.random = () => 0;
  const stop = options.stop ?? new Stop(messageOf);
  await bulkUpsert(ReadableStream.from(source), {
    send,
    concurrency: 5,
    retries: 4,
    validateOnly: false,
    pacer: new Pacer(),
    stop,
    graceOver: new AbortController().signal,
    onDone: (item, created) => end(item, created ? "created" : "updated"),
    onFailed: end,
    ...options,
  });
  Math.random = random;
  assertEquals(ends.size, items.length, "every item ends");
  const count = (end: string) =>
    [...ends.values()].filter((text) => text.includes(end)).length;
  return { ends, error: stop.error, count };
}

/** Fails an entity with a status; 0 saves it. */
type StatusOf = (entity: JsonObject) => number;

/** A catalogue that remembers what was saved in which order. */
function makePort(statusOf: StatusOf = () => 0) {
  const saved = new Map<string, number[]>();
  const requests: JsonObject[][] = [];
  let underWay = 0;
  let most = 0;
  const send: Send = async (_, entities) => {
    requests.push(entities);
    most = Math.max(most, ++underWay);
    // Answers do not come in the order of the requests.
    for (let turn = 200 * (1 + requests.length % 3); turn > 0; turn--) {
      await Promise.resolve();
    }
    const answer: BulkAnswer = { entities: [], errors: [] };
    for (const [index, entity] of entities.entries()) {
      const statusCode = statusOf(entity);
      if (statusCode > 0) {
        answer.errors.push({ index, statusCode, message: "Fault" });
        continue;
      }
      const values = saved.get(String(entity.identifier)) ?? [];
      answer.entities.push({ index, created: values.length === 0 });
      const { number } = Object(entity.properties);
      saved.set(String(entity.identifier), [...values, number]);
    }
    underWay--;
    return answer;
  };
  const sizes = () => requests.map(({ length }) => length);
  return { send, saved, sizes, mostUnderWay: () => most };
}

/** A port that fails whole requests; counted from 1. */
function makeFailingPort(
  kindOf: (entities: JsonObject[], request: number) => PortErrorKind | "",
) {
  const port = makePort();
  const sizes: number[] = [];
  const send: Send = (blueprint, entities, signal) => {
    const kind = kindOf(entities, sizes.push(entities.length));
    if (kind) return Promise.reject(portError(kind));
    return port.send(blueprint, entities, signal);
  };
  return { send, sizes };
}

function portError(kind: PortErrorKind): PortError {
  const call = { method: "POST", path: "/v1", idempotent: true } as const;
  return new PortError(`It is ${kind}`, { kind, ...call, maybeApplied: false });
}

Deno.test("bulkUpsert() sends 20 per request, several requests at once", async () => {
  const { send, sizes, mostUnderWay } = makePort();
  const outcome = await run(send, makeItems(names(205)), { concurrency: 4 });
  assertEquals(sizes(), [...Array(10).fill(20), 5]);
  assertEquals(mostUnderWay(), 4);
  assertEquals(outcome.count("created"), 205);
  const unnamed = makePort();
  await run(unnamed.send, makeItems(Array(40).fill(undefined)));
  assertEquals([unnamed.sizes(), unnamed.mostUnderWay()], [[20, 20], 2]);
});

Deno.test("bulkUpsert() keeps the order of an entity's versions, whatever fails", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(12), { maxLength: 200 }),
      fc.integer({ min: 1, max: 13 }),
      fc.array(fc.constantFrom(0, 0, 429, 500, 404), { minLength: 50 }),
      fc.integer({ min: 1, max: 20 }),
      async (numbers, kinds, faults, concurrency) => {
        // After the faults, all is well, so that all can be saved.
        let turn = 0;
        const { send, saved } = makePort(() => faults[turn++] ?? 0);
        const items = makeItems(numbers.map((number) => `e${number % kinds}`));
        const options = { concurrency, retries: 1000 };
        const outcome = await run(send, items, options);
        for (const values of saved.values()) {
          assertEquals(values, values.toSorted((a, b) => a - b));
        }
        const count = [...saved.values()].flat().length;
        assertEquals(count + outcome.count("Fault"), numbers.length);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("bulkUpsert() reads no more than it is about to send", async () => {
  const items = makeItems(names(300));
  let read = 0;
  const all = items.values().map((item) => (read++, item));
  const unsent: number[] = [];
  const { send } = makePort(() => unsent.push(read - unsent.length) && 0);
  await run(send, items, { concurrency: 1 }, all);
  assertEquals(unsent.length, 300);
  // Two requests wait, and the third batch is full.
  assertEquals(Math.max(...unsent), 60);
});

Deno.test("bulkUpsert() defers what needs a later entity, through any chain", async () => {
  // Each needs the next one.
  const { send, saved } = makePort(({ identifier }) => {
    const next = `e${Number(String(identifier).slice(1)) + 1}`;
    return next === "e30" || saved.has(next) ? 0 : 404;
  });
  const outcome = await run(send, makeItems(names(30)));
  assertEquals(outcome.count("created"), 30);
});

Deno.test("bulkUpsert() fails what never finds its related entity", async () => {
  const { send } = makePort(({ identifier }) => identifier === "e3" ? 404 : 0);
  const outcome = await run(send, makeItems(names(30)));
  assertEquals(outcome.ends.get("test:4"), "404: Fault");
  assertEquals(outcome.count("created"), 29);
});

Deno.test("bulkUpsert() tries an entity again while that is safe and may help", async () => {
  const cases: [string | undefined, number, boolean, attempts: number][] = [
    ["a", 500, false, 5],
    ["a", 422, false, 1],
    // Saved twice, an entity without identifier would be two.
    [undefined, 500, false, 1],
    [undefined, 500, true, 5],
    [undefined, 429, false, 5],
  ];
  for (const [identifier, status, validateOnly, attempts] of cases) {
    let count = 0;
    const { send } = makePort(() => ++count && status);
    const items = makeItems([identifier]);
    const { ends } = await run(send, items, { validateOnly });
    assertEquals([ends.get("test:1"), count], [`${status}: Fault`, attempts]);
  }
});

Deno.test("bulkUpsert() fails what the answer does not mention", async () => {
  const send = () => Promise.resolve({ entities: [], errors: [] });
  const { ends } = await run(send, makeItems(["a"]));
  assertMatch(ends.get("test:1") ?? "", /not mention/);
});

Deno.test("bulkUpsert() halves a rejected request, down to the culprit", async () => {
  const { send, sizes } = makeFailingPort((entities) =>
    entities.some(({ identifier }) => identifier === "e7") ? "rejected" : ""
  );
  const outcome = await run(send, makeItems(names(20)));
  assertEquals(outcome.ends.get("test:8"), "It is rejected");
  assertEquals(outcome.count("created"), 19);
  assertEquals(sizes, [20, 10, 5, 5, 3, 2, 1, 2, 10]);
});

Deno.test("bulkUpsert() survives 9 failed requests in a row, not 10", async () => {
  const items = makeItems(names(400));
  for (const kind of ["network", "unavailable"] as const) {
    const { send } = makeFailingPort((_, number) => number % 10 ? kind : "");
    const outcome = await run(send, items, { concurrency: 1 });
    assertEquals([outcome.error, outcome.count("created")], [undefined, 40]);
    const down = makeFailingPort(() => kind);
    const { ends, error } = await run(down.send, items, { concurrency: 1 });
    assert(error instanceof PortError);
    assertEquals(down.sizes.length, 10);
    assertEquals(ends.get("test:400"), `not sent, since: It is ${kind}`);
  }
});

Deno.test("bulkUpsert() gives up at once if no other request can succeed", async () => {
  const cases: [PortErrorKind, requests: number][] = [
    ["forbidden", 1],
    ["unauthorized", 1],
    // It is only this blueprint that does not exist.
    ["not-found", 15],
  ];
  for (const [kind, requests] of cases) {
    const { send, sizes } = makeFailingPort(() => kind);
    const options = { concurrency: 1 };
    const outcome = await run(send, makeItems(names(300)), options);
    assertEquals(outcome.error instanceof PortError, requests === 1);
    assertEquals([sizes.length, outcome.count(kind)], [requests, 300]);
  }
});

Deno.test("bulkUpsert() does not hide a bug", async () => {
  const bug = new RangeError("Bug");
  const { error } = await run(() => Promise.reject(bug), makeItems(["a"]));
  assertEquals(error, bug);
});

Deno.test("bulkUpsert() sends nothing more when it is stopped", async () => {
  const stop = new Stop(messageOf);
  const { send, sizes } = makePort(() => (stop.because("enough"), 0));
  const items = makeItems(names(200));
  const outcome = await run(send, items, { concurrency: 1, stop });
  assertEquals(sizes(), [20]);
  assertEquals([outcome.count("created"), outcome.count("enough")], [20, 180]);
});

Deno.test("bulkUpsert() gives up requests under way when the grace is over", async () => {
  const stop = new Stop(messageOf);
  const grace = new AbortController();
  let sent = 0;
  const send: Send = (_, _entities, signal) => {
    if (++sent === 10) {
      stop.because("interrupted");
      queueMicrotask(() => grace.abort());
    }
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(portError("network")));
    });
  };
  const options = { stop, graceOver: grace.signal, concurrency: 10 };
  const outcome = await run(send, makeItems(names(300)), options);
  assertEquals(outcome.count("no answer"), 200);
  assertEquals(outcome.error, undefined);
});

Deno.test("makeBatches() groups what Port accepts in one request", async () => {
  const item = fc.record({
    blueprint: fc.nat(25).map((number) => `b${number % 24}`),
    identifier: fc.constantFrom(undefined, ..."abcdefghijklmnopqrstuvwxyz"),
    size: fc.constantFrom(50, 50, 50, 400_000, MAX_BODY),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 300 }), async (records) => {
      const items: BulkItem[] = records.map(
        ({ identifier, ...item }, number) => {
          const entity = identifier === undefined ? {} : { identifier };
          return { ...item, entity, place: `test:${number}` };
        },
      );
      const batches = await Array.fromAsync(makeBatches(items));
      for (const batch of batches) {
        assert(batch.length > 0 && batch.length <= 20);
        assertEquals(new Set(batch.map(({ blueprint }) => blueprint)).size, 1);
        assertEquals(new Set(batch.map(isNamed)).size, 1);
        const keys = batch.flatMap((item) => keyOf(item) ?? []);
        assertEquals(new Set(keys).size, keys.length, "no entity twice");
        const frame = '{"entities":[]}'.length + batch.length - 1;
        const body = batch.reduce((sum, { size }) => sum + size, frame);
        assert(body <= MAX_BODY || batch.length === 1, `${body} bytes`);
      }
      const flat = batches.flat();
      const byKey = (items: BulkItem[]) =>
        Map.groupBy(items.filter(isNamed), keyOf);
      assertEquals(flat.length, items.length);
      assertEquals(byKey(flat), byKey(items), "in their order");
    }),
  );
});

Deno.test("makeBatches() holds back 20 batches, and lets go of the one that waits longest", async () => {
  let read = 0;
  const items = makeItems(names(50)).values()
    .map((item) => ({ ...item, blueprint: `b${++read === 21 ? 1 : read}` }));
  const { value } = await makeBatches(items).next();
  assertEquals([read, value[0].blueprint], [22, "b2"]);
});

/** A pacer and what it slept; only sleeping moves its clock. */
function makePacer(onSleep: (pacer: Pacer) => void = () => {}) {
  let time = 1_000_000;
  const slept: number[] = [];
  const pacer = new Pacer(() => time, async (ms) => {
    slept.push(ms);
    const end = time + ms;
    await Promise.resolve();
    time = Math.max(time, end);
    onSleep(pacer);
  });
  return { pacer, slept };
}

/** An attempt 10 s before the limit of 1,000 requests is reset. */
function attempt(remaining: number, status = 200, wait?: number) {
  const headers = new Headers({
    "x-ratelimit-limit": "1000",
    "x-ratelimit-remaining": String(remaining),
    "x-ratelimit-reset": "1010",
  });
  return { status, headers, wait };
}

Deno.test("Pacer does not wait while much remains, and spreads what is left", async () => {
  const { pacer, slept } = makePacer();
  await pacer.turn();
  pacer.learn(attempt(900));
  await pacer.turn();
  assertEquals(slept, []);
  // 10 s left for 50 requests.
  pacer.learn(attempt(50));
  await pacer.turn();
  await pacer.turn();
  assertEquals(slept, [200, 200]);
});

Deno.test("Pacer waits until the limit is reset when nothing remains, no longer", async () => {
  const { pacer, slept } = makePacer();
  pacer.learn(attempt(0));
  await Promise.all([pacer.turn(), pacer.turn()]);
  await pacer.turn();
  assertEquals(slept, [10_000, 10_000]);
});

Deno.test("Pacer holds all requests after a 429, those that wait too", async () => {
  const { pacer, slept } = makePacer();
  pacer.learn(attempt(900, 503, 3_000));
  await pacer.turn();
  pacer.learn(attempt(900, 429, 3_000));
  await pacer.turn(AbortSignal.abort());
  assertEquals(slept, []);
  await pacer.turn();
  await pacer.turn();
  assertEquals(slept, [3_000]);
  const late = makePacer((pacer) => {
    if (late.slept.length === 1) pacer.learn(attempt(900, 429, 3_000));
  });
  late.pacer.learn(attempt(50));
  await late.pacer.turn();
  assertEquals(late.slept, [200, 3_000]);
});

Deno.test("Pacer ignores the limit of a 401, which may be that of logins", async () => {
  const { pacer, slept } = makePacer();
  pacer.learn(attempt(0, 401));
  await pacer.turn();
  await pacer.turn();
  assertEquals(slept, []);
});

Deno.test("Pacer waits by Port's clock, whatever the local one shows, at most a period", async () => {
  const now = 1_000_000;
  const quarter = 900_000;
  const cases: [skew: number, reset: number, period: string, wait: number][] = [
    // The local clock is slow, fast, and a little off.
    [quarter, 1010, "300", 10_000],
    [-quarter, 1010, "300", 9_000],
    [-500, 1010, "300", 9_000],
    // Port's headers contradict each other.
    [0, 5000, "300", 300_000],
  ];
  for (const [skew, reset, period, wait] of cases) {
    const { pacer, slept } = makePacer();
    const seconds = reset + Math.floor(skew / 1000);
    const { status, headers } = attempt(0);
    headers.set("date", new Date(now + skew).toUTCString());
    headers.set("x-ratelimit-reset", String(seconds));
    headers.set("x-ratelimit-period", period);
    pacer.learn({ status, headers, wait: undefined });
    const turn = pacer.turn();
    assertEquals(pacer.wait, slept[0]);
    await turn;
    assertEquals(slept, [wait], `${skew} ms`);
    assertEquals(pacer.wait, 0);
  }
});

/** At one time, something is reported. */
function atTime<Result>(now: number, step: () => Result): Result {
  const { now: original } = Date;
  Date.now = () => now;
  try {
    return step();
  } finally {
    Date.now = original;
  }
}

Deno.test("Report.progress() counts what was read and not yet sent, and the rate limit", () => {
  const report = atTime(0, () => new Report([]));
  for (const _ of names(100)) report.read();
  const progress = (share: number, wait: number) =>
    atTime(10_000, () => report.progress(share, wait));
  assertEquals(progress(1, 0), "0 done, 0 failed, 0 per second");
  for (const item of makeItems(names(50))) report.done(item, "created");
  const done = "50 done, 0 failed, 5 per second";
  const limit = "waiting for the rate limit";
  assertEquals(progress(1, 0), `${done}, about 10 s left`);
  assertEquals(progress(1, 60_000), `${done}, about 70 s left, ${limit}`);
  // Another hundred will be read.
  assertEquals(progress(0.5, 0), `${done}, about 30 s left`);
  assertEquals(progress(NaN, 60_000), `${done}, ${limit}`);
});

Deno.test("MissingRelations names the blueprint, how many failed and what they need", () => {
  const missing = new MissingRelations();
  const message = (name: string, target: string) =>
    `404: Entity with identifier "${name}" does not exist in the blueprint ` +
    `"${target}"`;
  const take = (name: string, relations: JsonObject, reason: string) => {
    const entity = { identifier: name, relations };
    return missing.take({ ...makeItems([name])[0]!, entity }, reason);
  };
  for (const [number, name] of names(5000).entries()) {
    const image = `i${number % 40}`;
    assert(take(name, { image }, message(image, "image")));
  }
  // The names of entities and blueprints may be the same.
  assert(take("a", { teams: ["x", "team"] }, message("team", "team")));
  assert(take("b", { teams: ["x", "team"] }, message("x", "team")));
  assert(take("c", { key: "lock" }, '404: There is no "lock"'));
  assertEquals(take("d", { image: "i" }, message("other", "image")), false);
  assertEquals(take("d", { image: "i" }, '422: "i" is bad'), false);
  const cure = "create them first, or give --create-missing-related-entities";
  const first = "failed, the first test:1: 404:";
  assertEquals(missing.lines(), [
    `5000 ${first} blueprint "image" lacks 40 entities: i0, i1, i2, …; ${cure}`,
    `2 ${first} blueprint "team" lacks 2 entities: team, x; ${cure}`,
    `1 ${first} Port lacks 1 entity: lock; ${cure}`,
  ]);
});

Deno.test("readShard() divides the keys, each into one part", () => {
  const shards = [0, 1, 2, 3].map((index) => readShard(`${index}/4`));
  const keys = names(10_000);
  const parts = shards.map((isMine) => keys.filter(isMine));
  assertEquals(parts.flat().sort(), keys.sort());
  for (const { length } of parts) assert(Math.abs(length - 2500) < 250);
  const node = { CIRCLE_NODE_INDEX: "1", CIRCLE_NODE_TOTAL: "4" };
  const auto = readShard("auto", (name) => Object(node)[name]);
  assertEquals(keys.filter(auto), parts[1]?.sort());
});
