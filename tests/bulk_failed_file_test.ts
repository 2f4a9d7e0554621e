import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { FailedFile } from "../lib/bulk/failed_file.ts";
import {
  BULK,
  bulk,
  catalogue,
  ndjson,
  services,
  withBoth,
} from "./support/bulk.ts";
import { assertError, type TestPort } from "./support/port.ts";
import {
  permissionsOf,
  readOutput,
  runProcess,
  start,
  withFolder,
} from "./support/run.ts";

/** Joins text and bytes to a file. */
async function write(
  path: string,
  ...parts: (string | Uint8Array<ArrayBuffer>)[]
) {
  await Deno.writeFile(path, await new Blob(parts).bytes());
}

/** é in Latin-1, which is not UTF-8. */
const LATIN_1 = new Uint8Array([0xe9]);

/** Runs a file, and keeps what fails beside it. */
async function runFile(port: TestPort, folder: string, flags = "") {
  const failed = `${folder}/failed`;
  const args = `${folder}/all -b service --failed-file=${failed} ${flags}`;
  return { failed, ...await bulk(port, "", args) };
}

Deno.test("bulk_upsert_entities keeps bytes that are not UTF-8, again and again, and saves a real U+FFFD", async () => {
  await withBoth({}, async (port, folder) => {
    const line = ['{"identifier": "l", "title": "', LATIN_1, '"}\n'];
    const real = { identifier: "r", title: "\ufffd" };
    await write(`${folder}/all`, ndjson([real]), ...line);
    const { failed, code, stderr } = await runFile(port, folder);
    assertEquals(code, 8, stderr);
    assertMatch(stderr, /all:2: Cannot read the entity: it is not UTF-8/);
    const expected = await new Blob(line).bytes();
    assertEquals(await Deno.readFile(failed), expected);
    const again = await bulk(port, "", `${failed} --failed-file=${failed}`);
    assertEquals(again.code, 8, again.stderr);
    assertEquals(await Deno.readFile(failed), expected);
    const saved = (await catalogue(port, "service")).get("r");
    assertEquals(Object(saved).title, "\ufffd");
  });
});

const HUGE = "x".repeat(12_000_000);
const NEVER_ENDS =
  "the array never ends, as a quote or bracket is not closed here";

/** An input, the place and reason of the one that fails, and what is kept. */
const HUGE_INPUTS: [what: string, input: string, says: string, kept: string][] =
  [
    [
      "a line of 12 MB",
      `{"identifier":"a"}\n${HUGE}\r\n${ndjson(services(500))}`,
      "all:2: Cannot send 12000000 bytes: Port accepts at most 1 MiB",
      `${HUGE}\n`,
    ],
    [
      "an element of 12 MB",
      `[{"identifier":"a"},\n  "${HUGE}"\n,${
        services(500).map((line) => JSON.stringify(line))
      }]`,
      "all:2:3: Cannot send 12000002 bytes: Port accepts at most 1 MiB",
      `"${HUGE}"\n`,
    ],
    [
      "a quote that is not closed",
      `[${
        services(501).map((line) => JSON.stringify(line))
      },\n {"identifier": "x},\n${'{"identifier":"y"},\n'.repeat(600_000)}]`,
      `all:2:2: Cannot send 12000021 bytes: ${NEVER_ENDS}`,
      `{"identifier": "x}, ${'{"identifier":"y"}, '.repeat(600_000)}]\n`,
    ],
    [
      "a bracket that is not closed",
      `[${
        services(501).map((line) => JSON.stringify(line))
      },\n {"relations": [},\n{}]`,
      `all:2:2: Cannot read the entity: ${NEVER_ENDS}`,
      '{"relations": [}, {}]\n',
    ],
  ];

Deno.test("bulk_upsert_entities sends all but what is too large or never ends, and keeps that", async () => {
  for (const [what, input, says, kept] of HUGE_INPUTS) {
    await withBoth({}, async (port, folder) => {
      await Deno.writeTextFile(`${folder}/all`, input);
      const { failed, code, stderr } = await runFile(port, folder);
      assertEquals(code, 8, `${what}: ${stderr}`);
      assert(stderr.includes(`: Cannot upsert 1 of 502 entities, `), stderr);
      assert(stderr.includes(says), `${what}: ${stderr}`);
      assert(await Deno.readTextFile(failed) === kept, what);
      assertEquals((await catalogue(port, "service")).size, 501);
    });
  }
});
Deno.test("bulk_upsert_entities keeps an element that it cannot send on one line", async () => {
  await withBoth({}, async (port, folder) => {
    const file = `${folder}/failed.ndjson`;
    const large = JSON.stringify({ title: "x".repeat(2 ** 20) });
    const stdin = `[{"identifier":\n"a b"}, ${large}]`;
    const { code } = await bulk(
      port,
      stdin,
      `-b service --failed-file=${file}`,
    );
    const kept = await Deno.readTextFile(file);
    assertEquals([code, kept], [8, `{"identifier": "a b"}\n${large}\n`]);
    const reasons = await Deno.readTextFile(`${file}.errors`);
    assertMatch(
      reasons,
      /:2:9: Cannot send 1048588 bytes: Port accepts at most/,
    );
    assertEquals(port.log, []);
  });
});

/** Runs the script where a file may hold 1 KiB. */
async function runOnFullDisk(port: TestPort, folder: string, flags: string) {
  const permissions = await permissionsOf(BULK, port.url);
  const command = `trap '' XFSZ; ulimit -f 1; exec "$0" "$@"`;
  const args = ["-c", command, Deno.execPath(), "run", ...permissions];
  return await runProcess(
    "bash",
    [...args, `${BULK}.ts`, `${folder}/all`, "-b=service", ...flags.split(" ")],
    { env: port.env },
  );
}

Deno.test("bulk_upsert_entities shows what a full disk cannot hold, and saves the rest", async () => {
  await withBoth({}, async (port, folder) => {
    const bad = Array.from({ length: 100 }, (_, number) => ({
      identifier: `a b${number}`,
    }));
    await Deno.writeTextFile(`${folder}/all`, ndjson([...bad, ...services(1)]));
    const failed = `${folder}/failed`;
    const flags = `--failed-file=${failed} --junit=${folder}/x.xml`;
    const { code, stderr } = await runOnFullDisk(port, folder, flags);
    assertEquals(code, 8, stderr);
    const text = await Deno.readTextFile(failed);
    const shown = stderr.matchAll(/^warning: \S+:\d+: (\{.*)$/gm);
    const all = text + [...shown].map(([, line]) => `${line}\n`).join("");
    assertEquals(all, ndjson(bad));
    const count = text.split("\n").length - 1;
    assert(count > 10 && count < 90);
    const says = `"${failed}": File too large; it holds ${count} inputs, `;
    assert(stderr.includes(`\nwarning: Cannot write ${says}`), stderr);
    assertMatch(stderr, /x\.xml": File too large; there is no report\n/);
    assertMatch(stderr, /\nerror: .* the other inputs are shown above\n$/);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assertEquals(names.sort(), ["all", "failed", "failed.errors"]);
    assert(await port.entity("service", "e0"));
  });
});

Deno.test("bulk_upsert_entities leaves no --failed-file after kill -9, and explains what is left", async () => {
  await withBoth({ latency: 250 }, async (port, folder) => {
    const failed = `${folder}/failed`;
    const all = `${folder}/all`;
    const flags = `${all} --failed-file=${failed}`;
    await Deno.writeTextFile(all, ndjson(["nope", ...services(600)]));
    const child = await start(BULK, flags, { env: port.env });
    const { result } = readOutput(child);
    await port.logged("/entities/bulk");
    const meanwhile = await bulk(port, "", flags);
    child.kill("SIGKILL");
    await result;
    const afterwards = await bulk(port, "", flags);
    for (const refused of [meanwhile, afterwards]) {
      assertError(
        refused,
        2,
        `another run is writing "${failed}.part", or was`,
      );
    }
    const logins = port.log.filter((line) => line.includes("access_token"));
    assertEquals(logins.length, 1);
    assertEquals(await Deno.readTextFile(`${failed}.part`), "nope\n");
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assert(!names.includes("failed") && !names.includes("failed.errors"));
    await Deno.remove(`${failed}.part`);
    assertEquals((await bulk(port, "", `${flags} --concurrency=20`)).code, 8);
  });
});

Deno.test("bulk_upsert_entities empties no file but that of an earlier run, and says so", async () => {
  await withBoth({}, async (port, folder) => {
    const lines = [{ identifier: "a" }, { identifier: "b c" }];
    const good = `${folder}/good`;
    await Deno.writeTextFile(good, ndjson([{ identifier: "good" }]));
    await Deno.writeTextFile(`${folder}/all`, ndjson(lines));
    const failed = `${folder}/failed`;
    await Deno.writeTextFile(`${folder}/j.part`, "");
    const cases: [flags: string, says: string][] = [
      [`--failed-file=${folder}/all`, "is no failed file of an earlier run"],
      [`${good} --failed-file=${good}`, "is no failed file of an earlier run"],
      [
        `--failed-file=${failed} --junit=${folder}/j`,
        `writing "${folder}/j.part"`,
      ],
      [`--junit=${folder}/../${folder.split("/").pop()}/all`, "twice"],
    ];
    for (const [flags, says] of cases) {
      const refused = await bulk(port, "", `${folder}/all ${flags}`);
      assertError(refused, 2, says);
    }
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assertEquals(names.sort(), ["all", "good", "j.part"]);
    await Deno.writeTextFile(failed, ndjson(lines));
    await Deno.writeTextFile(`${failed}.errors`, "");
    const flags = `${folder}/./failed -b service --failed-file=${failed}`;
    for (const flag of ["--shard=0/2", "--validate-only"]) {
      const refused = await bulk(port, "", `${flags} ${flag}`);
      assertError(refused, 2, "what is not saved now would be lost");
    }
    assertEquals(port.log, []);
    assertEquals(await Deno.readTextFile(failed), ndjson(lines));
    const { code, stderr } = await bulk(port, "", flags);
    assertEquals(code, 8, stderr);
    assertEquals(await Deno.readTextFile(failed), '{"identifier":"b c"}\n');
    assertMatch(stderr, /failed" was an input; .* not saved: 1 input\n/);
    assert(await port.entity("service", "a"));
  });
});

/** A failed file in a folder of its own, and what it logs. */
async function withFailedFile(
  isInput: boolean,
  test: (file: FailedFile, path: string, log: string[]) => void,
) {
  await withFolder((folder) => {
    const log: string[] = [];
    const path = `${folder}/failed`;
    if (isInput) Deno.writeTextFileSync(path, "all\n");
    if (isInput) Deno.writeTextFileSync(`${path}.errors`, "");
    const file = new FailedFile(path, {
      isInput,
      format: { format: "json", header: "", prefix: "" },
      warn: (line) => log.push(line),
    });
    test(file, path, log);
    return Promise.resolve();
  }, "/tmp");
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("FailedFile keeps an input that comes in parts on one line, whatever else fails", async () => {
  await withFailedFile(false, (file, path) => {
    file.keep(bytes("[1,\n"));
    file.fail({ place: "f:9", name: "", reason: "Bad", input: bytes("9") });
    file.keep(bytes("2]"));
    file.fail({ place: "f:1", name: "", reason: "Large" });
    file.close(new Map(), true);
    assertEquals(Deno.readTextFileSync(path), "[1, 2]\n9\n");
    const reasons = Deno.readTextFileSync(`${path}.errors`);
    assertEquals(reasons, "f:1: Large\nf:9: Bad\n");
    assertEquals(file.summary, `"${path}" holds what was not saved: 2 inputs`);
  });
});

Deno.test("FailedFile does not replace an input that was not read to its end", async () => {
  await withFailedFile(true, (file, path, log) => {
    file.fail({ place: "f:1", name: "", reason: "Bad", input: bytes("1") });
    file.fail({ place: "f", name: "f", reason: "Cannot read further" });
    file.close(new Map(), false);
    assertEquals(Deno.readTextFileSync(path), "all\n");
    assertEquals(Deno.readTextFileSync(`${path}.part`), "1\n");
    assertMatch(log.join(), /failed" was not read to its end, and stays/);
    assertMatch(
      file.advice(false),
      /, correct "\S+\/failed\.part" and run it$/,
    );
  });
});

Deno.test("FailedFile names no file that is empty or does not exist", async () => {
  const reason = "Cannot read further";
  await withFailedFile(false, (file, path) => {
    file.fail({ place: "f", name: "f", reason });
    file.close(new Map(), false);
    assertEquals(file.advice(false), `see "${path}.errors"`);
    assertEquals(file.summary, undefined);
  });
  await withFailedFile(false, (file, path, log) => {
    file.fail({ place: "f:1", name: "", reason, input: bytes("1") });
    Deno.mkdirSync(path);
    file.close(new Map(), true);
    assertMatch(log.join(), /it is still called "\S+\/failed\.part"$/);
    assertMatch(file.advice(true), /run "\S+\/failed\.part" to send the rest$/);
  });
});
