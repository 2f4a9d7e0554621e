#!/usr/bin/env -S deno run --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_WORKFLOW_ID --allow-read=.env --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
/**
 * Closes the report of a job that CircleCI canceled, from another job.
 *
 * @module
 */
import { ciJobIdentifier } from "../lib/ci_job.ts";
import { defineScript, runScript } from "../lib/cli.ts";
import { checkIdentifier } from "../lib/entity.ts";
import { UsageError } from "../lib/errors.ts";
import {
  getEntity,
  type JsonObject,
  type Port,
  PortError,
  upsertEntity,
} from "../lib/port.ts";
import { environmentVariable, parseCount } from "../lib/settings.ts";

/** The script. */
export const script = defineScript({
  name: "close_ci_job",
  summary: "Mark a job that CircleCI canceled, and that is running in Port, " +
    "as canceled",
  options: {
    job: {
      group: "Job",
      value: "NAME",
      required: true,
      help: "Name of the job, as given to report_ci_job.ts --job",
    },
    nodes: {
      value: "N",
      help: "Its containers under CircleCI's parallelism (default 1)",
    },
    blueprint: {
      short: "b",
      value: "ID",
      help: "Blueprint of the entity (default ciJob)",
    },
  },
  examples: {
    "In a job that requires another to be canceled": "--job build",
  },
  advice: { 404: "check --blueprint and --region" },
  async run({ options, port, print, log }) {
    const { job, nodes = "1", blueprint = "ciJob" } = options;
    checkIdentifier("blueprint", blueprint);
    const workflow = environmentVariable("CIRCLE_WORKFLOW_ID");
    if (!workflow) {
      throw new UsageError(
        "Cannot close a CI job: CIRCLE_WORKFLOW_ID is not set or not readable: " +
          "run it in a job of CircleCI, with --allow-env=CIRCLE_WORKFLOW_ID",
      );
    }
    const count = parseCount(nodes, "--nodes", 1);
    const closed: JsonObject[] = [];
    for (let node = 0; node < count; node++) {
      const identifier = ciJobIdentifier(workflow, job, node);
      checkIdentifier("entity", identifier);
      const status = await readStatus(port, blueprint, identifier);
      if (status === "running") {
        const finishedAt = new Date().toISOString();
        const properties = { status: "canceled", finishedAt };
        const entity = { identifier, properties };
        closed.push(await upsertEntity(port, blueprint, entity));
        log(`Closed "${identifier}" of "${blueprint}"`);
      } else {
        log(
          `Left "${identifier}" as it is: ${
            status === undefined ? "it was not reported" : `it is ${status}`
          }`,
        );
      }
    }
    print(closed);
  },
});

/** Returns the status of a job; `undefined` if it was not reported. */
async function readStatus(
  port: Port,
  blueprint: string,
  identifier: string,
): Promise<unknown> {
  try {
    const entity = await getEntity(port, blueprint, identifier);
    return Object(entity.properties).status;
  } catch (error) {
    if (error instanceof PortError && error.kind === "not-found") return;
    throw error;
  }
}

if (import.meta.main) await runScript(script);
