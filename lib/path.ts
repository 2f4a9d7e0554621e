/**
 * Paths into an entity, such as `properties.version`.
 *
 * @module
 */
import { ScriptError, UsageError } from "./errors.ts";
import { parseJson } from "./json.ts";

/**
 * Parses a path such as `properties.version`, `relations.owners.0` or
 * `properties["a.b"]`.
 *
 * @param text The path.
 * @returns Its names, outermost first.
 * @throws {UsageError} If it is not a path.
 */
export function parsePath(text: string): string[] {
  const step = /(?:^|\.)([^.[\]"]+)|\[(\d+|"(?:[^"\\]|\\.)*")\]/y;
  const names: string[] = [];
  while (step.lastIndex < text.length || names.length === 0) {
    const [, name, quoted] = step.exec(text) ?? [];
    if (name === undefined && quoted === undefined) {
      throw new UsageError(
        `Cannot read the path "${text}": write it like properties["a.b"].0`,
      );
    }
    // Brackets contain JSON: an index or a name in quotes.
    names.push(name ?? String(parseJson(quoted ?? "", "a path")));
  }
  return names;
}

/**
 * Returns the value at a path.
 *
 * @param root The value, for example an entity.
 * @param path The names along the path.
 * @returns The value at its end. If it does not exist, `undefined`, which JSON
 * cannot hold.
 */
export function valueAt(root: unknown, path: string[]): unknown {
  let value = root;
  for (const name of path) {
    value = namesOf(value).includes(name) ? Object(value)[name] : undefined;
  }
  return value;
}

/** A string has none, although JavaScript lists its indexes. */
function namesOf(value: unknown): string[] {
  return typeof value === "object" ? Object.keys(value ?? {}) : [];
}

/**
 * Creates the error for a path that does not exist.
 *
 * @param root The value that was searched.
 * @param path The names along the path.
 * @returns The error. It lists the paths that exist instead.
 */
export function missingPath(root: unknown, path: string[]): ScriptError {
  const parent = [...path];
  while (valueAt(root, parent) === undefined) parent.pop();
  const names = namesOf(valueAt(root, parent));
  const known = names.map((name) => [...parent, name].join("."));
  const message = `Cannot find "${path.join(".")}" in the entity: it has `;
  return new ScriptError(4, message + (known.join(", ") || "nothing"));
}
