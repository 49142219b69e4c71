// The entries that the job has left out: where each is, what is wrong with it, and what it is.
import { get, path } from "./api.js";
import { taskHref } from "./cluster.js";
import { h } from "./dom.js";
import { count } from "./format.js";
import { listing } from "./listing.js";
import { split } from "./split.js";

export function badTab(panel, job) {
  const note = h("p", { class: "notice small", "data-kind": "warn", role: "status", hidden: true });

  const view = (row) => [
    h("h3", { class: "wrap-anywhere" }, row.error),
    h("p", { class: "small muted" }, "entry ", count(row.number), " of ", h("span", { class: "mono wrap-anywhere" }, row.url),
      `, from byte ${count(row.offset)}, in `, h("a", { class: "mono", href: taskHref(job.name, row.task) }, row.task)),
    h("pre", { class: "code", tabindex: "0", id: "bad-entry" }, row.entry),
    row.truncated && h("p", { class: "small muted" }, "Only its beginning is shown."),
    row.traceback && h("pre", { class: "code", tabindex: "0" }, row.traceback),
  ].filter(Boolean);

  const table = listing({
    caption: "Bad entries",
    key: (row) => `${row.task} ${row.url} ${row.offset} ${row.number}`,
    empty: [h("strong", {}, "No entry was left out"), "A job with max_bad leaves out what its maps cannot use; it shows here when the task has succeeded."],
    load: async ({ offset, limit }) => {
      const told = await get(path("jobs", job.name, "bad"), { offset, limit });
      note.hidden = !told.error;
      note.textContent = told.error ?? "";
      return { total: told.total, rows: told.entries };
    },
    columns: [
      { title: "Task", cell: (row) => h("a", { class: "mono", href: taskHref(job.name, row.task) }, row.task) },
      { title: "Error", class: "name", cell: (row) => h("button", { type: "button", class: "link wrap-anywhere", onclick: () => sides.show(() => view(row)) }, row.error) },
      { title: "Entry", number: true, cell: (row) => count(row.number) },
      { title: "Byte", number: true, cell: (row) => count(row.offset) },
      { title: "Address", class: "name", cell: (row) => h("span", { class: "mono wrap-anywhere" }, row.url) },
    ],
  });
  const sides = split(table.element, "Choose an error to see the entry.");
  panel.replaceChildren(note, sides.element);
  table.refresh();
  return { update: table.refresh };
}
