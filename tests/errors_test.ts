import { assertEquals } from "jsr:@std/assert@1.0.19";
import { escapeControls, toLine } from "../lib/errors.ts";

Deno.test("escapeControls() escapes all that acts on a terminal, and nothing else", () => {
  const acting = ["\x00", "\x07", "\r", "\x1b", "\x7f", "\x9b", "\u202a"];
  for (const character of [...acting, "\u202e", "\u2066", "\u2069"]) {
    const code = character.charCodeAt(0).toString(16).padStart(4, "0");
    assertEquals(escapeControls(`a${character}b`), `a\\u${code}b`);
  }
  const plain = "a\tb\nс😀é\u00a0\u200d\\u001b";
  assertEquals(escapeControls(plain), plain);
});

Deno.test("toLine() makes one line", () => {
  assertEquals(toLine("a\r\n\t b \n\n\rc\td\n"), "a b c\td ");
  assertEquals(toLine("a\x1b[31m\nb"), "a\\u001b[31m b");
});
