// The overview: the list of jobs, and the nodes with their squares.
import { get } from "./api.js";
import { lights, serverClock, setJobRow, setNode } from "./cluster.js";
import { $, clone, fill, later, reconcile } from "./dom.js";
import { count, words } from "./format.js";
import { live } from "./live.js";
import { toast } from "./dialog.js";
import { pager } from "./pager.js";

const PAGE = Number($("#jobs-pager").dataset.limit);
const form = $("#search");
const main = $("#main");
const clock = serverClock(Date.now());
const relight = lights(main, $("#nodes"));
const jobs = new Map();
let offset = Number($("#jobs-pager").dataset.offset);
let known = "";
let nodes = [];

function query() {
  const asked = Object.fromEntries(new FormData(form));
  return { ...asked, order: asked.sort === "name" || asked.sort === "owner" ? "asc" : "desc", offset, limit: PAGE };
}

function showPager(total) {
  pager($("#jobs-pager"), { offset, limit: PAGE, total }, (to) => { offset = to; load(); });
}

async function load() {
  try {
    const found = await get("/jobs", query());
    jobs.clear();
    for (const job of found.jobs) jobs.set(job.name, job);
    showJobs();
    showPager(found.total);
    $("#found").textContent = `${count(found.total)} found`;
  } catch (error) {
    toast(error.message, "bad");
  }
}

function showJobs() {
  const now = clock.now();
  reconcile($("#jobs"), [...jobs.values()], (job) => job.name, () => clone("job-row"), (row, job) => setJobRow(row, job, now));
  const searched = form.elements.q.value || form.elements.state.value;
  $("#jobs-box").hidden = !jobs.size;
  $("#no-jobs").hidden = Boolean(jobs.size);
  $("#no-job-yet").hidden = Boolean(searched);
  $("#no-job-found").hidden = !searched;
}

/** Also of nodes of which nothing new is heard: their heartbeats age. */
function showNodes() {
  const now = clock.now();
  reconcile($("#nodes"), nodes, (node) => node.node, () => clone("node-card"), (card, node) => setNode(card, node, now));
  $("#nodes").classList.toggle("compact", nodes.length >= $("#nodes").dataset.compactFrom);
  $("#no-nodes").hidden = nodes.length > 0;
  relight();
}

/** Where slots are dealt among them. */
function showOwners(owners) {
  $("#owners-box").hidden = !owners.length;
  const shown = (number) => (number === null ? "–" : count(number));
  reconcile($("#owners"), owners, (owner) => owner.owner, () => clone("owner-row"), (row, { owner, busy, most, share, waiting, jobs: active }) =>
    fill(row, { owner, busy: count(busy), most: shown(most), share: shown(share), waiting: count(waiting), jobs: count(active) }));
}

function hear({ overview, jobs: changed }) {
  clock.set(overview.now);
  nodes = overview.nodes;
  showNodes();
  const { busy, slots, active, jobs: all, running, waiting, in_batches: batched } = overview.totals;
  fill($("#stats"), { busy: count(busy), slots: count(slots), active: count(active), jobs: count(all), running: count(Math.max(running - batched, 0)), batched: count(batched), waiting: count(waiting) });
  $("#batched").hidden = !batched;
  $("#no-master").hidden = overview.leads;
  $("#suspended").hidden = !overview.suspended;
  showOwners(overview.owners);
  document.title = active ? `${words(active, "active job")} · disco-rq` : "Jobs · disco-rq";
  for (const job of changed) if (jobs.has(job.name)) jobs.set(job.name, job);
  const told = `${all} ${changed.map((job) => `${job.name} ${job.state}`).join()}`;
  // The list itself is asked for at first, and again only when jobs came, ended or went.
  if (told !== known) load();
  else showJobs();
  known = told;
}

const search = later(() => {
  offset = 0;
  const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
  load();
});
form.addEventListener("input", search);
form.addEventListener("submit", (event) => { event.preventDefault(); search(); });

showPager(Number($("#jobs-pager").dataset.total));
live(() => "/api/v1/stream", { overview: hear });
setInterval(() => {
  if (jobs.size) showJobs();
  if (nodes.length) showNodes();
}, 1000);
