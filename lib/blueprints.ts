/**
 * Port's operations on blueprints. Paths, bodies and answers are those of Port's
 * OpenAPI document.
 *
 * @module
 */
import { checkBlueprintIdentifier } from "./entity.ts";
import type { JsonObject } from "./json.ts";
import {
  type PortClient,
  type PortRequest,
  sendForPart,
  toBody,
} from "./port_client.ts";

/**
 * Reads a blueprint.
 *
 * @param port Port.
 * @param identifier Identifier of the blueprint.
 * @returns The blueprint.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function getBlueprint(
  port: PortClient,
  identifier: string,
): Promise<JsonObject> {
  return await sendForPart(
    port,
    "blueprint",
    request("get", "GET", identifier),
  );
}

/**
 * Creates a blueprint.
 *
 * @param port Port.
 * @param identifier Identifier of the blueprint.
 * @param blueprint The blueprint.
 * @returns The blueprint as Port holds it now.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function createBlueprint(
  port: PortClient,
  identifier: string,
  blueprint: JsonObject,
): Promise<JsonObject> {
  return await sendForPart(port, "blueprint", {
    ...request("create", "POST", identifier, blueprint),
    path: "/v1/blueprints",
    // The second time Port would say that it is there already.
    idempotent: false,
  });
}

/**
 * Changes a blueprint.
 *
 * @param port Port.
 * @param identifier Identifier of the blueprint.
 * @param change The members to set; each replaces the one that is there.
 * @returns The blueprint as Port holds it now.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function updateBlueprint(
  port: PortClient,
  identifier: string,
  change: JsonObject,
): Promise<JsonObject> {
  return await sendForPart(
    port,
    "blueprint",
    request("update", "PATCH", identifier, change),
  );
}

/**
 * Replaces a blueprint: what is not named is lost.
 *
 * @param port Port.
 * @param identifier Identifier of the blueprint.
 * @param blueprint The blueprint.
 * @returns The blueprint as Port holds it now.
 * @throws {ScriptError} Telling what Port or the network had against it.
 */
export async function replaceBlueprint(
  port: PortClient,
  identifier: string,
  blueprint: JsonObject,
): Promise<JsonObject> {
  return await sendForPart(
    port,
    "blueprint",
    request("replace", "PUT", identifier, blueprint),
  );
}

function request(
  verb: string,
  method: PortRequest["method"],
  identifier: string,
  blueprint?: JsonObject,
): PortRequest {
  checkBlueprintIdentifier(identifier);
  return {
    action: `${verb} blueprint "${identifier}"`,
    method,
    path: `/v1/blueprints/${encodeURIComponent(identifier)}`,
    ...(blueprint && { body: toBody(blueprint) }),
    idempotent: true,
    ifMissing: "check its identifier and the region (--region eu or us); the " +
      "targets of its relations must be there first",
  };
}
