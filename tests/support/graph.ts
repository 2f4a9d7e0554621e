/**
 * Graphs of entities that relate to each other.
 *
 * @module
 */
import { assert, assertEquals } from "jsr:@std/assert@1.0.19";
import fc from "npm:fast-check@4.10.2";

/** The identifiers that each entity relates to; n0, n1 and so on. */
export type Graph = string[][];

/**
 * Makes graphs.
 *
 * @param size How many entities a graph has.
 * @param missing How many identifiers are of no entity.
 * @returns The graphs.
 */
export function graphs(size: number, missing: number) {
  const name = fc.nat(size + missing - 1).map((number) => `n${number}`);
  const peers = fc.uniqueArray(name, { maxLength: 2 });
  return fc.array(peers, { minLength: size, maxLength: size });
}

/** The entities that can be reached from one; itself if it is in a circle. */
function reachable(graph: Graph, from: string): Set<string> {
  const seen = new Set<string>();
  const next = [from];
  for (let name = next.pop(); name !== undefined; name = next.pop()) {
    for (const peer of graph[Number(name.slice(1))] ?? []) {
      if (!seen.has(peer)) next.push(peer);
      seen.add(peer);
    }
  }
  return seen;
}

/**
 * Fails unless those and only those entities are whole whose related entities
 * are all there; the rest failed, and is there only if circles needed it.
 *
 * @param graph What was upserted.
 * @param there The entities in Port, with what they relate to.
 * @param failed The entities that were reported as failed.
 */
export function assertExact(
  graph: Graph,
  there: Map<string, unknown>,
  failed: Set<string>,
): void {
  const reach = new Map(
    graph.keys().map((number) => [
      `n${number}`,
      reachable(graph, `n${number}`),
    ]),
  );
  const circles = [...reach].filter(([name, peers]) => peers.has(name));
  const needed = new Set(circles.flatMap(([_, peers]) => [...peers]));
  for (const [number, peers] of graph.entries()) {
    const name = `n${number}`;
    const isWhole = peers.every((peer) => there.has(peer));
    assertEquals(failed.has(name), !isWhole, name);
    if (isWhole) assertEquals(there.get(name), peers, name);
    else assert(!there.has(name) || needed.has(name), name);
  }
}
