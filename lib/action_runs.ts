/**
 * Port's operations on runs of self-service actions. Paths, bodies and answers
 * are those of Port's OpenAPI document.
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
import {
  type PortClient,
  type PortRequest,
  sendForPart,
  toBody,
  unusable,
} from "./port_client.ts";

/**
 * Starts a self-service action.
 *
 * @param port Port.
 * @param action Identifier of the action.
 * @param input What the action asks for, and the entity that it is about.
 * @param runAs The e-mail address of the user to run it as.
 * @returns The run.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function createRun(
  port: PortClient,
  action: string,
  input: JsonObject,
  runAs?: string,
): Promise<JsonObject> {
  checkId("action", action);
  const query = runAs === undefined
    ? ""
    : `?${new URLSearchParams({ run_as: runAs })}`;
  return await sendForPart(port, "run", {
    action: `run action "${action}"`,
    method: "POST",
    path: `/v1/actions/${encodeURIComponent(action)}/runs${query}`,
    body: toBody(input),
    // A repeat would start the action again.
    idempotent: false,
    ifMissing: "check --action and the region (--region eu or us)",
  });
}

/**
 * Reads an action run.
 *
 * @param port Port.
 * @param id Id of the run.
 * @returns The run.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function getRun(
  port: PortClient,
  id: string,
): Promise<JsonObject> {
  return await sendForPart(port, "run", request(`get action run "${id}"`, id));
}

/**
 * Changes an action run.
 *
 * @param port Port.
 * @param id Id of the run.
 * @param change What to change, for example its status.
 * @returns The run.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function updateRun(
  port: PortClient,
  id: string,
  change: JsonObject,
): Promise<JsonObject> {
  return await sendForPart(port, "run", {
    ...request(`update action run "${id}"`, id),
    method: "PATCH",
    body: toBody(change),
  });
}

/**
 * Adds to the log of an action run.
 *
 * @param port Port.
 * @param id Id of the run.
 * @param message What to add.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function addRunLog(
  port: PortClient,
  id: string,
  message: string,
): Promise<void> {
  await port.send({
    ...request(`write to the log of action run "${id}"`, id, "/logs"),
    method: "POST",
    body: toBody({ message }),
    // A message that is sent again would stand there twice.
    idempotent: false,
  });
}

/**
 * Reads the log of an action run.
 *
 * @param port Port.
 * @param id Id of the run.
 * @param offset How many messages to pass over.
 * @returns At most 50 messages.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function readRunLog(
  port: PortClient,
  id: string,
  offset: number,
): Promise<string[]> {
  const page = `/logs?limit=50&offset=${offset}`;
  const read = request(`read the log of action run "${id}"`, id, page);
  const { body } = await port.send(read);
  const logs = isJsonObject(body) ? body.runLogs : undefined;
  if (!Array.isArray(logs)) throw unusable(read, "no log");
  return logs.filter(isJsonObject).map(({ message }) => String(message));
}

/** In a path, dots would lead elsewhere; encoding does not change them. */
function checkId(what: string, id: string): void {
  if (id !== "." && id !== ".." && id.isWellFormed()) return;
  throw new UsageError(`Cannot use the ${what} "${id}": it is no identifier`);
}

function request(action: string, id: string, below = ""): PortRequest {
  checkId("run", id);
  return {
    action,
    method: "GET",
    path: `/v1/actions/runs/${encodeURIComponent(id)}${below}`,
    idempotent: true,
    ifMissing: "check --run-id and the region (--region eu or us)",
  };
}
