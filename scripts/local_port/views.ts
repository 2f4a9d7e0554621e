/**
 * The catalogue as the lab shows it.
 *
 * @module
 */
import type { Catalogue } from "./catalogue.ts";
import type { Json } from "./model.ts";

/** The blueprints in short. */
export function viewCatalogue(catalogue: Catalogue): Json[] {
  return catalogue.blueprints().map(
    ({ identifier, title, icon, schema, relations = {} }) => ({
      identifier,
      title,
      icon,
      count: catalogue.entities(identifier).length,
      properties: Object.keys(schema.properties),
      relations: Object.fromEntries(
        Object.entries(relations).map((
          [name, { target, required, many }],
        ) => [name, { target, required, many }]),
      ),
    }),
  );
}

/** An entity that is related to another. */
export interface Incoming extends Json {
  blueprint: string;
  identifier: string;
  title: string | undefined;
  relation: string;
}

/** The entities that are related to one. */
export function findIncoming(
  catalogue: Catalogue,
  target: string,
  wanted: string,
): Incoming[] {
  return catalogue.blueprints().flatMap(
    ({ identifier: blueprint, relations = {} }) =>
      Object.keys(relations)
        .filter((relation) => relations[relation]?.target === target)
        .flatMap((relation) =>
          catalogue.entities(blueprint)
            .filter(({ relations }) =>
              [relations[relation]].flat().includes(wanted)
            )
            .map(({ identifier, title }) => ({
              blueprint,
              identifier,
              title,
              relation,
            }))
        ),
  );
}
