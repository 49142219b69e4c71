// Nodes, slots, bars and jobs, kept up to date in what templates/cluster.html rendered.
import { $, $$, attr, clone, fill, reconcile } from "./dom.js";
import { age, count, duration, iso, size } from "./format.js";

const percent = (part, whole) => `${whole ? (100 * part) / whole : 100}%`;

/** A progress bar: `tasks` has done, running, total. */
export function setBar(bar, phase, tasks) {
  attr(bar, "data-phase", phase);
  attr(bar, "aria-label", `${phase}: ${tasks.done} of ${tasks.total} done, ${tasks.running} running`);
  const [done, run] = bar.children;
  attr(done, "width", percent(tasks.done, tasks.total));
  attr(run, "x", percent(tasks.done, tasks.total));
  attr(run, "width", tasks.total ? percent(tasks.running, tasks.total) : "0%");
}

/** A state as a badge: shape, word and colour. */
export function setBadge(badge, state) {
  if (badge.dataset.state === state) return;
  badge.dataset.state = state;
  badge.textContent = state === "data" ? "data error" : state;
}

/** "words" and "@20261123-211350-wgc6", which one reads less often. */
function nameParts(name) {
  const at = name.indexOf("@");
  return at < 0 ? { title: name, stamp: "" } : { title: name.slice(0, at), stamp: name.slice(at) };
}

export const shownState = (job) => (job.paused && job.state === "active" ? "paused" : job.state);
export const taskHref = (job, task) => `/jobs/${encodeURIComponent(job)}/tasks/${encodeURIComponent(task)}`;
export const jobHref = (job) => `/jobs/${encodeURIComponent(job)}`;

function setSlot(item, slot, now) {
  const square = item.firstElementChild;
  const phase = slot.job ? slot.task.split(":")[0] : null;
  const more = slot.tasks > 1 ? ` and ${slot.tasks - 1} more` : "";
  attr(square, "data-job", slot.job);
  attr(square, "data-phase", phase);
  attr(square, "href", slot.job && taskHref(slot.job, slot.task));
  attr(square, "title", slot.job
    ? `${slot.slot}: ${slot.task}${more} of ${slot.job}, for ${duration(now - slot.since)}`
    : `${slot.slot}: free`);
  const letter = phase ? phase[0].toUpperCase() : "";
  if (square.textContent !== letter) square.textContent = letter;
}

function setMeter(card, name, free, total) {
  const meter = $(`[data-meter="${name}"]`, card);
  meter.hidden = !total;
  if (!total) return;
  fill(meter, { [name]: size(free) });
  attr($("rect", meter), "width", percent(total - free, total));
}

export function setNode(card, node, now) {
  ($(".node", card) ?? card).dataset.state = node.state;
  setBadge($(".badge", card), node.state);
  const slots = $(".slots", card);
  reconcile(slots, node.slots, (slot) => slot.slot, () => clone("slot"), (item, slot) => setSlot(item, slot, now));
  $("[data-no-slots]", card).hidden = node.slots.length > 0;
  $("[data-closed]", card).hidden = !node.closed;
  $("[data-misfit]", card).hidden = !node.misfit;
  attr(slots, "aria-label", `${node.slots.filter((slot) => slot.job).length} of ${node.slots.length} slots busy`);
  fill(card, { node: node.node, closed: node.closed, misfit: node.misfit, seen: node.seen ? `${age(now - node.seen)} ago` : "never seen" });
  for (const [name, kind] of [["ok", ""], ["data_error", "some-warn"], ["error", "some-bad"], ["lost", "some-warn"]]) {
    const part = $(`[data-tally="${name}"]`, card);
    fill(part, { [name]: count(node[name]) });
    attr(part, "class", node[name] && kind ? kind : null);
    if (name === "lost") part.hidden = !node[name];
  }
  setMeter(card, "memory", node.memory_free, node.memory_total);
  setMeter(card, "disk", node.disk_free, node.disk_total);
}

export function setJobRow(row, job, now) {
  row.dataset.job = job.name;
  setBadge($(".badge", row), shownState(job));
  const link = $("a", row);
  attr(link, "href", jobHref(job.name));
  const bars = $(".bars", row);
  const phases = [["map", job.maps], ["reduce", job.reduces]].filter(([, tasks]) => tasks.total);
  if (!phases.length) phases.push(["map", job.maps]);
  while (bars.children.length > phases.length) bars.lastElementChild.remove();
  while (bars.children.length < phases.length) bars.append(bars.firstElementChild.cloneNode(true));
  phases.forEach(([phase, tasks], i) => setBar(bars.children[i], phase, tasks));
  attr($('[data-f="age"]', row), "title", iso(job.submitted));
  fill(row, {
    ...nameParts(job.name),
    percent: `${Math.floor(job.progress * 100)} %`,
    owner: job.owner,
    age: age(now - job.submitted),
    took: duration((job.ended ?? now) - job.submitted),
    died: job.died_of ?? "",
  });
  $(".died", row).hidden = !job.died_of;
}

/** Disco's signature: a job that is hovered or has the focus lights its squares; a square lights its job. */
export function lights(root, squares) {
  let lit = null;
  function light(job) {
    lit = job;
    const mine = $$(".slot", squares).filter((square) => job && square.dataset.job === job);
    squares.classList.toggle("lighting", mine.length > 0);
    for (const square of $$(".slot", squares)) square.classList.toggle("lit", mine.includes(square));
    for (const row of $$("tr[data-job]", root)) row.classList.toggle("lit", row.dataset.job === job);
  }
  const jobAt = (event) => event.target.closest?.("[data-job]")?.dataset.job ?? null;
  for (const kind of ["pointerover", "focusin"]) root.addEventListener(kind, (event) => light(jobAt(event)));
  for (const kind of ["pointerleave", "focusout"]) root.addEventListener(kind, () => light(null));
  return () => light(lit);  // after the squares have changed
}

/** The server's clock: milliseconds since 1970, from the last `now` that it told. */
export function serverClock(now) {
  let ahead = now - Date.now();
  return { now: () => Date.now() + ahead, set: (told) => { ahead = told - Date.now(); } };
}
