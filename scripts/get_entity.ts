#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV --allow-read=.env --allow-write=/tmp --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Reads one entity from Port, picks values out of it, and holds a pipeline until
 * it is as expected.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import * as entities from "../lib/entities.ts";
import { missingPath, parsePath, valueAt } from "../lib/entity.ts";
import { ExpectationError, NotFoundError, UsageError } from "../lib/errors.ts";
import { isSameJson, type JsonObject, parseJsonOrText } from "../lib/json.ts";
import { parseDuration } from "../lib/settings.ts";
import { prepareStepVariables } from "../lib/step_variables.ts";
import { LAST_ANSWER, waitFor } from "../lib/wait.ts";

/** The script, for its file and for tests. */
export const getEntity = defineScript({
  name: "get_entity",
  summary: "Read one entity from Port, a value out of it, or wait for it",
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
      help: "Print this when the path of --select is not there",
    },
    setEnv: {
      value: "NAME=PATH",
      repeat: true,
      help: "Set a variable for later steps in CircleCI, for example " +
        "VERSION=properties.version",
    },
    expect: {
      group: "Gate",
      value: "PATH=VALUE",
      repeat: true,
      help: "Exit with 7 unless this holds; PATH!=VALUE for the opposite",
    },
    wait: {
      value: "TIME",
      help: "Ask again until the entity is there and all of --expect holds, " +
        "for example 10m",
    },
  },
  examples: [
    { says: "The whole entity", args: "-b service -i checkout" },
    {
      says: "The version that is deployed",
      args: "-b service -i checkout --select properties.version",
    },
    {
      says: "The first owner, or nobody",
      args:
        "-b service -i checkout --select relations.owners.0 --default nobody",
    },
    {
      says: "Go on only while production is not locked",
      args: "-b service -i checkout --expect properties.locked_in_prod!=true",
    },
  ],
  async run({ options, port, print, say }) {
    const { blueprint, identifier, select } = options;
    if (select === undefined && options.default !== undefined) {
      throw new UsageError("Cannot use --default without --select PATH");
    }
    const path = select === undefined ? undefined : parsePath(select);
    const setVariables = await prepareStepVariables(options.setEnv);
    const expectations = options.expect.map(parseExpectation);
    const wait = options.wait === undefined
      ? undefined
      : parseDuration(options.wait, "--wait");
    const ask = async () => {
      const entity = await entities.getEntity(
        port,
        blueprint,
        identifier,
        options,
      );
      checkExpectations(entity, expectations);
      return entity;
    };
    if (wait !== undefined) port.endBy(Date.now() + wait + LAST_ANSWER);
    const entity = wait !== undefined
      ? await waitFor(ask, { wait, ...PAUSES }, say)
      : await ask().catch((error) => {
        throw expectations.length > 0 ? asUnmet(error) : error;
      });
    const result = path === undefined
      ? entity
      : chooseValue(entity, path, select, options.default);
    setVariables(entity);
    print(result);
  },
});

function chooseValue(
  entity: JsonObject,
  path: string[],
  select = "",
  otherwise?: string,
): unknown {
  const found = valueAt(entity, path);
  if (found.there) return found.value;
  if (otherwise !== undefined) return otherwise;
  throw missingPath(select, found.paths);
}

/** Of an entity that is not there, nothing holds. */
function asUnmet(error: unknown): unknown {
  return error instanceof NotFoundError
    ? new ExpectationError(error.message, [])
    : error;
}

/** What an entity must be like. */
export interface Expectation {
  /** The path into the entity. */
  path: string;
  /** What stands there, or must not stand there. */
  value: unknown;
  /** The value as the user wrote it. */
  written: string;
  /** Whether it must be something else. */
  isNegated: boolean;
}

/**
 * Reads `PATH=VALUE` or `PATH!=VALUE`.
 *
 * @param text The expectation; its value is read as JSON where it is JSON.
 * @returns The expectation.
 * @throws {UsageError} When it is none.
 */
export function parseExpectation(text: string): Expectation {
  const [, path, sign, value = ""] =
    /^((?:[^=![\]"]|\[(?:\d+|"(?:[^"\\]|\\.)*")\])+)(!?=)(.*)$/s.exec(text) ??
      [];
  // "a != b" and "a == b" would be other questions than they look like.
  if (path === undefined || /^\s|\s$/.test(path) || value.startsWith("=")) {
    throw new UsageError(
      `Cannot read --expect "${text}": write PATH=VALUE or PATH!=VALUE, ` +
        "without spaces around the sign",
    );
  }
  parsePath(path);
  return {
    path,
    value: parseJsonOrText(value),
    written: value,
    isNegated: sign === "!=",
  };
}

/**
 * Insists on all expectations. A path that is not there equals nothing.
 *
 * @param entity The entity.
 * @param expectations What it must be like.
 * @throws {ExpectationError} When some do not hold, with a line for each.
 */
export function checkExpectations(
  entity: JsonObject,
  expectations: Expectation[],
): void {
  const details = expectations.flatMap((expectation) =>
    explain(entity, expectation) ?? []
  );
  if (details.length === 0) return;
  const [first] = details;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : "";
  throw new ExpectationError(
    `Cannot go on: of entity "${entity.identifier}", ${first}${more}; change ` +
      "it in Port, then run again",
    details,
  );
}

/** Says why an expectation does not hold; nothing when it does. */
function explain(entity: JsonObject, expectation: Expectation) {
  const { path, value, written, isNegated } = expectation;
  const found = valueAt(entity, parsePath(path));
  const isEqual = found.there && isSameJson(found.value, value);
  // Text such as "1.10" that reads like a number: a gate that must not open for
  // it stays closed, one that must open for it says how to write it.
  const isAlike = found.there && found.value === written;
  if (isNegated ? !isEqual && !isAlike : isEqual) return undefined;
  const wanted = typeof value === "string" ? JSON.stringify(value) : written;
  const actual = found.there ? JSON.stringify(found.value) : "not there";
  return `${path} is ${actual}, expected ` +
    (isNegated ? `anything but ${wanted}` : wanted) +
    (isAlike && !isNegated ? `; for text write '${path}="${written}"'` : "");
}

/** The pauses between questions, in milliseconds: gentle on the rate limit. */
const PAUSES = { first: 5_000, longest: 30_000 };

if (import.meta.main) await runScript(getEntity);
