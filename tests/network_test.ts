import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import selfsigned from "npm:selfsigned@2.4.1";
import {
  assertError,
  CREDENTIALS,
  deadUrl,
  put,
  withHandler,
  withPort,
} from "./support/port.ts";
import { permissionsOf, type Result, run, start } from "./support/run.ts";

/** A name that no DNS knows, and the certificate is for. */
const HOST = "port.test";

const altNames = [{ type: 2, value: HOST }, { type: 7, ip: "127.0.0.1" }];

/** A key, and the certificate that is its own authority. */
const { private: key, cert } = selfsigned.generate(
  [{ name: "commonName", value: HOST }],
  {
    algorithm: "sha256",
    keySize: 2048,
    extensions: [
      { name: "basicConstraints", cA: false },
      { name: "subjectAltName", altNames },
    ],
  },
);

const CALL = "-b service -i checkout --retries 0 --timeout 3s";

/** Reads an entity of the Port at a URL, with permission to reach that host. */
async function get(apiUrl: string, env: Record<string, string> = {}) {
  const all = { ...CREDENTIALS, NO_PROXY: "", PORT_API_URL: apiUrl, ...env };
  return await run("get_entity", CALL, { env: all });
}

/** Fails unless a call ended with exit code 6 and one line that says why. */
function assertUnreached(result: Result, says: string) {
  assertError(result, 6, says);
  assertMatch(result.stderr, /^error: Cannot log in to Port at /);
}

type Serve = (connection: Deno.Conn) => Promise<unknown>;

/** Lets a test use something that listens, and ends it with all connections. */
async function withListener(
  listener: Deno.Listener,
  serve: Serve,
  test: (port: number) => Promise<void>,
) {
  const open = new Set<Deno.Conn>();
  const serving = (async () => {
    try {
      for await (const connection of listener) {
        open.add(connection);
        serve(connection).catch(() => {
          // The other side has hung up.
        });
      }
    } catch (error) {
      // A handshake that fails is what some tests are about.
      if (!(error instanceof Deno.errors.InvalidData)) throw error;
    }
  })();
  try {
    await test((listener.addr as Deno.NetAddr).port);
  } finally {
    listener.close();
    for (const connection of open) {
      try {
        connection.close();
      } catch {
        // It is closed already.
      }
    }
    await serving;
  }
}

function listen(hostname = "127.0.0.1"): Deno.Listener {
  return Deno.listen({ port: 0, hostname });
}

async function read(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(4096);
  const size = await connection.read(buffer) ?? 0;
  return new TextDecoder().decode(buffer.subarray(0, size));
}

async function write(connection: Deno.Conn, text: string): Promise<void> {
  await connection.write(new TextEncoder().encode(text));
}

/** Carries bytes both ways until one side ends. */
async function join(one: Deno.Conn, port: number): Promise<void> {
  const other = await Deno.connect({ hostname: "127.0.0.1", port });
  await Promise.all([
    one.readable.pipeTo(other.writable),
    other.readable.pipeTo(one.writable),
  ]);
}

/** The local Port with an entity, behind a listener. */
async function withPortBehind(
  listener: Deno.Listener,
  test: (port: number) => Promise<void>,
) {
  await withPort({}, async (port) => {
    await put(port, "service", ["checkout"]);
    const target = Number(new URL(port.url).port);
    const forward: Serve = (connection) => join(connection, target);
    await withListener(listener, forward, test);
  });
}

/** The local Port behind TLS, and the variable by which that is trusted. */
async function withTls(
  test: (port: number, trust: { DENO_CERT: string }) => Promise<void>,
) {
  const DENO_CERT = await Deno.makeTempFile({ suffix: ".pem" });
  try {
    await Deno.writeTextFile(DENO_CERT, cert);
    const address = { port: 0, hostname: "127.0.0.1" };
    const listener = Deno.listenTls({ ...address, key, cert });
    await withPortBehind(listener, (port) => test(port, { DENO_CERT }));
  } finally {
    await Deno.remove(DENO_CERT);
  }
}

/** A proxy to one place, which keeps the first line of what it is asked. */
function proxyTo(target: number, asked: string[]): Serve {
  return async (connection) => {
    asked.push((await read(connection)).split("\r\n", 1).join());
    await write(connection, "HTTP/1.1 200 OK\r\n\r\n");
    await join(connection, target);
  };
}

Deno.test("HTTPS_PROXY is used, and carries nothing that it can read", async () => {
  await withTls(async (target, trust) => {
    const asked: string[] = [];
    await withListener(listen(), proxyTo(target, asked), async (proxy) => {
      const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy}`, ...trust };
      const { code, stdout, stderr } = await get(`https://${HOST}`, env);
      assertEquals(code, 0, stderr);
      assertMatch(stdout, /"identifier": "checkout"/);
      assertEquals(new Set(asked), new Set([`CONNECT ${HOST}:443 HTTP/1.1`]));
      asked.length = 0;
      const around = { ...env, NO_PROXY: "127.0.0.1" };
      const past = await get(`https://127.0.0.1:${target}`, around);
      assertEquals([past.code, asked], [0, []], past.stderr);
    });
  });
});

Deno.test("a private authority is trusted by DENO_CERT, and by nothing else", async () => {
  await withTls(async (port, trust) => {
    const trusting = await get(`https://127.0.0.1:${port}`, trust);
    assertEquals(trusting.code, 0, trusting.stderr);
  });
  await withTls(async (port) => {
    const result = await get(`https://127.0.0.1:${port}`);
    assertUnreached(result, "invalid peer certificate");
    assertUnreached(result, "(HTTPS_PROXY, DENO_CERT)");
  });
  await withTls(async (port, trust) => {
    // The certificate is for another name.
    const result = await get(`https://localhost:${port}`, trust);
    assertUnreached(result, "invalid peer certificate");
  });
});

Deno.test("a redirect to another host is not followed, with or without token", async () => {
  await withPort({}, async (elsewhere) => {
    for (const isIn of [false, true]) {
      const redirect = ({ url }: Request) => {
        const { pathname } = new URL(url);
        return isIn && pathname.endsWith("/access_token")
          ? Response.json({ accessToken: "made-up", expiresIn: 60 })
          : Response.redirect(elsewhere.url + pathname, 307);
      };
      await withHandler(redirect, async (API_URL) => {
        // The run has the permission to reach both.
        const hosts = [API_URL, elsewhere.url].map((url) => new URL(url).host);
        const permissions = [
          ...await permissionsOf("get_entity"),
          `--allow-net=${hosts}`,
        ];
        const env = { ...CREDENTIALS, API_URL };
        const result = await run("get_entity", CALL, { env, permissions });
        assertError(result, 6, "Port answered 307");
      });
    }
    assertEquals(elsewhere.log, []);
  });
});

const plain = (host: string) => get(`http://${host}`);
const tls = (host: string) => get(`https://${host}`);
const proxied = (proxy: string) =>
  get(`https://${HOST}`, { HTTPS_PROXY: `http://${proxy}` });

const silent: Serve = () => Promise.resolve();

/** Reads a request, answers with a text and ends. */
function answer(text: string): Serve {
  return async (connection) => {
    await read(connection);
    await write(connection, text);
    connection.close();
  };
}

const halfOpen: Serve = async (connection) => {
  await read(connection);
  await connection.closeWrite();
};

const FAILED = "HTTP/1.1 502 Bad Gateway\r\n\r\n";
const PARTIAL = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{";

/** What happens, who does it to which call, and what the line says. */
const BROKEN: [what: string, serve: Serve, call: typeof tls, says: string][] = [
  ["a proxy that refuses", answer(FAILED), proxied, "no connection: "],
  ["a proxy that waits for its DNS", silent, proxied, "no response within 3 s"],
  ["an answer that is not TLS", answer(FAILED), tls, "no connection: "],
  ["a server that never answers", silent, plain, "no response within 3 s"],
  ["a connection half open", halfOpen, plain, "the connection broke: "],
  ["a connection that is cut", answer(""), plain, "the connection broke: "],
  ["an answer that is cut", answer(PARTIAL), plain, "the connection broke: "],
];

for (const [what, serve, call, says] of BROKEN) {
  Deno.test(`${what} ends in one line`, async () => {
    await withListener(listen(), serve, async (port) => {
      const result = await call(`127.0.0.1:${port}`);
      assertUnreached(result, says);
      const isUnreached = result.stderr.includes("(HTTPS_PROXY, DENO_CERT)");
      assertEquals(isUnreached, says === "no connection: ");
    });
  });
}

Deno.test("a name that no DNS knows and a proxy that does not exist end in one line", async () => {
  assertUnreached(await tls("no-such-host.invalid"), "no connection: ");
  const { host } = new URL(await deadUrl());
  assertUnreached(await proxied(host), "no connection: ");
});

Deno.test("IPv6 loopback works like any other, where there is one", async () => {
  let listener: Deno.Listener;
  try {
    listener = listen("::1");
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrNotAvailable)) throw error;
    return console.log("Skipped: this machine has no IPv6 loopback");
  }
  await withPortBehind(listener, async (port) => {
    const { code, stderr } = await get(`http://[::1]:${port}`);
    assertEquals(code, 0, stderr);
  });
});

/** The most memory that a process has had, in MiB, while it runs. */
function watchMemory(pid: number): () => number {
  let peak = 0;
  const watch = setInterval(() => {
    try {
      const status = Deno.readTextFileSync(`/proc/${pid}/status`);
      peak = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
    } catch {
      // It has ended, or this system does not tell.
    }
  }, 20);
  return () => {
    clearInterval(watch);
    return peak;
  };
}

Deno.test("an answer of 1 GiB is not read to its end", async () => {
  let sent = 0;
  const flood = async (connection: Deno.Conn) => {
    await read(connection);
    await write(
      connection,
      `HTTP/1.1 200 OK\r\ncontent-length: ${2 ** 30}\r\n\r\n`,
    );
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    for (; sent < 1024; sent++) await connection.write(chunk);
  };
  await withListener(listen(), flood, async (port) => {
    const env = { ...CREDENTIALS, API_URL: `http://127.0.0.1:${port}` };
    const call = "-b service -i a --retries 0";
    const child = await start("get_entity", call, { env });
    const peak = watchMemory(child.pid);
    const { code, stderr } = await child.output();
    assertEquals(code, 6);
    assertMatch(new TextDecoder().decode(stderr), /without JSON object/);
    assert(sent < 512, `${sent} MiB were taken`);
    assert(peak() < 800, `${peak()} MiB of memory`);
  });
});
