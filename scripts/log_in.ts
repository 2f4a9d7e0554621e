#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV --allow-read=.env --allow-write=/tmp --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Logs in to Port once, for all later steps of a job.
 *
 * @module
 */
import { defineScript, runScript } from "../lib/cli.ts";
import { UsageError } from "../lib/errors.ts";
import { prepareSetEnv } from "../lib/set_env.ts";
import { environmentVariable } from "../lib/settings.ts";

/** The script. */
export const script = defineScript({
  name: "log_in",
  summary: "Log in to Port once, for all later steps of a CircleCI job",
  options: {},
  examples: { "As the first step that uses Port": "" },
  async run({ settings, port, print }) {
    if (settings.accessToken) {
      return print("PORT_ACCESS_TOKEN is set already: nothing was sent");
    }
    if (!environmentVariable("BASH_ENV")) {
      throw new UsageError(
        "Cannot log in for later steps: BASH_ENV, the file that they share, is " +
          "not set or not readable: use this in a step of CircleCI, with " +
          "--allow-env=BASH_ENV; elsewhere each script logs in by itself",
      );
    }
    const setVariables = prepareSetEnv(["PORT_ACCESS_TOKEN=accessToken"]);
    const { apiUrl, clientId, clientSecret } = settings;
    const login = await port.request("POST", "/v1/auth/access_token", {
      action: `log in to Port at ${apiUrl}`,
      body: { clientId, clientSecret },
      idempotent: true,
      expect: { accessToken: "string" },
    });
    setVariables(login);
    const minutes = Math.floor(Number(login.expiresIn) / 60);
    print(
      `Logged in: the token for later steps is valid for ${minutes} minutes`,
    );
  },
});

if (import.meta.main) await runScript(script);
