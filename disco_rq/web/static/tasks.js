// The tasks of a job, one phase at a time.
import { get, path } from "./api.js";
import { setBadge, taskHref } from "./cluster.js";
import { h, later } from "./dom.js";
import { count, duration, size, time } from "./format.js";
import { listing } from "./listing.js";

export const badge = (state) => {
  const element = h("span", { class: "badge" });
  setBadge(element, state);
  return element;
};

const STATES = [["", "any state"], ["running", "running"], ["failed", "has failed"], ["waiting", "waiting"], ["queued", "queued"], ["done", "done"], ["stopped", "stopped by the end"]];

export function tasksTab(panel, job) {
  const select = (label, options, ...more) => h("select", { "aria-label": label, ...Object.assign({}, ...more) },
    options.map(([value, text]) => h("option", { value }, text)));
  const phase = select("Phase", job.phases.map((one) => [one.phase, one.phase]));
  const state = select("State", STATES);
  const search = h("input", { type: "search", class: "grow", placeholder: "Task, node or worker", "aria-label": "Search tasks" });

  const table = listing({
    caption: "Tasks",
    sort: "index",
    key: (row) => row.task,
    rowClass: (row) => (row.slow ? "slow" : null),
    empty: [h("strong", {}, "No task is like that"), "Choose any state, or the other phase."],
    load: async (query) => {
      const found = await get(path("jobs", job.name, "tasks"), { ...query, phase: phase.value, state: state.value, q: search.value });
      return { total: found.total, rows: found.tasks };
    },
    columns: [
      { title: "Task", sort: "index", cell: (row) => h("a", { class: "mono", href: taskHref(job.name, row.task) }, row.task) },
      { title: "State", sort: "state", cell: (row) => badge(row.state) },
      { title: "Took", sort: "duration", number: true, cell: (row) => [row.slow && h("span", { class: "mark" }, "slow"), " ", duration(row.duration)] },
      { title: "Attempts", sort: "attempt", number: true, cell: (row) => (row.failures ? `${count(row.attempt)} (${count(row.failures)} failed)` : count(row.attempt)) },
      { title: "Node", sort: "node", cell: (row) => row.node || "–" },
      { title: "Started", sort: "started", cell: (row) => time(row.started) },
      { title: "Entries", sort: "entries", number: true, cell: (row) => count(row.entries) },
      { title: "Records", sort: "records", number: true, cell: (row) => count(row.records) },
      { title: "Written", sort: "bytes", number: true, cell: (row) => size(row.bytes) },
    ],
  });
  const restart = later(table.restart);
  for (const field of [phase, state, search]) field.addEventListener("input", restart);
  panel.replaceChildren(h("div", { class: "tools" }, phase, state, search), table.element);
  table.refresh();
  return { update: table.refresh };
}
