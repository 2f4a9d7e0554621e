/**
 * Keeps the client secret and tokens out of what the lab shows.
 *
 * @module
 */
import { TOKEN_HEADER } from "./login.ts";
import type { Json } from "./model.ts";

const HIDDEN = "•••";

/** Members whose whole value is hidden, even that of a wrong secret. */
const NAME = "client_?secret|access_?token";
const NAMED = new RegExp(`^(?:${NAME})$`, "i");
const ASSIGNED = new RegExp(`((?:${NAME})["']?\\s*[:=]).*`, "is");

/** Every token of a local Port wherever it stands, and of Port as a word. */
const TOKEN = new RegExp(
  `(?:${TOKEN_HEADER}|(?<![\\w-])eyJ[\\w-]+)\\.[\\w-]+\\.[\\w-]+`,
  "g",
);

/** The longest text that is made readable, in characters. */
const MAX_READABLE = 1024 * 1024;

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
    let hidden = text.replace(TOKEN, HIDDEN);
    for (const form of forms) hidden = hidden.replaceAll(form, HIDDEN);
    return hidden;
  };
  const hideAssigned = (text: string): string =>
    hide(text.replace(ASSIGNED, `$1${HIDDEN}`));
  const hideMember = (name: string, member: unknown) => {
    if (NAMED.test(name)) return HIDDEN;
    return typeof member === "string" ? hideAssigned(member) : member;
  };
  const hideText = (_: string, member: unknown) =>
    typeof member === "string" ? hide(member) : member;
  return {
    /** Hides them in text of which no part is a member with a name. */
    hide,

    /** Hides them in a query or in broken JSON: all that follows their name. */
    hideAssigned,

    /** Writes a value as JSON without them; names of members stay. */
    stringify(value: Json): string {
      try {
        return JSON.stringify(value, hideText);
      } catch {
        // Without a function, it has no limit of depth.
        return hide(JSON.stringify(value));
      }
    },

    /** Shows text as readable JSON if it is that, and cuts it if it is long. */
    show(text: string): string {
      try {
        if (text.length > MAX_READABLE) return cut(hideAssigned(text));
        return cut(hide(JSON.stringify(JSON.parse(text), hideMember, 2)));
      } catch {
        return cut(hideAssigned(text));
      }
    },
  };
}

/** Decodes what it keeps, since a slice would hold the whole text in memory. */
function cut(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= MAX_TEXT) return text;
  const kept = bytes.subarray(0, MAX_TEXT);
  return `${new TextDecoder().decode(kept, { stream: true })}…`;
}
