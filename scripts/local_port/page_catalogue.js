/**
 * What is in the catalogue, and how it belongs together.
 *
 * @module
 */
import {
  api,
  crumbs,
  dataTable,
  empty,
  facts,
  formatDate,
  h,
  link,
  pairs,
  quote,
  rowLink,
} from "./page_dom.js";
import { requestRow } from "./page_requests.js";

export async function catalogueView(blueprint, identifier) {
  if (identifier !== undefined) return await entityView(blueprint, identifier);
  const { blueprints } = await api("catalogue");
  if (blueprint === undefined) return blueprintsView(blueprints);
  const found = blueprints.find((one) => one.identifier === blueprint);
  if (found) return await entitiesView(found);
  throw Object.assign(new Error("No such blueprint"), { status: 404 });
}

function blueprintsView(blueprints) {
  const targets = ({ relations }) =>
    Object.entries(relations).map(([name, { target }]) =>
      `${name} → ${target}`
    );
  const columns = [
    {
      label: "Blueprint",
      value: (one) => one.identifier,
      href: (one) => link("catalogue", one.identifier),
    },
    { label: "Title", value: (one) => one.title },
    { label: "Entities", value: (one) => one.count },
    { label: "Properties", value: (one) => one.properties.join(", ") },
    { label: "Relations", value: (one) => targets(one).join(", ") },
  ];
  const content = blueprints.length > 0
    ? dataTable("", columns, blueprints)
    : empty(
      "No blueprint yet",
      "Create those of this repository:",
      "upsert-blueprint scripts/blueprints/*.json",
    );
  return [h("h1", "Catalogue"), content];
}

async function entitiesView({ identifier, title, properties }) {
  const query = new URLSearchParams({ blueprint: identifier });
  const { entities } = await api(`entities?${query}`);
  const columns = [
    {
      label: "Entity",
      value: (one) => one.identifier,
      href: (one) => link("catalogue", identifier, one.identifier),
    },
    { label: "Title", value: (one) => one.title },
    ...properties.map((name) => ({
      label: name,
      value: (one) => valueOf(one, name),
    }))
      .filter(({ value }) => entities.some((one) => value(one) !== undefined)),
    { label: "Updated", value: (one) => formatDate(one.updatedAt) },
  ];
  const content = entities.length > 0
    ? dataTable(identifier, columns, entities)
    : empty(
      "No entity yet",
      "Save a first one:",
      `upsert -b ${quote(identifier)} -i first`,
    );
  return [crumbs("catalogue"), h("h1", title), content];
}

function valueOf({ properties }, name) {
  return Object.hasOwn(properties, name)
    ? properties[name] ?? undefined
    : undefined;
}

async function entityView(blueprint, identifier) {
  const query = new URLSearchParams({ blueprint, identifier });
  const { entity, incoming, requests } = await api(`entity?${query}`);
  const { title, properties, relations, updatedAt, updatedBy } = entity;
  const graph = { href: link("relations", blueprint, identifier) };
  const rows = requests.toReversed().map(requestRow);
  return [
    crumbs("catalogue", blueprint),
    h("h1", title ?? identifier),
    facts(
      identifier,
      `Updated ${formatDate(updatedAt)} by ${updatedBy}`,
      h("a", graph, "Show its relations as a graph"),
    ),
    h(
      "div.columns",
      part("Properties", pairs(properties)),
      part("Points to", related(await outgoing(blueprint, relations))),
      part("Pointed to by", related(incoming)),
    ),
    part(
      "Requests that changed it",
      rows.length > 0
        ? h("table.requests", h("tbody", rows))
        : h("p.hint", "None is kept"),
    ),
  ];
}

const part = (title, content) => h("section.part", h("h2", title), content);

/** The entities that an entity points to. */
async function outgoing(blueprint, relations) {
  const { blueprints } = await api("catalogue");
  const own = blueprints.find((one) => one.identifier === blueprint)?.relations;
  return Object.entries(relations).flatMap(([relation, targets]) =>
    [targets ?? []].flat().map((identifier) => ({
      blueprint: own[relation].target,
      identifier,
      relation,
    }))
  );
}

function related(entities) {
  if (entities.length === 0) return h("p.hint", "None");
  return h(
    "ul",
    entities.map(({ relation, blueprint, identifier }) =>
      h(
        "li",
        h("small", relation),
        rowLink(
          link("catalogue", blueprint, identifier),
          `${blueprint} / ${identifier}`,
        ),
      )
    ),
  );
}

const SVG = "http://www.w3.org/2000/svg";
const ELEMENTS =
  /^(?:svg|g|a|rect|circle|path|polygon|text|tspan|title|defs|marker)$/;
const ATTRIBUTES =
  /^(?:class|id|role|aria-\w+|viewBox|width|height|[cr]?[xy]|d[xy]?|r|points|transform|text-anchor|marker\w*|marker-\w+|ref[XY]|orient)$/;

export async function relationsView(blueprint, identifier) {
  const isWhole = blueprint === undefined;
  const query = isWhole
    ? ""
    : `?${new URLSearchParams({ blueprint, identifier })}`;
  const content = await api(`graph.svg${query}`).then(graph, listOfNodes);
  if (isWhole) return [h("h1", "Relations"), content];
  return [
    crumbs("catalogue", blueprint, identifier),
    h("h1", `Relations of ${identifier}`),
    content,
  ];
}

function graph(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
  return h("div.graph", copySvg(parsed.documentElement));
}

/** Copies what a drawing needs, and nothing that could run. */
function copySvg(source) {
  const copy = document.createElementNS(SVG, source.localName);
  for (const { name, value } of source.attributes) {
    const isRoute = name === "href" && value.startsWith("#/");
    if (isRoute || ATTRIBUTES.test(name)) copy.setAttribute(name, value);
  }
  for (const child of source.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) copy.append(child.data);
    else if (ELEMENTS.test(child.localName)) copy.append(copySvg(child));
  }
  return copy;
}

/** In place of a graph with too many nodes. */
function listOfNodes(error) {
  if (error.status !== 413) throw error;
  const { message, nodes } = error.answer;
  return h(
    "div.part",
    h("p.hint", message),
    h("ul", nodes.map(({ href, label }) => h("li", rowLink(href, label)))),
  );
}
