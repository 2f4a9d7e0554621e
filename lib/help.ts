/**
 * Generates `--help` and the README tables from the option table. Loaded only
 * if needed.
 *
 * @module
 */
import {
  COMMON_OPTIONS,
  type OptionTable,
  type ScriptInfo,
  toFlag,
} from "./options.ts";

/** The environment variables of every script. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  PORT_CLIENT_ID: "client id of the Port credentials",
  PORT_CLIENT_SECRET: "client secret of the Port credentials",
  PORT_ACCESS_TOKEN: "a token of log_in.ts, instead of the two",
  PORT_API_URL: "as --api-url",
  PORT_REGION: "as --region",
  API_URL: "as PORT_API_URL, for Port's own hosts only",
  PORT_TIMEOUT: "as --timeout",
  PORT_RETRIES: "as --retries",
};

/** The meaning of each exit code. */
export const EXIT_CODES: Readonly<Record<number, string>> = {
  0: "success",
  1: "unexpected error, please report it; or a local failure (full disk)",
  2: "invalid usage or input; nothing was sent, unless the line says so",
  3: "no credentials, or Port rejected them or their permissions (401, 403)",
  4: "blueprint, entity or path not found (404)",
  5: "Port rejected the content (400, 409, 413, 422)",
  6: "Port is unreachable or keeps failing (network, timeout, 408, 429, 5xx)",
  7: "an expectation is not met (--expect, --wait, --expect-any, --check, --prune-max)",
  8: "some of many entities failed",
};

/**
 * Returns the text of `--help`.
 *
 * @param script The script.
 * @returns The text, without a line break at its end.
 */
export function helpText(script: ScriptInfo): string {
  const { name, summary, operand, examples } = script;
  const { value, isOptional } = operand ?? { value: "" };
  const usage = value && (isOptional ? ` [${value}...]` : ` ${value}...`);
  const rows = optionRows({ ...script.options, ...COMMON_OPTIONS });
  const width = Math.max(...rows.map(({ term }) => term.length));
  return [
    summary,
    `\nUsage: scripts/${name}.ts [options]${usage}`,
    ...(operand ? [`\n  ${value}  ${operand.help}`] : []),
    ...rows.flatMap(({ group, term, meaning }) => [
      ...(group ? [`\n${group}:`] : []),
      `  ${term.padEnd(width)}  ${meaning}`,
    ]),
    "\nEnvironment:",
    ...Object.entries(ENVIRONMENT)
      .map(([name, meaning]) => `  ${name.padEnd(18)}  ${meaning}`),
    "\nExit codes:",
    ...Object.entries(EXIT_CODES).map(([code, means]) => `  ${code}  ${means}`),
    "\nExamples:",
    ...Object.entries(examples)
      .map(([shows, args]) => `  # ${shows}\n  scripts/${name}.ts ${args}`),
  ].join("\n");
}

/**
 * Returns the options as rows of a table.
 *
 * @param table The options.
 * @returns For each option: its heading if it begins a group, its flags and
 * its meaning.
 */
export function optionRows(
  table: OptionTable,
): { group: string | undefined; term: string; meaning: string }[] {
  return Object.entries(table).map(([name, option]) => {
    const { group, short, value = "", help, required, repeat } = option;
    const term = `${short ? `-${short}, ` : ""}--${toFlag(name)} ${value}`;
    const note = required ? " (required)" : repeat ? " (repeatable)" : "";
    return { group, term: term.trim(), meaning: help + note };
  });
}
