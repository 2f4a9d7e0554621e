/**
 * Measures speed and memory: the scripts as whole processes, next to what people
 * write by hand. One run measures everything, since times differ between
 * machines. Prints tables and writes `bench.json`.
 *
 * @module
 */
import { post, UPSERT } from "./support/bare_upsert.ts";
import { curl, PYTHON, python, SED } from "./support/by_hand.ts";
import {
  measure,
  type Process,
  type Usage,
  withPort,
} from "./support/measure.ts";
import { CREDENTIALS } from "./support/port.ts";
import { permissionsOf, withFolder } from "./support/run.ts";
import { withSlowTls } from "./support/slow_tls.ts";

/** How many runs of what takes milliseconds. */
const RUNS = 30;

/** How many runs of what takes seconds. */
const SLOW_RUNS = 10;

/** How many runs of what takes longer. */
const LONG_RUNS = 5;

/** The round trip to a Port that is not on this machine, in milliseconds. */
const ROUND_TRIP = 50;

/** How many entities a second Port accepts: 35,000 requests in 5 minutes. */
const PORT_RATE = 35_000 / 300 * 20;

/** A row of a table. */
interface Row {
  table: string;
  what: string;
  unit: "ms" | "MiB";
  /** One for each run; NaN if a program failed or is not installed. */
  values: number[];
  note?: string;
}

const rows: Row[] = [];

function median(values: number[]): number {
  if (values.some(Number.isNaN)) return NaN;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** The median of ratios, each between two values of the same run. */
function ratio(values: number[], others: number[]): string {
  return median(values.map((value, run) => value / (others[run] ?? NaN)))
    .toFixed(2);
}

/** Arguments for Deno to upsert one entity, with our script's permissions. */
async function upsertArgs(
  url: string,
  program: string,
  ...flags: string[]
): Promise<string[]> {
  const permissions = await permissionsOf("upsert_entity", url);
  const entity = ["-b", "service", "-i", "checkout", "-p", "version=1.4.2"];
  return ["run", ...flags, ...permissions, program, ...entity];
}

/** The variables with which a process connects. */
type Env = { API_URL: string } & Record<string, string>;

/** Logs in as a job does; returns what its later steps find. */
async function logIn(env: Env): Promise<Usage & { token: string }> {
  const BASH_ENV = await Deno.makeTempFile();
  const permissions = await permissionsOf("log_in", env.API_URL);
  const args = ["run", ...permissions, "log_in.ts"];
  const usage = await measure({ args, env: { ...env, BASH_ENV } });
  const text = await Deno.readTextFile(BASH_ENV);
  await Deno.remove(BASH_ENV);
  const [token = ""] = /(?<=PORT_ACCESS_TOKEN=')[^']+/.exec(text) ?? [];
  return { ...usage, token };
}

/** A job of four upserts: after one login, and as eight calls of curl. */
async function compareJobs(table: string, env: Env): Promise<void> {
  const upsert = { args: await upsertArgs(env.API_URL, "upsert_entity.ts") };
  const curls = { command: "bash", args: ["-c", curl(SED)], env };
  const ours: number[] = [];
  const others: number[] = [];
  for (let run = 0; run <= SLOW_RUNS; run++) {
    const { token, milliseconds } = await logIn(env);
    let [our, other] = [milliseconds, 0];
    for (let call = 0; call < 4; call++) {
      const PORT_ACCESS_TOKEN = token;
      const step = { ...upsert, env: { ...env, PORT_ACCESS_TOKEN } };
      our += (await measure(step)).milliseconds;
      other += (await measure(curls)).milliseconds;
    }
    // The first run warms the caches.
    if (run === 0) continue;
    ours.push(our);
    others.push(other);
  }
  const note = `${ratio(ours, others)} of curl (at most 0.75)`;
  rows.push(
    { table, what: "log_in.ts, 4 upserts", unit: "ms", values: ours, note },
    { table, what: "4 times curl + sed", unit: "ms", values: others },
  );
}

/** Upserts one entity each way in turn, so that noise affects all of them. */
async function compareUpserts(
  table: string,
  bundle: string,
  env: Env,
): Promise<void> {
  const url = env.API_URL;
  const { token } = await logIn(env);
  const bare = "../tests/support/bare_upsert.ts";
  const bash = (text: string) => ({ command: "bash", args: ["-c", text] });
  const ways: [what: string, process: Process][] = [
    ["bare Deno", { args: await upsertArgs(url, bare) }],
    ["upsert_entity.ts", { args: await upsertArgs(url, "upsert_entity.ts") }],
    ["upsert_entity.js", {
      args: await upsertArgs(url, bundle, "--no-config"),
    }],
    ["upsert_entity.ts, token", {
      args: await upsertArgs(url, "upsert_entity.ts"),
      env: { PORT_ACCESS_TOKEN: token },
    }],
    ["curl + sed", bash(curl(SED))],
    ["curl + jq", bash(curl("jq -r .accessToken"))],
    ["Python + requests", await python(PYTHON)],
  ];
  const times = new Map(ways.map(([what]) => [what, [] as number[]]));
  for (let run = 0; run <= RUNS; run++) {
    for (const [what, process] of ways) {
      const { stdout, milliseconds } = await measure({
        ...process,
        env: { ...env, ...process.env },
      });
      // The first run warms the caches.
      if (run === 0) continue;
      times.get(what)?.push(stdout.includes("1.4.2") ? milliseconds : NaN);
    }
  }
  for (const [what, values] of times) {
    const ratios = [...times].filter(([other]) => !isOurs(other))
      .map(([other, others]) => `${ratio(values, others)} of ${other}`);
    const note = isOurs(what) ? ratios.join(", ") : "";
    rows.push({ table, what, unit: "ms", values, note });
  }
}

function isOurs(what: string): boolean {
  return what.startsWith("upsert_entity");
}

/** The first run on a machine, next to the second. */
async function compareEmptyCache(bundle: string, url: string): Promise<void> {
  const args = await upsertArgs(url, bundle, "--no-config");
  const first: number[] = [];
  const second: number[] = [];
  for (let run = 0; run < SLOW_RUNS; run++) {
    const cache = await Deno.makeTempDir();
    const env = { API_URL: url, DENO_DIR: cache };
    first.push((await measure({ args, env })).milliseconds);
    second.push((await measure({ args, env })).milliseconds);
    await Deno.remove(cache, { recursive: true });
  }
  const table = "One upsert as a bundle";
  const note = `${ratio(first, second)} of the second run (at most 1.5)`;
  rows.push(
    { table, what: "empty cache", unit: "ms", values: first, note },
    { table, what: "second run", unit: "ms", values: second },
  );
}

async function measureUpserts(): Promise<void> {
  const dist = await Deno.makeTempDir();
  try {
    const bundle = `${dist}/upsert_entity.js`;
    const permissions = await permissionsOf("bundle");
    await measure({ args: ["run", ...permissions, "bundle.ts", dist] });
    await withPort([], async (url) => {
      const goals = "goals: .ts 1.25 and .js 1.15 of bare Deno";
      const fast = `One upsert on loopback (${goals})`;
      await compareUpserts(fast, bundle, { API_URL: url });
      await withSlowTls(url, ROUND_TRIP, async (API_URL, certificate) => {
        const slow = `with TLS and a round trip of ${ROUND_TRIP} ms`;
        const env = {
          API_URL,
          DENO_CERT: certificate,
          CURL_CA_BUNDLE: certificate,
          REQUESTS_CA_BUNDLE: certificate,
        };
        const goals = "goals: .ts 0.75 and with a token 0.60 of curl";
        await compareUpserts(`One upsert ${slow} (${goals})`, bundle, env);
        await compareJobs(`A job of 4 upserts ${slow}`, env);
      });
      await compareEmptyCache(bundle, url);
    });
  } finally {
    await Deno.remove(dist, { recursive: true });
  }
}

/** NDJSON of many services, 500 at a time. */
function* services(count: number): Generator<string> {
  let lines = "";
  for (let number = 1; number <= count; number++) {
    lines += `{"blueprint":"service","identifier":"e${number}",` +
      `"properties":{"version":"1.4.2","replicas":3}}\n`;
    if (number % 500 > 0 && number < count) continue;
    yield lines;
    lines = "";
  }
}

/** The same as rows of CSV. */
function* serviceRows(count: number): Generator<string> {
  yield "blueprint,identifier,properties.version,properties.replicas\n";
  for (let number = 1; number <= count; number++) {
    yield `service,e${number},1.4.2,3\n`;
  }
}

/** Files of many services, by the ending of their names. */
const FORMATS = { ndjson: services, csv: serviceRows };

/** Upserts services from a file or, without one, from standard input. */
async function bulkUpsert(
  url: string,
  count: number,
  args: string[],
  program = "bulk_upsert_entities.ts",
): Promise<Usage> {
  const permissions = await permissionsOf("bulk_upsert_entities", url);
  const isPiped = args.every((arg) => arg.startsWith("-"));
  const usage = await measure({
    args: ["run", ...permissions, program, ...args],
    ...(isPiped && { stdin: ReadableStream.from(services(count)) }),
    env: { API_URL: url },
  });
  const { created, updated, unchanged = 0 } = JSON.parse(usage.stdout);
  if (created + updated + unchanged !== count) {
    throw new Error("Entities are missing");
  }
  return usage;
}

/** Upserts entities as Port's GitHub Action does: one request after the other. */
async function upsertOneByOne(url: string, count: number): Promise<number> {
  const start = performance.now();
  const { accessToken } = await post(`${url}/v1/auth/access_token`, {
    clientId: CREDENTIALS.PORT_CLIENT_ID,
    clientSecret: CREDENTIALS.PORT_CLIENT_SECRET,
  });
  for (let number = 0; number < count; number++) {
    const properties = { version: "1.4.2" };
    const entity = { identifier: `o${number}`, properties };
    await post(url + UPSERT, entity, accessToken);
  }
  return performance.now() - start;
}

async function repeat(measure: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  while (values.length < SLOW_RUNS) values.push(await measure());
  return values;
}

async function measureBulkSpeed(url: string): Promise<void> {
  const count = 10_000;
  const table = `${count} entities, each response after ${ROUND_TRIP} ms`;
  for (const concurrency of [5, 10]) {
    const what = `concurrency ${concurrency}`;
    const flag = `--concurrency=${concurrency}`;
    const values = await repeat(async () =>
      (await bulkUpsert(url, count, [flag])).milliseconds
    );
    const ideal = count / 20 / concurrency * ROUND_TRIP;
    const share = Math.round(100 * ideal / median(values));
    const note = `${share} % of the ideal ${ideal} ms (at least 85 %)`;
    rows.push({ table, what, unit: "ms", values, note });
  }
  const few = 200;
  const values = await repeat(async () =>
    await upsertOneByOne(url, few) * count / few
  );
  const what = `one by one, from ${few}`;
  rows.push({ table, what, unit: "ms", values });
}

async function measureBulkMemory(url: string): Promise<void> {
  const table = "Peak memory of a bulk upsert, responses without latency";
  for (const count of [100_000, 1_000_000]) {
    // Validated only: then the local Port need not hold the entities.
    const values = await repeat(async () =>
      (await bulkUpsert(url, count, ["--validate-only"])).memory
    );
    rows.push({ table, what: `${count} entities`, unit: "MiB", values });
  }
}

/** Programs that upsert a file of many entities; its format by its ending. */
const WAYS: Record<string, [ending: string, program?: string]> = {
  "bare Deno": ["ndjson", "../tests/support/bare_bulk.ts"],
  "NDJSON": ["ndjson"],
  "CSV": ["csv"],
};

/** What many entities take of the client, and whether Port is what limits it. */
async function measureScale(url: string): Promise<void> {
  const count = 100_000;
  const usages = new Map<string, Usage[]>();
  await withFolder(async (folder) => {
    const file = `${folder}/services`;
    for (const [ending, write] of Object.entries(FORMATS)) {
      const text = ReadableStream.from(write(count));
      await Deno.writeTextFile(`${file}.${ending}`, text);
    }
    for (let run = 0; run < LONG_RUNS; run++) {
      for (const [way, [ending, program]] of Object.entries(WAYS)) {
        const args = ["--concurrency=20", `${file}.${ending}`];
        const usage = await bulkUpsert(url, count, args, program);
        usages.set(way, [...usages.get(way) ?? [], usage]);
      }
    }
  });
  const table = `${count} entities from a file, 20 requests at once, each ` +
    `response after ${ROUND_TRIP} ms`;
  const ceiling = 20 * 20 / ROUND_TRIP * 1000;
  const bare = usages.get("bare Deno")?.map(({ cpu }) => cpu) ?? [];
  for (const [way, list] of usages) {
    const times = list.map(({ milliseconds }) => milliseconds);
    const cpus = list.map(({ cpu }) => cpu);
    const rate = count / median(times) * 1000;
    rows.push({
      ...{ table, what: way, unit: "ms", values: times },
      note: `${Math.round(rate)} a second: ` +
        `${Math.round(100 * rate / ceiling)} % of ${ceiling}, ` +
        `${(rate / PORT_RATE).toFixed(1)} times Port's limit (at least 1)`,
    }, {
      ...{ table, what: `${way}, processor`, unit: "ms", values: cpus },
      note: `${Math.round(count / median(cpus) * 1000)} entities a second, ` +
        `${ratio(cpus, bare)} of bare Deno`,
    }, {
      ...{ table, what: `${way}, memory`, unit: "MiB" },
      values: list.map(({ memory }) => memory),
    });
  }
}

/** What it takes to find that nothing has changed, next to the reads alone. */
async function measureUnchanged(url: string): Promise<void> {
  const count = 10_000;
  const reads: number[] = [];
  const runs: number[] = [];
  await withFolder(async (folder) => {
    const file = `${folder}/services.ndjson`;
    await Deno.writeTextFile(file, ReadableStream.from(services(count)));
    await bulkUpsert(url, count, [file]);
    for (let run = 0; run < SLOW_RUNS; run++) {
      const program = "../tests/support/bare_reads.ts";
      const alone = await bulkUpsert(url, count, [file], program);
      reads.push(alone.milliseconds);
      const flags = ["--changed-only", file];
      runs.push((await bulkUpsert(url, count, flags)).milliseconds);
    }
  });
  const table = `${count} entities that have not changed`;
  rows.push(
    { table, what: "the reads alone", unit: "ms", values: reads },
    {
      ...{ table, what: "--changed-only", unit: "ms", values: runs },
      note: `${ratio(runs, reads)} of the reads (at most 1.2)`,
    },
  );
}

function printTables(): void {
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const [table, list] of Map.groupBy(rows, ({ table }) => table)) {
    console.log(`\n${table}`);
    for (const { what, unit, values, note = "" } of list) {
      const [middle, low, high] = [
        median(values),
        Math.min(...values),
        Math.max(...values),
      ]
        .map((value) => value.toFixed(1));
      const numbers = middle === "NaN"
        ? "failed: is it installed?"
        : `${middle} ${unit}`.padStart(12) +
          ` (${low} to ${high}, ${values.length} runs)`;
      console.log(`  ${what.padEnd(width)} ${numbers.padEnd(45)} ${note}`);
    }
  }
}

const SLOW = [`--latency=${ROUND_TRIP}ms`];

/** All measurements; `deno task bench NAME…` takes some of them. */
const MEASUREMENTS = {
  upsert: measureUpserts,
  speed: () => withPort(SLOW, measureBulkSpeed),
  memory: () => withPort([], measureBulkMemory),
  scale: () => withPort(SLOW, measureScale),
  unchanged: () => withPort(SLOW, measureUnchanged),
};
for (const [name, take] of Object.entries(MEASUREMENTS)) {
  if (Deno.args.length === 0 || Deno.args.includes(name)) await take();
}
const machine = {
  deno: Deno.version.deno,
  system: `${Deno.build.os} ${Deno.build.arch}`,
  cores: navigator.hardwareConcurrency,
  date: new Date().toISOString().slice(0, 10),
};
const results = rows.map((row) => ({ ...row, median: median(row.values) }));
await Deno.writeTextFile(
  new URL("../bench.json", import.meta.url),
  JSON.stringify({ machine, rows: results }, null, 2) + "\n",
);
printTables();
