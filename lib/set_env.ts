/**
 * `--set-env`: passes values of an entity to later steps of a CircleCI job,
 * through the file `$BASH_ENV` that each step sources.
 *
 * Facts: https://circleci.com/docs/guides/security/env-vars/
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import { fileError } from "./files.ts";
import { missingPath, parsePath, valueAt } from "./path.ts";
import { environmentVariable } from "./settings.ts";

/**
 * Names that would change how later steps run, or where they send the secret, or
 * that bash sets itself.
 */
const RESERVED =
  /^(?:(?:BASH|CIRCLE|DENO_|EPOCH|LD_|PORT_(?!ACCESS_TOKEN$)).*|API_URL|_|DIRSTACK|ENV|EUID|FUNCNAME|GROUPS|HISTCMD|IFS|LINENO|OPTIND|PATH|PPID|PS4|RANDOM|SECONDS|SHELLOPTS|SRANDOM|UID)$/;

/**
 * Checks `--set-env` before anything is sent.
 *
 * @param flags Each `NAME=PATH`.
 * @param bashEnv The file that later steps source.
 * @returns A function that sets the variables from an entity: all of them, or
 * none if one cannot be set.
 * @throws {UsageError} If a name, a path or the file cannot be used.
 */
export function prepareSetEnv(
  flags: string[],
  bashEnv: string | undefined = environmentVariable("BASH_ENV"),
): (entity: unknown, fallback?: string) => void {
  const variables = flags.map(parseFlag);
  if (new Map(variables).size < variables.length) {
    throw new UsageError("Cannot use --set-env twice with the same name");
  }
  if (!bashEnv) {
    throw new UsageError(
      "Cannot use --set-env: BASH_ENV is not set or not readable: use it in a " +
        "step of CircleCI, with --allow-env=BASH_ENV; elsewhere use --select",
    );
  }
  append(bashEnv, "");
  return (entity, fallback) => {
    const lines = variables.map(([name, path]) => {
      // Not for null, which is a value.
      const [value = fallback] = [valueAt(entity, path)];
      if (value === undefined) throw missingPath(entity, path);
      return exportLine(name, value);
    });
    // The file may not end with a line break.
    append(bashEnv, `\n${lines.join("")}`);
  };
}

function parseFlag(flag: string): [name: string, path: string[]] {
  const [, name = "", path = ""] = /^([^=]*)=(.+)$/s.exec(flag) ?? [];
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || RESERVED.test(name)) {
    throw new UsageError(
      `Cannot use --set-env "${flag}": write NAME=PATH, NAME unused by bash`,
    );
  }
  return [name, parsePath(path)];
}

function append(path: string, text: string): void {
  try {
    Deno.writeTextFileSync(path, text, { append: true });
  } catch (error) {
    throw fileError("write", path, error);
  }
}

/** Within single quotes, bash interprets only the quote itself. */
function exportLine(name: string, value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const size = new TextEncoder().encode(`${name}=${text}\0`).length;
  // Linux cannot start a program with a longer variable.
  if (text.includes("\0") || !text.isWellFormed() || size > 128 * 1024) {
    throw new UsageError(
      `Cannot set "${name}": bash cannot hold a NUL, half a character or more ` +
        "than 128 KiB; use --select PATH > FILE",
    );
  }
  return `export ${name}='${text.replaceAll("'", `'\\''`)}'\n`;
}
