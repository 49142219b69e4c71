// How evenly the map output is spread over the reduces.
import { get, path } from "./api.js";
import { taskHref } from "./cluster.js";
import { h, svg } from "./dom.js";
import { count, duration, size } from "./format.js";
import { badge } from "./tasks.js";

export function partitionsTab(panel, job) {
  const order = h("select", { "aria-label": "Order" }, h("option", { value: "number" }, "by number"), h("option", { value: "bytes" }, "largest first"), h("option", { value: "time" }, "slowest first"));
  const summary = h("span", { class: "muted" });
  const body = h("tbody");
  const head = ["Partition", "Size", "", "Reduce", "State", "Took"];
  const box = h("div", { class: "card table-box" }, h("table", { class: "partitions" }, h("caption", { class: "visually-hidden" }, "Sizes of the partitions"),
    h("thead", {}, h("tr", {}, head.map((text, i) => h("th", { scope: "col", class: [0, 1, 5].includes(i) ? "number" : null }, text || h("span", { class: "visually-hidden" }, "Compared")))))
    , body));
  const empty = h("div", { class: "empty", hidden: true }, h("strong", {}, "No partition yet"), "Sizes appear as maps are done; a job without reduce has none.");
  let told = null;

  function row(one, largest) {
    const mean = `${(100 * told.mean) / largest}%`;
    const picture = svg("svg", { class: "skew", "aria-hidden": "true" },
      svg("rect", { class: one.skewed ? "share over" : "share", width: `${(100 * one.bytes) / largest}%`, height: "100%" }),
      svg("line", { x1: mean, x2: mean, y1: 0, y2: "100%" }));
    const times = told.mean ? one.bytes / told.mean : 1;
    return h("tr", {},
      h("td", { class: "number" }, count(one.partition)),
      h("td", { class: "number" }, size(one.bytes)),
      h("td", { class: "wide" }, picture, one.skewed && h("span", { class: "mark" }, `skewed: ${times.toFixed(1)} × the mean`)),
      h("td", {}, h("a", { class: "mono", href: taskHref(job.name, one.task) }, one.task)),
      h("td", {}, badge(one.state)),
      h("td", { class: "number" }, one.slow && h("span", { class: "mark" }, "slow"), " ", duration(one.duration)));
  }

  function show() {
    const by = { number: (a, b) => a.partition - b.partition, bytes: (a, b) => b.bytes - a.bytes, time: (a, b) => (b.duration ?? 0) - (a.duration ?? 0) };
    const rows = [...told.partitions].sort(by[order.value]);
    const largest = Math.max(...rows.map((one) => one.bytes), 1);
    body.replaceChildren(...rows.map((one) => row(one, largest)));
    box.hidden = !rows.length;
    empty.hidden = rows.length > 0;
    summary.textContent = rows.length
      ? `${size(told.total)} in all, ${size(told.mean)} a partition (the line in each bar)${told.truncated ? "; the 1,000 largest are shown" : ""}`
      : "";
  }

  async function update() {
    told = await get(path("jobs", job.name, "partitions"));
    show();
  }
  order.addEventListener("input", show);
  panel.replaceChildren(h("div", { class: "tools" }, order, summary), box, empty);
  return { update };
}
