/**
 * Access tokens.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { HttpError } from "./http_error.ts";
import type { Clock, Json } from "./model.ts";
import { closed, makeCheck, TEXT } from "./schemas.ts";

export interface LoginOptions {
  /**
   * The only client id that is accepted.
   *
   * @default {"local-id"}
   */
  clientId?: string;
  /**
   * The only client secret that is accepted.
   *
   * @default {"local-secret"}
   */
  clientSecret?: string;
  /**
   * How long a token is valid, in milliseconds.
   *
   * @default {10_800_000}
   */
  tokenLifetime?: number;
}

const checkLogin = makeCheck<{ clientId: string; clientSecret: string }>(
  closed({ clientId: TEXT, clientSecret: TEXT }),
);

/** Signs the tokens; it exists only as long as the process. */
const KEY = crypto.getRandomValues(new Uint8Array(32));

const encode = (part: Json) =>
  Buffer.from(JSON.stringify(part)).toString("base64url");

/** How each token begins. */
export const TOKEN_HEADER = encode({ alg: "HS256", typ: "JWT" });

/** Makes a JWT, as clients of Port may expect one; times are in milliseconds. */
function makeToken(now: number, end: number): string {
  const payload = encode({
    iss: "local-port",
    jti: crypto.randomUUID(),
    iat: Math.floor(now / 1000),
    exp: Math.floor(end / 1000),
  });
  const signed = `${TOKEN_HEADER}.${payload}`;
  const signature = createHmac("sha256", KEY).update(signed);
  return `${signed}.${signature.digest("base64url")}`;
}

export type Login = ReturnType<typeof makeLogin>;

export function makeLogin(clock: Clock, options: LoginOptions) {
  const { tokenLifetime = 3 * 60 * 60 * 1000 } = options;
  const clientId = options.clientId || "local-id";
  const clientSecret = options.clientSecret || "local-secret";
  /** The one active token; its end is in milliseconds since 1970. */
  let token = { text: "", end: 0 };
  return {
    clientSecret,

    logIn(body: unknown): Json {
      const sent = checkLogin(body);
      if (
        sent.clientId !== clientId || sent.clientSecret !== clientSecret
      ) {
        throw new HttpError(401, "Invalid client id or secret");
      }
      const now = clock();
      if (now >= token.end) {
        const end = now + tokenLifetime;
        token = { text: makeToken(now, end), end };
      }
      const expiresIn = Math.floor((token.end - now) / 1000);
      return { accessToken: token.text, expiresIn, tokenType: "Bearer" };
    },

    /** Ends the active token. */
    expire(): void {
      token.end = 0;
    },

    requireToken(authorization: string): void {
      if (authorization === `Bearer ${token.text}` && clock() < token.end) {
        return;
      }
      throw new HttpError(401, "Missing, unknown or expired token");
    },
  };
}
