/**
 * What every script does the same: flags from one option table, help, output,
 * exit code.
 *
 * @module
 */
import { parseArgs } from "jsr:@std/cli@1.0.30/parse-args";
import { ScriptError, UsageError } from "./errors.ts";
import { decodeText, openFile, readTextFile } from "./files.ts";
import { formatSeconds } from "./answer.ts";
import {
  allOptions,
  type COMMON_OPTIONS,
  type Option,
  type OptionsOf,
  type OptionTable,
  type SettingsDefaults,
  toFlag,
} from "./options.ts";
import { type Attempt, PortClient } from "./port_client.ts";
import {
  environmentVariable,
  readSettings,
  type ReadVariable,
  requireCredentials,
  type Settings,
} from "./settings.ts";

/** What a script has to work with. */
export interface Context<Table extends OptionTable> {
  /** The options as given. */
  options: OptionsOf<Table>;
  /** What stands on the command line beside the options, for example files. */
  operands: string[];
  /** API URL and limits. */
  settings: Settings;
  /** Port; it asks for the credentials when it is first used. */
  port: PortClient;
  /** Writes the result to standard output: text as it is, the rest as JSON. */
  print(result: unknown): void;
  /** Writes one of many results: text as it is, the rest as JSON on one line. */
  printLine(result: unknown): void;
  /** Tells on standard error what was done, unless the run is quiet. */
  say(line: string): void;
  /** Tells on standard error what went wrong though the run goes on. */
  warn(line: string): void;
  /** Shows how far it is: on a terminal in one line, else now and then. */
  progress(line: string): void;
  /** Reads a file that the user names, or standard input for `-`. */
  readInput(path: string): Promise<string>;
  /** Opens a file that the user names, or standard input for `-`. */
  openInput(path: string): ReadableStream<Uint8Array>;
  /**
   * Takes care of Ctrl-C and of the end that CircleCI makes, in place of ending
   * at once. The run then ends with exit code 130 or 143 whatever else happens.
   */
  catchSignals(): AbortSignal;
}

/** A script: what it is called, what it takes and what it does. */
export interface Script<Table extends OptionTable> {
  /** Its file name without the ending. */
  name: string;
  /** Its purpose, in one line. */
  summary: string;
  /** What it takes beside the options, for example `FILE`; none by default. */
  operand?: { value: string; help: string; isOptional?: true };
  /** What it takes in place of the common defaults. */
  defaults?: SettingsDefaults;
  /** Its own options. */
  options: Table;
  /** Command lines that work as they stand. */
  examples: readonly { says: string; args: string }[];
  /** Does the work. */
  run(context: Context<Table>): Promise<void>;
}

/** Where a script's words come from and go to. */
export interface Terminal {
  /** The command line, without the script. */
  args: string[];
  /** Takes what belongs to standard output. */
  write(text: string): void;
  /** Takes what belongs to standard error. */
  writeError(text: string): void;
  /** Whether a person looks at standard output, so that escapes would act. */
  isInteractive: boolean;
  /** Whether standard error may have colours. */
  hasColours: boolean;
  /** Reads a setting; from the environment by default. */
  variable?: ReadVariable;
  /** Shows how far the run is. */
  progress?(line: string): void;
  /** Aborted by SIGINT or SIGTERM, its reason the exit code. */
  catchSignals?(): AbortSignal;
  /** The page of this run, to be named when it fails. */
  link?: string | undefined;
}

/**
 * Gives a script the types that its option table says.
 *
 * @param script The script.
 * @returns The same script.
 */
export function defineScript<const Table extends OptionTable>(
  script: Script<Table>,
): Script<Table> {
  return script;
}

/**
 * Runs a script to its end and ends the process with its exit code.
 *
 * @param script The script.
 */
export async function runScript<Table extends OptionTable>(
  script: Script<Table>,
): Promise<never> {
  const isCircleCI = environmentVariable("CIRCLECI") === "true";
  Deno.exit(
    await execute(script, {
      args: Deno.args,
      ...errorStream(Deno.stderr.isTerminal()),
      catchSignals,
      isInteractive: Deno.stdout.isTerminal(),
      hasColours: !Deno.noColor && (isCircleCI || Deno.stderr.isTerminal()),
      link: isCircleCI ? environmentVariable("CIRCLE_BUILD_URL") : undefined,
    }),
  );
}

/** How often progress is shown where it cannot be overwritten, in milliseconds. */
const PROGRESS_PERIOD = 10_000;

/** Progress is one line at the end, which gives way to any other. */
function errorStream(
  isTerminal: boolean,
): Pick<Terminal, "write" | "writeError" | "progress"> {
  const clear = "\r\x1b[2K";
  let shownAt = Date.now();
  let isShown = false;
  const show = (line: string) => {
    const text = isShown ? clear + line : line;
    if (text) Deno.stderr.writeSync(new TextEncoder().encode(text));
    isShown = line !== "";
  };
  const after = (write: (text: string) => void) => (text: string) => {
    show("");
    write(text);
  };
  const progress = (line: string) => {
    const now = Date.now();
    if (isTerminal) {
      show(line);
    } else if (now - shownAt >= PROGRESS_PERIOD) {
      console.error(line);
      shownAt = now;
    }
  };
  return {
    write: after(console.log),
    writeError: after(console.error),
    progress,
  };
}

/** Signals that come within this time are one, in milliseconds. */
const ONE_PRESS = 1_000;

function catchSignals(): AbortSignal {
  const controller = new AbortController();
  let first = Infinity;
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    const stop = () => {
      // One Ctrl-C can come twice, from the terminal and from `deno task`; only
      // one that comes later ends the run at once.
      if (Date.now() - first > ONE_PRESS) Deno.exit(code);
      if (controller.signal.aborted) return;
      first = Date.now();
      controller.abort(code);
    };
    Deno.addSignalListener(signal, stop);
  }
  return controller.signal;
}

/**
 * Runs a script without touching the process.
 *
 * @param script The script.
 * @param terminal Where its words come from and go to.
 * @returns Its exit code; it throws nothing.
 */
export async function execute<Table extends OptionTable>(
  script: Script<Table>,
  terminal: Terminal,
): Promise<number> {
  const paint = await palette(terminal.hasColours);
  const say = (line: string) => terminal.writeError(line);
  let softFail = false;
  let signals: AbortSignal | undefined;
  try {
    const table = allOptions(script);
    const { values, operands } = await parseFlags(
      table,
      terminal.args,
      script.operand,
    );
    const common = values as OptionsOf<typeof COMMON_OPTIONS>;
    if (common.help) {
      const { helpText } = await import("./help.ts");
      terminal.write(helpText(script));
      return 0;
    }
    softFail = common.softFail;
    const settings = await readSettings(
      common,
      terminal.variable,
      script.defaults,
    );
    const port = new PortClient({
      ...settings,
      credentials: () => requireCredentials(settings),
    });
    port.listen((attempt) => reportAttempt(attempt, common, say, paint));
    await script.run({
      options: values as OptionsOf<Table>,
      operands,
      settings,
      port,
      print: (result) => terminal.write(resultText(result, terminal, 2)),
      printLine: (result) => terminal.write(resultText(result, terminal)),
      say: (line) => common.quiet || say(harmless(line)),
      warn: (line) => say(paint.yellow("warning: ") + harmless(line)),
      progress: (line) => common.quiet || terminal.progress?.(harmless(line)),
      readInput,
      openInput,
      catchSignals: () => signals ??= terminal.catchSignals?.() ?? NEVER,
    });
    return signals?.aborted ? signals.reason : 0;
  } catch (error) {
    const code = reportError(error, softFail, terminal, paint);
    return signals?.aborted ? signals.reason : code;
  }
}

const NEVER = new AbortController().signal;

type Say = (line: string) => void;

/** Colours for standard error. */
type Palette = Record<"red" | "yellow" | "dim", (text: string) => string>;

/** The colours are loaded only where they are shown. */
async function palette(hasColours: boolean): Promise<Palette> {
  const plain = (text: string) => text;
  if (!hasColours) return { red: plain, yellow: plain, dim: plain };
  const { COLOURS } = await import("./colours.ts");
  return COLOURS;
}

function reportAttempt(
  { method, path, attempt, outcome, milliseconds, retryIn }: Attempt,
  { quiet, verbose }: { quiet: boolean; verbose: boolean },
  say: Say,
  paint: Palette,
): void {
  if (verbose) {
    const time = `attempt ${attempt}, ${Math.round(milliseconds)} ms`;
    say(paint.dim(harmless(`${method} ${path}: ${outcome} (${time})`)));
  }
  if (!quiet && retryIn !== undefined) {
    const next = `attempt ${attempt + 1} in ${formatSeconds(retryIn)}`;
    say(paint.yellow("warning: ") + harmless(`${outcome}; ${next}`));
  }
}

/** Writes the one line that a failed run ends with, and details before it. */
function reportError(
  error: unknown,
  softFail: boolean,
  { writeError: say, link }: Terminal,
  paint: Palette,
): number {
  const place = link === undefined ? "" : ` (${harmless(link)})`;
  if (!(error instanceof ScriptError)) {
    const text = error instanceof Error ? error.message : String(error);
    say(
      paint.red("error: ") +
        harmless(`Unexpected: ${text}; this is a bug, please report it`) +
        place,
    );
    return 1;
  }
  for (const line of error.details) say(harmless(line));
  if (softFail && SOFT.includes(error.exitCode)) {
    const text = harmless(`${error.message} (--soft-fail)`);
    say(paint.yellow("warning: ") + text + place);
    return 0;
  }
  const help = error instanceof UsageError ? " (see --help)" : "";
  say(paint.red("error: ") + harmless(error.message) + help + place);
  return error.exitCode;
}

/** The exit codes that `--soft-fail` turns into a warning. */
const SOFT = [3, 4, 5, 6, 8];

type Values = Record<string, string | string[] | boolean | undefined>;

type Flagged = Option & { name: string; flag: string };

async function parseFlags(
  table: OptionTable,
  args: string[],
  operand: Script<OptionTable>["operand"],
): Promise<{ values: Values; operands: string[] }> {
  const options: Flagged[] = Object.entries(table).map(([name, option]) => ({
    ...option,
    name,
    flag: toFlag(name),
  }));
  const taking = options.filter(({ value }) => value !== undefined);
  const unknown: string[] = [];
  const given: Record<string, unknown> = parseArgs(tieValues(args, options), {
    string: taking.map(({ flag }) => flag),
    collect: taking.map(({ flag }) => flag),
    boolean: options.filter((option) => !taking.includes(option))
      .map(({ flag }) => flag),
    alias: Object.fromEntries(
      options.flatMap(({ short, flag }) => short ? [[short, flag]] : []),
    ),
    unknown: (arg: string) => {
      unknown.push(arg);
      return false;
    },
  });
  const isFlag = (arg: string) => arg.startsWith("-") && arg !== "-";
  // What stands behind "--" is no flag, and is not asked about.
  const behind = [given._ ?? []].flat().map(String);
  const operands = unknown.filter((arg) => !isFlag(arg)).concat(behind);
  const [extra] = unknown.filter(isFlag);
  if (extra !== undefined) {
    const { explainUnknown } = await import("./help.ts");
    throw new UsageError(explainUnknown(extra, table));
  }
  if (operand === undefined && operands.length > 0) {
    throw new UsageError(`Unexpected argument "${operands[0]}"`);
  }
  const isMissing = operand && !operand.isOptional && operands.length === 0;
  if (isMissing && given.help !== true) {
    throw new UsageError(`Missing ${operand.value}`);
  }
  const values = Object.fromEntries(
    options.map((option) => [option.name, readValue(option, given)]),
  );
  return { values, operands };
}

/**
 * Ties each value to its flag, `--title x` and `-tx` to `--title=x`: a value may
 * begin with a dash, one that is missing is noticed, and a switch takes none.
 */
function tieValues(args: string[], options: Flagged[]): string[] {
  const byFlag = new Map(options.flatMap((option) => [
    [`--${option.flag}`, option],
    ...(option.short ? [[`-${option.short}`, option] as const] : []),
  ]));
  const rest = [...args];
  const tied: string[] = [];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") return [...tied, arg, ...rest];
    const { flag, sign, text } = splitFlag(arg);
    const option = byFlag.get(flag);
    if (option === undefined) {
      tied.push(arg);
    } else if (option.value !== undefined) {
      const isTied = sign !== "" || text !== "";
      const value = isTied ? text : rest.shift();
      const isFlag = !isTied && byFlag.has(value?.split("=", 1)[0] ?? "");
      if (value === undefined || isFlag) {
        throw new UsageError(`Missing the value of ${flag} ${option.value}`);
      }
      tied.push(`--${option.flag}=${value}`);
    } else if (sign) {
      throw new UsageError(`${flag} takes no value`);
    } else {
      tied.push(`--${option.flag}=true`);
      // -qv is -q -v.
      if (text) rest.unshift(`-${text}`);
    }
  }
  return tied;
}

/** Splits `--flag=text`, `-f=text` and `-ftext`. */
function splitFlag(arg: string) {
  const [, flag = arg, sign = "", text = ""] =
    /^(--[^=]+|-[^-])(=?)(.*)$/s.exec(arg) ?? [];
  return { flag, sign, text };
}

function readValue(
  { flag, value, repeat, required }: Flagged,
  given: Record<string, unknown>,
): string | string[] | boolean | undefined {
  if (value === undefined) return given[flag] === true;
  const values = [given[flag] ?? []].flat().map(String);
  if (values.includes("") && !MAY_BE_EMPTY.includes(value)) {
    throw new UsageError(`The value of --${flag} ${value} is empty`);
  }
  if (repeat) return values;
  if (values.length > 1) throw new UsageError(`--${flag} is given twice`);
  if (required && values.length === 0 && given.help !== true) {
    throw new UsageError(`Missing --${flag} ${value}`);
  }
  return values[0];
}

/** The kinds of value that may be empty; an empty id is a variable not set. */
const MAY_BE_EMPTY = ["TEXT", "VALUE"];

function openInput(path: string): ReadableStream<Uint8Array> {
  if (path !== "-") return openFile(path, "the file");
  if (!Deno.stdin.readable.locked) return Deno.stdin.readable;
  throw new UsageError("Cannot read standard input twice: give - once");
}

async function readInput(path: string): Promise<string> {
  if (path !== "-") return readTextFile(path, "the file");
  const bytes = await new Response(openInput(path)).bytes();
  return decodeText(bytes, "standard input");
}

/** Escapes in Port's text act on a terminal only; a file gets it as it is. */
function resultText(
  result: unknown,
  { isInteractive }: Terminal,
  indent = 0,
): string {
  const text = typeof result === "string" ? result : toJson(result, indent);
  return isInteractive ? text.replace(ACTING, escape) : text;
}

/** Indenting gives up on deep nesting, which is no reason to fail. */
function toJson(value: unknown, indent: number): string {
  try {
    return JSON.stringify(value, null, indent);
  } catch {
    return JSON.stringify(value);
  }
}

/** Characters that move a terminal's cursor or reorder its text. */
const ACTING = /(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

function escape(character: string): string {
  const code = character.charCodeAt(0).toString(16);
  return `\\u${code.padStart(4, "0")}`;
}

/**
 * Makes one line of a text that others wrote, with nothing in it that acts.
 *
 * @param text The text.
 * @returns The line.
 */
export function harmless(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " ").replace(ACTING, escape);
}
