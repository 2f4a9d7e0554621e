/**
 * API URL, credentials and limits: from flags, then the environment, then
 * `.env`, then defaults.
 *
 * @module
 */
import { ScriptError, UsageError } from "./errors.ts";
import { readInput } from "./files.ts";
import { type COMMON_OPTIONS, DEFAULTS, type OptionsOf } from "./options.ts";
import type { PortOptions } from "./port.ts";

/** How to connect to Port, and the limits of a call. */
export type Settings = PortOptions & { timeout: number; retries: number };

/** The flags of the settings. */
export type SettingsFlags = Partial<OptionsOf<typeof COMMON_OPTIONS>>;

/** Reads a variable; `undefined` if it is not set or may not be read. */
export type ReadVariable = (name: string) => string | undefined;

/**
 * Reads a variable of the environment.
 *
 * @param name Its name.
 * @returns Its value; `undefined` if it is not set, not UTF-8, or the run lacks
 * the permission to read it.
 */
export function environmentVariable(name: string): string | undefined {
  // Without the permission, Deno prompts for it on a terminal.
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  try {
    return state === "granted" ? Deno.env.get(name) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Reads the settings of a run.
 *
 * @param flags The flags.
 * @param environment Reads the environment.
 * @param defaults The limits that apply if nothing sets them.
 * @param warn Called with one line if a setting is ignored.
 * @returns The settings; the credentials may be missing.
 * @throws {UsageError} If a value cannot be used.
 */
export async function readSettings(
  flags: SettingsFlags,
  environment: ReadVariable = environmentVariable,
  defaults = DEFAULTS,
  warn: (line: string) => void = () => {},
): Promise<Settings> {
  const file = await readEnvFile(flags.envFile, warn);
  const read: ReadVariable = (name) => environment(name)?.trim();
  const variable = (name: string) => read(name) || file[name] || undefined;
  const { timeout = variable("PORT_TIMEOUT") ?? defaults.timeout } = flags;
  const { retries = variable("PORT_RETRIES") ?? defaults.retries } = flags;
  return {
    apiUrl: findApiUrl(flags, read, file),
    accessToken: read("PORT_ACCESS_TOKEN") || undefined,
    clientId: variable("PORT_CLIENT_ID"),
    clientSecret: variable("PORT_CLIENT_SECRET"),
    timeout: parseDuration(timeout, "--timeout or PORT_TIMEOUT"),
    retries: parseCount(retries, "--retries or PORT_RETRIES"),
  };
}

/**
 * Throws if a credential is missing.
 *
 * @param settings The settings of the run.
 * @throws {ScriptError} With exit code 3.
 */
export function requireCredentials(settings: Settings): void {
  const { accessToken, clientId, clientSecret } = settings;
  if (accessToken || (clientId && clientSecret)) return;
  const missing = clientId ? "PORT_CLIENT_SECRET" : "PORT_CLIENT_ID";
  throw new ScriptError(
    3,
    `Cannot log in to Port: ${missing} is not set or not readable: in CircleCI ` +
      'add "context: port" to the job (pull requests from forks get none), else ' +
      "set it or write .env, with --allow-env=PORT_*,API_URL --allow-read=.env",
  );
}

/** Reads `.env`, or the file of `--env-file`. */
async function readEnvFile(
  path: string | undefined,
  warn: (line: string) => void,
): Promise<Record<string, string | undefined>> {
  const text = path === undefined ? readDefaultFile() : await readInput(path);
  if (text === "") return {};
  const { parseEnvFile } = await import("./env_file.ts");
  return await parseEnvFile(text, path ?? ".env", warn);
}

/** Checks the permission first: without it, Deno prompts on a terminal. */
function readDefaultFile(): string {
  const { state } = Deno.permissions.querySync({ name: "read", path: ".env" });
  try {
    return state === "granted" ? Deno.readTextFileSync(".env") : "";
  } catch {
    // It does not exist, or is a folder (a Python environment).
    return "";
  }
}

/** Port's API in each region. */
const REGIONS = { eu: "https://api.port.io", us: "https://api.us.port.io" };

/** Hosts on this machine, where plain HTTP is safe. */
const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** The hosts accepted from `API_URL`, as other programs use that name too. */
const PORT_HOST = /^api\.(?:us\.)?(?:get)?port\.io$/;

/** Uses the first one that is set. */
function findApiUrl(
  flags: SettingsFlags,
  environment: ReadVariable,
  file: Record<string, string | undefined>,
): string {
  const candidates = [
    ["--api-url", flags.apiUrl],
    ["--region", flags.region],
    ["PORT_API_URL", environment("PORT_API_URL")],
    ["PORT_REGION", environment("PORT_REGION")],
    ["PORT_API_URL", file.PORT_API_URL],
    ["PORT_REGION", file.PORT_REGION],
    ["API_URL", environment("API_URL")],
  ] as const;
  const [source, text] = candidates.find(([, text]) => text) ?? [];
  return source && text ? parseApiUrl(source, text) : REGIONS.eu;
}

/**
 * Validates a region or an API URL and removes a trailing `/` or `/v1`. Errors
 * do not show the URL, as it may contain a password.
 */
function parseApiUrl(source: string, text: string): string {
  const refuse = (reason: string) =>
    new UsageError(`Cannot use ${source} for Port's API URL: ${reason}`);
  if (/region$/i.test(source)) {
    if (text === "eu" || text === "us") return REGIONS[text];
    throw refuse(`"${text}" must be eu or us`);
  }
  const url = URL.parse(text);
  const host = url?.hostname ?? "";
  const isLocal = LOOPBACK.test(host);
  if (source === "API_URL" && !isLocal && !PORT_HOST.test(host)) {
    throw refuse(
      "its host is not Port's; unset it, or use PORT_API_URL if it really is",
    );
  }
  if (url === null || url.username || url.password || /[?#]/.test(text)) {
    throw refuse("write it like https://api.port.io, without user or query");
  }
  if (url.protocol !== "https:" && (url.protocol !== "http:" || !isLocal)) {
    throw refuse("it must begin with https://, or the secret could be read");
  }
  return url.origin + url.pathname.replace(/\/+$/, "").replace(/\/v1$/, "");
}

/**
 * Parses a duration.
 *
 * @param text For example `500ms`, `90s`, `2m` or `1h30m`.
 * @param source The flag or variable that it comes from.
 * @returns Milliseconds.
 * @throws {UsageError} If it is not a duration, zero or over 24 hours.
 */
export function parseDuration(text: string, source: string): number {
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  const [hours = 0, minutes = 0, seconds = 0, rest = 0] =
    parts?.slice(1).map((part) => Number(part ?? 0)) ?? [];
  const duration = ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest;
  // Timers overflow at 25 days.
  if (duration > 0 && duration <= 24 * 60 * 60 * 1000) return duration;
  throw new UsageError(
    `Cannot use ${source} "${text}": write it like 90s or 1h30m, at most 24h`,
  );
}

/**
 * Parses a whole number.
 *
 * @param text The number.
 * @param source The flag or variable that it comes from.
 * @param least The smallest accepted number.
 * @returns The number.
 * @throws {UsageError} If it is smaller or not a whole number.
 */
export function parseCount(text: string, source: string, least = 0): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (count >= least) return count;
  throw new UsageError(
    `Cannot use ${source} "${text}": write a whole number from ${least} on`,
  );
}
