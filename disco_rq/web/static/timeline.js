// What each slot did when: a row a slot, a bar a task (or a run of small ones).
import { get, path } from "./api.js";
import { chart } from "./charts.js";
import { taskHref } from "./cluster.js";
import { h, svg } from "./dom.js";
import { count, duration, rate, words } from "./format.js";

const ROW = 26;
const BAR = 18;
const AXIS = 24;
const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];

function step(span, most) {
  return STEPS_MS.find((ms) => span / ms <= most) ?? STEPS_MS.at(-1);
}

function bar(job, one, start, scale, y) {
  const state = one.running ? "running" : one.failed === one.tasks ? "failed" : one.lost === one.tasks ? "lost" : "done";
  const width = Math.max((one.end - one.start) * scale, 1.5);
  const what = one.tasks > 1 && one.running ? `one of the ${words(one.tasks, "task")} of a batch, the first of them ${one.task}` : one.tasks > 1 ? `${words(one.tasks, "task")}, the longest ${one.task}` : one.task;
  const how = one.failed ? `, ${count(one.failed)} failed` : one.running ? ", running" : one.lost ? `, ${count(one.lost)} lost before that was noticed` : "";
  const shape = svg("rect", {
    class: "task", "data-phase": one.phase, "data-state": state,
    x: (one.start - start) * scale, y, width, height: BAR, rx: Math.min(3, width / 2),
  }, svg("title", {}, `${what}: ${duration(one.end - one.start)}${how}`));
  const link = svg("a", { href: taskHref(job.name, one.task), tabindex: "-1" }, shape);
  // Failures are told by a cross too, where there is room for one.
  if (one.failed && width > 12) {
    const [x, top] = [(one.start - start) * scale + width / 2, y + BAR / 2];
    if (state !== "failed") link.append(svg("circle", { class: "cross-ground", cx: x, cy: top, r: 7 }));
    link.append(svg("path", { class: "cross", d: `M${x - 4} ${top - 4}l8 8m0 -8l-8 8` }));
  }
  return link;
}

function draw(job, told, width) {
  const span = Math.max(told.end - told.start, 1);
  const scale = width / span;
  const height = told.slots.length * ROW + AXIS;
  const picture = svg("svg", { class: "timeline", width, height, role: "group",
    "aria-label": `${words(told.slots.length, "slot")} over ${duration(span)}. The tab "Tasks" has the same in a table.` });
  const tick = step(span, Math.max(width / 90, 2));
  for (let at = 0; at <= span; at += tick) {
    const x = Math.round(at * scale) + 0.5;
    picture.append(svg("line", { class: "tick", x1: x, x2: x, y1: 0, y2: height - AXIS }));
    if (x < width - 30 || at === 0) picture.append(svg("text", { x: x + 3, y: height - 7 }, at ? duration(at) : "0"));
  }
  told.slots.forEach((slot, row) => {
    const y = row * ROW;
    if (row) picture.append(svg("line", { class: "row", x1: 0, x2: width, y1: y, y2: y }));
    for (const one of slot.bars) picture.append(bar(job, one, told.start, scale, y + (ROW - BAR) / 2));
  });
  return picture;
}

export function timelineTab(panel, job) {
  let told = null;
  const phase = h("select", { "aria-label": "Phase" }, ["all", "map", "reduce"].map((value) => h("option", { value }, value === "all" ? "both phases" : value)));
  const note = h("span", { class: "muted small" });
  const charts = h("div", { class: "charts" });
  const names = h("ol", { class: "timeline-names" });
  const space = h("div", { class: "timeline-space" });
  const box = h("div", { class: "card timeline-box" }, names, space);
  const empty = h("div", { class: "empty", hidden: true }, h("strong", {}, "Nothing has run yet"), "Bars appear as tasks start.");
  const key = (state, phaseName, text) => h("span", {}, svg("svg", { width: 18, height: 12, "aria-hidden": "true" },
    svg("rect", { class: "task", "data-phase": phaseName, "data-state": state, width: 18, height: 12, rx: 3 })), text);
  const legend = h("div", { class: "legend end" }, key("done", "map", "map"), key("done", "reduce", "reduce"), key("running", "map", "running"), key("failed", "map", "failed"), key("lost", "map", "lost: when is not known"));

  function show() {
    if (!told || !space.clientWidth) return;
    space.replaceChildren(draw(job, told, space.clientWidth));
  }

  /** How fast the phases went, over the same time. */
  function showPace({ start, step_ms: step, phases }) {
    const steps = Math.max(...phases.map((one) => one.done.length), 0);
    if (steps < 2) { charts.replaceChildren(); return; }
    const times = Array.from({ length: steps }, (_, i) => start + i * step);
    const series = (what) => phases.map((one) => ({ name: one.phase, kind: one.phase, values: one[what] }));
    const ends = { from: "0", to: duration(steps * step) };
    charts.replaceChildren(
      chart({ title: "Tasks done a second", times, series: series("done"), format: rate, ...ends }),
      chart({ title: "Slots at work", times, series: series("busy"), format: (n) => n.toFixed(1), ...ends }));
  }

  async function update() {
    showPace(await get(path("jobs", job.name, "pace")));
    told = await get(path("jobs", job.name, "timeline"), { phase: phase.value });
    const any = told.slots.length > 0;
    box.hidden = !any;
    empty.hidden = any;
    names.replaceChildren(...told.slots.map((slot) => h("li", { title: slot.slot }, slot.slot)));
    note.textContent = told.merged ? "Neighbouring small tasks are drawn as one bar." : "";
    show();
  }

  phase.addEventListener("input", update);
  new ResizeObserver(show).observe(space);
  panel.replaceChildren(h("div", { class: "tools" }, phase, note, legend), charts, box, empty);
  return { update };
}
