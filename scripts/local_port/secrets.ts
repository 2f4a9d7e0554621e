/**
 * Keeps the client secret and tokens out of what the lab shows.
 *
 * @module
 */
import type { Json } from "./model.ts";

const HIDDEN = "•••";

/** Members whose whole value is hidden, even that of a wrong secret. */
const NAME = "client_?secret|access_?token";
const NAMED = new RegExp(`^(?:${NAME})$`, "i");
const ASSIGNED = new RegExp(`((?:${NAME})["']?\\s*[:=]).*`, "is");

/** Every token of a local Port, and of Port itself. */
const JWT = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g;

/** The longest body or answer that is kept, in bytes. */
const MAX_TEXT = 64 * 1024;

export type Secrets = ReturnType<typeof makeSecrets>;

export function makeSecrets(clientSecret: string) {
  const forms = new Set([
    clientSecret,
    JSON.stringify(clientSecret).slice(1, -1),
    encodeURIComponent(clientSecret),
  ]);
  const hide = (text: string): string => {
    let hidden = text.replace(JWT, HIDDEN);
    for (const form of forms) hidden = hidden.replaceAll(form, HIDDEN);
    return hidden;
  };
  const hideAssigned = (text: string): string =>
    hide(text.replace(ASSIGNED, `$1${HIDDEN}`));
  const hideMember = (name: string, member: unknown) =>
    NAMED.test(name) ? HIDDEN : member;
  const hideText = (_: string, member: unknown) =>
    typeof member === "string" ? hide(member) : member;
  return {
    /** Hides them in text of which no part is a member with a name. */
    hide,

    /** Hides them in a query or in broken JSON: all that follows their name. */
    hideAssigned,

    /** Writes a value as JSON without them; names of members stay. */
    stringify: (value: Json): string =>
      orDeep(
        () => JSON.stringify(value, hideText),
        () => hide(JSON.stringify(value)),
      ),

    /** A value as readable JSON, cut where it is long. */
    show: (value: unknown): string =>
      cut(
        orDeep(() => hide(JSON.stringify(value, hideMember, 2)), () =>
          hideAssigned(JSON.stringify(value))),
      ),

    /** Text that arrived, as readable JSON if it is valid. */
    showText(text: string): string {
      try {
        return this.show(JSON.parse(text));
      } catch {
        return cut(hideAssigned(text));
      }
    },
  };
}

/** JSON.stringify() has no limit of depth, but with a replacer it has one. */
function orDeep(write: () => string, writeDeep: () => string): string {
  try {
    return write();
  } catch {
    return writeDeep();
  }
}

/** Decodes what it keeps, since a slice would hold the whole text in memory. */
function cut(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= MAX_TEXT) return text;
  const kept = bytes.subarray(0, MAX_TEXT);
  return `${new TextDecoder().decode(kept, { stream: true })}…`;
}
