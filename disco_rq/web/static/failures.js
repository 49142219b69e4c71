// Failed attempts, those of one cause together.
import { get, path } from "./api.js";
import { taskHref } from "./cluster.js";
import { copyButton } from "./copy.js";
import { h, reconcile } from "./dom.js";
import { time, words } from "./format.js";
import { badge } from "./tasks.js";

export function failuresTab(panel, job) {
  const list = h("div", { class: "failures" });
  const note = h("p", { class: "muted small" });
  const empty = h("div", { class: "empty", hidden: true }, h("strong", {}, "Nothing has failed"), "Failed attempts show here, with their traceback and the record at fault.");
  const task = (name) => h("a", { class: "mono", href: taskHref(job.name, name) }, name);

  function setGroup(card, group) {
    const now = JSON.stringify(group);
    if (card.dataset.shown === now) return;
    card.dataset.shown = now;
    const { example } = group;
    const open = card.querySelector("details")?.open ?? true;
    const rest = group.task_count - group.tasks.length;
    card.replaceChildren(
      h("div", { class: "node-head" },
        h("h3", { class: "wrap-anywhere" }, group.cause),
        h("span", { class: "failure-kind" }, group.fatal && h("span", { class: "mark bad" }, "ended the job"), " ", badge(group.kind))),
      h("p", { class: "small muted" }, `${words(group.count, "attempt")} of ${words(group.task_count, "task")} on ${group.nodes.join(", ") || "no node"}; first `,
        time(group.first), ", last ", time(group.last)),
      h("p", { class: "small task-links" }, group.tasks.map((name) => [task(name), " "]), rest > 0 && `and ${rest.toLocaleString()} more`),
      h("details", { open },
        h("summary", {}, `For example ${example.task}, attempt ${example.attempt} on ${example.node}`),
        h("p", { class: "wrap-anywhere" }, example.message),
        example.url && h("p", { class: "small muted wrap-anywhere" }, "reading ", h("span", { class: "mono" }, example.url)),
        example.traceback && h("pre", { class: "code", tabindex: "0" }, example.traceback),
        example.replay && h("p", { class: "small" }, "Once more, on your machine: ", h("code", { class: "wrap-anywhere" }, example.replay), copyButton(example.replay, "command"))));
  }

  async function update() {
    const told = await get(path("jobs", job.name, "failures"));
    reconcile(list, told.groups, (group) => `${group.kind} ${group.cause}`, () => h("article", { class: "card failure" }), setGroup);
    empty.hidden = told.groups.length > 0;
    note.textContent = told.groups.length ? `${words(told.failed, "failed attempt")}${told.truncated ? "; the largest groups are shown" : ""}` : "";
  }
  panel.replaceChildren(note, list, empty);
  return { update };
}
