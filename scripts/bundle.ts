#!/usr/bin/env -S deno run --allow-run --allow-read --allow-write --allow-env
/**
 * Writes each script as one file that needs no other and no network, with the
 * sums to verify them by. Readable: what is taken out are comments, and code
 * that the script does not reach.
 *
 * @module
 */
import { minify } from "npm:terser@5.50.0";

const ROOT = new URL("..", import.meta.url);

/** The scripts that are of use only in this repository. */
const LOCAL = ["bundle", "demo", "local_port"];

/** In place of `@std/dotenv`: what is built in to Deno, loaded when needed. */
const PARSE_ENV = `export async function parse(text) {
  return (await import("node:util")).parseEnv(text);
}
`;

/**
 * Writes all bundles, and their sums in the form that `sha256sum -c` reads.
 *
 * @param target The folder for them.
 * @returns The size of each file in bytes.
 */
export async function bundleAll(
  target: URL,
): Promise<Map<string, number>> {
  await Deno.mkdir(target, { recursive: true });
  const sizes = new Map<string, number>();
  const sums: string[] = [];
  for (const name of await scriptNames()) {
    const bytes = new TextEncoder().encode(await bundle(name));
    await Deno.writeFile(new URL(`${name}.js`, target), bytes);
    sums.push(`${await sha256(bytes)}  ${name}.js\n`);
    sizes.set(`${name}.js`, bytes.length);
  }
  await Deno.writeTextFile(new URL("SHA256SUMS", target), sums.join(""));
  return sizes;
}

async function scriptNames(): Promise<string[]> {
  const files = await Array.fromAsync(Deno.readDir(new URL("scripts", ROOT)));
  return files.map(({ name }) => name).filter((name) => name.endsWith(".ts"))
    .map((name) => name.slice(0, -".ts".length))
    .filter((name) => !LOCAL.includes(name)).sort();
}

async function bundle(name: string): Promise<string> {
  const [shebang, ...code] = (await gather(name)).split("\n");
  const { code: tidy } = await minify(code.join("\n"), {
    module: true,
    mangle: false,
    compress: {
      ecma: 2020,
      inline: 3,
      passes: 2,
      pure_getters: true,
      pure_new: true,
      reduce_funcs: false,
      sequences: false,
      unsafe_arrows: true,
    },
    format: {
      beautify: true,
      comments: false,
      ecma: 2020,
      indent_level: 1,
    },
  });
  const licence = await Deno.readTextFile(new URL("LICENSE", ROOT));
  return `${shebang}
// MIT License. ${licence.match(/^Copyright.*$/m)}, and the Deno authors (@std)
if (!globalThis.Deno) throw "Run this with deno, not with node";
${
    // Nothing imports a bundle: it is run.
    String(tidy).replace(/\n{2,}/g, "\n").replace("import.meta.main && ", "")
      .replace(/\nexport \{[^}]*\};\s*$/, "")}
`;
}

/** Lets Deno gather a script and all that it imports. */
async function gather(name: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const parseEnv = `${folder}/parse_env.js`;
    await Deno.writeTextFile(parseEnv, PARSE_ENV);
    await Deno.copyFile(new URL("deno.lock", ROOT), `${folder}/deno.lock`);
    const config = await Deno.readTextFile(new URL("deno.json", ROOT));
    await Deno.writeTextFile(
      `${folder}/deno.json`,
      config.replace(/"npm:dotenv@[^"]+"/, `"file://${parseEnv}"`),
    );
    for (const part of ["lib", "scripts"]) {
      await copyHoisted(part, folder);
    }
    await new Deno.Command(Deno.execPath(), {
      args: [
        "bundle",
        "--quiet",
        "--platform=deno",
        `--config=${folder}/deno.json`,
        // One package less than the lock has; the sums of the others hold.
        `--lock=${folder}/deno.lock`,
        "--frozen=false",
        `--output=${folder}/out.js`,
        `scripts/${name}.ts`,
      ],
      cwd: folder,
      // Without its file, what Deno says there is the reason.
      stderr: "inherit",
    }).output();
    const text = await Deno.readTextFile(`${folder}/out.js`);
    // Names of modules must not tell where they lay on this machine.
    return text.replace(/"(?:\.\.\/)+[^"\n]*?\/npm\/[^/"\n]+\//g, '"npm:')
      .replace(/"(?:\.\.\/)+[^"\n]*\/(parse_env\.js")/g, '"$1')
      .replaceAll("scripts/${script.name}.ts", "./${script.name}.js");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Copies the files of a folder; their imports are all static then. */
async function copyHoisted(part: string, target: string): Promise<void> {
  await Deno.mkdir(`${target}/${part}`);
  for await (const { name, isFile } of Deno.readDir(new URL(part, ROOT))) {
    if (!isFile) continue;
    const text = await Deno.readTextFile(new URL(`${part}/${name}`, ROOT));
    await Deno.writeTextFile(`${target}/${part}/${name}`, hoistImports(text));
  }
}

/** In one file, there is nothing left to load only when it is needed. */
function hoistImports(code: string): string {
  const imports: string[] = [];
  const rest = code.replace(
    /const (\{[^}]+\}) = await import\(\s*("(?:\.|jsr:)[^"]+")\s*\);/g,
    (_, names, file) => {
      imports.push(`import ${names} from ${file};\n`);
      return "";
    },
  );
  return rest + imports.join("");
}

async function sha256(bytes: BufferSource): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

if (import.meta.main) {
  const [folder = "dist"] = Deno.args;
  const sizes = await bundleAll(new URL(`${folder}/`, ROOT));
  for (const [name, size] of sizes) {
    console.log(`${folder}/${name}: ${size} bytes`);
  }
}
