// The nodes, and what people decide about them.
import { get, path, post } from "./api.js";
import { chart } from "./charts.js";
import { serverClock, setNode } from "./cluster.js";
import { confirmed, toast } from "./dialog.js";
import { $, $$, clone, fill, reconcile } from "./dom.js";
import { count, rate, size } from "./format.js";
import { live } from "./live.js";

const list = $("#nodes");
const clock = serverClock(Date.now());
const LOOK_MS = 2500;
let nodes = [];

const ACTIONS = {
  blacklist: {
    title: "Blacklist this node?",
    text: (node) => `${node} gets no new tasks, and those that wait for it move to other nodes. It stays so, over restarts, until you give it tasks again.`,
    action: "Blacklist",
    done: (node) => `${node} is blacklisted`,
  },
  drain: { done: (node) => `${node} ends what it runs and gets nothing new` },
  forget: { done: (node) => `${node} is forgotten` },
  whitelist: { done: (node) => `${node} gets tasks again` },
};

function setDetail(detail, node) {
  setNode(detail, node, clock.now());
  detail.dataset.node = node.node;
  fill(detail, {
    host: node.host || "–",
    load: node.load === null || node.load === undefined ? "–" : node.load.toFixed(2),
    queued: count(node.queued),
    versions: `disco-rq ${node.version || "?"}, Python ${node.python || "?"}`,
  });
  const held = node.blacklisted || node.draining;
  const hidden = { whitelist: !held, blacklist: node.blacklisted, drain: held, forget: !["gone", "left"].includes(node.state) };
  for (const button of detail.querySelectorAll("[data-action]")) button.hidden = hidden[button.dataset.action];
}

function show() {
  reconcile(list, nodes, (node) => node.node, () => clone("node-detail"), setDetail);
  $("#no-nodes").hidden = nodes.length > 0;
}

/** The last hour, of all and of each node. */
async function showHour() {
  const { at: times, throughput, slots, busy, nodes: each } = await get("/load");
  if (times.filter((time) => time !== null).length < 2) return;
  $("#hour").hidden = false;
  $("#charts").replaceChildren(
    chart({ title: "Tasks done a second", times, series: [{ name: "now", kind: "map", values: throughput }], format: rate }),
    chart({ title: "Slots", times, series: [{ name: "busy", kind: "map", values: busy }, { name: "of", kind: "of", values: slots }], format: count }));
  for (const detail of $$(".node-detail", list)) {
    const one = each.find(({ node }) => node === detail.dataset.key);
    $("[data-charts]", detail).replaceChildren(...(one ? [
      chart({ title: "Memory in use", times, series: [{ name: "now", kind: "map", values: one.memory }], format: size, whole: nodes.find(({ node }) => node === one.node)?.memory_total ?? 0 }),
      chart({ title: "CPU load", times, series: [{ name: "now", kind: "map", values: one.load }], format: (n) => n.toFixed(2) })] : []));
  }
}

list.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-action]");
  if (!button) return;
  const { node } = button.closest(".node-detail").dataset;
  const { done, ...question } = ACTIONS[button.dataset.action];
  if (question.title && !(await confirmed({ ...question, text: question.text(node) }))) return;
  try {
    await post(path("nodes", node, button.dataset.action));
    toast(done(node));
  } catch (error) {
    toast(error.message, "bad");
  }
});

live(() => "/api/v1/stream", { overview: ({ overview }) => { clock.set(overview.now); nodes = overview.nodes; show(); } });
const look = () => { if (!document.hidden) showHour().catch(() => {}); };  // what is shown stays; that it is old is told already
setTimeout(look, 500);
setInterval(look, LOOK_MS);
setInterval(() => { if (nodes.length) show(); }, 1000);  // heartbeats age
