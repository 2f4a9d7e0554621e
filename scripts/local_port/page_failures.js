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

export async function failuresView() {
  const { failRate, kinds, allKinds, latency, rateLimit } = await api(
    "failures",
  );
  form.rate.value = failRate * 100;
  showRate();
  $("kinds").replaceChildren(...allKinds.map((kind) => kindBox(kind, kinds)));
  form.latency.value = latency;
  form.limited.checked = rateLimit !== null;
  form.requests.disabled = form.seconds.disabled = rateLimit === null;
  if (rateLimit !== null) {
    form.requests.value = rateLimit.requests;
    form.seconds.value = rateLimit.period / 1000;
  }
  $("failing").hidden = failRate === 0 && latency === 0 && rateLimit === null;
}

function showRate() {
  $("rate-shown").textContent = `${form.rate.value} %`;
}

function kindBox(kind, chosen) {
  const box = h("input", { type: "checkbox", name: "kind", value: kind });
  box.checked = chosen.includes(kind);
  return h(
    "label.check",
    box,
    h("span", kind, h("small", MEANINGS[kind] ?? "")),
  );
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
  await attempt(() => api("failures", "PUT", failures), "Saved");
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
