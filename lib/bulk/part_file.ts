/**
 * Writes a file under another name until it is complete.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { fileError } from "../files.ts";

/** How to write a file. */
export interface PartFileOptions {
  /** Logs a warning. */
  warn: (line: string) => void;
  /** Completes the warning that the disk is full. */
  whenFull: () => string;
  /** Whether `FILE.part` must not exist. @default {true} */
  isExclusive?: boolean;
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** A file that is `FILE.part` until it is closed. */
export class PartFile {
  readonly #path: string;
  readonly #options: PartFileOptions;
  readonly #file: Deno.FsFile;
  #size = 0;
  /** Whether a write failed. */
  isFull = false;

  /**
   * Creates the file and its folder.
   *
   * @param path The file.
   * @param options How to write it.
   * @throws {UsageError} If that fails, or `FILE.part` exists.
   */
  constructor(path: string, options: PartFileOptions) {
    this.#path = path;
    this.#options = options;
    const [folder = "."] = /^.*(?=\/)/s.exec(path) ?? [];
    const { isExclusive = true } = options;
    const how = isExclusive
      ? { createNew: true }
      : { create: true, truncate: true };
    try {
      if (isFolder(path)) throw new Error("it is a folder");
      Deno.mkdirSync(folder || "/", { recursive: true });
      this.#file = Deno.openSync(this.#part, { write: true, ...how });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) {
        throw fileError("write", path, error);
      }
      throw new UsageError(
        `Cannot write "${path}": another run is writing "${this.#part}", or ` +
          "was killed; in that case move that file away, it holds what had " +
          "failed so far, and run its input again",
      );
    }
  }

  get #part(): string {
    return `${this.#path}.part`;
  }

  /**
   * Writes all or nothing.
   *
   * @param data Text, or its bytes.
   * @returns Whether it was written.
   */
  write(data: Uint8Array | string): boolean {
    if (this.isFull) return false;
    const bytes = typeof data === "string"
      ? new TextEncoder().encode(data)
      : data;
    try {
      for (let at = 0; at < bytes.length;) {
        at += this.#file.writeSync(bytes.subarray(at));
      }
      this.#size += bytes.length;
      return true;
    } catch (error) {
      this.isFull = true;
      this.#warn(error, this.#options.whenFull());
    }
    try {
      this.#file.truncateSync(this.#size);
    } catch {
      // A device has no size. It was written only in part.
    }
    return false;
  }

  /**
   * Closes the file and gives it its name.
   *
   * @returns The name that it has now.
   */
  close(): string {
    this.#file.close();
    try {
      Deno.renameSync(this.#part, this.#path);
      return this.#path;
    } catch (error) {
      this.#warn(error, `it is still called "${this.#part}"`);
      return this.#part;
    }
  }

  /**
   * Closes the file, but does not replace the one that exists.
   *
   * @returns The name that it has now.
   */
  leave(): string {
    this.#file.close();
    return this.#part;
  }

  /** Removes the file. */
  discard(): void {
    Deno.removeSync(this.leave());
  }

  #warn(error: unknown, instead: string): void {
    const { message } = Object(fileError("write", this.#path, error));
    this.#options.warn(`${message}; ${instead}`);
  }
}
