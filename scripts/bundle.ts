#!/usr/bin/env -S deno run --allow-run --allow-read --allow-write --allow-env
/**
 * Bundles each script into one file that needs no other file and no packages,
 * and writes their checksums.
 *
 * @module
 */

const HELP = `Bundle each script into one file, and write their checksums

Usage: deno task bundle [FOLDER]

  FOLDER  Where to write the files (default dist)`;

const ROOT = new URL("..", import.meta.url);

/** Scripts that are useful only in this repository. */
const LOCAL = ["bundle.ts", "demo.ts", "local_port.ts"];

/** Writes all bundles to a folder, and `SHA256SUMS` for `sha256sum -c`. */
async function bundleAll(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const files = [...Deno.readDirSync(new URL("scripts", ROOT))]
    .map(({ name }) => name)
    .filter((name) => name.endsWith(".ts") && !LOCAL.includes(name));
  let sums = "";
  for (const file of files.sort()) {
    const name = file.replace(/ts$/, "js");
    const bytes = new TextEncoder().encode(await bundle(file));
    await Deno.writeFile(`${folder}/${name}`, bytes);
    const sum = await crypto.subtle.digest("SHA-256", bytes);
    sums += `${new Uint8Array(sum).toHex()}  ${name}\n`;
    console.log(`${folder}/${name}: ${bytes.length} bytes`);
  }
  await Deno.writeTextFile(`${folder}/SHA256SUMS`, sums);
}

async function bundle(file: string): Promise<string> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=deno", `scripts/${file}`],
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`Cannot bundle scripts/${file}`);
  const [shebang, ...code] = new TextDecoder().decode(stdout).split("\n");
  const licence = await Deno.readTextFile(new URL("LICENSE", ROOT));
  const copyright = /^Copyright.*$/m.exec(licence);
  return `${shebang}
// MIT License. ${copyright}, and the Deno authors (@std)
if (!globalThis.Deno) throw "Run this with deno, not with node";
` + code.join("\n")
    // The paths of packages differ between machines.
    .replace(/[^\s"]*\/npm\/[^\s"/]+\/(?=deno-std\/)/g, "npm:")
    .replaceAll("scripts/${name}.ts", "./${name}.js");
}

if (import.meta.main) {
  const [folder = "dist", ...more] = Deno.args;
  const unexpected = folder.startsWith("-") ? folder : more[0];
  if (Deno.args.includes("--help") || Deno.args.includes("-h")) {
    console.log(HELP);
  } else if (unexpected !== undefined) {
    console.error(`error: Unexpected argument "${unexpected}" (see --help)`);
    Deno.exit(2);
  } else {
    await bundleAll(folder);
  }
}
