/**
 * A minimal Deno program that reads many entities: 500 per request, 5 requests
 * at once, nothing checked and nothing retried. `deno task bench` compares
 * `--changed-only` with it.
 *
 * @module
 */
import { logIn, post } from "./bare_upsert.ts";

const { api, accessToken } = await logIn();
const path = Deno.args.at(-1) ?? "";
const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
let at = 0;
let unchanged = 0;

async function read(): Promise<void> {
  while (at < lines.length) {
    const window = lines.slice(at, at += 500);
    const value = window.map((line) => JSON.parse(line).identifier);
    const rules = [{ property: "$identifier", operator: "in", value }];
    const query = { combinator: "and", rules };
    const url = `${api}/v1/blueprints/service/entities/search`;
    const answer = await post(url, { query, limit: 500 }, accessToken);
    unchanged += answer.entities.length;
  }
}

await Promise.all(Array.from({ length: 5 }, read));
console.log(JSON.stringify({ created: 0, updated: 0, unchanged }));
