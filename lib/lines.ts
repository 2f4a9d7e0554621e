/**
 * Reads text as a stream of lines.
 *
 * @module
 */

/**
 * Decodes a stream.
 *
 * @param stream UTF-8 text.
 * @returns The text, in chunks of any length.
 */
export function decode(
  stream: ReadableStream<Uint8Array>,
): ReadableStream<string> {
  return stream.pipeThrough(
    new TextDecoderStream() as TransformStream<Uint8Array, string>,
  );
}

/**
 * Splits text into lines.
 *
 * @param chunks The text, in chunks of any length.
 * @returns The lines, without their line breaks.
 */
export async function* splitLines(
  chunks: AsyncIterable<string>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line.replace(/\r$/, "");
  }
  if (rest !== "") yield rest.replace(/\r$/, "");
}
