/**
 * The errors of the scripts, and functions that make text safe to print. A
 * message is one line: what failed, why, what to do next. For errors of
 * requests to Port, `cli.ts` adds what to do next.
 *
 * @module
 */

/** An error with its own exit code. */
export class ScriptError extends Error {
  /**
   * Creates the error.
   *
   * @param exitCode The exit code, see `help.ts`.
   * @param message One line.
   */
  constructor(readonly exitCode: number, message: string) {
    super(message);
  }
}

/** The command line, the environment or a file is wrong; nothing was sent. */
export class UsageError extends ScriptError {
  /**
   * Creates the error.
   *
   * @param message One line.
   */
  constructor(message: string) {
    super(2, message);
  }
}

/**
 * Escapes characters that move a terminal's cursor or reorder its text.
 *
 * @param text Untrusted text.
 * @returns The text; its line breaks and tabs are kept.
 */
export function escapeControls(text: string): string {
  return text.replace(
    /(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu,
    (character) =>
      `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Joins the lines of a text and escapes its control characters.
 *
 * @param text Untrusted text.
 * @returns The line.
 */
export function toLine(text: string): string {
  return escapeControls(text.replace(/\s*[\r\n]+\s*/g, " "));
}
