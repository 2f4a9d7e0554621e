import { assertEquals } from "jsr:@std/assert@1.0.19";
import { readJsonValues } from "../lib/bulk/input.ts";

/** Reads text in chunks of several sizes; all must result in the same. */
async function assertValues(text: string, ...expected: [number, string][]) {
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 3, 7, 1000]) {
    const length = Math.ceil(bytes.length / size);
    const chunks = Array.from(
      { length },
      (_, index) => bytes.slice(index * size, (index + 1) * size),
    );
    const pieces = readJsonValues(ReadableStream.from(chunks));
    assertEquals(
      (await Array.fromAsync(pieces)).map(({ line, text }) => [line, text]),
      expected,
      `${JSON.stringify(text)} in chunks of ${size}`,
    );
  }
}

Deno.test("readJsonValues() reads one value per line, whatever the line break", async () => {
  await assertValues(
    '\n{"a":1}\r\n\n {"б":["😀"]}\r\nnope',
    [2, '{"a":1}'],
    [4, ' {"б":["😀"]}'],
    [5, "nope"],
  );
  await assertValues("\ufeff{}\n", [1, "{}"]);
  await assertValues("");
});

Deno.test("readJsonValues() reads the elements of an array", async () => {
  await assertValues(
    '\n[\n  {"a": "],}\\"{", "й": "\\\\"},\n\n  {\n"b": [1, {"c": 2}]}, 3 ]\n',
    [3, '{"a": "],}\\"{", "й": "\\\\"}'],
    [5, '{\n"b": [1, {"c": 2}]}'],
    [6, "3"],
  );
  await assertValues("\ufeff[]");
  await assertValues(" [ ] ");
});

Deno.test("readJsonValues() passes on what is broken", async () => {
  await assertValues('[{"a": 1}, {"b"', [1, '{"a": 1}'], [1, '{"b"']);
  await assertValues("[1,", [1, "1"], [1, ""]);
  // The producer ended between two elements: the list is incomplete.
  await assertValues("[1, {}", [1, "1"], [1, "{}"], [1, ""]);
  await assertValues("[1] x", [1, "1"], [1, "x"]);
});
