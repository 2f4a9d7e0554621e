/**
 * What the catalogue holds.
 *
 * @module
 */

export type Json = Record<string, unknown>;

export interface Property {
  type: string;
}

interface Relation {
  target: string;
  required: boolean;
  many: boolean;
}

export interface Blueprint extends Json {
  identifier: string;
  title: string;
  schema: { properties: Record<string, Property>; required?: string[] };
  relations?: Record<string, Relation>;
}

export interface Entity {
  identifier: string;
  title?: string;
  icon?: string;
  team?: unknown;
  properties: Json;
  relations: Json;
}

/** What a client sends of an entity; all of it may be missing. */
export type EntityBody = Partial<Entity>;
