/**
 * Compares one upsert, as a whole process, with what people write by hand:
 * `curl` in a shell, and Python with `requests` as on Port's own page. Ratios
 * of one run, since times differ from machine to machine.
 *
 * @module
 */
import { startLocalPort } from "../scripts/local_port.ts";
import { CREDENTIALS, rightsOf, ROOT } from "./support.ts";

const RUNS = 30;

const LOGIN = `curl -sS "$API_URL/v1/auth/access_token" \\
  -H 'Content-Type: application/json' \\
  -d "{\\"clientId\\":\\"$PORT_CLIENT_ID\\",\\"clientSecret\\":\\"$PORT_CLIENT_SECRET\\"}"`;
const UPSERT =
  `curl -sS "$API_URL/v1/blueprints/service/entities?upsert=true&merge=true" \\
  -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \\
  -d '{"identifier":"checkout","properties":{"version":"1.4.2"}}'`;

const CURL_SED = `set -euo pipefail
token=$(${LOGIN} | sed -E 's/.*"accessToken":"([^"]*)".*/\\1/')
${UPSERT}`;

const CURL_JQ = `set -euo pipefail
token=$(${LOGIN} | jq -r .accessToken)
${UPSERT} | jq .entity`;

const PYTHON = `import json, os, requests
api = os.environ["API_URL"] + "/v1"
token = requests.post(f"{api}/auth/access_token", json={
    "clientId": os.environ["PORT_CLIENT_ID"],
    "clientSecret": os.environ["PORT_CLIENT_SECRET"],
}).json()["accessToken"]
answer = requests.post(
    f"{api}/blueprints/service/entities?upsert=true",
    json={"identifier": "checkout", "properties": {"version": "1.4.2"}},
    headers={"Authorization": f"Bearer {token}"},
)
print(json.dumps(answer.json(), indent=4))
`;

/** A way to upsert an entity, as a command line. */
type Way = [name: string, command: string, ...args: string[]];

const local = await startLocalPort({
  clientId: CREDENTIALS.PORT_CLIENT_ID,
  clientSecret: CREDENTIALS.PORT_CLIENT_SECRET,
  rateLimit: { requests: 1_000_000, period: 60_000 },
});
const env = { ...CREDENTIALS, API_URL: local.url, DENO_NO_UPDATE_CHECK: "1" };
const script = new URL("scripts/upsert_entity.ts", ROOT).pathname;
const rights = await rightsOf("upsert_entity", local.url);
const entity = ["-b", "service", "-i", "checkout", "-p", "version=1.4.2"];
const ways: Way[] = [
  ["upsert_entity.ts", Deno.execPath(), "run", ...rights, script, ...entity],
  ["curl + sed", "bash", "-c", CURL_SED],
  ["curl + jq", "bash", "-c", CURL_JQ],
  ["python + requests", "python3", "-c", PYTHON],
];
const medians = await measure(ways);
await local.close();
printTable(medians);

/** Runs each way in turn, so that a busy moment hits them all. */
async function measure(ways: Way[]): Promise<Map<string, number>> {
  const times = new Map<string, number[]>();
  for (const way of ways) {
    if (await timeOf(way) !== undefined) times.set(way[0], []);
  }
  for (let run = 0; run < RUNS; run++) {
    for (const way of ways) {
      const time = times.has(way[0]) ? await timeOf(way) : undefined;
      if (time !== undefined) times.get(way[0])?.push(time);
    }
  }
  return new Map([...times].map(([name, list]) => [name, median(list)]));
}

/** Milliseconds of one run; `undefined` where it does not work. */
async function timeOf([, command, ...args]: Way): Promise<number | undefined> {
  const start = performance.now();
  try {
    const { success, stdout } = await new Deno.Command(command, {
      args,
      env,
      stderr: "null",
    }).output();
    const done = success && new TextDecoder().decode(stdout).includes("1.4.2");
    return done ? performance.now() - start : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function median(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? NaN;
}

function printTable(medians: Map<string, number>): void {
  const ours = medians.get("upsert_entity.ts") ?? NaN;
  console.log(`One upsert as a whole process, median of ${RUNS} warm runs`);
  console.log("way".padEnd(20), "time".padStart(10), "ours / it".padStart(12));
  for (const [name, time] of medians) {
    const ratio = (ours / time).toFixed(2);
    console.log(
      name.padEnd(20),
      `${time.toFixed(1)} ms`.padStart(10),
      ratio.padStart(12),
    );
  }
}
