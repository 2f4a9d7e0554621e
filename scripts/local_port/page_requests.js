/**
 * The requests that arrived, live, and one of them in detail.
 *
 * @module
 */
import {
  $,
  api,
  apiUrl,
  copyButton,
  empty,
  facts,
  formatDate,
  h,
  link,
  quote,
} from "./page_dom.js";

/** How many requests the server keeps. */
const MAX_REQUESTS = 1000;

/** All that are listed, by their id. */
const requests = new Map();

const isRefused = ({ failure, status, failed }) =>
  failure === undefined && (status >= 400 || failed > 0);

const OUTCOMES = {
  all: () => true,
  refused: isRefused,
  failed: ({ failure }) => failure !== undefined,
  saved: ({ changed }) => changed.length > 0,
};

/** Loads all requests; those that arrive meanwhile are kept. */
export async function loadRequests() {
  requests.clear();
  const answer = await api("requests");
  const late = [...requests.values()];
  requests.clear();
  $("rows").replaceChildren();
  [...answer.requests, ...late].forEach(addRow);
  showCounts();
}

export function addRequest(request) {
  addRow(request);
  showCounts();
}

function addRow(request) {
  if (requests.has(request.id)) return;
  requests.set(request.id, request);
  const row = requestRow(request);
  row.hidden = !isShown(request);
  $("rows").prepend(row);
  if (requests.size <= MAX_REQUESTS) return;
  requests.delete(requests.keys().next().value);
  $("rows").lastElementChild.remove();
}

export function filterRequests() {
  for (const row of $("rows").rows) {
    row.hidden = !isShown(requests.get(Number(row.dataset.id)));
  }
  showCounts();
}

function isShown(request) {
  const { method, path, status, client, reason, failure } = request;
  const text = [method, path, status, client, reason, failure].join(" ");
  const { value } = document.querySelector("[name=outcome]:checked");
  const wanted = $("filter").value.trim().toLowerCase();
  return OUTCOMES[value](request) && text.toLowerCase().includes(wanted);
}

function showCounts() {
  const all = [...requests.values()];
  for (const [name, isMeant] of Object.entries(OUTCOMES)) {
    $(`count-${name}`).textContent = all.filter(isMeant).length || "";
  }
  const isAnyShown = [...$("rows").rows].some((row) => !row.hidden);
  $("no-rows").replaceChildren(isAnyShown ? "" : nothing(all.length > 0));
}

function nothing(isFiltered) {
  if (isFiltered) {
    return empty("No request matches", "Change the filter, or choose All.");
  }
  const task = "upsert -b service -i checkout -p version=1.4.2";
  return empty(
    "No request yet",
    "Requests appear here as they arrive. Send a first entity:",
    task,
  );
}

export function requestRow(request) {
  const { id, time, method, path, client, ms } = request;
  const [route, query = ""] = path.split(/(?=\?)/, 2);
  // This title is that of the whole row, which the link covers.
  const title = [path, request.reason].filter(Boolean).join("\n");
  const open = { href: link("requests", id), title };
  return h(
    "tr",
    { "data-id": id },
    h("td.time", new Date(time).toLocaleTimeString("sv-SE")),
    h("td.method", method),
    h("td.path", h("a.row", open, route, h("small", query)), reasonOf(request)),
    h("td.status", statusOf(request)),
    h("td.client", scriptOf(client)),
    h("td.ms", `${Math.round(ms)} ms`),
  );
}

function statusOf(request) {
  const { failure, status } = request;
  const kind = failure ? "warn" : isRefused(request) ? "bad" : "good";
  return h(
    `span.pill.${kind}`,
    failure?.startsWith("cut") ? "cut" : `${status}`,
  );
}

function reasonOf({ failure, reason, failed, status }) {
  if (failure) return h("p.reason.warn", `Failed on purpose: ${failure}`);
  if (reason === undefined) return undefined;
  const count = status < 400 ? `${failed} failed: ` : "";
  return h("p.reason.bad", count + reason);
}

/** The name of the script, where one of these sent it. */
function scriptOf(client) {
  return /^circleci-port\/\S+ \((.+)\)$/.exec(client)?.[1] ?? client;
}

/** Shows one request beside the list, or the list alone. */
export async function requestsView(id) {
  const detail = $("detail");
  const last = detail.hidden ? undefined : detail.dataset.id;
  for (const row of $("rows").rows) {
    row.ariaCurrent = row.dataset.id === id ? "true" : null;
  }
  if (id === last) return;
  if (id === undefined) {
    detail.hidden = true;
    return rowOf(last)?.querySelector("a").focus();
  }
  const content = await api(`requests/${encodeURIComponent(id)}`)
    .then(
      detailOf,
      ({ message }) => [closeLink(), empty(`Request ${id}`, message)],
    );
  detail.replaceChildren(...content);
  detail.dataset.id = id;
  detail.hidden = false;
  rowOf(id)?.scrollIntoView({ block: "nearest" });
  detail.focus();
}

const rowOf = (id) => $("rows").querySelector(`[data-id="${CSS.escape(id)}"]`);

const closeLink = () =>
  h("a.button", { href: link("requests"), "aria-label": "Close" }, "✕");

function detailOf(record) {
  const { method, path, time, client, ms, traceId, changed } = record;
  const entities = changed.map((names) =>
    h("a", { href: link("catalogue", ...names) }, names.join(" / "))
  );
  return [
    h(
      "header",
      h("h2", statusOf(record), `${method} ${path}`),
      record.body.endsWith("…")
        ? h("span.hint", "Too long for curl")
        : copyButton("Copy as curl", curl(record)),
      closeLink(),
    ),
    h(
      "div.about",
      reasonOf(record) ?? "",
      facts(
        formatDate(time),
        `${Math.round(ms)} ms`,
        client,
        traceId,
        entities,
      ),
    ),
    h("div.pair", pane("Body", record.body), pane("Answer", record.answer)),
  ];
}

function pane(title, text) {
  const box = { tabindex: "0", "aria-label": title };
  return h("section", h("h3", title), h("pre", box, text || "(empty)"));
}

/** The request for a shell, without the token. */
function curl({ method, path, body }) {
  const parts = [
    `curl -g -X ${quote(method)} ${quote(apiUrl() + path)}`,
    '-H "Authorization: Bearer $TOKEN"',
  ];
  if (body) {
    parts.push(
      "-H 'Content-Type: application/json'",
      `--data-raw ${quote(body)}`,
    );
  }
  return parts.join(" \\\n  ");
}
