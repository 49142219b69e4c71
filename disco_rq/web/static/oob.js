// The out-of-band results: search, look at a value, take it home.
import { get, path, url } from "./api.js";
import { taskHref } from "./cluster.js";
import { h, later } from "./dom.js";
import { size, words } from "./format.js";
import { listing } from "./listing.js";
import { split } from "./split.js";

export function oobTab(panel, job) {
  const search = h("input", { type: "search", class: "grow", placeholder: "Part of a key", "aria-label": "Search keys" });
  const found = h("span", { class: "muted small", "aria-live": "polite" });

  async function value(key) {
    const told = await get(path("jobs", job.name, "oob", key));
    return [
      h("h3", { class: "mono wrap-anywhere" }, told.key),
      h("p", { class: "small muted" }, `${told.type}, ${size(told.size)}, put by `, h("a", { href: taskHref(job.name, told.task) }, told.task)),
      h("pre", { class: "code", tabindex: "0", id: "oob-value" }, told.text),
      told.truncated && h("p", { class: "small muted" }, "Only its beginning is shown."),
      h("p", {}, h("a", { class: "button", href: url(path("jobs", job.name, "oob", key, "download")), download: "" }, "Download")),
    ].filter(Boolean);
  }

  const table = listing({
    caption: "Out-of-band results",
    key: (row) => row.key,
    empty: [h("strong", {}, "No out-of-band result"), "A task puts one with put(key, value); it shows here when the task has succeeded."],
    load: async ({ offset, limit }) => {
      const told = await get(path("jobs", job.name, "oob"), { offset, limit, q: search.value });
      found.textContent = told.total ? `${words(told.found, "key")}${search.value ? ` of ${told.total.toLocaleString()}` : ""}` : "";
      return { total: told.found, rows: told.results };
    },
    columns: [
      { title: "Key", class: "name", cell: (row) => h("button", { type: "button", class: "link mono wrap-anywhere", onclick: () => sides.show(() => value(row.key)) }, row.key) },
      { title: "Type", cell: (row) => row.type },
      { title: "Size", number: true, cell: (row) => size(row.size) },
      { title: "Task", cell: (row) => h("a", { class: "mono", href: taskHref(job.name, row.task) }, row.task) },
    ],
  });
  const sides = split(table.element, "Choose a key to see its value.");
  search.addEventListener("input", later(table.restart));
  panel.replaceChildren(h("div", { class: "tools" }, search, found), sides.element);
  table.refresh();
  return { update: table.refresh };
}
