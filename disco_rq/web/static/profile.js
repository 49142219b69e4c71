// Where the time of the tasks went: the functions that cProfile saw.
import { get, path } from "./api.js";
import { h } from "./dom.js";
import { count } from "./format.js";

const seconds = (value) => value.toFixed(3);

/** The end of a path says enough; all of it is in the title. */
const place = (one) => (one.file === "~" ? "built in" : `${one.file.split("/").slice(-2).join("/")}:${one.line}`);

export function profileTab(panel, job) {
  const phase = h("select", { "aria-label": "Phase" }, h("option", { value: "all" }, "both phases"), h("option", { value: "map" }, "map"), h("option", { value: "reduce" }, "reduce"));
  const sort = h("select", { "aria-label": "Order" }, h("option", { value: "time" }, "own time first"), h("option", { value: "cumulative" }, "time with callees first"), h("option", { value: "calls" }, "most calls first"));
  const summary = h("span", { class: "muted" });
  const tools = h("div", { class: "tools" }, phase, sort, summary);
  const body = h("tbody");
  const head = ["Function", "Where", "Calls", "Own time, s", "With callees, s"];
  const box = h("div", { class: "card table-box" }, h("table", {}, h("caption", { class: "visually-hidden" }, "Functions by time"),
    h("thead", {}, h("tr", {}, head.map((text, i) => h("th", { scope: "col", class: i > 1 ? "number" : null }, text)))), body));
  const title = h("strong");
  const hint = h("span");
  const empty = h("div", { class: "empty", hidden: true }, title, hint);

  const row = (one) => h("tr", {},
    h("td", { class: "mono wrap-anywhere" }, one.function),
    h("td", { class: "mono wrap-anywhere", title: one.file }, place(one)),
    h("td", { class: "number" }, count(one.calls)),
    h("td", { class: "number" }, seconds(one.time)),
    h("td", { class: "number" }, seconds(one.cumulative)));

  async function update() {
    const told = await get(path("jobs", job.name, "profile"), { phase: phase.value, sort: sort.value });
    body.replaceChildren(...told.functions.map(row));
    tools.hidden = !told.profiled;
    box.hidden = !told.functions.length;
    empty.hidden = told.functions.length > 0;
    title.textContent = told.profiled ? "No task is done yet" : "This job is not profiled";
    hint.textContent = told.profiled ? "Profiles appear as tasks are done." : "Submit it with profile=True to see where the time of its tasks goes.";
    summary.textContent = told.functions.length
      ? `${count(told.tasks)} of ${count(told.done)} done tasks; the ${count(told.functions.length)} first functions. disco-rq's own, left out, took ${seconds(told.own_s)} s more`
      : "";
  }
  phase.addEventListener("input", update);
  sort.addEventListener("input", update);
  panel.replaceChildren(tools, box, empty);
  return { update };
}
