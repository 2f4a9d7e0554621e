#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL --allow-read=. --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Searches Port for entities.
 *
 * @module
 */
import { type Context, defineScript, runScript } from "../lib/cli.ts";
import { checkIdentifier } from "../lib/entity.ts";
import { ScriptError, UsageError } from "../lib/errors.ts";
import { nameOf, readInput } from "../lib/files.ts";
import { parseJsonObject } from "../lib/json.ts";
import { parsePath, valueAt } from "../lib/path.ts";
import { apiPath, type JsonObject, type Port } from "../lib/port.ts";
import { parseRule } from "../lib/rules.ts";
import { searchEntities } from "../lib/search.ts";
import { parseCount } from "../lib/settings.ts";
import { toQuery } from "../lib/where.ts";

/** The script. */
export const script = defineScript({
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
      help:
        "A rule such as version!=1.10, replicas>=3, title=x; the blueprint " +
        "gives the type of the value, NAME:=JSON forces JSON",
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
    limit: { value: "N", help: "Print at most N entities" },
    select: {
      value: "PATH",
      help: "Print only this value of each entity that has it",
    },
    count: { help: "Print only the number of entities" },
    output: {
      value: "FORMAT",
      help:
        "ndjson (default), one entity per line as they come; json, an array",
    },
    expectAny: { help: "Exit with 7 if nothing is found" },
  },
  examples: {
    "All services that run an old version":
      "-b service --where 'version!=1.4.2' --select identifier",
    "The number of entities of two blueprints":
      `--count --query '{"combinator": "or", "rules": [` +
      `{"property": "$blueprint", "operator": "=", "value": "service"}, ` +
      `{"property": "$blueprint", "operator": "=", "value": "image"}]}'`,
  },
  async run(context) {
    const { options, port, print } = context;
    const { output = "ndjson" } = options;
    if (output !== "ndjson" && output !== "json") {
      throw new UsageError(
        `Cannot use --output "${output}": it must be ndjson or json`,
      );
    }
    const limit = options.limit === undefined
      ? Infinity
      : parseCount(options.limit, "--limit", 1);
    const count = await countAll(port, options);
    const found = count === undefined
      ? await printFound(context, limit)
      : Math.min(count, limit);
    if (options.count) print(found);
    if (options.expectAny && found === 0) {
      throw new ScriptError(
        7,
        "Cannot continue: nothing is found; check the search, or leave " +
          "--expect-any out",
      );
    }
  },
});

type ScriptContext = Context<typeof script.options>;

/**
 * Returns what Port counts itself: all entities of a blueprint. Its API document
 * does not promise that an answer has the number.
 */
async function countAll(
  port: Port,
  { blueprint, query, where, count: isCount }: ScriptContext["options"],
): Promise<number | undefined> {
  const isAll = query === undefined && where.length === 0;
  if (!isCount || !isAll || blueprint === undefined) return undefined;
  checkIdentifier("blueprint", blueprint);
  const path = apiPath("blueprints", blueprint, "entities-count");
  const action = `count entities of blueprint "${blueprint}"`;
  const { count } = await port.request("GET", path, { action });
  return typeof count === "number" ? count : undefined;
}

/** Prints the entities, unless they are only counted; returns how many. */
async function printFound(
  { options, port, print, warn }: ScriptContext,
  limit: number,
): Promise<number> {
  const { select, count, output } = options;
  const path = select === undefined ? [] : parsePath(select);
  const query = await readQuery(port, options);
  const search = { ...options, query, limit: Math.min(limit, PAGE) };
  const all: unknown[] = [];
  let found = 0;
  let hasValue = count;
  for await (const entity of searchEntities(port, search)) {
    found++;
    const value = count ? undefined : valueAt(entity, path);
    hasValue ||= value !== undefined;
    if (output === "json") all.push(...value === undefined ? [] : [value]);
    else if (typeof value === "string") print(value);
    else if (value !== undefined) print(JSON.stringify(value));
    if (found === limit) break;
  }
  if (found > 0 && !hasValue) warn(`None of them has "${select}" (--select)`);
  if (output === "json" && !count) print(all);
  return found;
}

/** The size of a page; Port accepts at most 1000. */
const PAGE = 1000;

async function readQuery(
  port: Port,
  { blueprint, query, where }: {
    blueprint: string | undefined;
    query: string | undefined;
    where: string[];
  },
): Promise<JsonObject> {
  if (query !== undefined && where.length > 0) {
    throw new UsageError("Cannot use --query and --where together: drop one");
  }
  if (query?.startsWith("@")) {
    const path = query.slice(1);
    return parseJsonObject(await readInput(path), nameOf(path));
  }
  if (query !== undefined) return parseJsonObject(query, "--query");
  if (blueprint === undefined && where.length === 0) {
    throw new UsageError(
      "Missing what to search: give --blueprint, --where or --query",
    );
  }
  const rules = where.map((rule) => parseRule("--where", rule));
  return await toQuery(port, rules, blueprint);
}

if (import.meta.main) await runScript(script);
