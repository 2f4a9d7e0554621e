/**
 * A minimal Deno program for many upserts: the lines of a file, 20 per request,
 * 20 requests at once, nothing checked and nothing retried. `deno task bench`
 * compares the bulk upsert with it.
 *
 * @module
 */
import { logIn, post, UPSERT } from "./bare_upsert.ts";

const { api, accessToken } = await logIn();
const path = Deno.args.at(-1) ?? "";
const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
const url = api + UPSERT.replace("?", "/bulk?");
let at = 0;
let updated = 0;

async function send(): Promise<void> {
  while (at < lines.length) {
    const batch = lines.slice(at, at += 20);
    const entities = batch.map((line) => JSON.parse(line));
    const answer = await post(url, { entities }, accessToken);
    updated += answer.entities.length;
  }
}

await Promise.all(Array.from({ length: 20 }, send));
console.log(JSON.stringify({ created: 0, updated }));
