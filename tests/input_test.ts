import { assert, assertEquals, assertRejects } from "jsr:@std/assert@1.0.19";
import { MAX_BODY } from "../lib/bulk/batches.ts";
import { openInputs } from "../lib/bulk/input.ts";
import { keepRest, readItems } from "../lib/bulk/items.ts";
import { openFormat } from "../lib/bulk/format.ts";
import type { FormatOptions } from "../lib/bulk/pieces.ts";
import { Report } from "../lib/bulk/report.ts";
import { Stop } from "../lib/bulk/stop.ts";
import { UsageError } from "../lib/errors.ts";
import { withFile } from "./support/run.ts";

/** How NDJSON and JSON are read. */
const JSON_OPTIONS: FormatOptions = {
  format: undefined,
  blueprint: undefined,
  typesOf: () => Promise.resolve(new Map()),
  emptyClears: false,
};

async function openPieces(stream: ReadableStream<Uint8Array>, name: string) {
  return (await openFormat(stream, name, JSON_OPTIONS)).pieces;
}

/** Reads text in chunks of several sizes; all must result in the same. */
async function assertValues(text: string, ...expected: [number, string][]) {
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 3, 7, 1000]) {
    const length = Math.ceil(bytes.length / size);
    const chunks = Array.from(
      { length },
      (_, index) => bytes.slice(index * size, (index + 1) * size),
    );
    const pieces = await openPieces(ReadableStream.from(chunks), "input");
    const values = await Array.fromAsync(pieces);
    assertEquals(
      values.map(({ line, bytes }) => [line, new TextDecoder().decode(bytes)]),
      expected,
      `${JSON.stringify(text)} in chunks of ${size}`,
    );
  }
}

Deno.test("openPieces() reads one value per line, whatever the line break", async () => {
  await assertValues(
    '\n{"a":1}\r\n\n {"б":["😀"]}\r\nnope',
    [2, '{"a":1}'],
    [4, ' {"б":["😀"]}'],
    [5, "nope"],
  );
  await assertValues("\ufeff{}\n", [1, "{}"]);
  await assertValues(" \t\n\0\n\u00a0", [2, "\0"], [3, "\u00a0"]);
  await assertValues("");
});

Deno.test("openPieces() reads the elements of an array", async () => {
  await assertValues(
    '\n[\n  {"a": "],}\\"{", "й": "\\\\"},\n\n  {\n"b": [1, {"c": 2}]}, 3 ]\n',
    [3, '{"a": "],}\\"{", "й": "\\\\"}'],
    [5, '{\n"b": [1, {"c": 2}]}'],
    [6, "3"],
  );
  await assertValues("\ufeff[]");
  await assertValues(" [ ] ");
});

Deno.test("openPieces() passes on what is broken", async () => {
  await assertValues('[{"a": 1}, {"b"', [1, '{"a": 1}'], [1, '{"b"']);
  await assertValues("[1,", [1, "1"], [1, ""]);
  await assertValues("[1, {}", [1, "1"], [1, "{}"]);
  await assertValues("[1] x", [1, "1"], [1, "x"]);
});

/** Chunks of 64 KiB, as files and pipes give them, and how much was read. */
function chunksOf(text: string) {
  const bytes = new TextEncoder().encode(text);
  const counts = { read: 0 };
  const chunks = function* () {
    while (counts.read < bytes.length) {
      const chunk = bytes.slice(counts.read, counts.read + 64 * 1024);
      counts.read += chunk.length;
      yield chunk;
    }
  };
  return { counts, stream: ReadableStream.from(chunks()) };
}

Deno.test("openPieces() holds little more than 1 MiB, however large a value is", async () => {
  const huge = `"${"x".repeat(10_000_000)}"`;
  const inputs = [
    `1\n${huge}\n2\n`,
    `[1,${huge},2]`,
    `[1,[${huge}`,
    `1\n${huge}`,
  ];
  for (const input of inputs) {
    const { counts, stream } = chunksOf(input);
    const values: string[] = [];
    let given = 0;
    for await (const piece of await openPieces(stream, "input")) {
      const { bytes, offset } = piece;
      // The stream itself holds a chunk, too.
      assert(counts.read - given < MAX_BODY + 3 * 64 * 1024);
      given += bytes.length;
      const text = new TextDecoder().decode(bytes);
      if (offset === 0) values.push(text);
      else values[values.length - 1] += text;
    }
    const rest = input.endsWith("2]") || input.endsWith("2\n") ? ["2"] : [];
    const whole = input.startsWith("[1,[") ? `[${huge}` : huge;
    assert(["1", whole, ...rest].join() === values.join());
  }
});

Deno.test("openPieces() says what is wrong with the end of an array, and where that begins", async () => {
  const never =
    "the array never ends, as a quote or bracket is not closed here";
  const cases: [
    text: string,
    line: number,
    column: number,
    problem?: string,
  ][] = [
    ['[1,\n {"a": [2}, 3]', 2, 2, never],
    ['[1,\n  "a\\", 3]', 2, 3, never],
    ["[1, {}", 1, 5, never],
    ["[1, ", 1, 4, never],
    ["[1]\n  2, 3", 2, 3, "it comes after the end of the array"],
    ["[1]\n[2]", 2, 2],
  ];
  for (const [text, line, column, problem] of cases) {
    const pieces = await openPieces(chunksOf(text).stream, "input");
    const last = (await Array.fromAsync(pieces)).at(-1);
    assertEquals(
      [last?.line, last?.column, last?.problem],
      [line, column, problem],
      text,
    );
  }
});

Deno.test("an input that breaks off does not count as read to its end", async () => {
  const line = `{"blueprint": "b", "identifier": "a"}\n`;
  await withFile(line.repeat(50_000), async (path) => {
    const broken = new AbortController();
    const inputs = await openInputs([path], JSON_OPTIONS, broken.signal);
    const options = {
      report: new Report([]),
      isMine: undefined,
      blueprint: undefined,
      stop: new Stop(String),
    };
    for await (const _ of readItems(inputs, options)) {
      broken.abort(new Error("Input/output error"));
    }
    await keepRest(inputs, options);
    assertEquals(inputs.map(({ isRead }) => isRead), [false]);
  });
});

Deno.test("openPieces() rejects other formats by their first line", async () => {
  const cases: [start: string, format?: string][] = [
    ["\n---\nidentifier: a\n", "YAML"],
    ["# Services\n", "YAML"],
    ["- identifier: a\r\n  title: A\r\n", "YAML"],
    ['"identifier": a\n', "YAML"],
    ["identifier,title,properties.version\na,A,1\n", "CSV"],
    ['"identifier";"title"\r\n', "CSV"],
    ["identifier\ttitle\n", "CSV"],
    ['{"identifier": "a"}\n{\n'],
    ['{"identifier": "a"}\n{"x": [{}]}\n'],
    ['{"identifier": "a", "ti\n{"identifier": "b"}\n'],
    ["nope\n"],
    ["[\n  {\n"],
    // Cut off: more may follow on the line.
    ['{"identifier": "a",'],
    [""],
  ];
  for (const [start, format] of cases) {
    const open = openPieces(chunksOf(start).stream, '"all"');
    if (format === undefined) await open;
    else {await assertRejects(
        () => open,
        UsageError,
        `"all": it looks like ${format};`,
      );}
  }
  const utf16 = new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0, 0x0a, 0]);
  await assertRejects(
    () => openPieces(ReadableStream.from([utf16]), "x"),
    UsageError,
    "UTF-16",
  );
});
