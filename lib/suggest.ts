/**
 * Suggests a known name for a mistyped one. Loaded only if needed.
 *
 * @module
 */
import { closestString } from "jsr:@std/text@1.0.16/closest-string";

/**
 * Returns the end of a message about an unknown name.
 *
 * @param name The unknown name.
 * @param known The known names, at least one.
 * @returns For example `, did you mean version?`; empty if none begins alike.
 */
export function suggest(name: string, known: string[]): string {
  const nearest = closestString(name, known);
  const initial = (text: string) => /\w/.exec(text)?.[0].toLowerCase();
  const isNear = initial(nearest) === initial(name);
  return isNear ? `, did you mean ${nearest}?` : "";
}
