/**
 * Reads a blueprint.
 *
 * @module
 */
import { checkIdentifier } from "./entity.ts";
import {
  apiPath,
  type JsonObject,
  type Port,
  type RequestOptions,
} from "./port.ts";

/**
 * Reads a blueprint.
 *
 * @param port Port.
 * @param identifier Identifier of the blueprint.
 * @param options Time limit and cancellation.
 * @returns The blueprint.
 * @throws {PortError} If the request fails.
 */
export async function getBlueprint(
  port: Port,
  identifier: string,
  options: RequestOptions = {},
): Promise<JsonObject> {
  checkIdentifier("blueprint", identifier);
  const path = apiPath("blueprints", identifier);
  const { blueprint } = await port.request("GET", path, {
    action: `get blueprint "${identifier}"`,
    expect: { blueprint: "object" },
    ...options,
  });
  return blueprint as JsonObject;
}
