/**
 * What people write by hand to upsert an entity, for the benchmark.
 *
 * @module
 */
import { UPSERT } from "./bare_upsert.ts";
import { measure, type Process } from "./measure.ts";

/**
 * Returns the two calls from Port's documentation.
 *
 * @param cutToken A command that cuts the token out of the first response.
 * @returns The code for Bash.
 */
export function curl(cutToken: string): string {
  return `set -euo pipefail
token=$(curl -sS "$API_URL/v1/auth/access_token" \\
  -H 'Content-Type: application/json' \\
  -d "{\\"clientId\\":\\"$PORT_CLIENT_ID\\",\\"clientSecret\\":\\"$PORT_CLIENT_SECRET\\"}" |
  ${cutToken})
curl -sS "$API_URL${UPSERT}" \\
  -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \\
  -d '{"identifier":"checkout","properties":{"version":"1.4.2"}}'`;
}

/** Cuts out the token without `jq`. */
export const SED = `sed -E 's/.*"accessToken":"([^"]*)".*/\\1/'`;

/** The same two calls in Python. */
export const PYTHON = `import json, os, requests
api = os.environ["API_URL"]
token = requests.post(f"{api}/v1/auth/access_token", json={
    "clientId": os.environ["PORT_CLIENT_ID"],
    "clientSecret": os.environ["PORT_CLIENT_SECRET"],
}).json()["accessToken"]
answer = requests.post(
    f"{api}${UPSERT}",
    json={"identifier": "checkout", "properties": {"version": "1.4.2"}},
    headers={"Authorization": f"Bearer {token}"},
)
print(json.dumps(answer.json(), indent=4))
`;

/**
 * Finds Python itself: `python3` may be a script that looks for it.
 *
 * @param code The code to run.
 * @returns How to run it.
 */
export async function python(code: string): Promise<Process> {
  const find = ["python3", "-c", "import sys; print(sys.executable)"];
  const { stdout } = await measure({ command: "env", args: find });
  const path = stdout.trim() || "python3";
  return { command: "env", args: [path, "-c", code] };
}
