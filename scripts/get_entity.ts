#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV --allow-read=.env --allow-write=/tmp --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Reads an entity from Port, selects its values, and checks or waits for
 * expected ones.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { checkIdentifier } from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";
import { missingPath, parsePath, valueAt } from "../lib/path.ts";
import { ExpectationError, waitFor } from "../lib/poll.ts";
import { getEntity, type JsonObject, PortError } from "../lib/port.ts";
import { parseJsonOrText, partsQuery } from "../lib/search.ts";
import { parseDuration } from "../lib/settings.ts";

/** The script. */
export const script = defineScript({
  name: "get_entity",
  summary: "Read an entity or one of its values from Port, or wait for it",
  options: {
    blueprint: {
      group: "Entity",
      short: "b",
      value: "ID",
      required: true,
      help: "Blueprint of the entity",
    },
    identifier: {
      short: "i",
      value: "ID",
      required: true,
      help: "Identifier of the entity",
    },
    include: {
      group: "Result",
      value: "PATH",
      repeat: true,
      help: "Return only this part, for example properties.version",
    },
    exclude: {
      value: "PATH",
      repeat: true,
      help: "Leave this part out",
    },
    excludeCalculatedProperties: {
      help: "Leave calculated properties out",
    },
    select: {
      value: "PATH",
      help: "Print this value only: text as it is, anything else as JSON",
    },
    default: {
      value: "VALUE",
      help: "Print this if the path of --select does not exist",
    },
    setEnv: {
      value: "NAME=PATH",
      repeat: true,
      help:
        "Set a variable for later steps, such as VERSION=properties.version",
    },
    expect: {
      group: "Gate",
      value: "PATH=VALUE",
      repeat: true,
      help: "Exit with 7 unless PATH has VALUE; PATH!=VALUE for the opposite",
    },
    wait: {
      value: "TIME",
      help: "Ask until the entity exists and --expect is met, such as 10m",
    },
  },
  examples: {
    "The whole entity": "-b service -i checkout",
    "The version that is deployed":
      "-b service -i checkout --select properties.version",
    "The first owner, or nobody":
      "-b service -i checkout --select relations.owners.0 --default nobody",
    "Go on only while production is not locked":
      "-b service -i checkout --expect properties.locked_in_prod!=true",
  },
  async run({ options, settings, port, print, log }) {
    const { blueprint, identifier, select, setEnv } = options;
    if (select === undefined && options.default !== undefined) {
      throw new UsageError("Cannot use --default without --select PATH");
    }
    checkIdentifier("blueprint", blueprint);
    checkIdentifier("entity", identifier);
    const path = select === undefined ? [] : parsePath(select);
    const setVariables = setEnv.length > 0
      ? (await import("../lib/set_env.ts")).prepareSetEnv(setEnv)
      : undefined;
    const expectations = options.expect.map(parseExpectation);
    const query = partsQuery(
      options,
      options.excludeCalculatedProperties
        ? { exclude_calculated_properties: "true" }
        : {},
    );
    const ask = async (timeout: number) => {
      const limit = { timeout: Math.min(timeout, settings.timeout) };
      const entity = await getEntity(port, blueprint, identifier, query, limit);
      await checkExpectations(entity, expectations);
      return entity;
    };
    const entity = options.wait === undefined
      ? await ask(settings.timeout).catch((error) => {
        throw expectations.length > 0 ? asUnmet(error) : error;
      })
      : await waitFor(ask, {
        wait: parseDuration(options.wait, "--wait"),
        ...PAUSES,
        log,
      });
    const found = valueAt(entity, path);
    // A value may be null.
    const value = found === undefined ? options.default : found;
    if (value === undefined) throw missingPath(entity, path);
    setVariables?.(entity);
    print(value);
  },
});

/** The pauses between requests, in milliseconds. */
const PAUSES = { firstPause: 5_000, longestPause: 30_000 };

/** An entity that does not exist meets no expectation. */
function asUnmet(error: unknown): unknown {
  return error instanceof PortError && error.kind === "not-found"
    ? new ExpectationError(error.message)
    : error;
}

/** An expected value in an entity. */
export interface Expectation {
  /** The path into the entity. */
  path: string;
  /** The value that must, or must not, be at the path. */
  value: unknown;
  /** The value as the user wrote it. */
  written: string;
  /** Whether the value must differ. */
  isNegated: boolean;
}

/**
 * Parses `PATH=VALUE` or `PATH!=VALUE`.
 *
 * @param text The expectation; its value is parsed as JSON if valid.
 * @returns The expectation.
 * @throws {UsageError} If it is not an expectation.
 */
export function parseExpectation(text: string): Expectation {
  const [, path, sign, written = ""] =
    /^((?:[^=![\]"]|\[(?:\d+|"(?:[^"\\]|\\.)*")\])+)(!?=)(.*)$/s.exec(text) ??
      [];
  // "a != b" and "a == b" would not mean what they seem to.
  if (path === undefined || /^\s|\s$/.test(path) || written.startsWith("=")) {
    throw new UsageError(
      `Cannot read --expect "${text}": write PATH=VALUE or PATH!=VALUE, ` +
        "without spaces around the sign",
    );
  }
  parsePath(path);
  const value = parseJsonOrText(written);
  return { path, value, written, isNegated: sign === "!=" };
}

/**
 * Throws unless an entity meets all expectations. A path that does not exist
 * equals nothing.
 *
 * @param entity The entity.
 * @param expectations What to check.
 * @throws {ExpectationError} With a line for each that is not met.
 */
export async function checkExpectations(
  entity: JsonObject,
  expectations: Expectation[],
): Promise<void> {
  if (expectations.length === 0) return;
  // Loaded only if needed, as this is slow.
  const { isDeepStrictEqual } = await import("node:util");
  const details = expectations.flatMap((expectation) =>
    explain(entity, expectation, isDeepStrictEqual) ?? []
  );
  const [first] = details;
  if (first === undefined) return;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : "";
  throw new ExpectationError(
    `Cannot continue: of entity "${entity.identifier}", ${first}${more}; change ` +
      "it in Port, then run again",
    details,
  );
}

/** Explains why an expectation is not met; `undefined` if it is. */
function explain(
  entity: JsonObject,
  { path, value, written, isNegated }: Expectation,
  isEqual: (left: unknown, right: unknown) => boolean,
): string | undefined {
  const found = valueAt(entity, parsePath(path));
  const isSame = isEqual(found, value);
  // The string "1.10" looks like a number: if in doubt, the gate fails.
  const isAlike = found === written;
  if (isNegated ? !isSame && !isAlike : isSame) return undefined;
  const wanted = typeof value === "string" ? JSON.stringify(value) : written;
  const actual = found === undefined ? "missing" : JSON.stringify(found);
  return `${path} is ${actual}, expected ` +
    (isNegated ? `anything but ${wanted}` : wanted) +
    (isAlike && !isNegated ? `; for text write '${path}="${written}"'` : "");
}

if (import.meta.main) await runScript(script);
