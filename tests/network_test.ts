import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1.0.19";
import selfsigned from "npm:selfsigned@2.4.1";
import {
  CREDENTIALS,
  SECRET,
  type TestPort,
  withPort,
} from "./support/port.ts";
import { FOLDER, permissionsOf, runProcess } from "./support/run.ts";

/** A name that no DNS knows, and the certificate is for. */
const HOST = "port.test";

/** A key, and the certificate that is its own authority. */
const { private: key, cert } = selfsigned.generate(
  [{ name: "commonName", value: HOST }],
  {
    algorithm: "sha256",
    days: 1,
    keySize: 2048,
    extensions: [
      { name: "basicConstraints", cA: false },
      {
        name: "subjectAltName",
        altNames: [{ type: 2, value: HOST }, { type: 7, ip: "127.0.0.1" }],
      },
    ],
  },
);

/** Reads an entity of the Port at a URL, with the right to reach that host. */
async function get(apiUrl: string, env: Record<string, string> = {}) {
  const rights = await permissionsOf("get_entity", apiUrl);
  return await runProcess(
    Deno.execPath(),
    [
      "run",
      ...rights,
      "get_entity.ts",
      "--blueprint=service",
      "--identifier=checkout",
      "--retries=0",
      "--timeout=3s",
    ],
    { env: { ...CREDENTIALS, NO_PROXY: "", API_URL: apiUrl, ...env } },
  );
}

/** Fails unless a call ended with exit code 6 and one line that says why. */
function assertUnreached(
  { code, stdout, stderr }: Awaited<ReturnType<typeof get>>,
  ...says: string[]
) {
  assertEquals([code, stdout], [6, ""], stderr);
  assertMatch(stderr, /^error: Cannot log in to Port at [^\n]+\n$/);
  for (const part of says) assertStringIncludes(stderr, part);
  assertEquals(stderr.includes(SECRET), false);
}

/** Lets a test use something that listens, and ends it with all connections. */
async function withListener(
  listener: Deno.Listener,
  serve: (connection: Deno.Conn) => Promise<unknown>,
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

/** Carries bytes both ways until one side ends. */
async function join(one: Deno.Conn, other: Deno.Conn): Promise<void> {
  await Promise.all([
    one.readable.pipeTo(other.writable),
    other.readable.pipeTo(one.writable),
  ]);
}

/** Carries what arrives to the local Port. */
function forwardTo(port: TestPort) {
  const target = {
    hostname: "127.0.0.1",
    port: Number(new URL(port.url).port),
  };
  return async (connection: Deno.Conn) =>
    await join(connection, await Deno.connect(target));
}

/** The local Port with an entity, behind TLS. */
async function withTls(test: (port: number) => Promise<void>) {
  await withPort({}, async (port) => {
    await port.call("POST", "/blueprints/service/entities?upsert=true", {
      identifier: "checkout",
    });
    const listener = Deno.listenTls({
      port: 0,
      hostname: "127.0.0.1",
      key,
      cert,
    });
    await withListener(listener, forwardTo(port), test);
  });
}

/** The authority of the certificate, as a file that lasts as long as the test. */
async function withAuthority(test: (path: string) => Promise<void>) {
  const path = await Deno.makeTempFile({ suffix: ".pem" });
  try {
    await Deno.writeTextFile(path, cert);
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

/** A proxy that knows one host, and where that really is. */
function proxyTo(target: number, asked: string[]) {
  return async (connection: Deno.Conn) => {
    const buffer = new Uint8Array(4096);
    const size = await connection.read(buffer) ?? 0;
    const [line = ""] = new TextDecoder().decode(buffer.subarray(0, size))
      .split("\r\n", 1);
    asked.push(line);
    const say = (text: string) =>
      connection.write(new TextEncoder().encode(`HTTP/1.1 ${text}\r\n\r\n`));
    if (!line.startsWith(`CONNECT ${HOST}:443 `)) {
      await say("502 Bad Gateway");
      return connection.close();
    }
    await say("200 OK");
    const port = { hostname: "127.0.0.1", port: target };
    await join(connection, await Deno.connect(port));
  };
}

Deno.test("HTTPS_PROXY is used, and carries nothing that it can read", async () => {
  await withAuthority(async (authority) => {
    await withTls(async (target) => {
      const asked: string[] = [];
      await withListener(listen(), proxyTo(target, asked), async (proxy) => {
        const env = {
          HTTPS_PROXY: `http://127.0.0.1:${proxy}`,
          DENO_CERT: authority,
        };
        const { code, stdout, stderr } = await get(`https://${HOST}`, env);
        assertEquals(code, 0, stderr);
        assertStringIncludes(stdout, '"checkout"');
        assert(asked.length > 0);
        for (const line of asked) {
          assertEquals(line, `CONNECT ${HOST}:443 HTTP/1.1`);
        }
        asked.length = 0;
        const past = await get(`https://127.0.0.1:${target}`, {
          ...env,
          NO_PROXY: "127.0.0.1",
        });
        assertEquals([past.code, asked], [0, []], past.stderr);
      });
    });
  });
});

Deno.test("a proxy that refuses, is not there or never answers ends in one line", async () => {
  await withListener(listen(), proxyTo(0, []), async (proxy) => {
    const refusing = { HTTPS_PROXY: `http://127.0.0.1:${proxy}` };
    assertUnreached(
      await get("https://elsewhere.test", refusing),
      "no connection",
      "HTTPS_PROXY",
    );
  });
  const { port } = listenAndClose();
  const absent = { HTTPS_PROXY: `http://127.0.0.1:${port}` };
  assertUnreached(await get(`https://${HOST}`, absent), "no connection");
  // With a proxy, it is the proxy that asks the DNS: this is a slow one.
  const silent = () => Promise.resolve();
  await withListener(listen(), silent, async (proxy) => {
    const slow = { HTTPS_PROXY: `http://127.0.0.1:${proxy}` };
    assertUnreached(await get(`https://${HOST}`, slow), "no answer within 3");
  });
});

/** Where something has just ended. */
function listenAndClose(): Deno.NetAddr {
  const listener = listen();
  listener.close();
  return listener.addr as Deno.NetAddr;
}

Deno.test("a private authority is trusted by DENO_CERT, and by nothing else", async () => {
  await withAuthority(async (authority) => {
    await withTls(async (port) => {
      const url = `https://127.0.0.1:${port}`;
      const trusting = await get(url, { DENO_CERT: authority });
      assertEquals(trusting.code, 0, trusting.stderr);
    });
    await withTls(async (port) => {
      assertUnreached(
        await get(`https://127.0.0.1:${port}`),
        "invalid peer certificate",
        "DENO_CERT",
      );
    });
    await withTls(async (port) => {
      // The certificate is for another name.
      assertUnreached(
        await get(`https://localhost:${port}`, { DENO_CERT: authority }),
        "invalid peer certificate",
      );
    });
  });
});

Deno.test("a redirect to another host is not followed, with or without token", async () => {
  await withPort({}, async (elsewhere) => {
    const redirect = async (connection: Deno.Conn) => {
      await connection.read(new Uint8Array(4096));
      const head = "HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\n" +
        `location: ${elsewhere.url}/v1/auth/access_token\r\n\r\n`;
      await connection.write(new TextEncoder().encode(head));
    };
    await withListener(listen(), redirect, async (port) => {
      const from = `http://127.0.0.1:${port}`;
      // The run has the right to reach both.
      const { host } = new URL(elsewhere.url);
      const rights = await permissionsOf("get_entity", from);
      const result = await runProcess(Deno.execPath(), [
        ...["run", ...rights, `--allow-net=${host},127.0.0.1:${port}`],
        ...["get_entity.ts", "-bservice", "-ia", "--retries=0"],
      ], { env: { ...CREDENTIALS, NO_PROXY: "127.0.0.1", API_URL: from } });
      assertUnreached(result, "Port answered 307");
      assertEquals(elsewhere.log, []);
    });
  });
});

Deno.test("TLS that is none ends in one line", async () => {
  const plain = async (connection: Deno.Conn) => {
    const text = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    await connection.write(new TextEncoder().encode(text));
  };
  await withListener(listen(), plain, async (port) => {
    assertUnreached(await get(`https://127.0.0.1:${port}`), "no connection");
  });
});

Deno.test("a name that no DNS knows ends in one line", async () => {
  assertUnreached(await get("https://no-such-host.invalid"));
});

Deno.test("IPv6 loopback works like any other, where there is one", async () => {
  let listener: Deno.Listener;
  try {
    listener = listen("::1");
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrNotAvailable)) throw error;
    return console.log("Skipped: this machine has no IPv6 loopback");
  }
  await withPort({}, async (port) => {
    await port.call("POST", "/blueprints/service/entities?upsert=true", {
      identifier: "checkout",
    });
    await withListener(listener, forwardTo(port), async (number) => {
      const { code, stderr } = await get(`http://[::1]:${number}`);
      assertEquals(code, 0, stderr);
    });
  });
});

Deno.test("a server that accepts and never answers ends in one line, in time", async () => {
  const silent = () => Promise.resolve();
  await withListener(listen(), silent, async (port) => {
    const url = `http://127.0.0.1:${port}`;
    assertUnreached(await get(url), "no answer within 3.0 s");
  });
});

Deno.test("a connection that is half open, or cut, ends in one line", async () => {
  const read = async (connection: Deno.Conn) =>
    await connection.read(new Uint8Array(4096));
  const half = async (connection: Deno.Conn) => {
    await read(connection);
    await connection.closeWrite();
  };
  const cut = async (connection: Deno.Conn) => {
    await read(connection);
    connection.close();
  };
  const partial = async (connection: Deno.Conn) => {
    await read(connection);
    const text = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{";
    await connection.write(new TextEncoder().encode(text));
    connection.close();
  };
  for (const serve of [half, cut, partial]) {
    await withListener(listen(), serve, async (port) => {
      assertUnreached(await get(`http://127.0.0.1:${port}`), "connection");
    });
  }
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
    await connection.read(new Uint8Array(4096));
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${2 ** 30}\r\n\r\n`;
    await connection.write(new TextEncoder().encode(head));
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    for (; sent < 1024; sent++) await connection.write(chunk);
  };
  await withListener(listen(), flood, async (port) => {
    const url = `http://127.0.0.1:${port}`;
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", ...await permissionsOf("get_entity", url), "get_entity.ts"],
        ...["-bservice", "-ia", "--retries=0"],
      ],
      cwd: FOLDER,
      env: { ...CREDENTIALS, API_URL: url, NO_PROXY: "127.0.0.1" },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const peak = watchMemory(child.pid);
    const { code, stderr } = await child.output();
    assertEquals(code, 6);
    assertStringIncludes(new TextDecoder().decode(stderr), "more than 256 MiB");
    assert(sent < 512, `${sent} MiB were taken`);
    assert(peak() < 800, `${peak()} MiB of memory`);
  });
});
