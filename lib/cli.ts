/**
 * What all scripts share: command line, help, output, exit code.
 *
 * @module
 */
import { dim, red, setColorEnabled, yellow } from "jsr:@std/fmt@1.0.10/colors";
import { escapeControls, ScriptError, toLine, UsageError } from "./errors.ts";
import {
  type COMMON_OPTIONS,
  type OptionsOf,
  type OptionTable,
  parseCommandLine,
  type ScriptInfo,
} from "./options.ts";
import { type Attempt, Port, PortError, VERSION } from "./port.ts";
import {
  environmentVariable,
  readSettings,
  type ReadVariable,
  requireCredentials,
  type Settings,
} from "./settings.ts";

/** What a script receives. */
export interface Context<Table extends OptionTable> {
  /** The values of its options, and of those of every script. */
  options: OptionsOf<Table & typeof COMMON_OPTIONS>;
  /** The arguments that are not options, for example files. */
  operands: string[];
  /** API URL and limits. */
  settings: Settings;
  /** Port. */
  port: Port;
  /** Writes the result to standard output, as JSON unless it is a string. */
  print(result: unknown): void;
  /** Writes a line to standard error, unless the run is quiet. */
  log(line: string): void;
  /** Writes a warning to standard error. */
  warn(line: string): void;
  /** Returns the message of an error, with what to do next. */
  explain(error: unknown): string;
}

/** A script. */
export interface Script<Table extends OptionTable> extends ScriptInfo {
  /** Its own options. */
  options: Table;
  /** What to do next if Port answers with a status, by status. */
  advice?: Advice;
  /** Runs the script. */
  run(context: Context<Table>): Promise<void>;
}

/** What to do next, by HTTP status. */
export type Advice = Readonly<Record<number, string>>;

/** Process I/O, injectable in tests. */
export interface ProcessIo {
  /** The command line, without the script. */
  args: string[];
  /** Writes a line to standard output. */
  write(line: string): void;
  /** Writes a line to standard error. */
  writeError(line: string): void;
  /** Whether standard error may have colours. */
  hasColours: boolean;
  /** Reads a variable. @default from the environment */
  variable?: ReadVariable;
  /** The URL of the CI job, added to the error. */
  link?: string | undefined;
}

/**
 * Returns the script, with its options typed by its option table.
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
 * Runs a script and ends the process with its exit code.
 *
 * @param script The script.
 */
export async function runScript<Table extends OptionTable>(
  script: Script<Table>,
): Promise<never> {
  const isCircleCI = environmentVariable("CIRCLECI") === "true";
  // Only a terminal interprets control characters; files keep them.
  const toOutput = Deno.stdout.isTerminal() ? escapeControls : String;
  const io = {
    args: Deno.args,
    write: (text: string) => writeLine(Deno.stdout, toOutput(text)),
    writeError: (line: string) => writeLine(Deno.stderr, line),
    hasColours: !Deno.noColor && (isCircleCI || Deno.stderr.isTerminal()),
    link: isCircleCI ? environmentVariable("CIRCLE_BUILD_URL") : undefined,
  };
  Deno.exit(await execute(script, io));
}

/** Writes a line. A single write may be partial. */
function writeLine(stream: typeof Deno.stdout, line: string): void {
  let rest = new TextEncoder().encode(`${line}\n`);
  while (rest.length > 0) {
    // A pipe takes 4 KiB as a whole or not at all. Deno buffers what follows the
    // last line break, so that it would be written twice.
    const part = rest.subarray(0, 4096);
    const end = part.lastIndexOf(10) + 1 || part.length;
    try {
      rest = rest.subarray(stream.writeSync(part.subarray(0, end)));
    } catch (error) {
      // That standard error fails can be reported nowhere.
      if (stream === Deno.stderr) return;
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      // A pipe that does not block is full: wait for its reader.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

/**
 * Runs a script without touching the process.
 *
 * @param script The script.
 * @param io Where its output goes.
 * @returns The exit code. It never throws.
 */
export async function execute<Table extends OptionTable>(
  script: Script<Table>,
  io: ProcessIo,
): Promise<number> {
  setColorEnabled(io.hasColours);
  const write = (line: string) => io.writeError(line);
  const warn = (line: string) => write(yellow("warning: ") + toLine(line));
  let softFail = false;
  try {
    const { values, operands } = await parseCommandLine(script, io.args);
    const common = values as OptionsOf<typeof COMMON_OPTIONS>;
    if (common.help || common.version) {
      const { helpText } = await import("./help.ts");
      io.write(common.help ? helpText(script) : VERSION);
      return 0;
    }
    softFail = common.softFail;
    const { name, defaults, advice } = script;
    const settings = await readSettings(common, io.variable, defaults, warn);
    if (!values.dryRun) requireCredentials(settings);
    const onAttempt = ({ method, path, summary, wait, ...last }: Attempt) => {
      const time = `attempt ${last.attempt}, ${last.milliseconds} ms`;
      const trace = traceNote(last.headers?.get("x-trace-id"));
      const line = `${method} ${path}: ${summary} (${time})${trace}`;
      if (common.verbose) write(dim(toLine(line)));
      if (wait === undefined || common.quiet) return;
      warn(`${summary}; next attempt in ${(wait / 1000).toFixed(1)} s`);
    };
    await script.run({
      options: values as OptionsOf<Table & typeof COMMON_OPTIONS>,
      operands,
      settings,
      port: new Port({ ...settings, client: name, onAttempt }),
      print: (result) => io.write(toText(result)),
      log: (line) => common.quiet || write(toLine(line)),
      warn,
      explain: (error) => explain(error, advice).message,
    });
    return 0;
  } catch (error) {
    // Whoever reads standard output has read enough.
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    const { exitCode, message } = explain(error, script.advice);
    const isSoft = softFail && SOFT_EXIT_CODES.includes(exitCode);
    const text = isSoft ? `${message} (--soft-fail)` : message;
    const line = toLine(io.link ? `${text} (${io.link})` : text);
    write((isSoft ? yellow("warning: ") : red("error: ")) + line);
    return isSoft ? 0 : exitCode;
  }
}

/** The exit codes that `--soft-fail` turns into a warning. */
const SOFT_EXIT_CODES = [3, 4, 5, 6, 8];

/** Exit code and advice by the kind of error. */
const KINDS: Readonly<Record<PortError["kind"], [number, string]>> = {
  "unauthorized": [3, "check PORT_CLIENT_ID, PORT_CLIENT_SECRET and --region"],
  "forbidden": [3, "ask an admin of Port to give the credentials permission"],
  "not-found": [4, "check the identifiers and --region"],
  "rejected": [5, "correct it and run again"],
  "unavailable": [6, "run it again later, or with a longer --timeout"],
  "not-port": [6, "this is not Port's API: check the API URL"],
  "network": [6, "check the API URL and the network (HTTPS_PROXY, DENO_CERT)"],
};

/** A token from a login of the same run is valid. */
const NEW_TOKEN = "PORT_ACCESS_TOKEN is no longer valid: run log_in.ts again";

/** Port's support asks for it. */
function traceNote(id: string | null | undefined): string {
  return id ? ` (trace id ${id})` : "";
}

function explain(error: unknown, advice: Advice = {}): ScriptError {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof PortError) {
    const [exitCode] = KINDS[error.kind];
    const next = nextStep(error, advice) + traceNote(error.traceId);
    return new ScriptError(exitCode, `${text}; ${next}`);
  }
  if (error instanceof UsageError || error instanceof URIError) {
    return new ScriptError(2, `${text} (see --help)`);
  }
  if (error instanceof ScriptError) return error;
  if (/\(os error \d+\)$/.test(text)) {
    const isInput = error instanceof Deno.errors.IsADirectory;
    const what = isInput ? "read standard input" : "write standard output";
    return new ScriptError(1, `Cannot ${what}: ${text}`);
  }
  return error instanceof Deno.errors.NotCapable
    ? new ScriptError(2, `Permission denied: ${text} (after "deno run")`)
    : new ScriptError(1, `Unexpected error, please report it: ${text}`);
}

function nextStep(error: PortError, advice: Advice): string {
  const { kind, path, status = 0, idempotent, maybeApplied } = error;
  const [exitCode, general] = KINDS[kind];
  if (exitCode === 6 && maybeApplied && !idempotent) {
    return "it was not sent again: Port may have acted on it, look there first";
  }
  if (status === 401 && !path.startsWith("/v1/auth/")) return NEW_TOKEN;
  if (kind === "network" && maybeApplied) return KINDS.unavailable[1];
  return (kind !== "not-port" && advice[status]) || general;
}

function toText(result: unknown): string {
  return typeof result === "string" ? result : JSON.stringify(result, null, 2);
}
