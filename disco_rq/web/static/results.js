// What the job gave, with a look at the first records; and what it read.
import { get, path, url } from "./api.js";
import { taskHref } from "./cluster.js";
import { copyButton } from "./copy.js";
import { h } from "./dom.js";
import { count, size } from "./format.js";
import { listing } from "./listing.js";
import { split } from "./split.js";

export function resultsTab(panel, job) {
  async function preview({ index, address, task }) {
    const told = await get(path("jobs", job.name, "results", String(index), "preview"), { records: 20 });
    const head = [h("h3", {}, "First records of ", h("span", { class: "mono" }, task)), h("p", { class: "small muted mono wrap-anywhere" }, address)];
    if (told.error) return [...head, h("p", { class: "notice", "data-kind": "warn" }, told.error)];
    if (!told.records.length) return [...head, h("p", { class: "muted" }, "It has no records.")];
    const rows = told.records.map(({ key, value }) => h("tr", {}, h("td", { class: "mono wrap-anywhere" }, key), h("td", { class: "mono wrap-anywhere" }, value)));
    return [
      ...head,
      h("div", { class: "table-box" }, h("table", { class: "records" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Key"), h("th", { scope: "col" }, "Value"))), h("tbody", {}, rows))),
      h("p", { class: "small muted" }, told.more ? "There are more: " : "These are all. In Python: ", h("code", {}, `result_iterator(disco.wait("${job.name}"))`)),
    ];
  }

  const table = listing({
    caption: "Results",
    key: (row) => row.index,
    empty: [h("strong", {}, "No result yet"), "Results are there when the job is ready; a dead job has none."],
    load: async ({ offset, limit }) => {
      const told = await get(path("jobs", job.name, "results"), { offset, limit });
      return { total: told.total, rows: told.results };
    },
    columns: [
      { title: "Task", cell: (row) => h("a", { class: "mono", href: taskHref(job.name, row.task) }, row.task) },
      { title: "Look inside", class: "nowrap", cell: (row) => [h("button", { type: "button", onclick: () => sides.show(() => preview(row)) }, "Preview"), " ",
        h("a", { class: "button", download: "", href: url(path("jobs", job.name, "results", String(row.index), "download")), "aria-label": `Download the result of ${row.task}` }, "Download")] },
      { title: "Records", number: true, cell: (row) => count(row.records) },
      { title: "Size", number: true, cell: (row) => size(row.bytes) },
      { title: "Address", class: "name", cell: (row) => [h("span", { class: "mono wrap-anywhere" }, row.address), copyButton(row.address, "address")] },
    ],
  });
  const sides = split(table.element, "Choose a result to see its first records.");
  panel.replaceChildren(sides.element);
  table.refresh();
  return { update: table.refresh };
}

/** Of a file which bytes, where it is not all of them; of a list in Redis which elements. */
const range = ({ replicas, start, length }) => /^rediss?:/.test(replicas[0]) ? `elements ${count(start)} to ${count(start + length - 1)}`
  : length !== null ? `bytes ${count(start)} to ${count(start + length - 1)} (${size(length)})` : start ? `from byte ${count(start)}` : "";

export function inputsTab(panel, job) {
  const table = listing({
    caption: "Inputs",
    key: (row) => row.task,
    empty: [h("strong", {}, "No input"), "The job was submitted with an empty list, or has no map."],
    load: async ({ offset, limit }) => {
      const told = await get(path("jobs", job.name, "inputs"), { offset, limit });
      return { total: told.total, rows: told.inputs };
    },
    columns: [
      { title: "Task", cell: (row) => h("a", { class: "mono", href: taskHref(job.name, row.task) }, row.task) },
      { title: "Reads", class: "name", cell: (row) => row.parts.map((part) => h("div", { class: "mono wrap-anywhere" },
        part.replicas[0], copyButton(part.replicas[0], "address"), part.replicas.slice(1).map((other) => h("div", { class: "muted" }, `or ${other}`)),
        h("div", { class: "small muted" }, range(part)))) },
    ],
  });
  panel.replaceChildren(table.element);
  table.refresh();
  return { update() {} };  // they never change
}
