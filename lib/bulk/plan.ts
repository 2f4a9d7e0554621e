/**
 * What the options of a run mean, and which of them contradict each other.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import type { Rule } from "../rules.ts";
import { parseCount } from "../settings.ts";
import { readFormat } from "./format.ts";
import type { Format } from "./pieces.ts";
import { readPruneMax, readPruneRules } from "./prune.ts";
import { readShard } from "./shard.ts";

/** The options, as they are written. */
export interface PlanOptions {
  /** `--concurrency`. */
  concurrency: string | undefined;
  /** `--max-errors`. */
  maxErrors: string | undefined;
  /** `--format`. */
  format: string | undefined;
  /** `--shard`. */
  shard: string | undefined;
  /** `--prune`, each of them. */
  prune: string[];
  /** `--prune-max`. */
  pruneMax: string | undefined;
  /** `--validate-only`. */
  validateOnly: boolean;
  /** `--dry-run`. */
  dryRun: boolean;
}

/** What they mean. */
export interface Plan {
  /** The most requests at once. */
  concurrency: number;
  /** How many failures end the run. */
  maxErrors: number;
  /** The format of all inputs; `undefined` for that of each. */
  format: Format | undefined;
  /** Whether a key belongs to this part of the input. @default all do */
  isMine: ((key: string) => boolean) | undefined;
  /** What marks entities that may be deleted; none to delete nothing. */
  rules: Rule[];
  /** How many may be deleted of those that match. */
  max: (matches: number) => number;
}

/**
 * Reads the options.
 *
 * @param options The options.
 * @returns What they mean.
 * @throws {UsageError} If one cannot be used, alone or with another.
 */
export function readPlan(options: PlanOptions): Plan {
  const { maxErrors, format, shard, prune, pruneMax, dryRun } = options;
  const concurrency = parseCount(
    options.concurrency ?? "5",
    "--concurrency",
    1,
  );
  if (concurrency > 20) {
    throw new UsageError("Cannot use --concurrency over 20");
  }
  if (options.validateOnly && (dryRun || prune.length > 0)) {
    throw new UsageError(
      "Cannot use --validate-only with --dry-run or --prune: with --dry-run " +
        "nothing is sent to Port, not even to be validated",
    );
  }
  if (shard !== undefined && prune.length > 0) {
    throw new UsageError(
      "Cannot use --prune with --shard: what the other parts hold would be deleted",
    );
  }
  if (pruneMax !== undefined && prune.length === 0) {
    throw new UsageError("Cannot use --prune-max without --prune");
  }
  return {
    concurrency,
    maxErrors: maxErrors === undefined
      ? Infinity
      : parseCount(maxErrors, "--max-errors", 1),
    format: format === undefined ? undefined : readFormat(format),
    isMine: shard === undefined ? undefined : readShard(shard),
    rules: readPruneRules(prune),
    max: readPruneMax(pruneMax ?? "10%"),
  };
}
