/**
 * A minimal Deno program for one upsert: log in, send the entity, print the
 * response. `deno task bench` compares the scripts with it.
 *
 * @module
 */

/** Sends JSON with POST and returns the JSON of the response. */
export async function post(url: string, body: unknown, token?: string) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  return await response.json();
}

/** Logs in with the variables; returns Port's URL and a token. */
export async function logIn() {
  const api = Deno.env.get("API_URL");
  const { accessToken } = await post(`${api}/v1/auth/access_token`, {
    clientId: Deno.env.get("PORT_CLIENT_ID"),
    clientSecret: Deno.env.get("PORT_CLIENT_SECRET"),
  });
  return { api, accessToken };
}

/** The path and query of an upsert. */
export const UPSERT = "/v1/blueprints/service/entities?upsert=true&merge=true";

if (import.meta.main) {
  const { api, accessToken } = await logIn();
  const entity = { identifier: "checkout", properties: { version: "1.4.2" } };
  const answer = await post(api + UPSERT, entity, accessToken);
  console.log(JSON.stringify(answer.entity, null, 2));
}
