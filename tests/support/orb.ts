/**
 * The orb, packed as `deno task bundle` packs it.
 *
 * @module
 */
import { type Config, parseConfig } from "./pipeline.ts";
import { run, wayOut, withFolder } from "./run.ts";

/** The text of `orb.yml`. */
export const ORB_TEXT: string = await withFolder(async (folder) => {
  const { code, stderr } = await run("bundle", [folder], { env: wayOut() });
  if (code !== 0) throw new Error(stderr);
  return await Deno.readTextFile(`${folder}/orb.yml`);
}, "/tmp");

/** The orb. */
export const ORB: Config = parseConfig(ORB_TEXT);
