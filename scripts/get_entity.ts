#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV --allow-read=.env --allow-write=/tmp --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Reads an entity from Port, selects its values, and checks or waits for
 * expected ones.
 *
 * @module
 */
import { getBlueprint } from "../lib/blueprint.ts";
import {
  locate,
  type Types,
  typesOf,
  unknownName,
} from "../lib/blueprint_names.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { checkIdentifier } from "../lib/entity.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import type { OptionsOf } from "../lib/options.ts";
import { missingPath, parsePath, valueAt } from "../lib/path.ts";
import { ExpectationError, waitFor } from "../lib/poll.ts";
import {
  getEntity,
  type Json,
  type JsonObject,
  type Port,
  PortError,
  type RequestOptions,
} from "../lib/port.ts";
import {
  parseRule,
  readValue,
  rejectBooleanWord,
  type Rule,
  type Type,
  typeOfValue,
} from "../lib/rules.ts";
import { partsQuery } from "../lib/search.ts";
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
      help: "Use this if a path of --select or --set-env does not exist",
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
      help:
        "Exit with 7 unless PATH has VALUE; also !=, >, >=, < and <=; the " +
        "property gives the type of VALUE, PATH:=JSON forces JSON",
    },
    wait: {
      value: "TIME",
      help: "Ask until the entity exists and --expect is met, such as 10m",
    },
    allowMissing: {
      help: "Pass the gate if the entity does not exist, for a first deploy",
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
  async run({ options, settings, port, print, log, warn }) {
    const { blueprint, identifier, select, setEnv, wait } = options;
    checkIdentifier("blueprint", blueprint);
    checkIdentifier("entity", identifier);
    checkFlags(options);
    const path = select === undefined ? [] : parsePath(select);
    const setVariables = setEnv.length > 0
      ? (await import("../lib/set_env.ts")).prepareSetEnv(setEnv)
      : undefined;
    const rules = options.expect.map((rule) => parseRule("--expect", rule));
    const gate = new Gate(port, blueprint, rules);
    const query = partsQuery(
      options,
      options.excludeCalculatedProperties
        ? { exclude_calculated_properties: "true" }
        : {},
    );
    const ask = async (timeout: number) => {
      const limit = { timeout: Math.min(timeout, settings.timeout) };
      gate.limit = limit;
      const entity = await getEntity(port, blueprint, identifier, query, limit)
        .catch((error) => gate.checkMissing(error, options));
      if (entity !== undefined) await gate.check(entity);
      return entity;
    };
    const entity = wait === undefined
      ? await ask(settings.timeout)
      : await waitFor(ask, {
        wait: parseDuration(wait, "--wait"),
        ...PAUSES,
        log,
      });
    if (entity === undefined) {
      warn(
        `The gate was passed because entity "${identifier}" of blueprint ` +
          `"${blueprint}" does not exist (--allow-missing)`,
      );
    }
    const found = valueAt(entity, path);
    // A value may be null.
    const value = found === undefined ? options.default : found;
    if (value === undefined && entity !== undefined) {
      throw missingPath(entity, path);
    }
    setVariables?.(entity, options.default);
    if (value !== undefined) print(value);
  },
});

/** The pauses between requests, in milliseconds. */
const PAUSES = { firstPause: 5_000, longestPause: 30_000 };

type Flags = OptionsOf<typeof script.options>;

/** Throws if flags cannot be used together. */
function checkFlags(
  { allowMissing, select, setEnv, wait, expect, ...more }: Flags,
): void {
  const isUnused = select === undefined && setEnv.length === 0 && !allowMissing;
  if (more.default !== undefined && isUnused) {
    throw new UsageError(
      "Cannot use --default without --select, --set-env or --allow-missing",
    );
  }
  if (allowMissing && wait !== undefined) {
    throw new UsageError(
      "Cannot use --allow-missing with --wait, which waits for the entity",
    );
  }
  if (allowMissing && setEnv.length > 0 && more.default === undefined) {
    throw new UsageError(
      "Cannot use --allow-missing with --set-env unless --default gives the " +
        "value of a missing entity",
    );
  }
  const { include, exclude, excludeCalculatedProperties } = more;
  const isPart = include.length > 0 || exclude.length > 0 ||
    excludeCalculatedProperties;
  if (expect.length > 0 && isPart) {
    throw new UsageError(
      "Cannot use --expect with --include or an --exclude flag, which may hide " +
        "what is expected; use --select",
    );
  }
}

/** What must hold before a pipeline goes on. If in doubt, it stays shut. */
export class Gate {
  #types: Types | undefined;
  /** The limits of its requests. */
  limit: RequestOptions = {};

  /**
   * Creates a gate.
   *
   * @param port Port.
   * @param blueprint Identifier of the blueprint.
   * @param rules The expectations.
   */
  constructor(
    readonly port: Port,
    readonly blueprint: string,
    readonly rules: Rule[],
  ) {}

  /**
   * Throws unless an entity meets all expectations.
   *
   * @param entity The entity.
   * @throws {ExpectationError} With all that are not met.
   * @throws {ScriptError} If waiting cannot help, as a name does not exist or a
   * value is of another type.
   */
  async check(entity: JsonObject): Promise<void> {
    const reason = (await this.#explainAll(entity)).join(", ");
    if (reason === "") return;
    throw new ExpectationError(
      `Cannot continue: entity "${entity.identifier}": ${reason}; change it in ` +
        "Port, then run again",
      reason,
    );
  }

  /**
   * Decides about an entity that does not exist. A mistyped name must neither
   * wait nor pass, that of the blueprint included.
   *
   * @param error Why the entity was not read.
   * @param flags Those of the gate.
   * @returns If the gate is passed without the entity.
   * @throws {unknown} If it is not passed.
   */
  async checkMissing(
    error: unknown,
    { wait, allowMissing }: Pick<Flags, "wait" | "allowMissing">,
  ): Promise<undefined> {
    const isGate = this.rules.length > 0 || wait !== undefined || allowMissing;
    if (!isGate || !isNotFound(error)) throw error;
    await this.#readTypes();
    // Only checks the names and the types of the values.
    await this.#explainAll({});
    if (allowMissing) return;
    const hint = wait === undefined
      ? "; create it, or use --allow-missing for a first deploy"
      : "";
    throw new ExpectationError(error.message + hint);
  }

  async #explainAll(entity: JsonObject): Promise<string[]> {
    const details: string[] = [];
    try {
      for (const rule of this.rules) {
        details.push(...await this.#explain(entity, rule));
      }
    } catch (error) {
      // Something was sent, so that this is no longer exit code 2.
      throw error instanceof UsageError
        ? new ScriptError(7, error.message)
        : error;
    }
    return details;
  }

  /** Explains why an expectation is not met; nothing if it is. */
  async #explain(entity: JsonObject, rule: Rule): Promise<string[]> {
    const { path, names, operator, text } = rule;
    const actual = valueAt(entity, names) as Json | undefined;
    const found = actual ?? null;
    const type = found === null ? await this.#typeOf(rule) : typeOfValue(found);
    // Without a type and a value to take it from, only "not set" can be equal.
    const isUntyped = found === null && type === undefined;
    if (isUntyped) rejectBooleanWord(rule);
    const value = isUntyped ? rule.json : readValue(rule, type);
    // A blueprint does not describe what is inside a value.
    const isUnknown = actual === undefined && locate(names).isBelow;
    if (!isUnknown && await isMet(found, operator, value, type)) return [];
    const sign = { "=": "", "!=": "not " }[operator] ?? operator;
    const wanted = typeof value === "string" ? JSON.stringify(value) : text;
    const shown = actual === undefined ? "missing" : JSON.stringify(actual);
    return [`${path} is ${shown}, expected ${sign}${wanted}`];
  }

  async #typeOf(rule: Rule): Promise<Type | undefined> {
    const types = await this.#readTypes();
    const { key, isBelow } = locate(rule.names);
    if (types.has(key)) return isBelow ? undefined : types.get(key);
    throw await unknownName(rule, types, `blueprint "${this.blueprint}"`);
  }

  /** Reads the blueprint, once per run. */
  async #readTypes(): Promise<Types> {
    try {
      return this.#types ??= typesOf(
        await getBlueprint(this.port, this.blueprint, this.limit),
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const advice = "check --blueprint and --region";
      throw new ScriptError(7, `${error.message}; ${advice}`);
    }
  }
}

function isNotFound(error: unknown): error is PortError {
  return error instanceof PortError && error.kind === "not-found";
}

async function isMet(
  found: Json,
  operator: string,
  value: Json | undefined,
  type: Type | undefined,
): Promise<boolean> {
  // The same time can be written in several ways.
  const [left, right] = [found, value].map((one) =>
    type === "date-time" && typeof one === "string" ? Date.parse(one) : one
  );
  if (operator === "=" || operator === "!=") {
    // Loaded only if needed, as this is slow.
    const { isDeepStrictEqual } = await import("node:util");
    return isDeepStrictEqual(left, right) === (operator === "=");
  }
  if (typeof left !== "number" || typeof right !== "number") return false;
  if (left === right) return operator.endsWith("=");
  return operator.startsWith(left > right ? ">" : "<");
}

if (import.meta.main) await runScript(script);
