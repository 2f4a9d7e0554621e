/**
 * The catalogue in files.
 *
 * @module
 */
import ciJob from "../blueprints/ci_job.json" with { type: "json" };
import image from "../blueprints/image.json" with { type: "json" };
import service from "../blueprints/service.json" with { type: "json" };
import team from "../blueprints/team.json" with { type: "json" };
import testBlueprint from "../blueprints/test_blueprint.json" with {
  type: "json",
};
import { Catalogue } from "./catalogue.ts";
import type { Json } from "./model.ts";
import type { LocalPortOptions } from "./server.ts";

/** Blueprints of the data file stay as they are; the folder adds the others. */
export function loadCatalogue(
  { data, blueprints }: LocalPortOptions,
): Catalogue {
  const catalogue = new Catalogue();
  if (data !== undefined) {
    attempt(`read the data file "${data}"`, () => {
      const text = readIfThere(data);
      if (text !== undefined) catalogue.load(text);
    });
  }
  const found = blueprints === undefined
    ? [ciJob, image, service, team, testBlueprint]
    : readBlueprints(blueprints);
  for (const blueprint of found) {
    if (!catalogue.hasBlueprint(String(blueprint.identifier))) {
      attempt(`use the blueprint "${blueprint.identifier}"`, () => {
        catalogue.loadBlueprint(blueprint);
      });
    }
  }
  return catalogue;
}

function readBlueprints(folder: string): Json[] {
  const files = attempt(
    `read the folder of blueprints "${folder}"`,
    () =>
      [...Deno.readDirSync(folder)].filter(({ name }) =>
        name.endsWith(".json")
      ),
  );
  return files.map(({ name }) => {
    const path = `${folder}/${name}`;
    return attempt(
      `read the blueprint "${path}"`,
      () => JSON.parse(Deno.readTextFileSync(path)),
    );
  });
}

/** Takes a step of the start; when it fails, the error says what it was. */
export function attempt<Result>(what: string, step: () => Result): Result {
  try {
    return step();
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new Error(`Cannot ${what}: ${reason}`);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Makes what keeps the catalogue in a file: it writes beside the file and
 * renames, so that no crash leaves half a file, and only when there is news.
 */
export function makeSave(
  catalogue: Catalogue,
  path: string | undefined,
): () => void {
  let saved: string | undefined;
  return () => {
    if (path === undefined) return;
    const text = catalogue.dump();
    if (text === saved) return;
    const draft = `${path}.${Deno.pid}.tmp`;
    using file = Deno.openSync(draft, {
      write: true,
      create: true,
      truncate: true,
    });
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) {
      at += file.writeSync(bytes.subarray(at));
    }
    file.syncSync();
    Deno.renameSync(draft, path);
    saved = text;
  };
}
