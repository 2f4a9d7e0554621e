/**
 * Arguments with which each script succeeds.
 *
 * @module
 */
import { put, type TestPort } from "./port.ts";

/** The variables that CircleCI sets for every job; made up. */
export const CIRCLECI = {
  CIRCLECI: "true",
  CIRCLE_BRANCH: "main",
  CIRCLE_BUILD_NUM: "42",
  CIRCLE_BUILD_URL: "https://circleci.com/gh/acme/shop/42",
  CIRCLE_JOB: "build",
  CIRCLE_NODE_INDEX: "0",
  CIRCLE_NODE_TOTAL: "1",
  CIRCLE_REPOSITORY_URL: "git@github.com:acme/shop.git",
  CIRCLE_SHA1: "d6cd1e2bd19e03a81132a23b2025920577f84e37",
  CIRCLE_USERNAME: "octocat",
  CIRCLE_WORKFLOW_ID: "7e3c5c2e-0000-4000-8000-000000000001",
  CIRCLE_WORKFLOW_JOB_ID: "7e3c5c2e-0000-4000-8000-000000000002",
};

/** The flags that identify an entity. */
export const ENTITY = ["-b", "service", "-i", "checkout"];

/** Arguments and standard input for each script that connects to Port. */
export const CALLS: Record<string, { args: string[]; stdin?: string }> = {
  log_in: { args: [] },
  upsert_entity: { args: ENTITY },
  get_entity: { args: ENTITY },
  report_ci_job: { args: ["--status", "running"] },
  close_ci_job: { args: ["--job", "build"] },
  upsert_blueprint: { args: ["blueprints/image.json"] },
  bulk_upsert_entities: {
    args: ["-b", "service", "--concurrency", "1"],
    stdin: '{"identifier": "checkout"}',
  },
  search_entities: { args: ["-b", "service"] },
  delete_entity: { args: ENTITY },
  create_action_run: { args: ["-a", "deploy"] },
  update_action_run: { args: ["--log", "Built"] },
};

/**
 * Creates what {@linkcode CALLS} need: an entity and an action run.
 *
 * @param port The local Port.
 * @returns The id of the run, for `PORT_RUN_ID`.
 */
export async function prepare(port: TestPort): Promise<string> {
  await put(port, "service", ["checkout"]);
  const start = await port.call("POST", "/actions/deploy/runs", {
    properties: {},
  });
  return (await start.json()).run.id;
}
