/**
 * Blueprints, or an entity and its neighbours, as nodes and edges.
 *
 * @module
 */
import type { Catalogue } from "./catalogue.ts";
import { findIncoming } from "./views.ts";

export interface Node {
  label: string;
  /** A second line. */
  detail: string;
  /** Where the page shows it. */
  href: string;
  isCentre?: boolean;
}

export interface Edge {
  /** The indices of its nodes. */
  from: number;
  to: number;
  label: string;
}

export interface Graph {
  nodes: Node[];
  edges: Edge[];
}

function link(view: string, ...names: string[]): string {
  return `#/${[view, ...names].map(encodeURIComponent).join("/")}`;
}

export function makeBlueprintGraph(catalogue: Catalogue): Graph {
  const blueprints = catalogue.blueprints();
  const names = blueprints.map(({ identifier }) => identifier);
  const nodes = blueprints.map(({ identifier, title }) => {
    const { length } = catalogue.entities(identifier);
    const detail = length === 1 ? "1 entity" : `${length} entities`;
    return { label: title, detail, href: link("catalogue", identifier) };
  });
  const edges = blueprints.flatMap(({ relations = {} }, from) =>
    Object.entries(relations).map(([label, { target }]) => ({
      from,
      to: names.indexOf(target),
      label,
    }))
  );
  // A blueprint may be deleted while others refer to it.
  return { nodes, edges: edges.filter(({ to }) => to >= 0) };
}

export function makeEntityGraph(
  catalogue: Catalogue,
  blueprint: string,
  identifier: string,
): Graph {
  const nodes = new Map<string, Node>();
  const edges: Edge[] = [];
  /** Adds an entity if it is new, and returns the index of its node. */
  const add = (blueprint: string, identifier: string): number => {
    const key = JSON.stringify([blueprint, identifier]);
    if (!nodes.has(key)) {
      const { title } = catalogue.hasBlueprint(blueprint)
        ? Object(catalogue.find(blueprint, identifier))
        : {};
      const isCentre = nodes.size === 0;
      const view = isCentre ? "catalogue" : "relations";
      const href = link(view, blueprint, identifier);
      const node = { label: title ?? identifier, detail: blueprint, href };
      nodes.set(key, { ...node, isCentre });
    }
    return [...nodes.keys()].indexOf(key);
  };
  const { relations } = catalogue.entity(blueprint, identifier);
  const centre = add(blueprint, identifier);
  const targets = catalogue.blueprint(blueprint).relations ?? {};
  for (const [label, { target }] of Object.entries(targets)) {
    for (const name of [relations[label] ?? []].flat()) {
      edges.push({ from: centre, to: add(target, String(name)), label });
    }
  }
  for (const from of findIncoming(catalogue, blueprint, identifier)) {
    const index = add(from.blueprint, from.identifier);
    // A relation to itself is among those above.
    if (index === centre) continue;
    edges.push({ from: index, to: centre, label: from.relation });
  }
  return { nodes: [...nodes.values()], edges };
}
