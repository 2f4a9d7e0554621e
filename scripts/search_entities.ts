#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Searches Port for entities.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import * as entities from "../lib/entities.ts";
import { parsePath, valueAt } from "../lib/entity.ts";
import { ExpectationError, UsageError } from "../lib/errors.ts";
import {
  type Json,
  type JsonObject,
  parseJsonObject,
  parseJsonOrText,
} from "../lib/json.ts";
import { parseMost } from "../lib/settings.ts";

/** The script, for its file and for tests. */
export const searchEntities = defineScript({
  name: "search_entities",
  summary: "Search Port for entities",
  options: {
    blueprint: {
      group: "Search",
      short: "b",
      value: "ID",
      help: "Only entities of this blueprint",
    },
    where: {
      short: "w",
      value: "RULE",
      repeat: true,
      help: "A rule that must hold: version=1.4.2, replicas>=3, $title!=x; " +
        "the value is read as JSON where it is JSON",
    },
    query: {
      value: "JSON|@FILE",
      help: "A query in Port's search language, in place of --where",
    },
    include: {
      group: "Result",
      value: "PATH",
      repeat: true,
      help: "Return only this part",
    },
    exclude: {
      value: "PATH",
      repeat: true,
      help: "Leave this part out",
    },
    limit: { value: "N", help: "Print at most so many entities" },
    select: {
      value: "PATH",
      help: "Print this value of each entity only, where it is there",
    },
    count: { help: "Print how many there are only" },
    output: {
      value: "FORMAT",
      help: "ndjson, an entity a line as it comes (the default), or json, " +
        "one array",
    },
    expectAny: { help: "Exit with 7 when nothing is found" },
  },
  examples: [
    {
      says: "All services that run an old version",
      args: "-b service --where 'version!=1.4.2' --select identifier",
    },
    {
      says: "How many entities there are of two blueprints",
      args: `--count --query '{"combinator": "or", "rules": [` +
        `{"property": "$blueprint", "operator": "=", "value": "service"}, ` +
        `{"property": "$blueprint", "operator": "=", "value": "image"}]}'`,
    },
  ],
  async run({ options, port, print, printLine, readInput }) {
    const { blueprint, include, exclude, select, output = "ndjson" } = options;
    if (output !== "ndjson" && output !== "json") {
      throw new UsageError(
        `Cannot use --output "${output}": it must be ndjson or json`,
      );
    }
    const limit = parseMost(options.limit, "--limit");
    const path = select === undefined ? undefined : parsePath(select);
    const query = await readQuery(options, readInput);
    const search = {
      ...{ blueprint, query, include, exclude },
      limit: Math.min(limit, PAGE),
    };
    const all: Json[] = [];
    let found = 0;
    for await (const entity of entities.searchEntities(port, search)) {
      found++;
      const value = path
        ? valueAt(entity, path)
        : { there: true, value: entity };
      if (value.there && !options.count) {
        if (output === "json") all.push(value.value as Json);
        else printLine(value.value);
      }
      if (found === limit) break;
    }
    if (options.count) print(found);
    else if (output === "json") print(all);
    if (options.expectAny && found === 0) {
      throw new ExpectationError(
        "Cannot go on: nothing is found; check the search, or leave " +
          "--expect-any out",
        [],
      );
    }
  },
});

/** The entities that are asked for at once; Port gives 1000 at most. */
const PAGE = 1000;

async function readQuery(
  { blueprint, query, where }: {
    blueprint: string | undefined;
    query: string | undefined;
    where: string[];
  },
  readInput: (path: string) => Promise<string>,
): Promise<JsonObject> {
  if (query !== undefined && where.length > 0) {
    throw new UsageError("Cannot use --query and --where together: drop one");
  }
  if (query?.startsWith("@")) {
    const path = query.slice(1);
    return parseJsonObject(await readInput(path), `file "${path}"`);
  }
  if (query !== undefined) return parseJsonObject(query, "--query");
  if (blueprint === undefined && where.length === 0) {
    throw new UsageError(
      "Cannot tell what to search: give --blueprint, --where or --query",
    );
  }
  return { combinator: "and", rules: where.map(parseRule) };
}

/** Reads `NAME`, an operator and a value, at the first operator. */
function parseRule(text: string): JsonObject {
  const [, property, operator, value = ""] =
    /^([^=!<>]+?)(=|!=|>=|<=|>|<)(.*)$/s.exec(text) ?? [];
  // "a = b" and "a == b" would be other questions than they look like.
  if (
    property === undefined || operator === undefined ||
    /^\s|\s$/.test(property) || /^[\s=<>!]/.test(value)
  ) {
    throw new UsageError(
      `Cannot read --where "${text}": write NAME=VALUE, with =, !=, >, >=, < ` +
        "or <=, without spaces around it",
    );
  }
  return { property, operator, value: parseJsonOrText(value) };
}

if (import.meta.main) await runScript(searchEntities);
