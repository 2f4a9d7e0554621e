#!/usr/bin/env -S deno run --allow-net=127.0.0.1 --allow-read --allow-write --allow-env=PORT_CLIENT_ID,PORT_CLIENT_SECRET
/**
 * The command line of the local Port, an implementation of Port's API.
 *
 * @module
 */
import { parseArgs } from "jsr:@std/cli@1.0.30/parse-args";
import { VERSION } from "../lib/port.ts";
import { omitNullish, parseTime } from "./local_port/model.ts";
import {
  FAMILY_NAMES,
  limitsOf,
  PORT_LIMITS,
  type RateLimit,
  type RateLimits,
} from "./local_port/rate_limit.ts";
import { type LocalPortOptions, startLocalPort } from "./local_port/server.ts";

/** The flags: the name of the value, and what it does. */
const FLAGS: Record<string, [value: string, help: string]> = {
  port: ["PORT", "TCP port on 127.0.0.1, 0 for a free one (default 8787)"],
  blueprints: ["DIR", "Folder of blueprints (default scripts/blueprints)"],
  data: ["FILE", "Keep the catalogue in this file across restarts"],
  action: [
    "ID[:approval]",
    "An action (default deploy) and if its runs wait; repeatable",
  ],
  latency: ["TIME", "Shortest time of an answer, for example 50ms"],
  "fail-rate": ["SHARE", "Share of requests that fail, for example 0.2"],
  "rate-limit": [
    "LIMIT",
    "100/10s for each family of routes, login=5/1m, or off",
  ],
  "token-lifetime": ["TIME", "How long a token is valid, for example 30s"],
  seed: ["N", "Make the failures the same in every run"],
};

/** How to write the values that can be wrong. */
const FORMS: Record<string, string> = {
  "ID[:approval]": "an identifier, or one with :approval",
  PORT: "a whole number from 0 to 65535",
  TIME: "a time, for example 50ms, 30s or 1h30m",
  SHARE: "a number from 0 to 1",
  LIMIT: `100/10s, login=5/1m or off; the families are ${
    FAMILY_NAMES.join(", ")
  }`,
  N: "a whole number from 0 to 4294967296",
};

const HELP = `Start a local implementation of Port's API

Usage: scripts/local_port.ts [options]

Options:
${
  Object.entries(FLAGS).map(([name, [value, help]]) =>
    `  ${`--${name} ${value}`.padEnd(22)}  ${help}`
  ).join("\n")
}
  ${"--version".padEnd(22)}  Show the version
  ${"-h, --help".padEnd(22)}  Show this text

Families of routes, which have Port's rate limits:
  ${FAMILY_NAMES.join(", ")}

Environment:
  PORT_CLIENT_ID          the only client id accepted (default local-id)
  PORT_CLIENT_SECRET      the only secret accepted (default local-secret)

Examples:
  # Keep nothing when it ends
  scripts/local_port.ts
  # Fail one request in five, the same ones in every run
  scripts/local_port.ts --fail-rate 0.2 --latency 50ms --seed 7
  # Try an approval
  scripts/local_port.ts --action deploy:approval --action rollback
  # Change two of Port's rate limits
  scripts/local_port.ts --rate-limit login=5/1m --rate-limit bulk=20/10s`;

/** Parses the command line; returns the text if it asks for one. */
function parseCommandLine(args: string[]): LocalPortOptions | string {
  const flags: Record<string, unknown> = parseArgs(args, {
    string: Object.keys(FLAGS),
    collect: Object.keys(FLAGS),
    boolean: ["help", "version"],
    alias: { h: "help" },
    unknown: throwUnknown,
  });
  if (flags.help) return HELP;
  if (flags.version) return VERSION;
  const readAll = <Value>(name: string, parse: (text: string) => Value) =>
    [flags[name] ?? []].flat().map(String).map((text) => {
      if (text === "") throw new Error(`Missing the value of --${name}`);
      const value = parse(text);
      if (value !== undefined && !Number.isNaN(value)) return value;
      const form = FORMS[FLAGS[name]?.[0] ?? ""];
      throw new Error(`Cannot use --${name} "${text}": write ${form}`);
    });
  const read = <Value>(name: string, parse: (text: string) => Value) => {
    const [value, ...more] = readAll(name, parse);
    if (more.length === 0) return value;
    throw new Error(`--${name} is given twice`);
  };
  const actions = readAll("action", parseAction);
  const limits = readAll("rate-limit", parseRateLimits);
  return omitNullish<unknown>({
    port: read("port", (text) => parseWhole(text, 65_535)) ?? 8787,
    blueprints: read("blueprints", String),
    data: read("data", String),
    actions: actions.length > 0 ? actions.map(({ id }) => id) : undefined,
    approval: actions.filter(({ needsApproval }) => needsApproval)
      .map(({ id }) => id),
    latency: read("latency", parseTime),
    failRate: read("fail-rate", parseShare),
    rateLimits: limits.reduce<RateLimits>(
      (all, change) => change(all),
      PORT_LIMITS,
    ),
    tokenLifetime: read("token-lifetime", parseTime),
    seed: read("seed", (text) => parseWhole(text, 2 ** 32)),
  });
}

function throwUnknown(arg: string): never {
  const near = Object.keys(FLAGS).map((name) => `--${name}`)
    .find((flag) => flag.startsWith(arg.slice(0, 5)));
  const hint = near === undefined ? "" : `, did you mean ${near}?`;
  throw new Error(`Unknown argument "${arg}"${hint}`);
}

/** `deploy` or `deploy:approval`. */
function parseAction(text: string) {
  const [_, id, approval] = /^([^:]+)(:approval)?$/.exec(text) ?? [];
  if (id === undefined) return undefined;
  return { id, needsApproval: approval !== undefined };
}

/** A whole number from 0 up to a maximum; NaN for anything else. */
function parseWhole(text: string, max: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  return number <= max ? number : NaN;
}

/** A number from 0 to 1; NaN for anything else. */
function parseShare(text: string): number {
  return /^(?:0|1|0?\.\d+|1\.0+)$/.test(text) ? Number(text) : NaN;
}

/** Returns what `--rate-limit` does to the limits before it. */
function parseRateLimits(
  text: string,
): ((limits: RateLimits) => RateLimits) | undefined {
  if (text === "off") return () => ({});
  const [_, name, requests = "", time = ""] =
    /^(?:(\w+)=)?(\d+)\/(.+)$/.exec(text) ?? [];
  const family = FAMILY_NAMES.find((family) => family === name);
  if (name !== undefined && family === undefined) return undefined;
  const limit: RateLimit = {
    requests: parseWhole(requests, 1e9),
    period: parseTime(time),
  };
  if (!(limit.requests >= 1 && limit.period > 0)) return undefined;
  return (limits) =>
    family ? { ...limits, [family]: limit } : limitsOf(() => limit);
}

/** Runs a local Port until it is interrupted. */
async function main(): Promise<void> {
  const options = parseCommandLine(Deno.args);
  if (typeof options === "string") return console.log(options);
  const clientId = Deno.env.get("PORT_CLIENT_ID");
  const clientSecret = Deno.env.get("PORT_CLIENT_SECRET");
  const { url, close } = await startLocalPort({
    ...options,
    ...omitNullish({ clientId, clientSecret }),
    version: VERSION,
    log: console.log,
  });
  console.log(`Local Port listens on ${url}`);
  console.log(`Lab: ${url}/__local/`);
  console.log(
    // A proxy must not see what is meant for this machine.
    `export PORT_API_URL=${url} NO_PROXY="127.0.0.1,$NO_PROXY"` +
      (clientId ? "" : " PORT_CLIENT_ID=local-id") +
      (clientSecret ? "" : " PORT_CLIENT_SECRET=local-secret"),
  );
  const own = ["PORT_CLIENT_ID", "PORT_CLIENT_SECRET"]
    .filter((name) => Deno.env.get(name));
  if (own.length > 0) {
    console.log(`Set ${own.join(" and ")} in the other shell as in this one`);
  }
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => close().then(() => Deno.exit(code)));
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(
      `error: ${error instanceof Error ? error.message : error} (see --help)`,
    );
    Deno.exit(2);
  }
}
