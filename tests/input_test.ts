import { assertEquals } from "jsr:@std/assert@1.0.19";
import { type Piece, readJsonValues, readLines } from "../lib/input.ts";

/** A stream of text in chunks of so many bytes. */
function stream(text: string, size: number): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  const count = Math.ceil(bytes.length / size);
  return ReadableStream.from(
    Array.from(
      { length: count },
      (_, index) => bytes.slice(index * size, (index + 1) * size),
    ),
  );
}

type Read = (stream: ReadableStream<Uint8Array>) => AsyncGenerator<Piece>;

/** Reads the same text in chunks of every size; all must give the same. */
async function assertPieces(
  read: Read,
  text: string,
  expected: [line: number, text: string][],
) {
  for (const size of [1, 2, 3, 7, 1000]) {
    const pieces = await Array.fromAsync(read(stream(text, size)));
    assertEquals(
      pieces.map(({ line, text }) => [line, text]),
      expected,
      `${JSON.stringify(text)} by ${size}`,
    );
  }
}

Deno.test("readLines() numbers lines and takes any line break", async () => {
  await assertPieces(readLines, "a\r\nб\n\n😀", [
    [1, "a"],
    [2, "б"],
    [3, ""],
    [4, "😀"],
  ]);
  await assertPieces(readLines, "\ufeffa\n", [[1, "a"]]);
  await assertPieces(readLines, "", []);
});

Deno.test("readJsonValues() reads a value a line", async () => {
  await assertPieces(readJsonValues, '\n{"a":1}\n\n {"b":[2]}\r\nnope', [
    [2, '{"a":1}'],
    [4, ' {"b":[2]}'],
    [5, "nope"],
  ]);
});

Deno.test("readJsonValues() reads the elements of an array", async () => {
  await assertPieces(
    readJsonValues,
    '\n[\n  {"a": "],}\\"{"},\n\n  {\n"b": [1, {"c": 2}]}, 3 ]\n',
    [
      [3, '{"a": "],}\\"{"}'],
      [5, '{\n"b": [1, {"c": 2}]}'],
      [6, "3"],
    ],
  );
  await assertPieces(readJsonValues, "[]", []);
  await assertPieces(readJsonValues, " [ ] ", []);
});

Deno.test("readJsonValues() passes on what is broken", async () => {
  await assertPieces(readJsonValues, '[{"a": 1}, {"b"', [
    [1, '{"a": 1}'],
    [1, '{"b"'],
  ]);
  await assertPieces(readJsonValues, "[1,", [[1, "1"], [1, ""]]);
  // The producer ended between two of them: the list is not whole.
  await assertPieces(readJsonValues, "[1, {}", [[1, "1"], [1, "{}"], [1, ""]]);
  await assertPieces(readJsonValues, "[1] x", [[1, "1"], [1, "x"]]);
});
