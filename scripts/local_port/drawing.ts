/**
 * Draws a graph as SVG; the page's style sheet colours it.
 *
 * @module
 */
import dagre from "npm:@dagrejs/dagre@3.1.3";
import type { Graph, Node } from "./graph.ts";

/** All sizes are in pixels. */
const NODE_HEIGHT = 48;
const LABEL_HEIGHT = 16;
const MARGIN = 16;

/** The most characters of a label. */
const MAX_LABEL = 28;

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Draws a graph; `hide` is applied to all text. */
export function draw(
  { nodes, edges }: Graph,
  hide: (text: string) => string,
): string {
  const shorten = (text: string) => cut(hide(text));
  const layout = new dagre.graphlib.Graph({ multigraph: true });
  layout.setGraph({ rankdir: "LR", marginx: MARGIN, marginy: MARGIN });
  for (const [index, { label, detail }] of nodes.entries()) {
    const texts = [label, detail].map(shorten);
    const width = Math.max(...texts.map(widthOf)) + 2 * MARGIN;
    layout.setNode(String(index), { width, height: NODE_HEIGHT });
  }
  for (const [index, { from, to, label }] of edges.entries()) {
    const size = { width: widthOf(shorten(label)), height: LABEL_HEIGHT };
    const edge = { ...size, labelpos: "c" };
    // Not by their names, since dagre cannot have one called "__proto__".
    layout.setEdge(String(from), String(to), edge, String(index));
  }
  dagre.layout(layout);
  const { width = 0, height = 0 } = layout.graph();
  const size = nodes.length > 0 ? [width, height] : [0, 0];
  const lines = layout.edges().map((edge) => {
    const label = edges[Number(edge.name)]?.label ?? "";
    return drawEdge(shorten(label), layout.edge(edge));
  });
  const boxes = nodes.map((node, index) =>
    drawNode(node, layout.node(String(index)), hide)
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${
    size.map(Math.ceil).join(" ")
  }" width="${size[0]}" height="${size[1]}">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path class="arrow" d="M0 0L8 4L0 8z"/></marker></defs>
${[...lines, ...boxes].join("\n")}
</svg>
`;
}

function drawNode(
  { label, detail, href, isCentre }: Node,
  { x, y, width, height }: Box,
  hide: (text: string) => string,
): string {
  const corner = `x="${round(x - width / 2)}" y="${round(y - height / 2)}"`;
  return `<a class="node${isCentre ? " centre" : ""}" href="${
    escape(hide(href))
  }"><title>${escape(hide(`${label} (${detail})`))}</title><rect ${corner} ` +
    `width="${round(width)}" height="${height}" rx="6"/>` +
    drawText("label", cut(hide(label)), x, y - 4) +
    drawText("label detail", cut(hide(detail)), x, y + 14) + "</a>";
}

function drawEdge(
  label: string,
  { points, x, y }: Box & { points: { x: number; y: number }[] },
): string {
  const path = points.map(({ x, y }) => `${round(x)} ${round(y)}`).join("L");
  return `<path class="edge" d="M${path}" marker-end="url(#arrow)"/>` +
    drawText("label relation", label, x, y + 4);
}

function drawText(name: string, text: string, x: number, y: number): string {
  const place = `x="${round(x)}" y="${round(y)}" text-anchor="middle"`;
  return `<text class="${name}" ${place}>${escape(text)}</text>`;
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

function cut(text: string): string {
  const chars = [...text];
  return chars.length <= MAX_LABEL
    ? text
    : `${chars.slice(0, MAX_LABEL - 1).join("")}…`;
}

/** About how wide a text is; the characters of East Asia are wider. */
function widthOf(text: string): number {
  return [...text].reduce((sum, char) => sum + (char < "\u2e80" ? 8 : 15), 0);
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Escapes text, and replaces characters that XML cannot have. */
function escape(text: string): string {
  return text
    .replace(
      /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu,
      "\ufffd",
    )
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? "");
}
