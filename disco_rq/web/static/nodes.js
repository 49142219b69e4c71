// The nodes, and what people decide about them.
import { path, post } from "./api.js";
import { serverClock, setNode } from "./cluster.js";
import { confirmed, toast } from "./dialog.js";
import { $, clone, fill, reconcile } from "./dom.js";
import { count } from "./format.js";
import { live } from "./live.js";

const list = $("#nodes");
const clock = serverClock(Date.now());
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
setInterval(() => { if (nodes.length) show(); }, 1000);  // heartbeats age
