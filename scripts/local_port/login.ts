/**
 * Access tokens.
 *
 * @module
 */
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

export type Login = ReturnType<typeof makeLogin>;

export function makeLogin(clock: Clock, options: LoginOptions) {
  const { clientId, clientSecret, tokenLifetime = 3 * 60 * 60 * 1000 } =
    options;
  /** When each token expires, in milliseconds since 1970. */
  const tokens = new Map<string, number>();
  return {
    logIn(body: unknown): Json {
      const sent = checkLogin(body);
      if (
        sent.clientId !== (clientId || "local-id") ||
        sent.clientSecret !== (clientSecret || "local-secret")
      ) {
        throw new HttpError(401, "Invalid client id or secret");
      }
      const now = clock();
      const accessToken = crypto.randomUUID();
      tokens.set(accessToken, now + tokenLifetime);
      const expiresIn = Math.floor(tokenLifetime / 1000);
      return { accessToken, expiresIn, tokenType: "Bearer" };
    },

    requireToken(authorization: string): void {
      const [_, token = ""] = /^Bearer (.+)$/.exec(authorization) ?? [];
      if (clock() < (tokens.get(token) ?? 0)) return;
      throw new HttpError(401, "Missing, unknown or expired token");
    },
  };
}
