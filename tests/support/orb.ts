/**
 * The orb, packed as `deno task bundle` packs it.
 *
 * @module
 */
import { type Config, parseConfig } from "./pipeline.ts";
import { run, wayOut, withFolder } from "./run.ts";

const read = await withFolder(async (folder) => {
  const { code, stderr } = await run("bundle", [folder], { env: wayOut() });
  if (code !== 0) throw new Error(stderr);
  const files = ["orb.yml", "upsert_entity.js"]
    .map((name) => Deno.readTextFileSync(`${folder}/${name}`));
  return files;
}, "/tmp");

/** The text of `orb.yml`. */
export const ORB_TEXT: string = read[0] ?? "";

/** The script `upsert_entity` as one file. */
export const UPSERT: string = read[1] ?? "";

/** The orb. */
export const ORB: Config = parseConfig(ORB_TEXT);
