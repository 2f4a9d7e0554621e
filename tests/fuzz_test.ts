import { CLAIMS, makeHold } from "./fuzz.ts";

/** The same cases in every run; `deno task fuzz` makes new ones. */
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 1);

for (const [name, check] of Object.entries(CLAIMS)) {
  Deno.test(`${name} (seed ${SEED})`, () => check(makeHold(SEED)));
}
