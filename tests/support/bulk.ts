/**
 * Inputs of the bulk upsert, and what becomes of them.
 *
 * @module
 */
import type { LocalPortOptions } from "../../scripts/local_port/server.ts";
import { contentOf, type TestPort, withPort } from "./port.ts";
import { withFolder } from "./run.ts";

/** The script's file name without the ending. */
export const BULK = "bulk_upsert_entities";

/** An entity of the input. */
export interface Line {
  blueprint?: string;
  identifier?: string;
  properties?: Record<string, unknown>;
  relations?: Record<string, unknown>;
}

/** Makes NDJSON of entities, or of lines as they are. */
export function ndjson(lines: (Line | string)[]): string {
  return lines.map((line) =>
    (typeof line === "string" ? line : JSON.stringify(line)) + "\n"
  ).join("");
}

/** Services, each with a name of its own. */
export function services(count: number): Line[] {
  return Array.from({ length: count }, (_, number) => ({
    blueprint: "service",
    identifier: `e${number}`,
  }));
}

/** Gives entities to the script by standard input. */
export async function bulk(port: TestPort, stdin: string, flags = "") {
  return await port.run(BULK, flags, { stdin });
}

/** Lets a test use a local Port, and a folder that the script may use. */
export async function withBoth(
  options: LocalPortOptions,
  test: (port: TestPort, folder: string) => Promise<void>,
) {
  await withFolder((folder) => withPort(options, (port) => test(port, folder)));
}

/** What clients wrote of all entities of a blueprint, by identifier. */
export async function catalogue(port: TestPort, blueprint: string) {
  const answer = await port.call("GET", `/blueprints/${blueprint}/entities`);
  const { entities }: { entities: (Line & { identifier: string })[] } =
    await answer.json();
  return new Map(
    entities.map((entity) => [entity.identifier, contentOf(entity) as Line]),
  );
}
