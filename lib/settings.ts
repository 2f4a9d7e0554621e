/**
 * API URL, credentials and limits: from flags, then the environment, then
 * `.env`, then defaults.
 *
 * @module
 */
import { AccessError, UsageError } from "./errors.ts";
import { readTextFile } from "./files.ts";
import { DEFAULTS, type SettingsDefaults } from "./options.ts";
import type { Credentials } from "./port_client.ts";

/** Everything a run has to know to talk to Port. */
export interface Settings {
  /** Where Port's API is, without the `/v1` of its paths. */
  apiUrl: string;
  /** Client id of the Port credentials. */
  clientId: string | undefined;
  /** Client secret of the Port credentials. */
  clientSecret: string | undefined;
  /** The most a whole call may take, retries included, in milliseconds. */
  timeout: number;
  /** How many further attempts may follow a failed one. */
  retries: number;
}

/** The flags that {@linkcode readSettings} looks at. */
export interface SettingsFlags {
  /** Port's API URL. */
  apiUrl?: string | undefined;
  /** `eu` or `us`. */
  region?: string | undefined;
  /** A file of `NAME=value` lines. */
  envFile?: string | undefined;
  /** A duration such as `90s`. */
  timeout?: string | undefined;
  /** A whole number. */
  retries?: string | undefined;
}

/** Port's API in each region. */
const REGIONS: Readonly<Record<string, string>> = {
  eu: "https://api.port.io",
  us: "https://api.us.port.io",
};

/** Reads one variable; `undefined` when it is not set or may not be read. */
export type ReadVariable = (name: string) => string | undefined;

/**
 * Reads a variable of the environment.
 *
 * @param name Its name.
 * @returns Its value; `undefined` when it is not set, or when the run was not
 * given the right to read it.
 * @throws {UsageError} When its value is no text.
 */
export function environmentVariable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw new UsageError(`Cannot read the variable ${name}: it is not UTF-8`);
  }
}

/**
 * Finds out the settings of a run. Precedence: flag, environment, `.env`,
 * default.
 *
 * @param flags What the command line says.
 * @param environment How to read the environment.
 * @param defaults What is taken where nothing else says.
 * @returns The settings; the credentials may be missing, see
 * {@linkcode requireCredentials}.
 * @throws {UsageError} When a value is none that can be used.
 */
export async function readSettings(
  flags: SettingsFlags,
  environment: ReadVariable = environmentVariable,
  defaults: SettingsDefaults = DEFAULTS,
): Promise<Settings> {
  const file = await readEnvFile(flags.envFile);
  const sources: ReadVariable[] = [
    (name) => environment(name)?.trim() || undefined,
    (name) => file[name]?.trim() || undefined,
  ];
  const variable: ReadVariable = (name) =>
    sources.map((read) => read(name)).find((value) => value !== undefined);
  const limit = (
    name: keyof SettingsDefaults,
    parse: (text: string, source: string) => number,
  ) => {
    const flag = flags[name];
    if (flag !== undefined) return parse(flag, `--${name}`);
    const source = `PORT_${name.toUpperCase()}`;
    return parse(variable(source) ?? defaults[name], source);
  };
  return {
    apiUrl: findApiUrl(flags, sources),
    clientId: variable("PORT_CLIENT_ID"),
    clientSecret: variable("PORT_CLIENT_SECRET"),
    timeout: limit("timeout", parseDuration),
    retries: limit("retries", parseCount),
  };
}

/**
 * Insists on credentials.
 *
 * @param settings The settings of the run.
 * @returns Client id and secret.
 * @throws {AccessError} When one of them is missing: no fault of the command
 * line, and a pull request from a fork may go on with `--soft-fail`.
 */
export function requireCredentials(
  { clientId, clientSecret }: Settings,
): Credentials {
  if (clientId && clientSecret) return { clientId, clientSecret };
  const missing = [
    ...clientId ? [] : ["PORT_CLIENT_ID"],
    ...clientSecret ? [] : ["PORT_CLIENT_SECRET"],
  ].join(" and ");
  throw new AccessError(
    `Cannot log in to Port: ${missing} not set or not readable: in CircleCI ` +
      'add "context: port" to the job (a pull request from a fork gets no ' +
      "context), elsewhere set them or write .env, and run with " +
      "--allow-env=PORT_*,API_URL --allow-read=.env",
  );
}

/** A file that was asked for must be there; `./.env` only may be. */
async function readEnvFile(
  path: string | undefined,
): Promise<Partial<Record<string, string>>> {
  const text = path === undefined
    ? readDefaultEnvFile()
    : readTextFile(path, "--env-file");
  if (text === undefined) return {};
  const { parse } = await import("jsr:@std/dotenv@0.225.6/parse");
  try {
    return await parse(text);
  } catch {
    // It looks for variables in values; the error would show a part of one.
    throw new UsageError(
      `Cannot read "${path ?? ".env"}": put values with $ in single quotes`,
    );
  }
}

/** Asks for the right first: reading would make Deno prompt on a terminal. */
function readDefaultEnvFile(): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "read", path: ".env" });
  if (state !== "granted") return undefined;
  try {
    return Deno.readTextFileSync(".env");
  } catch {
    // Not there, not readable, or the folder of a Python environment.
    return undefined;
  }
}

/** A flag wins over the environment, that over the file. */
function findApiUrl(flags: SettingsFlags, sources: ReadVariable[]): string {
  if (flags.apiUrl !== undefined && flags.region !== undefined) {
    throw new UsageError(
      "Cannot use --api-url and --region together: drop one",
    );
  }
  if (flags.apiUrl !== undefined) return parseApiUrl(flags.apiUrl, "--api-url");
  if (flags.region !== undefined) return regionUrl(flags.region, "--region");
  for (const variable of sources) {
    for (const name of ["PORT_API_URL", "API_URL"]) {
      const url = variable(name);
      if (url !== undefined) return parseApiUrl(url, name);
    }
    const region = variable("PORT_REGION");
    if (region !== undefined) return regionUrl(region, "PORT_REGION");
  }
  return regionUrl("eu", "PORT_REGION");
}

function regionUrl(region: string, source: string): string {
  const url = Object.hasOwn(REGIONS, region) ? REGIONS[region] : undefined;
  if (url !== undefined) return url;
  throw new UsageError(
    `Cannot use ${source}${quote(region)}: it must be eu or us`,
  );
}

/** A quote that is never closed in `.env` may have swallowed the secret. */
function quote(text: string): string {
  return text.length <= 40 && !text.includes("\n") ? ` "${text}"` : "";
}

/** Hosts to which plain HTTP never leaves this machine. */
const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * Brings an API URL into its one form.
 *
 * @param text The URL, with or without a trailing `/` or `/v1`.
 * @param source The flag or variable it comes from, for an error.
 * @returns The URL without `/v1`, as the paths of Port's API begin with it.
 * @throws {UsageError} When it is no URL, would send the secret in the clear or
 * holds more than an address. The text is not repeated: it may hold a password.
 */
export function parseApiUrl(text: string, source: string): string {
  const refuse = (reason: string): never => {
    throw new UsageError(`Cannot use ${source} as Port's API URL: ${reason}`);
  };
  const url = URL.parse(text) ??
    refuse("write it like https://api.port.io or https://api.us.port.io");
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    refuse("it must begin with https://");
  }
  if (url.protocol === "http:" && !LOOPBACK.test(url.hostname)) {
    refuse("http:// would send the secret in the clear; write https://");
  }
  if (url.username || url.password) refuse("it must not hold credentials");
  if (/[?#]/.test(text)) refuse("it must not hold a query or a fragment");
  const path = url.pathname.replace(/\/+$/, "").replace(/\/v1$/, "");
  return url.origin + path;
}

/** 24 hours in milliseconds: timers overflow at 25 days. */
const LONGEST = 24 * 60 * 60 * 1000;

/**
 * Reads a duration.
 *
 * @param text The duration, for example `500ms`, `90s`, `2m` or `1h30m`.
 * @param source The flag or variable it comes from, for an error.
 * @returns Milliseconds.
 * @throws {UsageError} When it is no duration, zero or over 24 hours.
 */
export function parseDuration(text: string, source: string): number {
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  const [hours = 0, minutes = 0, seconds = 0, rest = 0] =
    parts?.slice(1).map((part) => Number(part ?? 0)) ?? [];
  const duration = ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest;
  if (duration > 0 && duration <= LONGEST) return duration;
  throw new UsageError(
    `Cannot use ${source}${quote(text)}: write a duration such as 90s, 2m or ` +
      "1h30m, at most 24h",
  );
}

function parseCount(text: string, source: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new UsageError(
    `Cannot use ${source}${quote(text)}: write a whole number from 0 to 999`,
  );
}

/**
 * Reads the most there may be of something.
 *
 * @param text The number; none means that there is no limit.
 * @param flag The flag that it comes from, for an error.
 * @returns The number.
 * @throws {UsageError} When it is no whole number from 1 on.
 */
export function parseMost(text: string | undefined, flag: string): number {
  if (text === undefined) return Infinity;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(
    `Cannot use ${flag} "${text}": write a whole number from 1 on`,
  );
}
