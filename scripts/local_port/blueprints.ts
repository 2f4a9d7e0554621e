/**
 * Port's routes for blueprints.
 *
 * @module
 */
import { checkBlueprint, checkBlueprintPatch } from "./blueprint_schema.ts";
import { type Call, reply, type Routes } from "./call.ts";
import { requireSameIdentifier } from "./catalogue.ts";
import { HttpError } from "./http_error.ts";

export const BLUEPRINT_ROUTES: Routes = {
  "GET blueprints": ({ catalogue }) =>
    reply(200, { blueprints: catalogue.blueprints() }),

  "POST blueprints": ({ catalogue, body }) => {
    const blueprint = checkBlueprint(body);
    const { identifier } = blueprint;
    if (catalogue.hasBlueprint(identifier)) {
      const message =
        `Blueprint with identifier "${identifier}" already exists`;
      throw new HttpError(409, message);
    }
    return reply(201, { blueprint: catalogue.setBlueprint(blueprint) });
  },

  "GET blueprints/:blueprint": ({ catalogue }, identifier) =>
    reply(200, { blueprint: catalogue.blueprint(identifier) }),

  "PUT blueprints/:blueprint": changeBlueprint,
  "PATCH blueprints/:blueprint": changeBlueprint,

  "DELETE blueprints/:blueprint": ({ catalogue }, identifier) => {
    catalogue.deleteBlueprint(identifier);
    return reply(200, {});
  },
};

/** PATCH keeps omitted fields, PUT removes them. */
function changeBlueprint(
  { catalogue, method, body }: Call,
  identifier: string,
) {
  const before = catalogue.blueprint(identifier);
  const change = checkBlueprintPatch(body);
  requireSameIdentifier(identifier, change.identifier);
  const base = method === "PATCH" ? before : {};
  const { createdAt, createdBy } = before;
  const kept = { identifier, createdAt, createdBy };
  const blueprint = checkBlueprint({ ...base, ...change, ...kept });
  return reply(200, { blueprint: catalogue.setBlueprint(blueprint) });
}
