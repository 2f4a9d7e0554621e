/**
 * The one place for speed: what the scripts take as whole processes, beside what
 * people write by hand, all in one run, since times differ from machine to
 * machine. Prints a table and writes `bench.json`.
 *
 * @module
 */
import { bundleAll } from "../scripts/bundle.ts";
import { CREDENTIALS } from "./support/port.ts";
import { FOLDER, permissionsOf } from "./support/run.ts";

/** How often each is run, if it is not slow; medians are shown. */
const RUNS = 20;

/** How often what takes seconds is run. */
const SLOW_RUNS = 10;

/** A row of the table. */
interface Row {
  /** What was measured. */
  what: string;
  /** The median. */
  median: number;
  /** The lowest and the highest. */
  spread: [number, number];
  /** `ms` or `MiB`. */
  unit: string;
  /** How many runs. */
  runs: number;
  /** What it means, mostly a ratio to another row. */
  note?: string;
}

const rows: Row[] = [];

function add(what: string, values: number[], unit: string): Row {
  const sorted = values.toSorted((a, b) => a - b);
  const row = {
    what,
    median: sorted[Math.floor(sorted.length / 2)] ?? NaN,
    spread: [sorted[0] ?? NaN, sorted.at(-1) ?? NaN] as [number, number],
    unit,
    runs: sorted.length,
  };
  rows.push(row);
  return row;
}

function ratio(one: Row, other: Row): string {
  return (one.median / other.median).toFixed(2);
}

/** A local Port in a process of its own, as Port is. */
async function withPort(
  flags: string[],
  test: (url: string) => Promise<void>,
): Promise<void> {
  const port = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", ...await permissionsOf("local_port"), "local_port.ts"],
      ...["--port=0", "--rate-limit=1000000000/1s", ...flags],
    ],
    cwd: FOLDER,
    env: CREDENTIALS,
    stdout: "piped",
  }).spawn();
  const [first, rest] = port.stdout.tee();
  // What it logs has to go somewhere.
  const drained = rest.pipeTo(new WritableStream());
  let text = "";
  for await (const chunk of first.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  const [url = ""] = /http:\S+/.exec(text) ?? [];
  try {
    await test(url);
  } finally {
    port.kill();
    await drained;
    await port.status;
  }
}

interface Process {
  args: string[];
  command?: string;
  stdin?: ReadableStream<Uint8Array>;
  env?: Record<string, string>;
}

/** What a process took, and the most memory that it had. */
interface Taken {
  milliseconds: number;
  /** In MiB; NaN where the system does not tell. */
  memory: number;
  stdout: string;
}

/** Runs a process to its end; `undefined` where it does not work. */
async function time(
  { command = Deno.execPath(), args, stdin, env = {} }: Process,
  url: string,
): Promise<Taken | undefined> {
  const start = performance.now();
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(command, {
      args,
      cwd: FOLDER,
      env: {
        ...CREDENTIALS,
        API_URL: url,
        NO_PROXY: "127.0.0.1",
        DENO_NO_UPDATE_CHECK: "1",
        ...env,
      },
      stdin: stdin ? "piped" : "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  let memory = NaN;
  const watch = setInterval(() => memory = peakOf(child.pid) ?? memory, 50);
  const [{ success, stdout }] = await Promise.all([
    child.output(),
    stdin?.pipeTo(child.stdin),
  ]);
  clearInterval(watch);
  const milliseconds = performance.now() - start;
  const text = new TextDecoder().decode(stdout);
  return success ? { milliseconds, memory, stdout: text } : undefined;
}

/** The high-water mark of a process that runs, in MiB (Linux only). */
function peakOf(pid: number): number | undefined {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB/m.exec(status) ?? [];
    return kibibytes === undefined ? undefined : Number(kibibytes) / 1024;
  } catch {
    return undefined;
  }
}

const LOGIN = `curl -sS "$API_URL/v1/auth/access_token" \\
  -H 'Content-Type: application/json' \\
  -d "{\\"clientId\\":\\"$PORT_CLIENT_ID\\",\\"clientSecret\\":\\"$PORT_CLIENT_SECRET\\"}"`;
const ENTITIES = "$API_URL/v1/blueprints/service/entities";
const CALLS = {
  upsert: `curl -sS "${ENTITIES}?upsert=true&merge=true" \\
  -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \\
  -d '{"identifier":"checkout","properties":{"version":"1.4.2"}}'`,
  get: `curl -sS "${ENTITIES}/checkout" -H "Authorization: Bearer $token"`,
};

/** The least that works. */
function withSed(call: string): string {
  return `set -euo pipefail
token=$(${LOGIN} | sed -E 's/.*"accessToken":"([^"]*)".*/\\1/')
${call}`;
}

/** As Port's own page on its API does it. */
function withJq(call: string): string {
  return `set -euo pipefail
token=$(${LOGIN} | jq -r .accessToken)
${call}`;
}

const PYTHON = `import json, os, requests
api = os.environ["API_URL"] + "/v1"
token = requests.post(f"{api}/auth/access_token", json={
    "clientId": os.environ["PORT_CLIENT_ID"],
    "clientSecret": os.environ["PORT_CLIENT_SECRET"],
}).json()["accessToken"]
headers = {"Authorization": f"Bearer {token}"}
`;
const PYTHON_CALLS = {
  upsert: `${PYTHON}answer = requests.post(
    f"{api}/blueprints/service/entities?upsert=true",
    json={"identifier": "checkout", "properties": {"version": "1.4.2"}},
    headers=headers,
)
print(json.dumps(answer.json(), indent=4))
`,
  get: `${PYTHON}answer = requests.get(
    f"{api}/blueprints/service/entities/checkout", headers=headers)
print(json.dumps(answer.json(), indent=4))
`,
};

const ENTITY = ["-b", "service", "-i", "checkout"];

/** Python itself: what is on the path may be a shell script that finds it. */
async function pythonPath(url: string): Promise<string> {
  const args = ["-c", "import sys; print(sys.executable)"];
  const found = await time({ command: "python3", args }, url);
  return found?.stdout.trim() || "python3";
}

/** One operation, in each way in turn, so that a busy moment hits them all. */
async function compare(name: "upsert" | "get", dist: string, url: string) {
  const script = `${name}_entity`;
  const rights = await permissionsOf(script, url);
  const args = name === "upsert" ? [...ENTITY, "-p", "version=1.4.2"] : ENTITY;
  const bash = (text: string) => ({ command: "bash", args: ["-c", text] });
  const ways: [what: string, process: Process][] = [
    [`${script}.ts`, { args: ["run", ...rights, `${script}.ts`, ...args] }],
    [`${script}.js`, {
      args: ["run", "--no-config", ...rights, `${dist}/${script}.js`, ...args],
    }],
    ["curl + sed", bash(withSed(CALLS[name]))],
    ["curl + jq", bash(withJq(CALLS[name]))],
    ["python + requests", {
      command: await pythonPath(url),
      args: ["-c", PYTHON_CALLS[name]],
    }],
  ];
  const times = new Map<string, number[]>();
  for (let run = 0; run <= RUNS; run++) {
    for (const [what, process] of ways) {
      const taken = await time(process, url);
      if (!taken?.stdout.includes("1.4.2")) continue;
      // The first run warms the caches.
      if (run > 0) {
        times.set(what, [...times.get(what) ?? [], taken.milliseconds]);
      }
    }
  }
  const added = [...times].map(([what, list]) =>
    add(`one ${name}: ${what}`, list, "ms")
  );
  const [ours] = added;
  for (const row of added.slice(1)) {
    if (ours) row.note = `${script}.ts takes ${ratio(ours, row)} times as long`;
  }
}

/** The first run on a machine, beside the next ones. */
async function coldAndWarm(dist: string, url: string) {
  const rights = await permissionsOf("upsert_entity", url);
  const args = [
    ...["run", "--no-config", ...rights, `${dist}/upsert_entity.js`],
    ...[...ENTITY, "-p", "version=1.4.2"],
  ];
  const cold: number[] = [];
  const warm: number[] = [];
  for (let run = 0; run < SLOW_RUNS; run++) {
    const cache = await Deno.makeTempDir();
    for (const list of [cold, warm]) {
      const taken = await time({ args, env: { DENO_DIR: cache } }, url);
      if (taken) list.push(taken.milliseconds);
    }
    await Deno.remove(cache, { recursive: true });
  }
  const first = add("bundle, empty DENO_DIR", cold, "ms");
  const next = add("bundle, the next run", warm, "ms");
  first.note = `${ratio(first, next)} of the next run (at most 1.5)`;
  const script = "python3 -m venv $0 && $0/bin/pip install -q requests && " +
    '$0/bin/python -c "$1"';
  const folder = await Deno.makeTempDir();
  const pip = await time({
    command: "bash",
    args: ["-c", script, `${folder}/venv`, PYTHON_CALLS.upsert],
  }, url);
  await Deno.remove(folder, { recursive: true });
  if (pip) add("pip install requests, python", [pip.milliseconds], "ms");
  else console.log("pip install requests: not to be had here");
}

/** So many services, as text that is made when it is read. */
function services(count: number): ReadableStream<Uint8Array> {
  let number = 0;
  return new ReadableStream<string>({
    pull(controller) {
      let lines = "";
      for (let line = 0; line < 500 && number < count; line++, number++) {
        lines += `{"blueprint":"service","identifier":"e${number}",` +
          `"properties":{"version":"1.4.2","replicas":3}}\n`;
      }
      if (lines === "") controller.close();
      else controller.enqueue(lines);
    },
  }).pipeThrough(new TextEncoderStream());
}

async function bulk(url: string, count: number, ...flags: string[]) {
  const script = "bulk_upsert_entities";
  const args = ["run", ...await permissionsOf(script, url), `${script}.ts`];
  const taken = await time(
    { args: [...args, ...flags], stdin: services(count) },
    url,
  );
  const { created = 0, updated = 0 } = JSON.parse(taken?.stdout ?? "{}");
  if (created + updated !== count) throw new Error("Not all of them got in");
  return taken;
}

const MANY = 10_000;
const LATENCY = 50;

async function bulkSpeed(url: string) {
  for (const concurrency of [5, 10]) {
    const times: number[] = [];
    for (let run = 0; run < SLOW_RUNS; run++) {
      const taken = await bulk(url, MANY, `--concurrency=${concurrency}`);
      times.push(taken?.milliseconds ?? NaN);
    }
    const row = add(
      `${MANY} entities, concurrency ${concurrency}`,
      times,
      "ms",
    );
    const ideal = Math.ceil(MANY / 20) / concurrency * LATENCY;
    const share = Math.round(100 * ideal / row.median);
    row.note = `${share} % of the ideal ${ideal} ms (at least 85 %)`;
  }
  const times: number[] = [];
  for (let run = 0; run < SLOW_RUNS; run++) {
    times.push(await oneByOne(url, 200));
  }
  const scaled = times.map((milliseconds) => milliseconds * MANY / 200);
  const row = add(`${MANY} entities one by one, from 200`, scaled, "ms");
  row.note = "as Port's GitHub Action does";
}

/** One request after the other, with one token. */
async function oneByOne(url: string, count: number): Promise<number> {
  const start = performance.now();
  const post = async (path: string, body: unknown, token = "") => {
    const answer = await fetch(`${url}/v1/${path}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${token}`,
      },
      body: JSON.stringify(body),
    });
    return await answer.json();
  };
  const { accessToken } = await post("auth/access_token", {
    clientId: CREDENTIALS.PORT_CLIENT_ID,
    clientSecret: CREDENTIALS.PORT_CLIENT_SECRET,
  });
  for (let number = 0; number < count; number++) {
    await post(
      "blueprints/service/entities?upsert=true&merge=true",
      { identifier: `o${number}`, properties: { version: "1.4.2" } },
      accessToken,
    );
  }
  return performance.now() - start;
}

async function bulkMemory(url: string) {
  for (const count of [100_000, 1_000_000]) {
    const peaks: number[] = [];
    for (let run = 0; run < SLOW_RUNS; run++) {
      // Only checked, so that the local Port does not have to hold them.
      const taken = await bulk(url, count, "--validate-only");
      peaks.push(taken?.memory ?? NaN);
    }
    const row = add(`${count} entities, peak memory`, peaks, "MiB");
    row.note = "at most 150";
  }
}

function printTable(): void {
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const { what, median, spread, unit, runs, note = "" } of rows) {
    const [low, high] = spread.map((value) => value.toFixed(0));
    const numbers = `${median.toFixed(0)} ${unit}`.padStart(11) +
      ` (${low} to ${high}, ${runs} runs)`.padEnd(30);
    console.log(what.padEnd(width), numbers, note);
  }
}

const dist = await Deno.makeTempDir();
try {
  await bundleAll(new URL(`file://${dist}/`));
  await withPort([], async (url) => {
    await compare("upsert", dist, url);
    await compare("get", dist, url);
    await coldAndWarm(dist, url);
  });
  await withPort([`--latency=${LATENCY}ms`], bulkSpeed);
  await withPort([], bulkMemory);
} finally {
  await Deno.remove(dist, { recursive: true });
}
const machine = {
  deno: Deno.version.deno,
  system: `${Deno.build.os} ${Deno.build.arch}`,
  cores: navigator.hardwareConcurrency,
  date: new Date().toISOString().slice(0, 10),
};
await Deno.writeTextFile(
  new URL("../bench.json", import.meta.url),
  JSON.stringify({ machine, rows }, null, 2) + "\n",
);
printTable();
