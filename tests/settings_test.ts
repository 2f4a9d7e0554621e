import {
  assertEquals,
  assertRejects,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import { AccessError, UsageError } from "../lib/errors.ts";
import {
  environmentVariable,
  parseApiUrl,
  parseDuration,
  readSettings,
  requireCredentials,
} from "../lib/settings.ts";

/** Reads from a record instead of the environment. */
function variables(values: Record<string, string> = {}) {
  return (name: string) => values[name];
}

/** A `.env` file that lasts as long as the test. */
async function withEnvFile(
  text: string,
  test: (path: string) => Promise<void>,
) {
  const path = await Deno.makeTempFile({ suffix: ".env" });
  try {
    await Deno.writeTextFile(path, text);
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("readSettings() has a default for all but the credentials", async () => {
  assertEquals(await readSettings({}, variables()), {
    apiUrl: "https://api.port.io",
    clientId: undefined,
    clientSecret: undefined,
    timeout: 120_000,
    retries: 4,
  });
});

Deno.test("readSettings() takes flag before environment before file", async () => {
  const file =
    "PORT_CLIENT_ID=file-id\nexport PORT_CLIENT_SECRET='file secret' # no\n" +
    "PORT_TIMEOUT=10s\nPORT_RETRIES=1\nPORT_REGION=us\n";
  await withEnvFile(file, async (envFile) => {
    const environment = variables({
      PORT_CLIENT_ID: "env-id",
      PORT_RETRIES: "2",
    });
    assertEquals(await readSettings({ envFile, timeout: "3s" }, environment), {
      apiUrl: "https://api.us.port.io",
      clientId: "env-id",
      clientSecret: "file secret",
      timeout: 3000,
      retries: 2,
    });
  });
});

Deno.test("readSettings() passes over empty variables and the spaces around a value", async () => {
  await withEnvFile("PORT_CLIENT_ID=file-id", async (envFile) => {
    const environment = variables({
      PORT_CLIENT_ID: "",
      PORT_CLIENT_SECRET: " hush\n",
      API_URL: " ",
    });
    const settings = await readSettings({ envFile }, environment);
    assertEquals(settings.clientId, "file-id");
    assertEquals(settings.clientSecret, "hush");
    assertEquals(settings.apiUrl, "https://api.port.io");
  });
});

Deno.test("readSettings() finds the API URL by precedence", async () => {
  const both = {
    PORT_API_URL: "https://a.test/v1",
    API_URL: "https://b.test",
    PORT_REGION: "us",
  };
  const apiUrl = async (flags: object, values: Record<string, string>) =>
    (await readSettings(flags, variables(values))).apiUrl;
  assertEquals(
    await apiUrl({ apiUrl: "https://c.test/" }, both),
    "https://c.test",
  );
  assertEquals(await apiUrl({ region: "us" }, both), "https://api.us.port.io");
  assertEquals(await apiUrl({}, both), "https://a.test");
  assertEquals(
    await apiUrl({}, { API_URL: "https://b.test", PORT_REGION: "us" }),
    "https://b.test",
  );
  assertEquals(
    await apiUrl({}, { PORT_REGION: "us" }),
    "https://api.us.port.io",
  );
  assertEquals(await apiUrl({ region: "eu" }, {}), "https://api.port.io");
});

Deno.test("readSettings() takes any API URL of the environment before one of the file", async () => {
  const file = "PORT_API_URL=https://file.test\nPORT_REGION=us\n";
  await withEnvFile(file, async (envFile) => {
    const apiUrl = async (values: Record<string, string>) =>
      (await readSettings({ envFile }, variables(values))).apiUrl;
    assertEquals(
      await apiUrl({ API_URL: "https://env.test" }),
      "https://env.test",
    );
    assertEquals(await apiUrl({ PORT_REGION: "eu" }), "https://api.port.io");
    assertEquals(await apiUrl({}), "https://file.test");
  });
});

Deno.test("readSettings() refuses values that it cannot use, naming their source", async () => {
  const bad: [object, Record<string, string>, string][] = [
    [{ region: "mars" }, {}, 'Cannot use --region "mars": it must be eu or us'],
    [{ region: "constructor" }, {}, 'Cannot use --region "constructor"'],
    [{}, { PORT_REGION: "mars" }, 'Cannot use PORT_REGION "mars"'],
    [{ region: "us", apiUrl: "https://a.test" }, {}, "--api-url and --region"],
    [{ apiUrl: "port" }, {}, "Cannot use --api-url as Port's API URL"],
    [{}, { API_URL: "port" }, "Cannot use API_URL as Port's API URL"],
    [{ timeout: "30" }, {}, 'Cannot use --timeout "30"'],
    [{}, { PORT_TIMEOUT: "soon" }, 'Cannot use PORT_TIMEOUT "soon"'],
    [{ retries: "-1" }, {}, 'Cannot use --retries "-1"'],
    [{}, { PORT_RETRIES: "many" }, 'Cannot use PORT_RETRIES "many"'],
    [
      { envFile: "no/such.env" },
      {},
      'Cannot read --env-file "no/such.env": there is no such file',
    ],
    [{ envFile: "." }, {}, 'Cannot read --env-file ".": it is a folder'],
  ];
  for (const [flags, values, message] of bad) {
    await assertRejects(
      () => readSettings(flags, variables(values)),
      UsageError,
      message,
    );
  }
});

Deno.test("requireCredentials() names what is missing", async () => {
  const settings = await readSettings({}, variables());
  const missing = (given: object) =>
    assertThrows(
      () => requireCredentials({ ...settings, ...given }),
      AccessError,
    ).message;
  assertEquals(
    missing({}).includes(": PORT_CLIENT_ID and PORT_CLIENT_SECRET not set"),
    true,
  );
  assertEquals(
    missing({ clientId: "id" }).includes(": PORT_CLIENT_SECRET not set"),
    true,
  );
  assertEquals(
    missing({ clientSecret: "hush" }).includes(": PORT_CLIENT_ID not set"),
    true,
  );
  assertEquals(
    requireCredentials({ ...settings, clientId: "id", clientSecret: "hush" }),
    { clientId: "id", clientSecret: "hush" },
  );
});

Deno.test("parseApiUrl() takes any of Port's hosts with or without / and /v1", () => {
  for (
    const host of [
      "api.port.io",
      "api.us.port.io",
      "api.getport.io",
      "api.us.getport.io",
    ]
  ) {
    for (const end of ["", "/", "/v1", "/v1/"]) {
      assertEquals(
        parseApiUrl(`https://${host}${end}`, "API_URL"),
        `https://${host}`,
      );
    }
  }
  assertEquals(
    parseApiUrl("https://proxy.test:8443/port/v1/", "API_URL"),
    "https://proxy.test:8443/port",
  );
});

Deno.test("parseApiUrl() takes plain HTTP on loopback only", () => {
  for (
    const url of [
      "http://127.0.0.1:8787",
      "http://localhost:1",
      "http://[::1]:2",
      "http://127.9.9.9",
    ]
  ) {
    assertEquals(parseApiUrl(url, "API_URL"), url);
  }
  for (
    const url of [
      "http://api.port.io",
      "http://127.0.0.1.evil.test",
      "http://localhost.evil.test",
    ]
  ) {
    assertThrows(
      () => parseApiUrl(url, "API_URL"),
      UsageError,
      "would send the secret in the clear",
    );
  }
});

Deno.test("parseApiUrl() refuses what is more than an address, and does not repeat it", () => {
  const bad: [string, string][] = [
    ["https://user:hush@api.port.io", "must not hold credentials"],
    ["https://hush@api.port.io", "must not hold credentials"],
    ["https://api.port.io/?x=hush", "a query or a fragment"],
    ["https://api.port.io/#hush", "a query or a fragment"],
    ["https://api.port.io/?", "a query or a fragment"],
    ["ftp://hush.test", "must begin with https://"],
    ["hush", "write it like https://api.port.io"],
    ["", "write it like https://api.port.io"],
  ];
  for (const [url, message] of bad) {
    const error = assertThrows(
      () => parseApiUrl(url, "API_URL"),
      UsageError,
      message,
    );
    assertEquals(error.message.includes("hush"), false);
  }
});

Deno.test("parseDuration() reads hours, minutes, seconds and milliseconds", () => {
  const durations = ["500ms", "90s", "2m", "1h30m", "1h1m1s1ms", "24h"];
  assertEquals(
    durations.map((text) => parseDuration(text, "--timeout")),
    [500, 90_000, 120_000, 5_400_000, 3_661_001, 86_400_000],
  );
  for (
    const bad of [
      "",
      "0s",
      "2",
      "m2",
      "2m1h",
      "-1s",
      "1.5s",
      "25h",
      "9".repeat(400) + "h",
      " 2m",
    ]
  ) {
    assertThrows(
      () => parseDuration(bad, "--timeout"),
      UsageError,
      "Cannot use --timeout",
    );
  }
});

Deno.test("environmentVariable() reads what is set", () => {
  Deno.env.set("PORT_TEST_VARIABLE", "value");
  assertEquals(environmentVariable("PORT_TEST_VARIABLE"), "value");
  Deno.env.delete("PORT_TEST_VARIABLE");
  assertEquals(environmentVariable("PORT_TEST_VARIABLE"), undefined);
});

Deno.test({
  name: "environmentVariable() takes what it may not read for not set",
  permissions: { env: false },
  fn: () => assertEquals(environmentVariable("PATH"), undefined),
});
