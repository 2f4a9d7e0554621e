import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { Port } from "../lib/port.ts";
import { RunLog } from "../scripts/update_action_run.ts";

const URL = "https://port.test";

/** What became of a log. */
interface Sent {
  messages: string[];
  /** The pauses that nothing ended early, in milliseconds. */
  pauses: number[];
  warnings: string[];
  error: string | undefined;
}

/** How Port answers, and what the build does meanwhile. */
interface Story {
  /** The statuses of the first requests; all others succeed. */
  statuses?: number[];
  /** Called after each request but logins; the answer waits for it. */
  onMessage?: (status: number) => unknown;
  signal?: AbortSignal;
}

/** Sends a log to a made-up Port, with a clock that only its timers move. */
async function sendLog(
  stream: ReadableStream<Uint8Array>,
  { statuses = [], onMessage, signal = new AbortController().signal }: Story,
): Promise<Sent> {
  const { setTimeout } = globalThis;
  const messages: string[] = [];
  const pauses: number[] = [];
  const warnings: string[] = [];
  // The timers are due when nothing else is left to do.
  globalThis.setTimeout = Object.assign((end: () => void, pause = 0) => {
    const due = () => {
      pauses.push(pause);
      end();
    };
    return setTimeout(due, 0);
  }, setTimeout);
  const fetch = async (url: unknown, init?: RequestInit) => {
    const status = statuses.shift() ?? 201;
    const isLogin = String(url).endsWith("/access_token");
    const { message } = JSON.parse(String(init?.body));
    if (!isLogin && status === 201) messages.push(message);
    if (!isLogin) await onMessage?.(status);
    return Response.json({ accessToken: "x" }, { status });
  };
  try {
    const secret = { clientId: "made-up", clientSecret: "made-up-secret" };
    const port = new Port({ apiUrl: URL, ...secret, retries: 0, fetch });
    const log = new RunLog(port, "r_1", (line) => warnings.push(line));
    await log.sendAll(stream, signal);
    return { messages, pauses, warnings, error: log.error?.message };
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

/** A stream that a test writes. */
function makeStream() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  return {
    readable,
    write: (text: string) => writer.write(encoder.encode(text)),
    close: () => void writer.close().catch(() => {}),
  };
}

function streamOf(...texts: string[]): ReadableStream<Uint8Array> {
  return ReadableStream.from(texts).pipeThrough(new TextEncoderStream());
}

function lines(from: number, to: number, length = 0): string[] {
  const numbers = Array.from({ length: to - from + 1 }, (_, at) => from + at);
  return numbers.map((number) => `line ${number}`.padEnd(length, "."));
}

/** Login comes before the first message. */
const LOGIN = 201;

Deno.test("RunLog cuts a message at the last line that fits, and does not pause while messages are full", async () => {
  const all = lines(1, 40_000, 50);
  const text = all.join("\n");
  const chunks = text.match(/[^]{1,65536}/g) ?? [];
  const { messages, pauses, error } = await sendLog(streamOf(...chunks), {});
  assertEquals([pauses, error], [[], undefined]);
  assert(messages.join("\n") === text);
  assert(messages.length < 2 + text.length / 140_000, `${messages.length}`);
  assert(messages.every(({ length }) => length <= 150_000));
});

Deno.test("RunLog cuts a line that is longer than a message, and no character", async () => {
  const line = `x${"🚀".repeat(400_000)}`;
  const { messages } = await sendLog(streamOf(line), {});
  assert(messages.join("") === line && messages.length === 6);
  assert(messages.every((message) => message.isWellFormed()));
});

Deno.test("RunLog shows progress as it comes, and an incomplete line after a second", async () => {
  const cases: [chunks: string[], messages: string[]][] = [
    [["10%\r", "20%\r", "Done\n"], ["10%", "20%", "Done"]],
    [["\r10%", "\r20%", "\rDone\n"], [" ", "10%", "20%\nDone"]],
    [["Loading", " ... ", "done\n", "x\n"], ["Loading", " ... ", "done", "x"]],
    [["Loading", "\nNext\n"], ["Loading", "Next"]],
    [["Loading", "\n\nNext\n"], ["Loading", "\nNext"]],
    [["one\r", "\ntwo\r\r\n\n", "\nx"], ["one", "two\n", "\nx"]],
    [["one\ntw", "o\nthree"], ["one", "two\nthree"]],
  ];
  for (const [chunks, expected] of cases) {
    const stream = makeStream();
    const rest = [...chunks];
    const next = () => {
      const chunk = rest.shift();
      if (chunk === undefined) return;
      stream.write(chunk);
      if (rest.length === 0) stream.close();
    };
    next();
    const end = await sendLog(stream.readable, { onMessage: next });
    assertEquals(end.messages, expected, JSON.stringify(chunks));
  }
  const { messages } = await sendLog(streamOf("Load", "ing\n"), {});
  assertEquals(messages, ["Loading"]);
});

Deno.test("RunLog does not pause at the end of the input", async () => {
  const { readable, write, close } = makeStream();
  const { setTimeout } = globalThis;
  write("one\n");
  const onMessage = () => void setTimeout(close, 0);
  const { messages, pauses } = await sendLog(readable, { onMessage });
  assertEquals([messages, pauses], [["one"], []]);
});

Deno.test("RunLog sends no message again that Port rejects", async () => {
  for (const status of [403, 404, 422]) {
    const stream = streamOf("one\n", "two\n", "three\n");
    const end = await sendLog(stream, { statuses: [LOGIN, status] });
    assertEquals(end.messages.join("\n"), "two\nthree");
    assertMatch(end.error ?? "", / \(1 line could not be sent\)$/);
  }
});

Deno.test("RunLog goes on after an outage of any length, and counts the lines that are missing", async () => {
  const stream = makeStream();
  for (const line of lines(1, 20)) stream.write(`${line}\n`);
  const end = await sendLog(stream.readable, {
    statuses: [LOGIN, ...Array(8).fill(502)],
    onMessage: (status) => status === 201 && stream.close(),
  });
  const arrived = ["line 9", lines(10, 20).join("\n")];
  assertEquals(end.messages, arrived);
  const pauses = [1, 2, 4, 8, 16, 32, 60, 60].map((time) => time * 1_000);
  assertEquals(end.pauses, pauses);
  const failure =
    'Cannot write to the log of action run "r_1": Port answered 502';
  const warning = `${failure}; trying again at longer intervals`;
  assertEquals(end.warnings, [warning]);
  assertEquals(end.error, `${failure} (8 lines could not be sent)`);
});

Deno.test("RunLog sends again what Port cannot have received", async () => {
  for (const statuses of [[LOGIN, 503, 429, 503], [502, 502, LOGIN]]) {
    const stream = makeStream();
    for (const line of lines(1, 20)) stream.write(`${line}\n`);
    const end = await sendLog(stream.readable, {
      statuses,
      onMessage: (status) => status === 201 && stream.close(),
    });
    assertEquals(end.messages.join("\n"), lines(1, 20).join("\n"));
    assertEquals(end.error, undefined);
  }
});

Deno.test("RunLog reads on while Port is down, and keeps the last megabyte", async () => {
  const all = lines(1, 60_000, 50);
  const statuses = [LOGIN, 502];
  const stream = makeStream();
  let isRead = false;
  const sending = sendLog(stream.readable, {
    statuses,
    onMessage: () => isRead || statuses.push(502),
  });
  for (let at = 0; at < all.length; at += 1_000) {
    await stream.write(all.slice(at, at + 1_000).join("\n") + "\n");
  }
  isRead = true;
  stream.close();
  const { messages, error } = await sending;
  const arrived = messages.join("\n").split("\n");
  assert(messages.length > 5 && messages.join("").length < 1_200_000);
  assertEquals(arrived, all.slice(-arrived.length));
  const missing = all.length - arrived.length;
  assertMatch(
    error ?? "",
    RegExp(` \\(${missing} lines could not be sent\\)$`),
  );
});

Deno.test("RunLog lets the build wait only while a megabyte waits", async () => {
  const answer = Promise.withResolvers<void>();
  const stream = makeStream();
  const onMessage = () => answer.promise;
  const sending = sendLog(stream.readable, { onMessage });
  const chunk = "x".repeat(10_000);
  let written = 0;
  const write = async () => {
    for (; written < 300; written++) await stream.write(chunk);
    stream.close();
  };
  const writing = write();
  // A timer is due when nothing else is left to do.
  for (let before = -1; before < written;) {
    before = written;
    await new Promise((due) => setTimeout(due, 0));
  }
  assert(written > 100 && written < 130, `${written}`);
  answer.resolve();
  await writing;
  const { messages, error } = await sending;
  assertEquals([messages.join("").length, error], [3_000_000, undefined]);
});

Deno.test("RunLog tries four times at the end, and once after a signal", async () => {
  const cases: [signal: AbortSignal, pauses: number[]][] = [
    [new AbortController().signal, [1_000, 2_000, 4_000]],
    [AbortSignal.abort(143), []],
  ];
  for (const [signal, pauses] of cases) {
    const statuses = [LOGIN, ...Array(9).fill(502)];
    const stream = streamOf("line 1\n", lines(2, 20).join("\n"));
    const end = await sendLog(stream, { statuses, signal });
    assertEquals([end.messages, end.pauses], [[], pauses]);
    assertMatch(end.error ?? "", / \(20 lines could not be sent\)$/);
  }
});
