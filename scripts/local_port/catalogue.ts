/**
 * Blueprints and entities, and the rules that hold between them.
 *
 * @module
 */
import type { ValidateFunction } from "npm:ajv@8.20.0";
import { checkBlueprint } from "./blueprint_schema.ts";
import type { Blueprint, Entity, EntityBody, Json } from "./model.ts";
import { invalid, notFound } from "./refusal.ts";
import { compileSchema, insist } from "./schemas.ts";

/** Which relations to follow; all of them by default. */
interface RelationKind {
  relation?: string;
  required?: boolean | undefined;
}

/** Blueprints and entities, and the rules that hold between them. */
export class Catalogue {
  readonly #blueprints = new Map<string, Blueprint>();
  readonly #entities = new Map<string, Map<string, Entity>>();
  /** What checks the properties of each blueprint's entities. */
  readonly #checks = new Map<string, ValidateFunction>();

  blueprints(): Blueprint[] {
    return [...this.#blueprints.values()];
  }

  blueprint(identifier: string): Blueprint {
    const blueprint = this.#blueprints.get(identifier);
    if (blueprint) return blueprint;
    throw notFound(`Blueprint with identifier "${identifier}" does not exist`);
  }

  hasBlueprint(identifier: string): boolean {
    return this.#blueprints.has(identifier);
  }

  /** Stores a blueprint with the dates and names that Port adds. */
  setBlueprint(body: Json): Blueprint {
    insist(checkBlueprint, body, "blueprint");
    const { identifier, relations = {} } = body as Blueprint;
    for (const { target } of Object.values(relations)) {
      if (target !== identifier) this.blueprint(target);
    }
    return this.loadBlueprint({ ...body, updatedAt: new Date().toISOString() });
  }

  /** Stores a blueprint as it is; those it is related to may come later. */
  loadBlueprint(body: Json): Blueprint {
    insist(checkBlueprint, body, "blueprint");
    const by = { createdBy: "local-port", updatedBy: "local-port" };
    const now = new Date().toISOString();
    const blueprint = { createdAt: now, updatedAt: now, ...by, ...body };
    const { identifier, schema } = blueprint as unknown as Blueprint;
    this.#checks.set(identifier, compileSchema(schema));
    this.#blueprints.set(identifier, blueprint as unknown as Blueprint);
    return this.blueprint(identifier);
  }

  deleteBlueprint(identifier: string): void {
    this.blueprint(identifier);
    if (this.entities(identifier).length > 0) {
      throw invalid(`Blueprint "${identifier}" still has entities`);
    }
    this.#blueprints.delete(identifier);
  }

  entities(blueprint: string): Entity[] {
    return [...this.#entities.get(blueprint)?.values() ?? []];
  }

  find(blueprint: string, identifier: string): Entity | undefined {
    return this.#entities.get(blueprint)?.get(identifier);
  }

  entity(blueprint: string, identifier: string): Entity {
    this.blueprint(blueprint);
    const entity = this.find(blueprint, identifier);
    if (entity) return entity;
    throw notFound(
      `Entity with identifier "${identifier}" does not exist in the ` +
        `blueprint "${blueprint}"`,
    );
  }

  setEntity(blueprint: string, entity: Entity): void {
    const entities = this.#entities.get(blueprint) ?? new Map();
    this.#entities.set(blueprint, entities.set(entity.identifier, entity));
  }

  /** Deletes an entity; those related to it must go too, or it stays. */
  deleteEntity(blueprint: string, identifier: string, dependents: boolean) {
    this.entity(blueprint, identifier);
    if (!dependents) this.insistOnNoDependents(blueprint, identifier);
    const related = this.#dependents(blueprint, identifier);
    this.#entities.get(blueprint)?.delete(identifier);
    for (const [blueprint, { identifier }] of related) {
      if (this.find(blueprint, identifier)) {
        this.deleteEntity(blueprint, identifier, true);
      }
    }
  }

  insistOnNoDependents(blueprint: string, identifier: string): void {
    const { length } = this.#dependents(blueprint, identifier);
    if (length === 0) return;
    throw invalid(
      `Entity "${identifier}" of the blueprint "${blueprint}" has ` +
        `${length} dependents`,
    );
  }

  #dependents(target: string, identifier: string): [string, Entity][] {
    return this.sources([target, identifier], {}).flatMap(([blueprint, id]) => {
      const entity = this.find(blueprint, id);
      return entity ? [[blueprint, entity] as [string, Entity]] : [];
    });
  }

  /** What an entity is related to, by one relation or by all of a kind. */
  targets([blueprint, identifier]: Ref, kind: RelationKind): Ref[] {
    const values = this.find(blueprint, identifier)?.relations ?? {};
    return this.#relations(blueprint, kind).flatMap(([name, { target }]) =>
      [values[name] ?? []].flat().map((each): Ref => [target, String(each)])
    );
  }

  /** What is related to an entity. */
  sources([target, identifier]: Ref, kind: RelationKind): Ref[] {
    return this.blueprints().flatMap((blueprint) => {
      const names = this.#relations(blueprint.identifier, kind)
        .filter(([_, relation]) => relation.target === target)
        .map(([name]) => name);
      return this.entities(blueprint.identifier)
        .filter(({ relations }) =>
          names.some((name) => [relations[name]].flat().includes(identifier))
        )
        .map((entity): Ref => [blueprint.identifier, entity.identifier]);
    });
  }

  #relations(blueprint: string, { relation, required }: RelationKind) {
    const relations = this.#blueprints.get(blueprint)?.relations ?? {};
    return Object.entries(relations).filter(([name, each]) =>
      (relation === undefined || relation === name) &&
      (required === undefined || required === each.required)
    );
  }

  /**
   * Checks an entity against its blueprint.
   *
   * @returns The related entities that are not there yet.
   */
  check(blueprint: Blueprint, entity: Entity): [string, string][] {
    insistOnMembers(blueprint, entity);
    const check = this.#checks.get(blueprint.identifier);
    if (check) insist(check, entity.properties, "properties");
    for (const [name, relation] of Object.entries(blueprint.relations ?? {})) {
      if (relation.required && entity.relations[name] === undefined) {
        throw invalid(`Relation "${name}" is required`);
      }
    }
    return Object.entries(entity.relations).flatMap(([name, value]) =>
      this.#missingTargets(blueprint, name, value)
    );
  }

  #missingTargets(blueprint: Blueprint, name: string, value: unknown) {
    const relations = blueprint.relations ?? {};
    const relation = Object.hasOwn(relations, name)
      ? relations[name]
      : undefined;
    if (relation === undefined) {
      throw invalid(
        `Relation "${name}" does not exist in the blueprint ` +
          `"${blueprint.identifier}"`,
      );
    }
    if (Array.isArray(value) !== relation.many) {
      throw invalid(
        `"relations.${name}" must be ${relation.many ? "array" : "string"}`,
      );
    }
    this.blueprint(relation.target);
    return [value].flat().map(String)
      .filter((identifier) => !this.find(relation.target, identifier))
      .map((identifier): [string, string] => [relation.target, identifier]);
  }

  /** The whole catalogue as JSON, to be read by {@linkcode Catalogue.load}. */
  dump(): string {
    const entities = this.blueprints().map(({ identifier }) => [
      identifier,
      this.entities(identifier),
    ]);
    return JSON.stringify({ blueprints: this.blueprints(), entities });
  }

  load(text: string): void {
    const { blueprints, entities } = JSON.parse(text);
    for (const blueprint of blueprints) this.loadBlueprint(blueprint);
    for (const [blueprint, list] of entities) {
      for (const entity of list) this.setEntity(blueprint, entity);
    }
  }
}

/** An entity by the identifiers of its blueprint and itself. */
export type Ref = readonly [blueprint: string, identifier: string];

/** Also a member that is to be cleared must be one of the blueprint's. */
export function insistOnMembers(
  { identifier, schema, relations: known = {} }: Blueprint,
  { properties = {}, relations = {} }: EntityBody,
): void {
  const insistOn = (what: string, given: Json, known: object) => {
    const name = Object.keys(given).find((name) => !Object.hasOwn(known, name));
    if (name === undefined) return;
    throw invalid(
      `${what} "${name}" does not exist in the blueprint "${identifier}"`,
    );
  };
  insistOn("Property", properties, schema.properties);
  insistOn("Relation", relations, known);
}
