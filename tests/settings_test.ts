import {
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import { ScriptError, UsageError } from "../lib/errors.ts";
import {
  environmentVariable,
  parseCount,
  parseDuration,
  readSettings,
  requireCredentials,
  type SettingsFlags,
} from "../lib/settings.ts";

type Variables = Record<string, string>;

/** What the settings of a run come from. */
interface Sources {
  flags?: SettingsFlags;
  environment?: Variables;
  /** The lines of `.env`. */
  file?: string;
  warnings?: string[];
}

/** Reads settings from nothing but the given sources. */
async function read(
  { flags = {}, environment = {}, file = "", warnings = [] }: Sources,
) {
  const envFile = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(envFile, file);
    return await readSettings(
      { envFile, ...flags },
      (name) => environment[name],
      undefined,
      (line) => warnings.push(line.replace(envFile, ".env")),
    );
  } finally {
    await Deno.remove(envFile);
  }
}

/** The message of an error about sources that cannot be used. */
async function refusal(sources: Sources): Promise<string> {
  return (await assertRejects(() => read(sources), UsageError)).message;
}

Deno.test("readSettings() has a default for all but the credentials", async () => {
  assertEquals(await read({}), {
    apiUrl: "https://api.port.io",
    accessToken: undefined,
    clientId: undefined,
    clientSecret: undefined,
    timeout: 120_000,
    retries: 4,
  });
  const limits = { timeout: "10m", retries: "10" };
  const noFile = { envFile: "/dev/null" };
  const bulk = await readSettings(noFile, () => undefined, limits);
  assertEquals([bulk.timeout, bulk.retries], [600_000, 10]);
});

Deno.test("readSettings() takes flag before environment before .env", async () => {
  const file = `PORT_CLIENT_ID=file-id
    export PORT_CLIENT_SECRET='file secret' # a comment
    PORT_TIMEOUT=10s
    PORT_RETRIES=1
    PORT_ACCESS_TOKEN=stale
    PORT_REGION=us`;
  const environment = {
    PORT_ACCESS_TOKEN: "env-token",
    PORT_CLIENT_ID: "env-id",
    PORT_RETRIES: "2",
    PORT_TIMEOUT: "20s",
  };
  assertEquals(await read({ flags: { timeout: "3s" }, environment, file }), {
    apiUrl: "https://api.us.port.io",
    accessToken: "env-token",
    clientId: "env-id",
    clientSecret: "file secret",
    timeout: 3_000,
    retries: 2,
  });
});

Deno.test("readSettings() ignores empty variables and spaces around a value", async () => {
  const environment = {
    PORT_CLIENT_ID: "",
    PORT_CLIENT_SECRET: " hush\n",
    PORT_API_URL: " ",
    API_URL: "",
  };
  const file = "PORT_CLIENT_ID=file-id\nPORT_ACCESS_TOKEN=stale";
  const { clientId, clientSecret, apiUrl, accessToken } = await read({
    environment,
    file,
  });
  assertEquals([clientId, clientSecret], ["file-id", "hush"]);
  // A token comes from the environment only.
  assertEquals(accessToken, undefined);
  assertEquals(apiUrl, "https://api.port.io");
});

/** All that can set the API URL, the first that counts first. */
const URL_SOURCES: [source: Sources, apiUrl: string][] = [
  [{ flags: { apiUrl: "https://flag.test" } }, "https://flag.test"],
  [{ flags: { region: "us" } }, "https://api.us.port.io"],
  [{ environment: { PORT_API_URL: "https://env.test" } }, "https://env.test"],
  [{ environment: { PORT_REGION: "eu" } }, "https://api.port.io"],
  [{ file: "PORT_API_URL=https://file.test" }, "https://file.test"],
  [{ file: "PORT_REGION=us" }, "https://api.us.port.io"],
  [
    { environment: { API_URL: "https://api.getport.io/v1" } },
    "https://api.getport.io",
  ],
  [{}, "https://api.port.io"],
];

Deno.test("readSettings() finds the API URL by precedence", async () => {
  for (const [index, [, expected]] of URL_SOURCES.entries()) {
    const rest = URL_SOURCES.slice(index).map(([source]) => source);
    const { apiUrl } = await read({
      flags: Object.assign({}, ...rest.map(({ flags }) => flags)),
      environment: Object.assign({}, ...rest.map((one) => one.environment)),
      file: rest.map(({ file }) => file).join("\n"),
    });
    assertEquals(apiUrl, expected, `source ${index} and those after it`);
  }
});

Deno.test("readSettings() accepts only Port's hosts and loopback from API_URL", async () => {
  const hosts = ["port.io", "us.port.io", "getport.io", "us.getport.io"];
  const good = [
    ...hosts.map((host) => `https://api.${host}`),
    "http://127.0.0.1:8787",
    "http://localhost:1",
    "https://[::1]:2",
  ];
  for (const API_URL of good) {
    assertEquals((await read({ environment: { API_URL } })).apiUrl, API_URL);
  }
  const bad = [
    "https://hush.test",
    "http://hush:3000",
    "https://api.port.io.hush.test",
    "https://hush.test/api.port.io",
    "https://api.port.io@hush.test",
    "https://api-port.io/hush",
    "https://hush-api.port.io",
    "postgres://hush",
    "hush:80",
    "/hush",
  ];
  for (const API_URL of bad) {
    assertEquals(
      await refusal({ environment: { API_URL } }),
      "Cannot use API_URL for Port's API URL: its host is not Port's; unset it, " +
        "or use PORT_API_URL if it really is",
    );
  }
  const environment = { API_URL: "https://hush.test", PORT_REGION: "us" };
  const { apiUrl } = await read({ environment });
  assertEquals(apiUrl, "https://api.us.port.io");
});

Deno.test("readSettings() never takes API_URL from .env, and warns if it is Port's", async () => {
  const files: [file: string, ...warnings: string[]][] = [
    ["API_URL=https://hush.test"],
    ["API_URL=https://myapi.port.io"],
    [
      "export API_URL='https://api.us.getport.io/v1'",
      "API_URL in .env is ignored: call it PORT_API_URL",
    ],
  ];
  for (const [file, ...expected] of files) {
    const warnings: string[] = [];
    const { apiUrl } = await read({ file, warnings });
    assertEquals(apiUrl, "https://api.port.io");
    assertEquals(warnings, expected);
  }
});

Deno.test("readSettings() removes / and /v1 from the end of the API URL", async () => {
  const urls = ["https://api.port.io", "https://proxy.test:8443/port"];
  for (const url of [...urls, "http://127.9.9.9", "http://[::1]:2"]) {
    for (const end of ["", "/", "/v1", "/v1/", "//"]) {
      const flags = { apiUrl: url + end };
      assertEquals((await read({ flags })).apiUrl, url);
    }
  }
});

Deno.test("readSettings() rejects a wrong API URL, and does not repeat it", async () => {
  const https = "it must begin with https://, or the secret could be read";
  const form = "write it like https://api.port.io, without user or query";
  const bad: [url: string, reason: string][] = [
    ["http://hush.test", https],
    ["http://127.0.0.1.hush.test", https],
    ["http://localhost.hush.test", https],
    ["ftp://hush.test", https],
    ["https://user:hush@api.port.io", form],
    ["https://hush@api.port.io", form],
    ["https://api.port.io/?x=hush", form],
    ["https://api.port.io/#hush", form],
    ["https://api.port.io/?", form],
    ["hush", form],
    ["https://", form],
  ];
  for (const [url, reason] of bad) {
    const message = `for Port's API URL: ${reason}`;
    const flag = await refusal({ flags: { apiUrl: url } });
    assertEquals(flag, `Cannot use --api-url ${message}`);
    const file = await refusal({ environment: { PORT_API_URL: url } });
    assertEquals(file, `Cannot use PORT_API_URL ${message}`);
  }
});

Deno.test("readSettings() names the source of a value that it cannot use", async () => {
  const url = "use PORT_REGION for Port's API URL:";
  const flag = "use --region for Port's API URL:";
  const bad: [sources: Sources, message: string][] = [
    [{ flags: { region: "mars" } }, `${flag} "mars" must be eu or us`],
    [{ flags: { region: "toString" } }, `${flag} "toString" must be`],
    [{ environment: { PORT_REGION: "EU" } }, `${url} "EU" must be eu or us`],
    [{ file: "PORT_REGION=mars" }, `${url} "mars" must be eu or us`],
    [{ flags: { timeout: "30" } }, 'use --timeout or PORT_TIMEOUT "30": write'],
    [
      { environment: { PORT_TIMEOUT: "x" } },
      'use --timeout or PORT_TIMEOUT "x":',
    ],
    [{ flags: { retries: "-1" } }, 'use --retries or PORT_RETRIES "-1": write'],
    [
      { environment: { PORT_RETRIES: "x" } },
      'use --retries or PORT_RETRIES "x":',
    ],
    [{ flags: { envFile: "no/such" } }, 'read "no/such": No such file or'],
  ];
  for (const [sources, message] of bad) {
    assertStringIncludes(await refusal(sources), `Cannot ${message}`);
  }
});

Deno.test("requireCredentials() names what is missing, with exit code 3", async () => {
  const settings = await read({});
  const both = { clientId: "id", clientSecret: "hush" };
  const cases: [given: object, missing: string][] = [
    [{}, "PORT_CLIENT_ID"],
    [{ ...both, clientId: "" }, "PORT_CLIENT_ID"],
    [{ ...both, clientSecret: "" }, "PORT_CLIENT_SECRET"],
  ];
  for (const [given, missing] of cases) {
    const require = () => requireCredentials({ ...settings, ...given });
    const reason = `: ${missing} is not set or not readable: `;
    assertEquals(assertThrows(require, ScriptError, reason).exitCode, 3);
  }
  requireCredentials({ ...settings, ...both });
});

Deno.test("parseDuration() reads hours, minutes, seconds and milliseconds", () => {
  const durations = ["500ms", "90s", "2m", "1h30m", "1h1m1s1ms", "24h"];
  assertEquals(
    durations.map((text) => parseDuration(text, "--timeout")),
    [500, 90_000, 120_000, 5_400_000, 3_661_001, 86_400_000],
  );
  const bad = ["", "0s", "2", "m2", "2m1h", "-1s", "1.5s", "25h", " 2m", "1H"];
  for (const text of [...bad, "9".repeat(400) + "h"]) {
    const reason = `Cannot use --wait "${text}": write it like`;
    assertThrows(() => parseDuration(text, "--wait"), UsageError, reason);
  }
});

Deno.test("parseCount() reads whole numbers from a least one on", () => {
  const counts = ["0", "007", "999999999"];
  assertEquals(counts.map((text) => parseCount(text, "")), [0, 7, 999_999_999]);
  assertEquals(parseCount("1", "--limit", 1), 1);
  for (const text of ["0", "-1", "1.5", "1e3", "", " 1", "all", "9999999999"]) {
    const reason = `Cannot use --limit "${text}": write a whole number from 1`;
    assertThrows(() => parseCount(text, "--limit", 1), UsageError, reason);
  }
});

Deno.test("environmentVariable() reads what is set", () => {
  Deno.env.set("PORT_TEST_VARIABLE", "value");
  assertEquals(environmentVariable("PORT_TEST_VARIABLE"), "value");
  Deno.env.delete("PORT_TEST_VARIABLE");
  assertEquals(environmentVariable("PORT_TEST_VARIABLE"), undefined);
});

Deno.test({
  name: "environmentVariable() returns undefined without the permission",
  permissions: { env: false },
  fn: () => assertEquals(environmentVariable("PATH"), undefined),
});
