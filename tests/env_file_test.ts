import {
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "jsr:@std/assert@1.0.19";
import { parse as parseDotenv } from "npm:dotenv@17.4.2";
import { parseEnvFile, settingLines } from "../lib/env_file.ts";
import { UsageError } from "../lib/errors.ts";
import { parse as parseNode } from "../lib/parse_env.ts";
import { run, withFolder } from "./support/run.ts";

const NAMES = ["PORT_CLIENT_ID", "PORT_CLIENT_SECRET", "PORT_REGION"] as const;

/** The settings that a file sets, or the line that is refused. */
type Outcome = Partial<Record<typeof NAMES[number], string>> | number;

/**
 * What may stand behind `PORT_CLIENT_SECRET=`, and the secret that it means;
 * `refused` if parsers of `.env` differ about it.
 *
 * A copy of the scripts from JSR uses `@std/dotenv`, which this test cannot
 * reach. It gives a meaning to `$`, to a backslash in double quotes, to `#` and
 * to quotes, as its documentation says; none of them is left in a value that is
 * accepted, but for a pair of quotes around it and what single quotes protect.
 */
const VALUES: [written: string, secret: string | "refused"][] = [
  ["hush", "hush"],
  ["", ""],
  ["''", ""],
  ['""', ""],
  ["  hush  ", "hush"],
  ["\thush\t", "hush"],
  ["hu sh", "hu sh"],
  ["hush==", "hush=="],
  ["a:hush,b;c!%&*()[]~^|<>?/@-_+", "a:hush,b;c!%&*()[]~^|<>?/@-_+"],
  ['{"hush": 1}', "refused"],
  ["{hush: 1}", "{hush: 1}"],
  ["хуш😀", "хуш😀"],
  ["hush\u00a0", "hush"],
  ["\ufeffhush", "hush"],
  ["hush\v", "hush"],
  ["'hush'", "hush"],
  ['"hush"', "hush"],
  ["' hu sh '", " hu sh "],
  ['" hu sh "', " hu sh "],
  [` 'hush' `, "hush"],
  [`'hu"sh'`, 'hu"sh'],
  [`"hu'sh"`, "hu'sh"],
  ["'хуш'", "хуш"],
  // Comments.
  ["hush#1", "hush"],
  ["hush # comment", "hush"],
  ["hush # it's $HOME", "hush"],
  ["# comment", ""],
  ["'hush#1'", "hush#1"],
  ['"hush#1"', "hush#1"],
  ["'hush' # comment", "hush"],
  ["'hush'# it's", "hush"],
  [`"hush" # "comment"`, "hush"],
  // Variables.
  ["pa$$hush", "refused"],
  ["'pa$$hush'", "pa$$hush"],
  ['"pa$$hush"', "refused"],
  ["${HUSH}", "refused"],
  ["'${HUSH}'", "${HUSH}"],
  ['"${HUSH}"', "refused"],
  ["$HUSH:/hush", "refused"],
  ["hush$", "refused"],
  ["$(hush)", "refused"],
  // Escapes and backticks.
  ["hu\\sh", "refused"],
  ["hush\\", "refused"],
  ["'hu\\sh'", "refused"],
  ['"hu\\nsh"', "refused"],
  ['"hu\\"sh"', "refused"],
  ["'hu\\'sh'", "refused"],
  ["`hush`", "refused"],
  ["hu`sh", "refused"],
  ["'hu`sh'", "refused"],
  // Quotes that do not enclose the value.
  ["'hush", "refused"],
  ['"hush', "refused"],
  ["hush'", "refused"],
  ["hu'sh'", "refused"],
  ["'hu'sh", "refused"],
  ["'hu' 'sh'", "refused"],
  [`"hu"sh`, "refused"],
  [`'hush"`, "refused"],
  ["it's hush", "refused"],
];

const ID = { PORT_CLIENT_ID: "x" };

/** Whole files. */
const FILES: [text: string, outcome: Outcome][] = [
  ["", {}],
  ["\n\n# PORT_CLIENT_ID=x\n", {}],
  ["PORT_CLIENT_ID", {}],
  ["PORT_CLIENT_ID: x", {}],
  ["port_client_id=x", {}],
  ["XPORT_CLIENT_ID=x", {}],
  ["PORT_CLIENT_ID=x\n", ID],
  ["PORT_CLIENT_ID = x", ID],
  ["  PORT_CLIENT_ID\t=\tx", ID],
  ["export PORT_CLIENT_ID=x", ID],
  ["\texport \t PORT_CLIENT_ID = 'x'", ID],
  ["\ufeffPORT_CLIENT_ID=x", ID],
  ["\ufeffexport PORT_CLIENT_ID='x'\r\n", ID],
  ["PORT_CLIENT_ID=x\rPORT_REGION=us", { ...ID, PORT_REGION: "us" }],
  ["PORT_CLIENT_ID=x\r\nPORT_REGION=us\r\n", { ...ID, PORT_REGION: "us" }],
  ["PORT_CLIENT_ID=a\nPORT_CLIENT_ID=x", ID],
  ["PORT_CLIENT_ID='a'\nPORT_CLIENT_ID=\n", {}],
  ["PORT_CLIENT_ID=\nPORT_REGION='us'", { PORT_REGION: "us" }],
  ["PORT_ACCESS_TOKEN=$x\nPORT_CLIENT_ID=x", ID],
  ["API_URL=$x\nPORT_CLIENT_ID=x", ID],
  // Lines of other programs, with what would stop or mislead a parser.
  ["PATH=$PATH:/opt/bin\nPORT_CLIENT_ID=x", ID],
  ["PORT_CLIENT_ID=x\nPATH=$PATH:/opt/bin", ID],
  ["PS1='$ '\nPORT_CLIENT_ID=x\nEND='", ID],
  ['FOO="two\nlines"\nPORT_CLIENT_ID=x', ID],
  ["FOO='open\nPORT_CLIENT_ID=x", ID],
  ["FOO=`date`\nPORT_CLIENT_ID=x", ID],
  ['FOO={"a": "$b"}\nPORT_CLIENT_ID=x', ID],
  ["FOO=${FOO:-${BAR}}\nPORT_CLIENT_ID=x", ID],
  ["[section]\nfoo\n=\nPORT_CLIENT_ID=x", ID],
  // The number of a refused line.
  ["A=\n\nPORT_CLIENT_ID=$hush", 3],
  ["A=1\r\nB=2\rPORT_REGION='hush\n'", 3],
];

const CASES = VALUES.map(([written, secret]): [string, Outcome] => {
  const outcome = secret === "refused" ? 1 : { PORT_CLIENT_SECRET: secret };
  return [`PORT_CLIENT_SECRET=${written}`, outcome];
});

Deno.test("settingLines() hands on lines that all parsers read alike, or refuses the file", async () => {
  for (const [text, outcome] of [...CASES, ...FILES]) {
    const lines = () => settingLines(text, "a/.env", () => {});
    if (typeof outcome === "number") {
      const { message } = assertThrows(lines, UsageError, undefined, text);
      assertStringIncludes(
        message,
        `in line ${outcome} of "a/.env": use single quotes`,
      );
      assertEquals(/hu.?sh/i.test(message), false, message);
      continue;
    }
    for (const parse of [parseNode, parseDotenv]) {
      const values = await parse(lines());
      for (const name of NAMES) {
        assertEquals(values[name] ?? "", outcome[name] ?? "", text);
      }
    }
  }
});

Deno.test("parseEnvFile() returns the settings by name, and nothing else", async () => {
  const text = "PORT_CLIENT_ID='x'\nPORT_REGION=\nHOME=/hush\n";
  const values = await parseEnvFile(text, ".env", () => {});
  assertEquals({ ...values }, { PORT_CLIENT_ID: "x", PORT_REGION: "" });
});

Deno.test("upsert_entity reads .env in its folder, whatever else is in it", async () => {
  const dryRun = "-b service -i checkout --dry-run";
  const others = "PATH=$PATH:/opt/bin\nFOO='open\nAPI_URL=https://hush.test\n";
  await withFolder(async (cwd) => {
    const env = `${cwd}/.env`;
    await Deno.writeTextFile(env, `\ufeff${others}PORT_REGION=us\r\n`);
    const good = await run("upsert_entity", dryRun, { cwd });
    assertEquals([good.code, good.stderr], [0, ""]);
    assertStringIncludes(good.stdout, '"url": "https://api.us.port.io/v1/');
    await Deno.writeTextFile(env, `${others}PORT_CLIENT_SECRET=hu$sh\n`);
    const bad = await run("upsert_entity", dryRun, { cwd });
    assertEquals([bad.code, bad.stdout], [2, ""]);
    assertEquals(
      bad.stderr,
      'error: Cannot read PORT_CLIENT_SECRET in line 4 of ".env": use ' +
        "single quotes, without ', \\ or backticks (see --help)\n",
    );
  });
});
