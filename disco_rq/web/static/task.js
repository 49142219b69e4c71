// A task: what its attempts have printed, and how far the one is that runs. When an attempt ends the page is loaded again.
import { get, path } from "./api.js";
import "./copy.js";
import { $, $$, fill, seen } from "./dom.js";
import { count, duration, localTimes } from "./format.js";
import { fresh, reached } from "./live.js";

const { job, task, state } = $("#task").dataset;
const POLL_MS = 1500;
const OVER = ["done", "failed", "stopped"];
const here = path("jobs", job, "tasks", task);

/** Show it, of an attempt that runs again and again. Returns what was told, which has its number of entries. */
async function log(details, again = false) {
  if (!again && (!details.open || details.dataset.read)) return null;
  details.dataset.read = "yes";
  const pre = $("pre", details);
  try {
    const told = await get(`${here}/log`, { attempt: details.closest(".attempt").dataset.attempt });
    const text = seen(told.text) || (again ? "It has printed nothing so far." : "It printed nothing.");
    const atEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 40;
    if (pre.textContent !== text) pre.textContent = text;
    if (again && atEnd) pre.scrollTop = pre.scrollHeight;
    pre.classList.toggle("muted", !told.text);
    return told;
  } catch (error) {
    pre.textContent = seen(error.message);
    return null;
  }
}

/** The attempt that runs: for how long, how many entries, the end of what it prints. */
async function showRunning(told) {
  for (const attempt of told.attempts.filter((one) => one.outcome === "running")) {
    const card = $(`[data-attempt="${attempt.attempt}"]`);
    fill(card, { took: `for ${duration(told.now - attempt.started)}` });
    const read = await log($("[data-log]", card), true);
    fill(card, { entries: count(read?.entries ?? attempt.entries) });
  }
}

async function watch() {
  const now = await reached(() => get(here));
  fresh();
  if (now.attempts.map((attempt) => attempt.outcome).join() !== shown) location.reload();
  else {
    await showRunning(now);
    setTimeout(watch, POLL_MS);
  }
}

localTimes();
for (const details of $$("[data-log]")) {
  details.addEventListener("toggle", () => log(details));
  log(details);
}
const shown = $$("#attempts .badge").map((badge) => badge.dataset.state).join();
if (!OVER.includes(state)) watch();
