/**
 * Reads a blueprint.
 *
 * @module
 */
import { checkIdentifier } from "./entity.ts";
import { apiPath, type JsonObject, type Port } from "./port.ts";

/**
 * Reads a blueprint.
 *
 * @param port Port.
 * @param identifier Identifier of the blueprint.
 * @returns The blueprint.
 * @throws {PortError} If the request fails.
 */
export async function getBlueprint(
  port: Port,
  identifier: string,
): Promise<JsonObject> {
  checkIdentifier("blueprint", identifier);
  const path = apiPath("blueprints", identifier);
  const { blueprint } = await port.request("GET", path, {
    action: `get blueprint "${identifier}"`,
    expect: { blueprint: "object" },
  });
  return blueprint as JsonObject;
}
