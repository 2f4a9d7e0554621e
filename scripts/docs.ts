#!/usr/bin/env -S deno run --allow-read --allow-write --allow-env
/**
 * Writes the tables of scripts/README.md from the option tables of the scripts.
 *
 * @module
 */
import { ENVIRONMENT, EXIT_CODES, optionRows } from "../lib/help.ts";
import { COMMON_OPTIONS, type OptionTable } from "../lib/options.ts";

const README = new URL("README.md", import.meta.url);

/** Replaces the table with this head below a heading, if there is one. */
function replaceTable(
  text: string,
  heading: string,
  head: [string, string],
  rows: [term: string, meaning: string][],
): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const table = [
    `| ${head.join(" | ")} |\n| --- | --- |\n`,
    ...rows.map(([term, meaning]) =>
      `| \`${cell(term)}\` | ${cell(meaning)} |\n`
    ),
  ].join("");
  const start = text.indexOf(`\n${heading}\n`);
  const end = text.indexOf("\n#", start + 1);
  const section = text.slice(start, end).replace(
    new RegExp(`^\\| ${head[0]} .*\\n(?:\\|.*\\n?)*`, "m"),
    () => table,
  );
  return text.slice(0, start) + section + text.slice(end);
}

function ofOptions(options: OptionTable): [string, string][] {
  return optionRows(options).map(({ term, meaning }) => [term, meaning]);
}

let text = await Deno.readTextFile(README);
const option: [string, string] = ["option", "what it does"];
for (const [heading, name = ""] of text.matchAll(/^### (\w+)\.ts$/gm)) {
  const { script } = await import(`./${name}.ts`);
  text = replaceTable(text, heading, option, ofOptions(script.options));
}
text = replaceTable(
  text,
  "### Options of every script",
  option,
  ofOptions(COMMON_OPTIONS),
);
const variables = Object.entries(ENVIRONMENT);
text = replaceTable(
  text,
  "## Settings",
  ["variable", "what it sets"],
  variables,
);
const codes = Object.entries(EXIT_CODES);
text = replaceTable(text, "## Exit codes", ["exit code", "meaning"], codes);
await Deno.writeTextFile(README, text);
