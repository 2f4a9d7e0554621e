/**
 * Blueprints and entities, and the rules that hold between them.
 *
 * @module
 */
import { checkBlueprint } from "./blueprint_schema.ts";
import { HttpError } from "./http_error.ts";
import type {
  Blueprint,
  Clock,
  Entity,
  EntityContent,
  Json,
  Relation,
  Stamp,
} from "./model.ts";
import { type Check, makeCheck } from "./schemas.ts";

/** An entity by the identifiers of its blueprint and itself. */
export type Ref = [blueprint: string, identifier: string];

/** The user that all changes are made by. */
const USER = "local-port";

/** A change of a blueprint or, with its identifier, of an entity. */
export type Change = [blueprint: string] | Ref;

interface Stored {
  blueprint: Blueprint;
  checkProperties: Check<Json>;
  entities: Map<string, Entity>;
}

export class Catalogue {
  readonly #stored = new Map<string, Stored>();
  #changes: Change[] = [];

  constructor(readonly clock: Clock) {}

  /** Created and updated now. */
  #stamp(): Stamp {
    const now = new Date(this.clock()).toISOString();
    return {
      createdAt: now,
      createdBy: USER,
      updatedAt: now,
      updatedBy: USER,
    };
  }

  /** What has changed since it was last asked. */
  takeChanges(): Change[] {
    return this.#changes.splice(0);
  }

  blueprints(): Blueprint[] {
    return [...this.#stored.values()].map(({ blueprint }) => blueprint);
  }

  hasBlueprint(identifier: string): boolean {
    return this.#stored.has(identifier);
  }

  blueprint(identifier: string): Blueprint {
    return this.#get(identifier).blueprint;
  }

  #get(blueprint: string): Stored {
    const stored = this.#stored.get(blueprint);
    if (stored) return stored;
    throw new HttpError(
      404,
      `Blueprint with identifier "${blueprint}" does not exist`,
    );
  }

  /** Stores a blueprint that has changed. */
  setBlueprint(blueprint: Blueprint): Blueprint {
    const { updatedAt } = this.#stamp();
    this.#changes.push([blueprint.identifier]);
    return this.loadBlueprint({ ...blueprint, updatedAt });
  }

  /** Stores a blueprint; what it depends on may follow later. */
  loadBlueprint(body: unknown): Blueprint {
    const blueprint = { ...this.#stamp(), ...checkBlueprint(body) };
    const { identifier, schema } = blueprint;
    this.#stored.set(identifier, {
      blueprint,
      checkProperties: makePropertiesCheck(schema),
      entities: this.#stored.get(identifier)?.entities ?? new Map(),
    });
    return blueprint;
  }

  deleteBlueprint(identifier: string): void {
    if (this.entities(identifier).length > 0) {
      throw new HttpError(422, `Blueprint "${identifier}" still has entities`);
    }
    this.#stored.delete(identifier);
    this.#changes.push([identifier]);
  }

  entities(blueprint: string): Entity[] {
    return [...this.#get(blueprint).entities.values()];
  }

  find(blueprint: string, identifier: string): Entity | undefined {
    return this.#get(blueprint).entities.get(identifier);
  }

  entity(blueprint: string, identifier: string): Entity {
    const entity = this.find(blueprint, identifier);
    if (entity) return entity;
    throw new HttpError(
      404,
      `Entity with identifier "${identifier}" does not exist in the ` +
        `blueprint "${blueprint}"`,
    );
  }

  /** Stores an entity as updated now; when and by whom it was created stays. */
  setEntity(blueprint: string, content: EntityContent): Entity {
    const now = this.#stamp();
    const { createdAt, createdBy } = this.find(blueprint, content.identifier) ??
      now;
    const stamp = { ...now, createdAt, createdBy };
    this.#changes.push([blueprint, content.identifier]);
    return this.#storeEntity({ ...content, blueprint, ...stamp });
  }

  #storeEntity(entity: Entity): Entity {
    this.#get(entity.blueprint).entities.set(entity.identifier, entity);
    return entity;
  }

  /** Deletes an entity and all entities that are related to it. */
  deleteEntity(blueprint: string, identifier: string): void {
    const dependents = this.#dependents(blueprint, identifier);
    this.#get(blueprint).entities.delete(identifier);
    this.#changes.push([blueprint, identifier]);
    for (const dependent of dependents) this.deleteEntity(...dependent);
  }

  requireNoDependents(blueprint: string, identifier: string): void {
    const { length } = this.#dependents(blueprint, identifier);
    if (length === 0) return;
    throw new HttpError(
      422,
      `Entity "${identifier}" of the blueprint "${blueprint}" has ` +
        `${length} dependents`,
    );
  }

  #dependents(target: string, identifier: string): Ref[] {
    return [...this.#stored].flatMap(([name, { blueprint, entities }]) => {
      const relations = Object.entries(blueprint.relations ?? {})
        .filter(([_, relation]) => relation.target === target);
      const isDependent = (entity: Entity) =>
        relations.some(([name]) =>
          [entity.relations[name]].flat().includes(identifier)
        );
      return [...entities.values()].filter(isDependent)
        .map((entity): Ref => [name, entity.identifier]);
    });
  }

  /** Checks an entity, and returns the related entities that are missing. */
  checkEntity(blueprint: Blueprint, entity: EntityContent): Ref[] {
    requireMembers(blueprint, entity);
    this.#get(blueprint.identifier).checkProperties(entity.properties);
    return Object.entries(blueprint.relations ?? {})
      .flatMap(([name, relation]) =>
        refsOf(name, relation, entity.relations[name])
      )
      .filter(([target, identifier]) => !this.find(target, identifier));
  }

  /** The whole catalogue as JSON, for {@linkcode Catalogue.load}. */
  dump(): string {
    const blueprints = this.blueprints();
    const entities = blueprints.map(({ identifier }) => [
      identifier,
      this.entities(identifier),
    ]);
    return JSON.stringify({ blueprints, entities });
  }

  load(text: string): void {
    const { blueprints, entities } = JSON.parse(text);
    for (const blueprint of blueprints) this.loadBlueprint(blueprint);
    for (const [blueprint, list] of entities) {
      for (const entity of list) {
        // Older files have no times; with those of now, nothing is stale.
        const stamp = "updatedAt" in entity ? {} : this.#stamp();
        this.#storeEntity({ ...entity, blueprint, ...stamp });
      }
    }
  }
}

function makePropertiesCheck(schema: Blueprint["schema"]): Check<Json> {
  try {
    return makeCheck({ type: "object", ...schema }, "properties");
  } catch (error) {
    throw new HttpError(
      422,
      `"schema" ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** The related entities that a value of a relation names. */
function refsOf(name: string, relation: Relation, value: unknown): Ref[] {
  const { target, required, many } = relation;
  if (value === undefined && required) {
    throw new HttpError(422, `Relation "${name}" is required`);
  }
  if (value !== undefined && Array.isArray(value) !== many) {
    const type = many ? "array" : "string";
    throw new HttpError(422, `"relations.${name}" must be ${type}`);
  }
  return [value ?? []].flat().map((id): Ref => [target, String(id)]);
}

/** Throws if the blueprint lacks a property or relation that is named. */
export function requireMembers(
  { identifier, schema, relations = {} }: Blueprint,
  entity: { properties?: Json; relations?: Json },
): void {
  const require = (kind: string, known: object, given: object = {}) => {
    const name = Object.keys(given).find((name) => !Object.hasOwn(known, name));
    if (name === undefined) return;
    throw new HttpError(
      422,
      `${kind} "${name}" does not exist in the blueprint "${identifier}"`,
    );
  };
  require("Property", schema.properties, entity.properties);
  require("Relation", relations, entity.relations);
}

/** Port can rename; what the local Port cannot do, it does not ignore. */
export function requireSameIdentifier(
  identifier: string,
  wanted: string | undefined,
): void {
  if (wanted === undefined || wanted === identifier) return;
  throw new HttpError(422, `The local Port cannot rename "${identifier}"`);
}
