/**
 * Brings a local Port in sync with an input.
 *
 * @module
 */
import type { LocalPortOptions } from "../../scripts/local_port/server.ts";
import { bulk, type Line, ndjson } from "./bulk.ts";
import { put, type TestPort, withPort } from "./port.ts";

/** A service that `--prune language=sync` may delete. */
export const marked = (identifier: string, title = identifier) => ({
  identifier,
  title,
  properties: { language: "sync" },
});

/** Makes names with numbers. */
export const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, number) => `${prefix}${number}`);

/** Flags that delete what is marked. */
export const PRUNE = "-b service --prune language=sync";

/** Gives entities to the script. */
export const sync = (port: TestPort, lines: Line[], flags: string) =>
  bulk(port, ndjson(lines), flags);

/** Lets a test use a local Port whose entities are an hour old. */
export async function withOld(
  setUp: (port: TestPort) => Promise<unknown>,
  test: (port: TestPort) => Promise<void>,
  options: LocalPortOptions = {},
) {
  let age = 3_600_000;
  const clock = () => Date.now() - age;
  await withPort({ ...options, clock, tokenLifetime: 1e12 }, async (port) => {
    await setUp(port);
    age = 0;
    port.log.length = 0;
    await test(port);
  });
}

/** The same for services. */
export const withServices = (
  services: Line[],
  test: (port: TestPort) => Promise<void>,
) =>
  withOld(
    (port) => put(port, "service", services as Record<string, unknown>[]),
    test,
  );

/** The requests that write. */
export const writes = ({ log }: TestPort) =>
  log.filter((line) => !/ \/v1\/auth|\/search |^GET /.test(line));

/** The counts that are not zero. */
export const summaryOf = ({ stdout }: { stdout: string }) => {
  const { blueprints: _, ...counts } = JSON.parse(stdout);
  return Object.fromEntries(
    Object.entries(counts).filter(([, count]) => count),
  );
};
