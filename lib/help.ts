/**
 * What `--help` says, and what to say of a flag that does not exist; loaded only
 * when it is asked for.
 *
 * @module
 */
import type { Script } from "./cli.ts";
import {
  allOptions,
  type Option,
  type OptionTable,
  toFlag,
} from "./options.ts";

/** The environment variables that every script reads, for help and README. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  PORT_CLIENT_ID: "client id of the Port credentials (required)",
  PORT_CLIENT_SECRET: "client secret of the Port credentials (required)",
  PORT_API_URL: "as --api-url; API_URL is read when it is not set",
  PORT_REGION: "as --region",
  PORT_TIMEOUT: "as --timeout",
  PORT_RETRIES: "as --retries",
};

/** What each exit code means: the one list that `--help` and README show. */
export const EXIT_CODES: Readonly<Record<number, string>> = {
  0: "done",
  1: "a bug here: unexpected error",
  2: "bad usage or bad input; nothing was sent",
  3: "no credentials, or Port refused them or their rights (401, 403)",
  4: "blueprint, entity or path not found (404)",
  5: "Port rejected the content (400, 409, 413, 422)",
  6: "Port could not be reached or kept failing (network, timeout, 408, 429, 5xx)",
  7: "an expectation did not hold (--expect, --wait)",
  8: "some of many failed (bulk)",
};

/**
 * Makes the text of `--help` from the option table.
 *
 * @param script The script.
 * @returns The text, without a line break at its end.
 */
export function helpText<Table extends OptionTable>(
  script: Script<Table>,
): string {
  const groups = optionGroups(allOptions(script));
  const { operand } = script;
  return [
    script.summary,
    "",
    `Usage: scripts/${script.name}.ts [options]` +
    (!operand
      ? ""
      : operand.isOptional
      ? ` [${operand.value}...]`
      : ` ${operand.value}...`),
    ...(operand ? ["", `  ${operand.value}  ${operand.help}`] : []),
    ...groups.flatMap((
      { heading, rows },
    ) => ["", `${heading}:`, ...align(rows)]),
    "",
    "Environment:",
    ...align(Object.entries(ENVIRONMENT)),
    "",
    "Exit codes:",
    ...align(Object.entries(EXIT_CODES)),
    "",
    "Examples:",
    ...script.examples.flatMap(({ says, args }) => [
      `  # ${says}`,
      `  scripts/${script.name}.ts ${args}`,
    ]),
  ].join("\n");
}

/** A heading and the rows below it, each a term and what it means. */
export interface OptionGroup {
  /** The heading. */
  heading: string;
  /** Flag and help of each option. */
  rows: [term: string, meaning: string][];
}

/**
 * Sorts options below their headings.
 *
 * @param table The options.
 * @returns The groups, in the order of the table.
 */
export function optionGroups(table: OptionTable): OptionGroup[] {
  const groups: OptionGroup[] = [];
  for (const [name, option] of Object.entries(table)) {
    if (option.group !== undefined || groups.length === 0) {
      groups.push({ heading: option.group ?? "Options", rows: [] });
    }
    groups.at(-1)?.rows.push([term(name, option), meaning(option)]);
  }
  return groups;
}

function term(name: string, { short, value }: Option): string {
  const flag = (short ? `-${short}, ` : "") + `--${toFlag(name)}`;
  return value === undefined ? flag : `${flag} ${value}`;
}

function meaning({ help, required, repeat }: Option): string {
  if (required) return `${help} (required)`;
  return repeat ? `${help} (repeatable)` : help;
}

function align(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([term]) => term.length));
  return rows.map(([term, meaning]) => `  ${term.padEnd(width)}  ${meaning}`);
}

/**
 * Says what is wrong with a flag that no option has.
 *
 * @param arg The flag, with its value where that is tied to it.
 * @param table The options that there are.
 * @returns One line, with the nearest flag if one is near.
 */
export function explainUnknown(arg: string, table: OptionTable): string {
  const [typed = ""] = arg.split("=", 1);
  const flags = Object.keys(table).map((name) => `--${toFlag(name)}`);
  const [nearest] = flags
    .map((flag) => ({
      flag,
      distance: flag.startsWith(typed) ? 0 : editDistance(typed, flag),
    }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance);
  const hint = nearest ? `, did you mean ${nearest.flag}?` : "";
  return `Unknown flag "${typed}"${hint}`;
}

/** Levenshtein's distance: how many letters to add, drop or change. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...to].entries()) {
      const change = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
