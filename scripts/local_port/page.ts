/**
 * The files of the lab's page.
 *
 * @module
 */
import css from "./page.css" with { type: "text" };
import html from "./page.html" with { type: "text" };
import js from "./page.js" with { type: "text" };

/** The content type and the text of each file, by its name. */
export const PAGE: Record<string, [type: string, text: string]> = {
  "": ["text/html", html],
  "page.css": ["text/css", css],
  "page.js": ["text/javascript", js],
};
