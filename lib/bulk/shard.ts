/**
 * Selects one container's part of the input.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { environmentVariable, type ReadVariable } from "../settings.ts";

/**
 * Parses `--shard`. The same key always belongs to the same part.
 *
 * @param text `2/8` for the third of eight parts, `auto` for this container's
 * under CircleCI's parallelism.
 * @param variable Reads the environment.
 * @returns A function that returns whether a key belongs to the part.
 * @throws {UsageError} If it is not a part.
 */
export function readShard(
  text: string,
  variable: ReadVariable = environmentVariable,
): (key: string) => boolean {
  const part = text === "auto"
    ? `${variable("CIRCLE_NODE_INDEX")}/${variable("CIRCLE_NODE_TOTAL")}`
    : text;
  const [, index = 0, total = 0] =
    /^(\d{1,6})\/(\d{1,6})$/.exec(part)?.map(Number) ?? [];
  if (index < total) return (key) => hash(key) % total === index;
  throw new UsageError(
    text === "auto"
      ? "Cannot use --shard auto: CIRCLE_NODE_INDEX and CIRCLE_NODE_TOTAL " +
        "are not set or not readable: use it in CircleCI, elsewhere --shard 0/2"
      : `Cannot use --shard "${text}": write I/N, for example 0/2 and 1/2`,
  );
}

/** FNV-1a, mixed so that its remainders are evenly distributed. */
function hash(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
