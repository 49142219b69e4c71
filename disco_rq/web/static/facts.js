// Counters, and the job as it was submitted.
import { get, path } from "./api.js";
import { h, reconcile, seen } from "./dom.js";
import { count, words } from "./format.js";

export function countersTab(panel) {
  const body = h("tbody");
  const box = h("div", { class: "card table-box narrow" }, h("table", {}, h("caption", { class: "visually-hidden" }, "Counters"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Counter"), h("th", { scope: "col", class: "number" }, "Sum"))), body));
  const empty = h("div", { class: "empty" }, h("strong", {}, "No counter"), "A task adds to one with counter(\"name\"); it shows here when the task has succeeded.");
  panel.replaceChildren(box, empty);
  function update(job) {
    const counters = Object.entries(job.counters).sort(([a], [b]) => a.localeCompare(b));
    reconcile(body, counters, ([name]) => name,
      () => h("tr", {}, h("td", { class: "mono wrap-anywhere" }), h("td", { class: "number" })),
      (row, [name, sum]) => { row.children[0].textContent = seen(name); row.children[1].textContent = count(sum); });
    box.hidden = !counters.length;
    empty.hidden = counters.length > 0;
  }
  return { update };
}

const plain = (value) => value === null || typeof value !== "object";

/** Any JSON value: nested ones as text, indented. */
function shown(value) {
  if (plain(value)) return h("span", { class: "mono" }, value === null ? "–" : typeof value === "number" ? count(value) : String(value));
  if (Array.isArray(value) && value.every(plain)) return value.length ? value.map((one) => h("div", { class: "mono" }, String(one))) : h("span", { class: "muted" }, "none");
  return h("pre", { class: "code", tabindex: "0" }, JSON.stringify(value, null, 2));
}

export function specTab(panel, job) {
  const facts = (entries) => h("dl", { class: "facts" }, entries.map(([name, value]) => [h("dt", {}, name), h("dd", {}, shown(value))]));
  const box = h("div", { class: "card padded stack" });
  panel.replaceChildren(box);
  async function once() {
    const { spec, defaults, source } = await get(path("jobs", job.name, "spec"));
    const entries = Object.entries(spec);
    box.replaceChildren(
      h("h2", {}, "As it was submitted"), facts(entries.filter(([name]) => !defaults.includes(name))),
      ...Object.entries(source).flatMap(([name, text]) => [h("h2", {}, "Source of ", h("span", { class: "mono" }, name)), h("pre", { class: "code", tabindex: "0" }, text)]),
      h("details", {}, h("summary", {}, `${words(defaults.length, "argument")} by default`), facts(entries.filter(([name]) => defaults.includes(name)))));
  }
  const asked = once();
  return { update: () => asked };
}
