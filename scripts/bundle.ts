#!/usr/bin/env -S deno run --allow-run --allow-read --allow-write --allow-env
/**
 * Bundles each script into one file that needs no other file and no packages,
 * packs the orb, and writes their checksums.
 *
 * @module
 */

const HELP =
  `Bundle each script into one file, pack the orb, and write their checksums

Usage: deno task bundle [FOLDER]

  FOLDER  Where to write the files (default dist)`;

const ROOT = new URL("..", import.meta.url);
const ORB = new URL(".circleci/orb/", ROOT);

/** Scripts that are useful only in this repository. */
const LOCAL = ["bundle.ts", "demo.ts", "docs.ts", "local_port.ts"];

/** Writes all files to a folder, and `SHA256SUMS` for `sha256sum -c`. */
async function bundleAll(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const files = new Map<string, string>();
  for (const file of namesIn(new URL("scripts/", ROOT), ".ts")) {
    if (LOCAL.includes(file)) continue;
    files.set(file.replace(/ts$/, "js"), await bundle(file));
  }
  files.set("orb.yml", await packOrb(files));
  let sums = "";
  for (const [name, text] of files) {
    const bytes = new TextEncoder().encode(text);
    await Deno.writeFile(`${folder}/${name}`, bytes);
    const sum = await crypto.subtle.digest("SHA-256", bytes);
    sums += `${new Uint8Array(sum).toHex()}  ${name}\n`;
    console.log(`${folder}/${name}: ${bytes.length} bytes`);
  }
  await Deno.writeTextFile(`${folder}/SHA256SUMS`, sums);
}

function namesIn(folder: URL, ending: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.endsWith(ending)).sort();
}

/** Joins the files of the orb into one that needs no other file. */
async function packOrb(bundles: Map<string, string>): Promise<string> {
  const writers = new Map<string, string>();
  for (const [file, text] of bundles) {
    writers.set(
      `bundles/${file.replace(".js", ".sh")}`,
      await write(file, text),
    );
  }
  const read = (path: string): string =>
    Deno.readTextFileSync(new URL(path, ORB))
      .replace(/^<<include\((\S+)\)>>\n/gm, (_, path) => read(path));
  const parts = ["executors", "commands", "jobs", "examples"].map((part) => {
    const elements = namesIn(new URL(`${part}/`, ORB), ".yml").map((file) =>
      `  ${file.replace(".yml", "")}:\n` + indent(read(`${part}/${file}`), 4)
    );
    return `\n${part}:\n${elements.join("")}`;
  });
  return (read("@orb.yml") + parts.join("")).replace(
    /^( *)command: <<include\((\S+)\)>>$/gm,
    (_, space: string, path: string) =>
      `${space}command: |\n` +
      // CircleCI takes << for the start of a parameter.
      indent(
        (writers.get(path) ?? read(path)).trimEnd().replaceAll("<<", "\\<<"),
        space.length + 2,
      ),
  );
}

/** Shell commands that write a file, whatever is there, and its checksum. */
async function write(file: string, text: string): Promise<string> {
  const gzip = new Blob([text]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  const packed = new Uint8Array(await new Response(gzip).arrayBuffer());
  const lines = packed.toBase64().match(/.{1,76}/g) ?? [];
  // Renamed, so that another job on this machine never sees half a file.
  return `mkdir -p /tmp/port
base64 -d << END | gunzip > /tmp/port/${file}.$$
${lines.join("\n")}
END
mv /tmp/port/${file}.$$ /tmp/port/${file}
cd /tmp/port && sha256sum ${file}
`;
}

function indent(text: string, width: number): string {
  return text.replace(/^(?=.)/gm, " ".repeat(width));
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
