/**
 * The files that the catalogue comes from and is kept in.
 *
 * @module
 */
import { Catalogue } from "./catalogue.ts";
import type { Clock, Json } from "./model.ts";

export interface StorageOptions {
  /** A folder of blueprints as `*.json`; those of this repository by default. */
  blueprints?: string;
  /** A file that keeps the catalogue over a restart. */
  data?: string;
}

/** The blueprints of the data file win over those of the folder. */
export function loadCatalogue(
  clock: Clock,
  { data, blueprints = `${import.meta.dirname}/../blueprints` }: StorageOptions,
): Catalogue {
  const catalogue = new Catalogue(clock);
  if (data !== undefined) {
    attempt(`read the data file "${data}"`, () => {
      const text = readIfExists(data);
      if (text !== undefined) catalogue.load(text);
    });
  }
  for (const blueprint of readBlueprints(blueprints)) {
    if (catalogue.hasBlueprint(String(blueprint.identifier))) continue;
    attempt(`use the blueprint "${blueprint.identifier}"`, () => {
      catalogue.loadBlueprint(blueprint);
    });
  }
  return catalogue;
}

function readBlueprints(folder: string): Json[] {
  const files = attempt(
    `read the folder of blueprints "${folder}"`,
    () => [...Deno.readDirSync(folder)],
  );
  const names = files.map(({ name }) => name).sort();
  return names.filter((name) => name.endsWith(".json")).map((name) => {
    const path = `${folder}/${name}`;
    return attempt(
      `read the blueprint "${path}"`,
      () => JSON.parse(Deno.readTextFileSync(path)),
    );
  });
}

/**
 * Makes the function that saves a catalogue if it has changed. It writes
 * beside the file and renames, so that no crash leaves half a file.
 */
export function makeSave(path?: string): (catalogue: Catalogue) => void {
  let saved: string | undefined;
  return (catalogue) => {
    if (path === undefined) return;
    const text = catalogue.dump();
    if (text === saved) return;
    attempt(`write the data file "${path}"`, () => {
      const draft = `${path}.${Deno.pid}.tmp`;
      Deno.writeTextFileSync(draft, text);
      Deno.renameSync(draft, path);
    });
    saved = text;
  };
}

/** Runs a step; if it fails, the error names it. */
function attempt<Result>(what: string, step: () => Result): Result {
  try {
    return step();
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new Error(`Cannot ${what}: ${reason}`);
  }
}

function readIfExists(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
