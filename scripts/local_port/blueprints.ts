/**
 * Port's routes for blueprints.
 *
 * @module
 */
import { checkBlueprint, checkBlueprintPatch } from "./blueprint_schema.ts";
import { type Call, reply, type Routes } from "./call.ts";
import { type Catalogue, requireSameIdentifier } from "./catalogue.ts";
import { HttpError } from "./http_error.ts";
import type { Blueprint } from "./model.ts";

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
    requireDependencies(catalogue, blueprint);
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
  requireDependencies(catalogue, blueprint);
  return reply(200, { blueprint: catalogue.setBlueprint(blueprint) });
}

/** Throws unless all exists that relations and computed properties refer to. */
function requireDependencies(catalogue: Catalogue, blueprint: Blueprint): void {
  const {
    relations = {},
    mirrorProperties = {},
    aggregationProperties = {},
    ownership,
  } = blueprint;
  const find = (identifier: string) =>
    identifier === blueprint.identifier
      ? blueprint
      : catalogue.blueprint(identifier);
  for (const { target } of Object.values(relations)) find(target);
  for (const { target } of Object.values(aggregationProperties)) find(target);
  const follow = (from: Blueprint, name: string) => {
    const relation = from.relations?.[name];
    if (relation) return find(relation.target);
    throw new HttpError(
      422,
      `Relation "${name}" does not exist in the blueprint "${from.identifier}"`,
    );
  };
  for (const { path } of Object.values(mirrorProperties)) {
    const names = path.split(".");
    const property = names.pop() ?? "";
    requireProperty(names.reduce(follow, blueprint), property);
  }
  if (ownership?.type !== "Inherited") return;
  const owner = ownership.path.split(".").reduce(follow, blueprint);
  if (owner.ownership?.type === "Direct") return;
  throw new HttpError(
    422,
    `Blueprint "${owner.identifier}" must have "Direct" ownership`,
  );
}

/** Throws unless the blueprint has a property, computed or not, or metadata. */
function requireProperty(blueprint: Blueprint, name: string): void {
  const known = {
    ...blueprint.schema.properties,
    ...blueprint.calculationProperties,
    ...blueprint.mirrorProperties,
    ...blueprint.aggregationProperties,
  };
  if (Object.hasOwn(known, name) || name.startsWith("$")) return;
  throw new HttpError(
    422,
    `Property "${name}" does not exist in the blueprint ` +
      `"${blueprint.identifier}"`,
  );
}
