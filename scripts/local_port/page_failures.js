/**
 * Switches for simulated failures.
 *
 * @module
 */
import { $, api, attempt, h } from "./page_dom.js";

const MEANINGS = {
  "rate-limited": "429, with the time to wait",
  error: "500",
  "bad-gateway": "502 in HTML, as from a proxy",
  unavailable: "503",
  "cut-before": "the connection ends before the answer",
  "cut-middle": "the connection ends in the middle of the answer",
};

const form = $("failure-form").elements;

/** How many changes are on their way. */
let saving = 0;

export async function failuresView() {
  const failures = await api("failures");
  const { failRate, latency, rateLimit } = failures;
  $("failing").hidden = failRate === 0 && latency === 0 && rateLimit === null;
  // What was changed meanwhile stays as it is, until it is saved.
  if (saving === 0) fill(failures);
}

function fill({ failRate, kinds, allKinds, latency, rateLimit }) {
  if ($("kinds").childElementCount === 0) {
    $("kinds").append(...allKinds.map(kindBox));
  }
  for (const box of $("kinds").querySelectorAll("input")) {
    box.checked = kinds.includes(box.value);
  }
  form.rate.value = failRate * 100;
  showRate();
  form.limited.checked = rateLimit !== null;
  form.requests.disabled = form.seconds.disabled = rateLimit === null;
  fillNumber(form.latency, latency);
  if (rateLimit === null) return;
  fillNumber(form.requests, rateLimit.requests);
  fillNumber(form.seconds, rateLimit.period / 1000);
}

/** Leaves alone what is being typed. */
function fillNumber(field, value) {
  if (field !== document.activeElement) field.value = value;
}

function showRate() {
  $("rate-shown").textContent = `${form.rate.value} %`;
}

function kindBox(kind) {
  const box = h("input", { type: "checkbox", name: "kind", value: kind });
  const meaning = h("small", MEANINGS[kind] ?? "");
  return h("label.check", box, h("span", kind, meaning));
}

async function save() {
  if (!$("failure-form").reportValidity()) return;
  const kinds = [...document.querySelectorAll("#kinds input:checked")];
  const limit = {
    requests: Number(form.requests.value),
    period: Number(form.seconds.value) * 1000,
  };
  const failures = {
    failRate: Number(form.rate.value) / 100,
    kinds: kinds.map(({ value }) => value),
    latency: Number(form.latency.value),
    rateLimit: form.limited.checked ? limit : null,
  };
  saving++;
  await attempt(() => api("failures", "PUT", failures), "Saved");
  saving--;
  await failuresView();
}

$("failure-form").addEventListener("change", save);
form.rate.addEventListener("input", showRate);
$("expire").addEventListener(
  "click",
  () => attempt(() => api("expire-tokens", "POST"), "All tokens have expired"),
);
$("reset").addEventListener(
  "click",
  () => attempt(() => api("reset", "POST"), "All is as at the start"),
);
