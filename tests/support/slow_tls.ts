/**
 * Adds TLS and a round trip to a local server.
 *
 * @module
 */
import {
  type AddressInfo,
  connect,
  createServer,
  type Server,
  type Socket,
} from "node:net";
import { pipeline } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import selfsigned from "npm:selfsigned@2.4.1";

const HOST = "127.0.0.1";

/**
 * Makes a local server as slow to reach as one on the internet: with one round
 * trip for the TCP handshake, one for the TLS handshake and one per request, but
 * without DNS, limited bandwidth, lost packets and HTTP/2.
 *
 * @param url The server's URL.
 * @param roundTrip The round trip in milliseconds.
 * @param test Called with the URL to use, and with the file of the certificate to
 * trust.
 */
export async function withSlowTls(
  url: string,
  roundTrip: number,
  test: (url: string, certificate: string) => Promise<void>,
): Promise<void> {
  const { key, cert } = makeCertificate();
  const tls = createTlsServer({ key, cert, noDelay: true }, (client) => {
    const server = open(Number(new URL(url).port));
    pipeline(client, server, client, ignoreHangUp);
  });
  const tlsPort = await listen(tls);
  const slow = createServer({ noDelay: true }, (client) => {
    const server = open(tlsPort);
    // Loopback connects at once, so delay the client's first bytes instead.
    carry(client, server, roundTrip / 2, roundTrip);
    carry(server, client, roundTrip / 2, 0);
  });
  const certificate = await Deno.makeTempFile({ suffix: ".pem" });
  try {
    await Deno.writeTextFile(certificate, cert);
    await test(`https://${HOST}:${await listen(slow)}`, certificate);
  } finally {
    for (const server of [slow, tls]) {
      await new Promise((resolve) => server.close(resolve));
    }
    await Deno.remove(certificate);
  }
}

function makeCertificate(): { key: string; cert: string } {
  const names = [{ type: 7, ip: HOST }];
  const { private: key, cert } = selfsigned.generate(
    [{ name: "commonName", value: HOST }],
    {
      algorithm: "sha256",
      days: 1,
      keySize: 2048,
      extensions: [{ name: "subjectAltName", altNames: names }],
    },
  );
  return { key, cert };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  return (server.address() as AddressInfo).port;
}

function open(port: number): Socket {
  return connect({ host: HOST, port, noDelay: true });
}

/** Forwards bytes in one direction; each chunk, and the end, is delayed. */
function carry(
  from: Socket,
  to: Socket,
  delay: number,
  handshake: number,
): void {
  const start = () =>
    from.on("data", (chunk) => setTimeout(() => to.write(chunk), delay));
  from.once("readable", () => setTimeout(start, handshake));
  from.on("close", () => setTimeout(() => to.destroy(), delay));
  from.on("error", ignoreHangUp);
}

function ignoreHangUp(): void {
  // Clients close the connection when they have the response.
}
