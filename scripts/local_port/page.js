/**
 * The page of the local Port: its views, what it hears from the server, its
 * keys.
 *
 * @module
 */
import { catalogueView, relationsView } from "./page_catalogue.js";
import { $, api, attempt, empty, link } from "./page_dom.js";
import { failuresView } from "./page_failures.js";
import {
  addRequest,
  filterRequests,
  loadRequests,
  requestsView,
} from "./page_requests.js";
import { runsView } from "./page_runs.js";

/** They return what to show, or nothing if they have a section of their own. */
const VIEWS = {
  requests: requestsView,
  catalogue: catalogueView,
  relations: relationsView,
  runs: runsView,
  failures: failuresView,
};

function readRoute() {
  const path = location.hash.replace(/^#\/?/, "") || "requests";
  try {
    const [view, ...names] = path.split("/").map(decodeURIComponent);
    return { view, names };
  } catch {
    return { view: path, names: [] };
  }
}

let isRendering = false;
let isStale = false;

/** Shows the view that the address names; calls that overlap become one. */
async function render() {
  isStale = true;
  if (isRendering) return;
  isRendering = true;
  $("main").ariaBusy = "true";
  while (isStale) {
    isStale = false;
    await renderOnce();
  }
  $("main").ariaBusy = "false";
  isRendering = false;
}

let timer;

/** Draws once for all that changes in a fifth of a second. */
function renderSoon() {
  timer ??= setTimeout(() => {
    timer = undefined;
    render();
  }, 200);
}

async function renderOnce() {
  const { hash } = location;
  const { view, names } = readRoute();
  const content = await contentOf(view, names);
  if (location.hash !== hash) return;
  for (const section of document.querySelectorAll("main > section")) {
    section.hidden = section.id !== (content ? "view" : view);
  }
  for (const tab of document.querySelectorAll("header nav a")) {
    const isCurrent = tab.hash === link(view);
    tab.ariaCurrent = isCurrent ? "page" : null;
    if (isCurrent) {
      document.title = `${tab.firstChild.data.trim()} · Local Port`;
    }
  }
  if (content) replaceView(content.flat(Infinity));
}

async function contentOf(view, names) {
  const show = Object.hasOwn(VIEWS, view) ? VIEWS[view] : undefined;
  if (show === undefined || names.length > show.length) {
    return [empty("Not found", `This page has no view ${location.hash}`)];
  }
  try {
    return await show(...names);
  } catch ({ status, message }) {
    const what = `${names.join(" / ")} does not exist, or does so no longer`;
    return status === 404
      ? [empty("Not found", what)]
      : [empty("That did not work", message)];
  }
}

/** Draws a view again, and leaves the focus where it is. */
function replaceView(content) {
  const focused = document.activeElement;
  const hadFocus = $("view").contains(focused);
  $("view").replaceChildren(...content);
  if (!hadFocus) return;
  const { id, href, selectionStart, selectionEnd } = focused;
  const again = [...$("view").querySelectorAll("[id], a")]
    .find((one) => id ? one.id === id : one.href === href);
  (again ?? $("view")).focus({ preventScroll: true });
  if (selectionStart !== undefined) {
    again?.setSelectionRange(selectionStart, selectionEnd);
  }
}

function connect() {
  const source = new EventSource("events");
  const on = (name, action) =>
    source.addEventListener(name, ({ data }) => action(JSON.parse(data)));
  const renderIf = (...views) => () => {
    if (views.includes(readRoute().view)) renderSoon();
  };
  source.onopen = () => {
    showConnection("Live");
    attempt(loadAll);
  };
  source.onerror = () => {
    source.close();
    showConnection("Not connected");
    setTimeout(connect, 1000);
  };
  on("request", addRequest);
  on("clear", loadAll);
  on("reset", loadAll);
  on("catalogue", renderIf("catalogue", "relations"));
  on("run", renderIf("runs"));
  on("failures", failuresView);
}

/** Loads what the page may have missed. */
async function loadAll() {
  await loadRequests();
  await failuresView();
  await render();
}

function showConnection(text) {
  $("connection").textContent = text;
  $("connection").className = text === "Live" ? "live" : "lost";
}

const KEYS = {
  "/": () => findVisible("[type=search]")[0]?.focus(),
  "?": () => $("keys").showModal(),
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Escape: goUp,
};

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const isArrow = key === "ArrowDown" || key === "ArrowUp";
  const isField = target.matches("input:not([type=radio], [type=checkbox])");
  if (isField && key === "Escape") return target.blur();
  if (isField && !(isArrow && target.type === "search")) return;
  if (isArrow && target.matches("pre, [type=radio]")) return;
  const view = Object.keys(VIEWS)[Number(key) - 1];
  const action = view ? () => location.hash = link(view) : KEYS[key];
  if (action === undefined) return;
  action();
  event.preventDefault();
}

const findVisible = (selector) =>
  [...document.querySelectorAll(selector)]
    .filter((element) => element.checkVisibility());

/** Moves the focus to another row. */
function move(step) {
  const rows = findVisible("main a.row, main svg a");
  const focused = rows.indexOf(document.activeElement);
  const open = rows.findIndex((row) => row.closest("tr")?.ariaCurrent);
  const next = (focused < 0 ? open : focused) + step;
  rows[Math.max(0, Math.min(next, rows.length - 1))]?.focus();
}

function goUp() {
  const { view, names } = readRoute();
  const up = view === "relations" ? [] : names.slice(0, -1);
  location.hash = link(view, ...up);
}

$("filter").addEventListener("input", filterRequests);
$("outcomes").addEventListener("change", filterRequests);
$("clear").addEventListener("click", () => {
  location.hash = link("requests");
  attempt(() => api("requests", "DELETE"), "Cleared");
});
$("show-keys").addEventListener("click", KEYS["?"]);
document.addEventListener("keydown", onKey);
addEventListener("hashchange", render);
connect();
render();
