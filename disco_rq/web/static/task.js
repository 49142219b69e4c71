// A task: the logs of its attempts, read when they are opened; the page is loaded again when an attempt ends.
import { get, path } from "./api.js";
import "./copy.js";
import { $, $$, seen } from "./dom.js";
import { localTimes } from "./format.js";

const { job, task, state } = $("#task").dataset;
const POLL_MS = 1500;
const OVER = ["done", "failed"];

async function log(details) {
  if (!details.open || details.dataset.read) return;
  details.dataset.read = "yes";
  const text = $("pre", details);
  try {
    const told = await get(path("jobs", job, "tasks", task) + "/log", { attempt: details.closest(".attempt").dataset.attempt });
    text.textContent = seen(told.text) || "It printed nothing.";
    text.classList.toggle("muted", !told.text);
  } catch (error) {
    text.textContent = seen(error.message);
  }
}

localTimes();
for (const details of $$("[data-log]")) {
  details.addEventListener("toggle", () => log(details));
  log(details);
}
const shown = $$("#attempts .badge").map((badge) => badge.textContent).join();
if (!OVER.includes(state)) {
  const timer = setInterval(async () => {
    const now = await get(path("jobs", job, "tasks", task)).catch(() => null);
    if (!now || now.attempts.map((attempt) => attempt.outcome).join() === shown) return;
    clearInterval(timer);
    location.reload();
  }, POLL_MS);
}
