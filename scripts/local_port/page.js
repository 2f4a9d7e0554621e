/**
 * The page of the local Port. A view is a function that loads and returns what
 * it shows; it is called again after each change, here or on the server. What
 * comes from data is inserted as text, never as markup.
 *
 * @module
 */

/** The views by the first name in the address, `#/view/name/name`. */
const VIEWS = {
  requests: requestsView,
  catalogue: catalogueView,
  relations: relationsView,
  runs: runsView,
  failures: failuresView,
};

const $ = (id) => document.getElementById(id);

/* Elements */

/** Functions among the attributes are properties, such as `onclick`. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity));
  return made;
}

const empty = (text) => element("p", { class: "empty" }, text);

const pill = (kind, text) => element("b", { class: `pill ${kind}` }, text);

const part = (title, content) =>
  element("section", {}, element("h2", {}, title), content);

/** Shows a text that is good, bad or a warning. */
const report = (id, kind, text) =>
  $(id).replaceChildren(element("span", { class: kind }, text));

/** The address of a view. */
const link = (...names) => `#/${names.map(encodeURIComponent).join("/")}`;

/** A link to another view; the keys move from one to the next. */
const rowLink = (href, text) =>
  element("a", { class: "row", id: href, href, title: text }, text);

/** A link to a blueprint or an entity. */
const catalogueLink = (...names) =>
  rowLink(link("catalogue", ...names), names.at(-1));

/** A list of names with their values, which are data or elements. */
function pairs(entries) {
  if (entries.length === 0) return element("p", {}, "None");
  const cells = entries.map(([name, value]) => [
    element("dt", {}, name),
    element("dd", {}, value instanceof Node ? value : toText(value)),
  ]);
  return element("dl", {}, cells);
}

const toText = (value) =>
  typeof value === "string" ? value : JSON.stringify(value) ?? "";

const formatDate = (time) => new Date(time).toLocaleString("sv-SE");

/* Tables */

/** How many rows a table shows at most. */
const MAX_ROWS = 500;

/** The filter and the order of each list, kept while the page is open. */
const choices = {};

/** Those of the list that is shown. */
let choice;

function chooseList(name) {
  const next = choices[name] ??= { filter: "", column: "", sign: 1 };
  if (next !== choice) $("filter").value = next.filter;
  choice = next;
}

/**
 * Shows the items that the filter lets through, in the order that was chosen.
 * Each column has a label, and a function that returns what to show of an item.
 */
function table(columns, items, hint, name = "") {
  const wanted = choice.filter.trim().toLowerCase();
  const found = items.map((item) => tableRow(columns, item))
    .filter((row) => row.textContent.toLowerCase().includes(wanted));
  sort(found, columns.findIndex(([label]) => label === choice.column));
  const rows = found.slice(0, MAX_ROWS);
  $("found").textContent = `${rows.length} of ${items.length}`;
  if (items.length === 0) return empty(hint);
  const head = element("thead", {}, element("tr", {}, columns.map(heading)));
  const body = element("tbody", {}, rows);
  return element("table", { class: name }, head, body);
}

function tableRow(columns, item) {
  const cells = columns.map(([_, show]) => element("td", {}, show(item)));
  return element("tr", {}, cells);
}

function sort(rows, column) {
  if (column < 0) return;
  const compare = (a, b) =>
    a - b || a.localeCompare(b, undefined, { numeric: true });
  const textOf = (row) => row.cells[column].textContent;
  rows.sort((a, b) => choice.sign * compare(textOf(a), textOf(b)));
}

function heading([label]) {
  const isChosen = label === choice.column;
  const order = choice.sign > 0 ? "ascending" : "descending";
  const onclick = () => {
    choice.sign = isChosen ? -choice.sign : 1;
    choice.column = label;
    draw();
  };
  const button = element("button", { id: `sort-${label}`, onclick }, label);
  return element("th", { "aria-sort": isChosen ? order : "none" }, button);
}

/* The server */

/** Sends a request to the lab; throws its answer if that is an error. */
async function api(path, method = "GET", body = undefined) {
  const response = await fetch(path, { method, body: JSON.stringify(body) });
  const isJson = response.headers.get("content-type").includes("json");
  const answer = await (isJson ? response.json() : response.text());
  if (!response.ok) throw answer;
  return answer;
}

/** Does what a button asks for, and reports how that went. */
async function attempt(action, done) {
  try {
    await action();
    report("notice", "good", done);
  } catch ({ message }) {
    report("notice", "bad", message);
  }
}

function connect() {
  const source = new EventSource("events");
  source.onopen = () => {
    report("connection", "good", "Live");
    draw();
  };
  source.onerror = () => {
    source.close();
    report("connection", "bad", "Not connected");
    setTimeout(connect, 1000);
  };
  for (const name of ["catalogue", "run", "failures", "clear", "reset"]) {
    source.addEventListener(name, draw);
  }
  source.addEventListener("request", () => {
    if (readAddress()[0] === "requests") draw();
  });
}

/* Drawing */

function readAddress() {
  const path = location.hash.slice(2) || "requests";
  try {
    return path.split("/").map(decodeURIComponent);
  } catch {
    return [path];
  }
}

let isDrawing = false;
let isStale = false;

/** Draws the view, and at most ten times a second. */
async function draw() {
  isStale = true;
  if (isDrawing) return;
  isDrawing = true;
  while (isStale) {
    isStale = false;
    // A press must end on the element where it began.
    if ($("view").matches(":active")) isStale = true;
    else await drawOnce();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  isDrawing = false;
}

/** The address of what is shown. */
let shown;

async function drawOnce() {
  const { hash } = location;
  const [view, ...names] = readAddress();
  chooseList(view === "requests" ? view : hash);
  const content = await load(view, names)
    .catch(({ message }) => empty(message));
  if (location.hash !== hash) return;
  const { activeElement: focused } = document;
  const hadFocus = $("view").contains(focused);
  const { scrollTop, scrollHeight } = $("main");
  $("view").replaceChildren(...[content].flat());
  showFrame(view, names);
  if (hash !== shown) focusNew(hash);
  else if (hadFocus) focusAgain(focused);
  // New requests come above those in sight.
  if (hash === shown && view === "requests" && scrollTop > 0) {
    $("main").scrollTop = scrollTop + $("main").scrollHeight - scrollHeight;
  }
  shown = hash;
}

async function load(view, names) {
  if (Object.hasOwn(VIEWS, view)) return await VIEWS[view](...names);
  throw new Error(`This page has no view ${location.hash}`);
}

/** Shows what belongs to a view around it. */
function showFrame(view, names) {
  const path = [view, ...names];
  const crumbs = path.map((name, index) =>
    element("a", { href: link(...path.slice(0, index + 1)) }, name)
  );
  $("title").replaceChildren(...crumbs);
  document.title = `${path.join(" / ")} · Local Port`;
  for (const tab of document.querySelectorAll("nav a")) {
    tab.ariaCurrent = tab.hash === link(view) ? "page" : null;
  }
  const isRequests = view === "requests";
  const isList = $("view").querySelector(":scope > table") !== null;
  $("find").hidden = !(isList || isRequests);
  $("outcomes").hidden = $("clear").hidden = !isRequests;
  $("detail").hidden = !(isRequests && isList && names.length > 0);
  $("failures").hidden = view !== "failures";
  $(location.hash)?.setAttribute("aria-current", "true");
}

/** Moves the focus to what was opened, or to the row that was left. */
function focusNew(hash) {
  $("main").scrollTop = 0;
  const view = $(shown) ?? $("view");
  ($("detail").hidden ? view : $("detail")).focus();
  $(hash)?.scrollIntoView({ block: "center" });
}

/** Leaves the focus where it was, and what was typed there. */
function focusAgain(focused) {
  const again = $(focused.id) ?? $("view");
  again.focus({ preventScroll: true });
  if (!again.matches("input")) return;
  again.value = focused.value;
  again.setSelectionRange(focused.selectionStart, focused.selectionEnd);
}

/* Requests */

const OUTCOMES = {
  all: () => true,
  refused: (request) => kindOf(request) === "bad",
  failed: (request) => kindOf(request) === "warn",
  saved: ({ changed }) => changed.length > 0,
};

const REQUEST_COLUMNS = [
  ["Time", ({ time }) => formatDate(time).slice(11)],
  ["Method", ({ method }) => method],
  ["Path", pathCell],
  ["Status", (request) => pill(kindOf(request), request.status)],
  ["Client", scriptOf],
  ["Took", ({ ms }) => `${Math.round(ms)} ms`],
];

async function requestsView(id) {
  const { requests } = await api("requests");
  if (id !== undefined && location.hash !== shown) await fillDetail(id);
  for (const [name, isMeant] of Object.entries(OUTCOMES)) {
    $(`count-${name}`).textContent = requests.filter(isMeant).length;
  }
  const isMeant = OUTCOMES[$("tools").elements.outcome.value];
  const hint = "No such request yet: deno task upsert -b service -i checkout";
  return requestTable(requests.filter(isMeant), hint);
}

/** The newest first. */
const requestTable = (requests, hint) =>
  table(REQUEST_COLUMNS, requests.reverse(), hint, "requests");

function kindOf({ failure, status, failed }) {
  if (failure) return "warn";
  return status >= 400 || failed > 0 ? "bad" : "good";
}

function reasonOf({ failure, reason = "", failed, status }) {
  if (failure) return `Failed on purpose: ${failure}`;
  return failed > 0 && status < 400 ? `${failed} failed: ${reason}` : reason;
}

function pathCell(request) {
  const { id, path } = request;
  const reason = element("p", { class: kindOf(request) }, reasonOf(request));
  return element("div", {}, rowLink(link("requests", id), path), reason);
}

/** The name of the script, where one of these sent it. */
function scriptOf({ client }) {
  return /^circleci-port\/\S+ \((.+)\)$/.exec(client)?.[1] ?? client;
}

async function fillDetail(id) {
  const record = await api(`requests/${encodeURIComponent(id)}`);
  const { method, path, time, ms, client, traceId } = record;
  const facts = [formatDate(time), `${Math.round(ms)} ms`, client, traceId];
  const kind = kindOf(record);
  $("what").replaceChildren(pill(kind, record.status), ` ${method} ${path}`);
  report("reason", kind, reasonOf(record));
  $("facts").textContent = facts.join(" · ");
  $("body").textContent = record.body || "(empty)";
  $("answer").textContent = record.answer || "(empty)";
  // A long body is kept in part.
  $("copy").hidden = record.body.endsWith("…");
  const copy = () => navigator.clipboard.writeText(curl(record));
  $("copy").onclick = () => attempt(copy, "Copied");
}

/** The request for a shell, without the token. */
function curl({ method, path, body }) {
  const url = `http://127.0.0.1:${location.port}${path}`;
  const parts = [
    `curl -g -X ${quote(method)} ${quote(url)}`,
    '-H "Authorization: Bearer $TOKEN"',
    "-H 'Content-Type: application/json'",
    `--data-raw ${quote(body)}`,
  ];
  return parts.slice(0, body ? 4 : 2).join(" \\\n  ");
}

/** Quotes text for a shell; control characters would act when pasted. */
function quote(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  const controls = /[^\P{Cc}\n]/gu;
  if (text.search(controls) < 0) return `'${text.replaceAll("'", "'\\''")}'`;
  const escape = (char) => encodeURI(char).replaceAll("%", "\\x");
  return `$'${text.replace(/[\\']/g, "\\$&").replace(controls, escape)}'`;
}

/* Catalogue */

const BLUEPRINT_COLUMNS = [
  ["Blueprint", ({ identifier }) => catalogueLink(identifier)],
  ["Title", ({ title }) => title],
  ["Entities", ({ count }) => count],
  ["Properties", ({ properties }) => properties.join(", ")],
  ["Relations", ({ relations }) => Object.keys(relations).join(", ")],
];

async function catalogueView(blueprint, identifier) {
  if (identifier !== undefined) return await entityView(blueprint, identifier);
  if (blueprint !== undefined) return await entitiesView(blueprint);
  const { blueprints } = await api("catalogue");
  const hint = "deno task upsert-blueprint scripts/blueprints/*.json";
  return table(BLUEPRINT_COLUMNS, blueprints, `No blueprint yet: ${hint}`);
}

async function entitiesView(blueprint) {
  const query = new URLSearchParams({ blueprint });
  const { entities } = await api(`entities?${query}`);
  const names = entities.flatMap(({ properties }) => Object.keys(properties));
  const columns = [...new Set(names)]
    .map((name) => [name, ({ properties }) => toText(properties[name])]);
  columns.unshift(
    ["Entity", ({ identifier }) => catalogueLink(blueprint, identifier)],
    ["Title", ({ title = "" }) => title],
  );
  columns.push(["Updated", ({ updatedAt }) => formatDate(updatedAt)]);
  const hint = `deno task upsert -b ${quote(blueprint)} -i first`;
  return table(columns, entities, `No entity yet: ${hint}`);
}

async function entityView(blueprint, identifier) {
  const query = new URLSearchParams({ blueprint, identifier });
  const { entity, incoming, requests } = await api(`entity?${query}`);
  const { title, properties, updatedAt } = entity;
  const about = `${title ?? identifier} · updated ${formatDate(updatedAt)} · `;
  const graph = { href: link("relations", blueprint, identifier) };
  const sources = incoming
    .map((one) => [one.relation, catalogueLink(one.blueprint, one.identifier)]);
  return [
    element("p", {}, about, element("a", graph, "show as a graph")),
    part("Properties", pairs(Object.entries(properties))),
    part("Points to", pairs(await findTargets(blueprint, entity))),
    part("Pointed to by", pairs(sources)),
    part("Requests that changed it", requestTable(requests, "None is kept")),
  ];
}

/** The relations of an entity with links to where they point. */
async function findTargets(blueprint, entity) {
  const { blueprints } = await api("catalogue");
  const { relations } = blueprints.find((one) => one.identifier === blueprint);
  return Object.entries(entity.relations).flatMap(([name, targets]) =>
    [targets ?? []].flat()
      .map((target) => [name, catalogueLink(relations[name].target, target)])
  );
}

/* Relations */

async function relationsView(blueprint, identifier) {
  const names = identifier === undefined ? {} : { blueprint, identifier };
  try {
    const text = await api(`graph.svg?${new URLSearchParams(names)}`);
    const graph = new DOMParser().parseFromString(text, "image/svg+xml");
    return element("div", { class: "graph" }, graph.documentElement);
  } catch (error) {
    if (error.nodes === undefined) throw error;
    const toLink = ({ href, label }) => rowLink(href, label);
    return part(error.message, error.nodes.map(toLink));
  }
}

/* Runs */

/** What the buttons send for a run, by its status. */
const ANSWERS = {
  WAITING_FOR_APPROVAL: {
    Approve: { approve: true },
    Refuse: { approve: false },
  },
  IN_PROGRESS: {
    "Add to log": {},
    Succeed: { status: "SUCCESS" },
    Fail: { status: "FAILURE" },
  },
};

const RUN_KINDS = { SUCCESS: "good", FAILURE: "bad" };

const RUN_COLUMNS = [
  ["Action", ({ action }) => action],
  ["Status", ({ status }) => pill(RUN_KINDS[status] ?? "warn", status)],
  ["Answer", answerForm],
  ["Log", ({ logs }) => logs.map(({ message }) => message).join("\n")],
  ["Properties", ({ properties }) => toText(properties)],
  ["Started", ({ createdAt }) => formatDate(createdAt)],
  ["Run", ({ id }) => id],
];

async function runsView() {
  const { runs } = await api("runs");
  const hint = "deno task create-run -a deploy --wait 5m";
  return table(RUN_COLUMNS, runs.reverse(), `No run yet: ${hint}`);
}

/** Answers a run as its approver, or as its backend. */
function answerForm({ id, status }) {
  const answers = ANSWERS[status] ?? {};
  const line = element("input", { id: `line-${id}`, placeholder: "Log line" });
  const onsubmit = (event) => {
    event.preventDefault();
    const log = line.value ? { log: line.value } : {};
    const body = { ...log, ...answers[event.submitter.textContent] };
    line.value = "";
    attempt(() => api(`runs/${encodeURIComponent(id)}`, "POST", body), "Done");
  };
  const buttons = Object.keys(answers)
    .map((label) => element("button", { id: `${label}-${id}` }, label));
  const fields = status === "IN_PROGRESS" ? [line, buttons] : buttons;
  return element("form", { class: "bar", onsubmit }, fields);
}

/* Failures */

async function failuresView() {
  const { failRate, kinds, latency, rateLimit } = await api("failures");
  // What is being changed stays as it is.
  if (document.activeElement.matches("#failures input")) return [];
  const { elements } = $("failures");
  elements.failRate.value = failRate;
  for (const box of elements.kinds) box.checked = kinds.includes(box.value);
  elements.latency.value = latency;
  elements.requests.value = rateLimit?.requests ?? "";
  if (rateLimit) elements.period.value = rateLimit.period;
  return [];
}

async function saveFailures() {
  const form = $("failures");
  if (!form.reportValidity()) return;
  const { failRate, latency, requests, period } = form.elements;
  const failures = {
    failRate: failRate.valueAsNumber,
    kinds: new FormData(form).getAll("kinds"),
    latency: latency.valueAsNumber,
    rateLimit: requests.value
      ? { requests: requests.valueAsNumber, period: period.valueAsNumber }
      : null,
  };
  await attempt(() => api("failures", "PUT", failures), "Saved");
}

/* Keys and buttons */

const KEYS = {
  "/": () => $("filter").focus(),
  "?": () => $("keys").showModal(),
  j: () => moveFocus(1),
  k: () => moveFocus(-1),
  Escape: goUp,
};
for (const [index, view] of Object.keys(VIEWS).entries()) {
  KEYS[index + 1] = () => location.hash = link(view);
}

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  if (target.matches("input:not([type=radio], [type=checkbox])")) {
    if (key === "Escape") target.blur();
  } else if (Object.hasOwn(KEYS, key)) {
    event.preventDefault();
    KEYS[key]();
  }
}

/** Moves the focus to another row. */
function moveFocus(step) {
  const rows = [...document.querySelectorAll("#view .row, #view svg a")];
  const focused = rows.indexOf(document.activeElement);
  const from = focused < 0 ? rows.indexOf($(location.hash)) : focused;
  rows[Math.max(0, Math.min(from + step, rows.length - 1))]?.focus();
}

function goUp() {
  const path = readAddress();
  if (path.length > 1) location.hash = link(...path.slice(0, -1));
}

function onClick(id, action, done) {
  $(id).addEventListener("click", () => attempt(action, done));
}

onClick("expire", () => api("expire-tokens", "POST"), "All tokens expired");
onClick("reset", () => api("reset", "POST"), "All is as at the start");
onClick("clear", () => {
  location.hash = link("requests");
  return api("requests", "DELETE");
}, "Cleared");
$("show-keys").addEventListener("click", KEYS["?"]);
$("failures").addEventListener("change", saveFailures);
$("outcomes").addEventListener("change", draw);
$("filter").addEventListener("input", () => {
  choice.filter = $("filter").value;
  draw();
});
$("tools").addEventListener("submit", (event) => {
  event.preventDefault();
  moveFocus(1);
});
document.addEventListener("keydown", onKey);
addEventListener("hashchange", draw);
connect();
draw();
