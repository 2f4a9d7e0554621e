/**
 * The option table of a script, and the parser of its command line. `--help`
 * and the README tables are generated from the same table, see `help.ts`.
 *
 * @module
 */
import { parseArgs } from "jsr:@std/cli@1.0.30/parse-args";
import { UsageError } from "./errors.ts";

/** Limits that apply if neither flag nor environment nor `.env` sets them. */
export const DEFAULTS = { timeout: "2m", retries: "4" };

/** An option. Its name in camelCase is its flag in kebab-case. */
export interface Option {
  /** What it does, in one line. */
  help: string;
  /** Placeholder of its value, such as `ID`; an option without is a switch. */
  value?: string;
  /** The letter of its short form. */
  short?: string;
  /** Whether it must be given. */
  required?: boolean;
  /** Whether it may be given more than once. */
  repeat?: boolean;
  /** In `--help`, the heading of this option and those after it. */
  group?: string;
}

/** The options of a script by name. */
export type OptionTable = Readonly<Record<string, Option>>;

/** The values of the options, typed by their table. */
export type OptionsOf<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends { value: string }
    ? Table[Name] extends { repeat: true } ? string[]
    : Table[Name] extends { required: true } ? string
    : string | undefined
    : boolean;
};

/** What `--help` and the parser need to know about a script. */
export interface ScriptInfo {
  /** The file name without its extension. */
  name: string;
  /** Its purpose, in one line. */
  summary: string;
  /** Arguments that are not options, such as `FILE`. @default none */
  operand?: { value: string; help: string; isOptional?: true };
  /** Limits instead of {@linkcode DEFAULTS}. */
  defaults?: typeof DEFAULTS;
  /** Its own options. */
  options: OptionTable;
  /** Working command lines, by their description. */
  examples: Readonly<Record<string, string>>;
}

/** The options of every script. */
export const COMMON_OPTIONS = {
  apiUrl: { group: "Connection", value: "URL", help: "URL of Port's API" },
  region: { value: "eu|us", help: "Region of the Port account (default eu)" },
  envFile: { value: "FILE", help: "Settings file (default .env, if any)" },
  timeout: { value: "TIME", help: "Limit of a call (default 2m; bulk 10m)" },
  retries: { value: "N", help: "Further attempts (default 4; bulk 10)" },
  softFail: {
    group: "Output",
    help: "Exit codes 3 to 6 and 8 become a warning and 0; not for gates",
  },
  quiet: { short: "q", help: "Write only warnings and errors" },
  verbose: { short: "v", help: "Log each request to standard error" },
  version: { help: "Show the version" },
  help: { short: "h", help: "Show this text" },
} as const satisfies OptionTable;

/** The flags that make a script a gate. */
const GATES = ["expect", "expect-any", "wait", "check", "allow-missing"];

/**
 * Returns the flag of an option.
 *
 * @param name Its name, for example `runId`.
 * @returns Its flag, for example `run-id`.
 */
export function toFlag(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** A parsed command line. */
export interface CommandLine {
  /** The values of the options by name. */
  values: Record<string, string | string[] | boolean | undefined>;
  /** The arguments that are not options. */
  operands: string[];
}

type Flag = Option & { name: string; flag: string };

/**
 * Parses a command line.
 *
 * @param script The script.
 * @param args The command line, without the script.
 * @returns The values; only `help` or `version` if that is given.
 * @throws {UsageError} If a flag is unknown, or a value missing or unexpected.
 */
export async function parseCommandLine(
  { options, operand }: ScriptInfo,
  args: string[],
): Promise<CommandLine> {
  const table: OptionTable = { ...options, ...COMMON_OPTIONS };
  const flags = Object.entries(table)
    .map(([name, option]) => ({ ...option, name, flag: toFlag(name) }));
  const names = flags.map(({ flag }) => flag);
  const given: Record<string, unknown> = parseArgs(
    await tieValues(args, flags),
    { string: ["_", ...names], collect: names },
  );
  const valuesOf = (flag: string) => [given[flag] ?? []].flat().map(String);
  const operands = valuesOf("_");
  const early = ["help", "version"].find((flag) => valuesOf(flag).length > 0);
  if (early) return { values: { [early]: true }, operands };
  if (!operand && operands.length > 0) {
    throw new UsageError(`Unexpected argument "${operands[0]}"`);
  }
  if (operand && !operand.isOptional && operands.length === 0) {
    throw new UsageError(`Missing ${operand.value}`);
  }
  const gate = GATES.find((flag) => valuesOf(flag).length > 0);
  if (gate && valuesOf("soft-fail").length > 0) {
    throw new UsageError(`--soft-fail would open the gate --${gate}`);
  }
  const values = flags.map((it) => [it.name, read(it, valuesOf(it.flag))]);
  return { values: Object.fromEntries(values), operands };
}

/**
 * Turns `--title x` and `-tx` into `--title=x`, so that a value may begin with
 * a dash. A missing value is an error, and so is the value of a switch.
 */
async function tieValues(args: string[], flags: Flag[]): Promise<string[]> {
  const find = (arg = "") =>
    flags.find(({ flag, short }) => arg === `--${flag}` || arg === `-${short}`);
  const rest = [...args];
  const tied: string[] = [];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") return [...tied, arg, ...rest];
    // --flag=text, -f=text and -ftext
    const [, name = arg, sign = "", text = ""] =
      /^(--[^=]+|-[^-])(=?)(.*)$/s.exec(arg) ?? [];
    const option = find(name);
    if (option?.value) {
      const isTied = sign !== "" || text !== "";
      const value = isTied ? text : rest.shift();
      if (value === undefined || (!isTied && find(value.split("=", 1)[0]))) {
        throw new UsageError(`Missing the value of ${name} ${option.value}`);
      }
      tied.push(`--${option.flag}=${value}`);
    } else if (option) {
      if (sign) throw new UsageError(`${name} takes no value`);
      tied.push(`--${option.flag}=true`);
      // -qv is -q -v.
      if (text) rest.unshift(`-${text}`);
    } else if (/^-./.test(arg)) {
      const { suggest } = await import("./suggest.ts");
      const hint = suggest(name, flags.map(({ flag }) => `--${flag}`));
      throw new UsageError(`Unknown flag "${name}"${hint}`);
    } else {
      tied.push(arg);
    }
  }
  return tied;
}

/** Returns the validated value of an option. */
function read({ flag, value, repeat, required }: Flag, values: string[]) {
  if (!value) return values.length > 0;
  // An empty identifier usually comes from an unset variable.
  if (values.includes("") && value !== "TEXT" && value !== "VALUE") {
    throw new UsageError(`The value of --${flag} ${value} is empty`);
  }
  if (repeat) return values;
  if (values.length > 1) throw new UsageError(`--${flag} is given twice`);
  if (required && values.length === 0) {
    throw new UsageError(`Missing --${flag} ${value}`);
  }
  return values[0];
}
