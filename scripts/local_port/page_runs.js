/**
 * The runs of actions, answered as their backend would.
 *
 * @module
 */
import {
  api,
  attempt,
  empty,
  facts,
  formatDate,
  h,
  pairs,
} from "./page_dom.js";

const KINDS = { SUCCESS: "good", FAILURE: "bad", IN_PROGRESS: "busy" };

/** What was typed for each run, kept while the list is drawn again. */
const drafts = Object.create(null);

export async function runsView() {
  const { runs } = await api("runs");
  const text = "Start an action, then answer here as its backend would. With " +
    "deno task local-port --action deploy:approval, its runs wait for approval.";
  const content = runs.length > 0
    ? runs.toReversed().map(runCard)
    : empty("No run yet", text, "create-run -a deploy --wait 5m");
  return [h("h1", "Runs"), content];
}

function runCard(run) {
  const { id, action, status, properties, entity, createdBy, createdAt, logs } =
    run;
  const lines = logs.map((log) => log.message ?? log).join("\n");
  return h(
    "article.card",
    { "aria-label": `Run ${id}` },
    h(
      "header",
      h("h2", action),
      h(`span.pill.${KINDS[status] ?? "warn"}`, status),
    ),
    facts(id, entity, createdBy, formatDate(createdAt)),
    pairs(properties),
    lines ? h("pre", { tabindex: "0", "aria-label": "Log" }, lines) : undefined,
    runForm(run),
  );
}

/** What the run waits for. */
function runForm({ id, status }) {
  const button = (label, body) => {
    const click = () => answer(id, body());
    return h("button", { id: `${label}-${id}`, type: "button", click }, label);
  };
  if (status === "WAITING_FOR_APPROVAL") {
    const approve = button("Approve", () => ({ approve: true }));
    return h("div.bar", approve, button("Refuse", () => ({ approve: false })));
  }
  if (status !== "IN_PROGRESS") return undefined;
  const line = h("input", {
    id: `line-${id}`,
    placeholder: "Log line",
    "aria-label": "Log line",
    value: drafts[id],
    input: () => drafts[id] = line.value,
  });
  const log = () => line.value ? { log: line.value } : {};
  const submit = (event) => {
    event.preventDefault();
    if (line.value) answer(id, log());
  };
  return h(
    "form.bar",
    { submit },
    line,
    h("button", { id: `log-${id}` }, "Add to log"),
    button("Succeed", () => ({ ...log(), status: "SUCCESS" })),
    button("Fail", () => ({ ...log(), status: "FAILURE" })),
  );
}

/** The page draws the runs again when the server reports the change. */
async function answer(id, body) {
  await attempt(async () => {
    delete drafts[id];
    await api(`runs/${encodeURIComponent(id)}`, "POST", body);
  }, "Done");
}
