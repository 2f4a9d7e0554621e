/**
 * The files of the lab's page.
 *
 * @module
 */
import catalogue from "./page_catalogue.js" with { type: "text" };
import css from "./page.css" with { type: "text" };
import dom from "./page_dom.js" with { type: "text" };
import failures from "./page_failures.js" with { type: "text" };
import html from "./page.html" with { type: "text" };
import js from "./page.js" with { type: "text" };
import requests from "./page_requests.js" with { type: "text" };
import runs from "./page_runs.js" with { type: "text" };
import svg from "./page.svg" with { type: "text" };
import views from "./page_views.css" with { type: "text" };

const SCRIPT = "text/javascript";

/** The content type and the text of each file, by its name. */
export const PAGE: Record<string, [type: string, text: string]> = {
  "": ["text/html", html],
  "page.css": ["text/css", css],
  "page_views.css": ["text/css", views],
  "page.svg": ["image/svg+xml", svg],
  "page.js": [SCRIPT, js],
  "page_catalogue.js": [SCRIPT, catalogue],
  "page_dom.js": [SCRIPT, dom],
  "page_failures.js": [SCRIPT, failures],
  "page_requests.js": [SCRIPT, requests],
  "page_runs.js": [SCRIPT, runs],
};
