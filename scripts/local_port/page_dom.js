/**
 * What all views are made of. What comes from data is inserted as text, never
 * as markup.
 *
 * @module
 */

/** How many rows a table shows at most. */
const MAX_ROWS = 500;

export const $ = (id) => document.getElementById(id);

/**
 * Makes an element: `h("p.note", { title }, "text")`. Functions among its
 * attributes listen to events; children that are `undefined` are omitted.
 */
export function h(kind, ...rest) {
  const [name, ...classes] = kind.split(".");
  const element = document.createElement(name);
  if (classes.length > 0) element.className = classes.join(" ");
  const isAttributes =
    Object.getPrototypeOf(rest[0] ?? "") === Object.prototype;
  const attributes = isAttributes ? rest.shift() : {};
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...rest.flat().filter((child) => child !== undefined));
  return element;
}

/** Sends a request to the lab; throws with Port's message and the status. */
export async function api(path, method = "GET", body = undefined) {
  const response = await fetch(path, {
    method,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  }).catch(() => {
    throw new Error("No response: is the local Port still running?");
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json");
  const answer = isJson ? JSON.parse(text) : text;
  if (response.ok) return answer;
  const message = answer.message ??
    `The local Port answered ${response.status}`;
  throw Object.assign(new Error(message), { status: response.status, answer });
}

/** Does what a button asks for, and reports how that went. */
export async function attempt(action, done) {
  try {
    await action();
    notify("p.good", done);
  } catch (error) {
    notify("p.bad", error.message);
  }
}

function notify(kind, text) {
  if (text) $("notice").replaceChildren(h(kind, text));
}

export function copyButton(label, text) {
  const copy = () => navigator.clipboard.writeText(text);
  return h("button", { click: () => attempt(copy, "Copied") }, label);
}

/** Quotes text for a shell; control characters would act when pasted. */
export function quote(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (!/[^\P{Cc}\n]/u.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const escape = (char) =>
    [...new TextEncoder().encode(char)]
      .map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  return `$'${text.replace(/[\\']/g, "\\$&").replace(/\p{Cc}/gu, escape)}'`;
}

/** The address of this server, for a shell. */
export const apiUrl = () => `http://127.0.0.1:${location.port}`;

/** The address of a view. */
export const link = (...names) =>
  `#/${names.map(encodeURIComponent).join("/")}`;

/** A link that is a row: the keys move from one to the next. */
export const rowLink = (href, text) => h("a.row", { href }, text);

export const formatDate = (time) => new Date(time).toLocaleString("sv-SE");

export const facts = (...children) =>
  h(
    "p.facts",
    children.flat().filter(Boolean).map((child) => h("span", child)),
  );

/** An empty state: what to do next. */
export function empty(title, text, task) {
  const command = task &&
    `export PORT_API_URL=${apiUrl()} NO_PROXY="127.0.0.1,$NO_PROXY"
export PORT_CLIENT_ID=local-id PORT_CLIENT_SECRET=local-secret
deno task ${task}`;
  return h(
    "div.empty",
    h("h2", title),
    h("p", text),
    command && h("div.command", h("pre", command), copyButton("Copy", command)),
    command &&
      h(
        "p",
        "With credentials of your own, take the export line that the local Port printed.",
      ),
  );
}

/** The way up from a view. */
export function crumbs(...names) {
  const links = names.map((name, index) =>
    h(
      "a",
      { href: link(...names.slice(0, index + 1)) },
      index ? name : "Catalogue",
    )
  );
  return h("nav.crumbs", { "aria-label": "Up" }, links);
}

/** Names and values. */
export function pairs(values) {
  const entries = Object.entries(values);
  if (entries.length === 0) return h("p.hint", "None");
  return h(
    "dl.pairs",
    entries.flatMap((
      [name, value],
    ) => [h("dt", name), h("dd", valueNode(value))]),
  );
}

/** A value of an entity; an address on the web is a link. */
function valueNode(value) {
  if (typeof value === "object" && value !== null) {
    return h("code", JSON.stringify(value, null, 2));
  }
  const text = toText(value);
  const isUrl = /^https?:\/\//.test(text);
  return isUrl
    ? h("a", { href: text, target: "_blank", rel: "noreferrer" }, text)
    : text;
}

function toText(value) {
  if (typeof value === "string") return value;
  return value === undefined ? "" : JSON.stringify(value);
}

/** The filter and order of each table, kept while the page is open. */
const choices = Object.create(null);

/** A table with a filter, in the order of the column that was chosen. */
export function dataTable(name, columns, items) {
  const choice = choices[name] ??= { text: "", column: 0, sign: 1 };
  const body = h("tbody");
  const note = h("p.note", { role: "status" });
  const heads = columns.map(({ label }, column) => {
    const sort = () => {
      choice.sign = choice.column === column ? -choice.sign : 1;
      choice.column = column;
      draw();
    };
    return h(
      "th",
      { scope: "col" },
      h("button", { id: `sort-${column}`, click: sort }, label),
    );
  });
  const search = h("input", {
    id: "search",
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter the rows by text",
    value: choice.text,
    input: () => {
      choice.text = search.value;
      draw();
    },
  });
  function draw() {
    const found = findItems(items, columns, choice);
    body.replaceChildren(
      ...found.slice(0, MAX_ROWS).map((item) => tableRow(columns, item)),
    );
    const cut = found.length > MAX_ROWS ? `, the first ${MAX_ROWS} shown` : "";
    note.textContent = `${found.length} of ${items.length}${cut}`;
    heads.forEach((head, column) => {
      const order = choice.sign > 0 ? "ascending" : "descending";
      head.ariaSort = column === choice.column ? order : "none";
    });
  }
  draw();
  return [
    h("div.bar", search, note),
    h("div.scroll", h("table", h("thead", h("tr", heads)), body)),
  ];
}

function tableRow(columns, item) {
  return h(
    "tr",
    columns.map(({ value, href }) => {
      const text = toText(value(item));
      return h("td", href ? rowLink(href(item), text) : text);
    }),
  );
}

function findItems(items, columns, { text, column, sign }) {
  const wanted = text.trim().toLowerCase();
  const key = (columns[column] ?? columns[0]).value;
  const isFound = (item) =>
    columns.some(({ value }) =>
      toText(value(item)).toLowerCase().includes(wanted)
    );
  return items.filter(isFound).sort((a, b) => sign * compare(key(a), key(b)));
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return toText(a).localeCompare(toText(b), undefined, { numeric: true });
}
