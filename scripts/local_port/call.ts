/**
 * A request and its reply, as the routes see them.
 *
 * @module
 */
import type { Catalogue } from "./catalogue.ts";
import { HttpError } from "./http_error.ts";
import type { Login } from "./login.ts";
import type { Runs } from "./runs.ts";
import { type Entity, type Json, pick } from "./model.ts";

/** A request whose body has arrived, and what it acts on. */
export interface Call {
  method: string;
  /** The segments of the path below `/v1/`, decoded. */
  path: string[];
  query: URLSearchParams;
  authorization: string;
  /** The parsed body; `undefined` without one. */
  body: unknown;
  login: Login;
  catalogue: Catalogue;
  /** What Port's document asks for and the request lacks, to be logged. */
  notes: Set<string>;
  /** The identifiers of the self-service actions. */
  actions: string[];
  /** Those whose runs wait for approval. */
  approval: string[];
  /** Those whose runs cannot be updated. */
  synchronized: string[];
  runs: Runs;
  /** Throws a simulated failure now and then, for one entity of many. */
  failSometimes(): void;
}

export interface Reply {
  status: number;
  /** JSON or, as text, HTML. */
  body: Json | string;
  headers?: Record<string, string>;
}

export function reply(status: number, body: Json): Reply {
  return { status, body: { ok: true, ...body } };
}

export function errorReply({ status, code, message }: HttpError): Reply {
  return { status, body: { ok: false, error: code, message } };
}

/**
 * Handlers by the method and the path below `/v1/`. What stands in place of the
 * segments with a colon is passed to the handler.
 */
export type Routes = Readonly<
  Record<string, (call: Call, ...segments: string[]) => Reply>
>;

/** Reads a query parameter that is `true` or `false`, which is the default. */
export function readSwitch(query: URLSearchParams, name: string): boolean {
  const value = query.get(name) ?? "false";
  if (value === "true" || value === "false") return value === "true";
  throw new HttpError(422, `"${name}" must be boolean`);
}

/** Reads one that Port's document requires, but Port does not. */
export function readRequiredSwitch(
  { query, notes }: Call,
  name: string,
): boolean {
  if (!query.has(name)) {
    notes.add(`Port's document requires "${name}"; without it, it is false`);
  }
  return readSwitch(query, name);
}

/** Makes the function that selects the parts of entities that are asked for. */
export function makePick(call: Call): (entity: Entity) => Json {
  const include = readPaths(call, "include");
  const exclude = readPaths(call, "exclude");
  return (entity) => pick(entity, include, exclude);
}

function readPaths({ query, notes }: Call, name: string): string[] {
  const values = query.getAll(name);
  const paths = values.flatMap((value) => value.split(","));
  if (paths.length > values.length) {
    notes.add(`Port's document asks for "${name}" again for each path`);
  }
  const meta = paths.find((path) => path.startsWith("$"));
  if (meta === undefined) return paths;
  throw new HttpError(
    422,
    `"${name}" lists paths, such as "updatedAt", not "${meta}"`,
  );
}
