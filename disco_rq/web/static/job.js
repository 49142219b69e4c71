// The page of one job: its head and bars live, the tabs as they are opened.
import { get, path, post } from "./api.js";
import { jobHref, serverClock, setBadge, setBar, shownState, taskHref } from "./cluster.js";
import { confirmed, toast } from "./dialog.js";
import { $, $$, attr, clone, fill, h, reconcile } from "./dom.js";
import { badTab } from "./bad.js";
import { countersTab, specTab } from "./facts.js";
import { failuresTab } from "./failures.js";
import { count, duration, localTimes, rate, size } from "./format.js";
import { live, reached } from "./live.js";
import { messagesTab } from "./messages.js";
import { oobTab } from "./oob.js";
import { partitionsTab } from "./partitions.js";
import { checksSection } from "./checks.js";
import { pilotSection } from "./pilot.js";
import { profileTab } from "./profile.js";
import { inputsTab, resultsTab } from "./results.js";
import { tabs } from "./tabs.js";
import { tasksTab } from "./tasks.js";
import { timelineTab } from "./timeline.js";

const head = $("#job");
const { name } = head.dataset;
const clock = serverClock(Date.now());  // until the job tells its own
const PURGE_MS = 3000;  // in which a job that was killed to be purged is gone
const REFRESH_MS = 2000;  // how often the open tab asks again while the job runs
let job = null;

const MAKE = {
  tasks: tasksTab, timeline: timelineTab, partitions: partitionsTab, oob: oobTab, counters: countersTab,
  failures: failuresTab, bad: badTab, inputs: inputsTab, results: resultsTab, profile: profileTab, spec: specTab,
};
const messages = messagesTab({ name });
const pilot = pilotSection($("#pilot"), name);
const checks = checksSection($("#checks"), name);
const opened = new Map([["messages", messages]]);
let shown = "messages";

async function updateTab() {
  try {
    await opened.get(shown)?.update(job);
  } catch (error) {
    if (error.code !== "unknown-job") toast(error.message, "bad");
  }
}

function open(tab, panel) {
  shown = tab;
  if (!opened.has(tab)) opened.set(tab, MAKE[tab](panel, job));
  updateTab();
}

// -- the head

function setTally(tab, number, kind = "") {
  const badge = $(`[data-n="${tab}"]`);
  badge.hidden = !number;
  badge.textContent = count(number);
  badge.classList.toggle("bad", kind === "bad");
}

function setCause(cause) {
  const box = $("#cause");
  box.hidden = !cause;
  if (!cause) return;
  fill(box, { message: cause.message, task: cause.task, attempt: cause.attempt, node: cause.node,
    url: cause.url ? `, reading ${cause.url}` : "", traceback: cause.traceback });
  $("#cause-where").hidden = !cause.task;
  attr($("#cause-where a"), "href", cause.task && taskHref(name, cause.task));
  $("#cause-traceback").hidden = !cause.traceback;
  const before = (cause.failures ?? []).filter((failure) => failure.attempt !== cause.attempt);
  $("#cause-before").replaceChildren(...before.map((failure) =>
    h("li", { class: "wrap-anywhere" }, `before, attempt ${failure.attempt} on ${failure.node}: ${failure.message}`)));
}

function pace(phase) {
  if (phase.total && phase.done === phase.total) return phase.started && phase.ended ? `in ${duration(phase.ended - phase.started)}` : "";
  if (job.state !== "active") return "";
  if (job.paused) return "paused";
  if (job.suspended) return "RQ is suspended";
  if (phase.remaining_s !== null) return `about ${duration(phase.remaining_s * 1000)} left`;
  return phase.running || phase.done ? "" : phase.phase === "reduce" ? "waits for the maps" : "waits for a slot";
}

function setPhase(card, phase) {
  setBar($(".bar", card), phase.phase, phase);
  $(".slot", card).dataset.phase = phase.phase;
  fill(card, {
    letter: phase.phase[0].toUpperCase(), phase: phase.phase, done: count(phase.done), total: count(phase.total), pace: pace(phase),
    waiting: count(phase.waiting), running: count(phase.running - phase.in_batches), batched: count(phase.in_batches), failed: count(phase.failed),
    rate: phase.rate === null ? "–" : rate(phase.rate), mean: duration(phase.mean_ms),
    entries: count(phase.entries), records: count(phase.records), bytes: size(phase.bytes),
  });
  $('[data-f="failed"]', card).classList.toggle("some-bad", phase.failed > 0);
}

function setActions() {
  const active = job.state === "active";
  const may = { pause: active && !job.paused, resume: active && job.paused, kill: active, retry: job.state === "dead", clean: !active, purge: true };
  for (const button of $$("[data-action]", head)) button.hidden = !may[button.dataset.action];
}

const took = () => (job.ended ? `took ${duration(job.ended - job.submitted)}` : `for ${duration(clock.now() - job.submitted)}`);

/** Another job that this one goes on with, or as. */
function setOther(id, other) {
  $(id).hidden = !other;
  if (!other) return;
  attr($(`${id} a`), "href", jobHref(other));
  $(`${id} a`).textContent = other;
}

function show() {
  clock.set(job.now_ms);
  setBadge($(".badge", head), shownState(job));
  fill(head, { took: took(), nodes: job.nodes.length ? `on ${job.nodes.join(", ")}` : "", kept: count(job.kept) });
  setOther("#retry-of", job.retry_of);
  setOther("#retried-as", job.retried_as);
  $("#suspended").hidden = !job.suspended;
  $("#waits").hidden = job.suspended || !job.waits;
  fill($("#waits"), { waits: job.waits });
  setCause(job.cause);
  reconcile($("#phases"), job.phases, (phase) => phase.phase, () => clone("phase-card"), setPhase);
  setActions();
  pilot.update(job).catch((error) => { if (error.code !== "unknown-job") toast(error.message, "bad"); });
  checks.update(job).catch((error) => { if (error.code !== "unknown-job") toast(error.message, "bad"); });
  setTally("oob", job.oob);
  setTally("counters", Object.keys(job.counters).length);
  setTally("bad", job.bad);
  setTally("failures", job.phases.reduce((sum, phase) => sum + phase.failed, 0), "bad");
  $("#dropped").hidden = !job.msgs_dropped;
  fill($("#dropped"), { dropped: count(job.msgs_dropped) });
  const done = job.state === "active" ? `${Math.floor(job.progress * 100)} %` : job.state;
  document.title = `${done} ${name} · disco-rq`;
}

// -- what people do

const ACTIONS = {
  pause: { done: "Paused: what runs goes on, nothing new starts" },
  resume: { done: "It goes on" },
  kill: { title: "Kill this job?", text: "Its running tasks and their child processes end, and the job is dead. What it wrote stays until it is purged.", action: "Kill", done: "Killed" },
  retry: { title: "Try this job again?", text: "A new job with the same functions and arguments goes on with what is done. One with a program that was mended is started by: disco-rq retry JOB --with PROGRAM", action: "Retry", done: "It goes on as a new job" },
  clean: { title: "Clean this job?", text: "Its records are forgotten: this page, its messages, counters and out-of-band results. The files of its results stay on the nodes.", action: "Clean", done: "Cleaned", leaves: true },
  purge: { title: "Purge this job?", text: "It is killed if it is active; its records and its files on every node are deleted. Saved results stay.", action: "Purge", done: "Purged", leaves: true },
};

head.addEventListener("click", async (event) => {
  const action = event.target.closest("[data-action]")?.dataset.action;
  if (!action) return;
  const { done, leaves, ...question } = ACTIONS[action];
  if (question.title && !(await confirmed(question))) return;
  try {
    if (leaves) stop();
    const answer = await post(path("jobs", name, action));
    toast(done);
    if (answer.job) location.assign(jobHref(answer.job));
    else if (leaves) location.assign("/");
    else { job = await get(path("jobs", name)); show(); }
  } catch (error) {
    toast(error.message, "bad");
  }
});

function gone() {
  stop();
  $("#main").prepend(h("p", { class: "notice", "data-kind": "warn", role: "alert" }, "This job was purged or cleaned. What is shown is the last that was known. ", h("a", { href: "/" }, "All jobs")));
}

/** A purge kills the job first: whoever heard of its end just then learns here that it is gone. */
async function stillThere() {
  try {
    await get(path("jobs", name));
  } catch (error) {
    if (error.code === "unknown-job") gone();
  }
}

/** Phones have no room for all figures of a phase: there they are folded. */
$("#phases").addEventListener("click", (event) => {
  const button = event.target.closest("[data-fold]");
  if (button) attr(button, "aria-expanded", button.closest(".phase").classList.toggle("unfolded"));
});

// -- live

localTimes();
job = await reached(() => get(path("jobs", name)));
show();
tabs($('[role="tablist"]'), open);
const stop = live(() => `/api/v1${path("jobs", name)}/stream?after=${messages.last()}`, {
  event: messages.add,
  job: (told) => { job = told; show(); },
  end: () => { stop(); updateTab(); setTimeout(stillThere, PURGE_MS); },
  gone,
});
setInterval(() => {
  if (job.state !== "active") return;
  fill(head, { took: took() });
}, 1000);
setInterval(() => { if (job.state === "active" && !document.hidden) updateTab(); }, REFRESH_MS);
