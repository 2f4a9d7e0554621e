/**
 * Runs processes for the benchmark, and measures them.
 *
 * @module
 */
import { CREDENTIALS } from "./port.ts";
import { FOLDER, permissionsOf } from "./run.ts";

/**
 * Runs a test with a local Port that is a process of its own.
 *
 * @param flags Flags of the local Port.
 * @param test Called with its URL.
 */
export async function withPort(
  flags: string[],
  test: (url: string) => Promise<void>,
): Promise<void> {
  const port = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", ...await permissionsOf("local_port"), "local_port.ts"],
      ...["--port=0", "--rate-limit=off", ...flags],
    ],
    cwd: FOLDER,
    env: CREDENTIALS,
    stdout: "piped",
  }).spawn();
  const lines = port.stdout.pipeThrough(new TextDecoderStream());
  let text = "";
  for await (const chunk of lines.values({ preventCancel: true })) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  // It would stop if nobody read its log.
  const drained = lines.pipeTo(new WritableStream());
  const [url = ""] = /http:\S+/.exec(text) ?? [];
  try {
    await test(url);
  } finally {
    port.kill();
    await drained;
    await port.status;
  }
}

/** How to run a process. */
export interface Process {
  /** The program; Deno by default. */
  command?: string;
  /** Its command line. */
  args: string[];
  /** Variables, in addition to the credentials. */
  env?: Record<string, string>;
  /** Standard input. @default none */
  stdin?: ReadableStream<string>;
}

/** What a process took; NaN if it failed or the system does not report it. */
export interface Usage {
  /** How long it ran. */
  milliseconds: number;
  /** The processor time, in milliseconds. */
  cpu: number;
  /** The most memory it had, in MiB. */
  memory: number;
  /** Its standard output. */
  stdout: string;
}

/**
 * Runs a process to its end, no other at the same time.
 *
 * @param process The process.
 * @returns What it took.
 * @throws If it is Deno and fails.
 */
export async function measure(
  { command = Deno.execPath(), args, env, stdin }: Process,
): Promise<Usage> {
  const usage: Usage = { milliseconds: NaN, cpu: NaN, memory: NaN, stdout: "" };
  const cpu = childrenCpu();
  const start = performance.now();
  const child = new Deno.Command(command, {
    args,
    cwd: FOLDER,
    env: {
      ...CREDENTIALS,
      NO_PROXY: "127.0.0.1",
      DENO_NO_UPDATE_CHECK: "1",
      ...env,
    },
    stdin: stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const watch = setInterval(() => {
    usage.memory = peakOf(child.pid) ?? usage.memory;
  }, 50);
  const [{ success, stdout, stderr }] = await Promise.all([
    child.output(),
    stdin?.pipeThrough(new TextEncoderStream()).pipeTo(child.stdin),
  ]);
  clearInterval(watch);
  if (success) {
    usage.milliseconds = performance.now() - start;
    usage.cpu = childrenCpu() - cpu;
    usage.stdout = new TextDecoder().decode(stdout);
  } else if (command === Deno.execPath()) {
    throw new Error(`${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
  return usage;
}

/** The peak memory of a running process so far, in MiB (Linux only). */
function peakOf(pid: number): number | undefined {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB/m.exec(status) ?? [];
    return kibibytes === undefined ? undefined : Number(kibibytes) / 1024;
  } catch {
    return undefined;
  }
}

/** The processor time of processes that have ended, in ms (Linux only). */
function childrenCpu(): number {
  try {
    const stat = Deno.readTextFileSync("/proc/self/stat");
    // The fields 16 and 17, in hundredths of a second; the name is field 2.
    const fields = stat.slice(stat.lastIndexOf(")")).split(" ");
    return 10 * (Number(fields[14]) + Number(fields[15]));
  } catch {
    return NaN;
  }
}
