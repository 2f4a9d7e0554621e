import { assert, assertEquals } from "jsr:@std/assert@1.0.19";
import { ROOT } from "./support/run.ts";

/** Counts lines that are neither blank nor comment; `deno fmt` breaks them. */
function codeLines(text: string): number {
  const code = text.replace(/^#!.*/, "").replace(/^\s*\/\*[\s\S]*?\*\//gm, "");
  return code.split("\n").filter((line) => !/^\s*(?:\/\/|$)/.test(line)).length;
}

/** The files of this repository that a file imports, itself among them. */
function filesOf(file: URL, pattern: RegExp, found = new Set<string>()) {
  if (found.has(file.href)) return found;
  found.add(file.href);
  for (const [, path] of Deno.readTextFileSync(file).matchAll(pattern)) {
    if (path?.startsWith(".")) filesOf(new URL(path, file), pattern, found);
    // The one package that stands in this repository, see deno.json.
    if (path?.startsWith("jsr:@std/dotenv")) {
      found.add(new URL("lib/parse_env.ts", ROOT).href);
    }
  }
  return found;
}

function countAll(files: Iterable<string>): number {
  return [...files].map((file) => Deno.readTextFileSync(new URL(file)))
    .reduce((sum, text) => sum + codeLines(text), 0);
}

const STATIC = /^(?:import|export)\b[^;]*?from "([^"]+)";/gm;
const ALL = /^(?:import|export)\b[^;]*?from "([^"]+)";|import\("([^"]+)"\)/gm;
const SCRIPT = new URL("scripts/upsert_entity.ts", ROOT);

Deno.test("codeLines() counts neither blank lines nor comments", () => {
  const text =
    "#!/bin/x\n/**\n * Doc.\n */\n\ncode(); // why\n  // why\n/* a */\nb\n";
  assertEquals(codeLines(text), 2);
});

Deno.test("lib/port.ts imports nothing and fits on its page", () => {
  const text = Deno.readTextFileSync(new URL("lib/port.ts", ROOT));
  assertEquals([...text.matchAll(ALL)], []);
  assert(codeLines(text) <= 330, `${codeLines(text)} lines`);
});

Deno.test("upsert_entity.ts and all that it imports stay small, and README says how small", () => {
  const lines = countAll(filesOf(SCRIPT, STATIC));
  assert(lines <= 1000, `${lines} lines`);
  const readme = Deno.readTextFileSync(new URL("README.md", ROOT))
    .replace(/\s+/g, " ");
  const quoted =
    /`upsert_entity\.ts` and all that it imports: ([\d,]+) lines of code/
      .exec(readme)?.[1];
  assertEquals(quoted?.replace(",", ""), String(lines));
});

Deno.test("upsert_entity.ts with what it loads on demand stays small too", () => {
  const pattern = /(?:from |import\(\s*)"([^"]+)"/g;
  const files = filesOf(SCRIPT, pattern);
  assert(files.has(new URL("lib/set_env.ts", ROOT).href));
  const lines = countAll(files);
  assert(lines <= 1200, `${lines} lines`);
});

Deno.test("the local Port's page stays small", () => {
  for (const file of ["page.html", "page.css", "page.js"]) {
    const url = new URL(`scripts/local_port/${file}`, ROOT);
    const lines = codeLines(Deno.readTextFileSync(url));
    assert(lines <= 450, `${file}: ${lines} lines`);
  }
});
