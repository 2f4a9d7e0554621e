/**
 * The options of a script: the one table that gives its flags, their types, its
 * help and the tables of the README.
 *
 * @module
 */
/** What is taken where neither flag nor environment nor file says. */
export interface SettingsDefaults {
  /** A duration such as `90s`. */
  timeout: string;
  /** A whole number. */
  retries: string;
}

/** The defaults of most scripts. */
export const DEFAULTS: SettingsDefaults = { timeout: "2m", retries: "4" };

/** One option of a script. Its name in camelCase is its flag in kebab-case. */
export interface Option {
  /** What it does, in one line. */
  help: string;
  /** The name of its value, for example `ID`; without one it is a switch. */
  value?: string;
  /** The letter of its short form. */
  short?: string;
  /** Whether the script cannot do without. */
  required?: boolean;
  /** Whether it may be given again for more. */
  repeat?: boolean;
  /** The heading in `--help` that it and those after it stand below. */
  group?: string;
}

/** The options of a script by name. */
export type OptionTable = Readonly<Record<string, Option>>;

/** The options as given, with the types that their table says. */
export type OptionsOf<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends { value: string }
    ? Table[Name] extends { repeat: true } ? string[]
    : Table[Name] extends { required: true } ? string
    : string | undefined
    : boolean;
};

/** The options of every script. */
export const COMMON_OPTIONS = {
  apiUrl: {
    group: "Connection",
    value: "URL",
    help: "Port's API URL, if it is none of the two regions",
  },
  region: { value: "eu|us", help: "Region of the Port account (default eu)" },
  envFile: {
    value: "FILE",
    help: "Read settings from this file (default .env if it is there)",
  },
  timeout: { value: "TIME", help: "Longest time for a call, retries included" },
  retries: { value: "N", help: "Further attempts after a failure" },
  softFail: {
    group: "Output",
    help: "Turn the exit codes 3 to 6 and 8 into a warning and exit code 0",
  },
  quiet: { short: "q", help: "Write nothing but errors to standard error" },
  verbose: { short: "v", help: "Log each request to standard error" },
  help: { short: "h", help: "Show this text" },
} as const satisfies OptionTable;

/**
 * Gives all options of a script.
 *
 * @param script Its own options, and its defaults for the common ones.
 * @returns Its own, then the common ones, which tell their defaults.
 */
export function allOptions(
  { options, defaults }: { options: OptionTable; defaults?: SettingsDefaults },
): OptionTable {
  const tellDefault = (name: keyof SettingsDefaults): Option => ({
    ...COMMON_OPTIONS[name],
    help: `${COMMON_OPTIONS[name].help} (default ${
      (defaults ?? DEFAULTS)[name]
    })`,
  });
  return {
    ...options,
    ...COMMON_OPTIONS,
    timeout: tellDefault("timeout"),
    retries: tellDefault("retries"),
  };
}

/**
 * Turns the name of an option into its flag.
 *
 * @param name For example `runId`.
 * @returns For example `run-id`.
 */
export function toFlag(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
