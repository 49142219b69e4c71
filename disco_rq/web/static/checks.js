// The maps of a job that run twice: how many gave the same, which, and what differs.
import { get, path } from "./api.js";
import { $, h } from "./dom.js";
import { count, duration, words } from "./format.js";

const MOST = 100;
const WORDS = { same: "gave the same", differs: "differs", unchecked: "could not be checked" };

/** "12 of 20 maps gave the same when they ran a second time". */
function line(check) {
  const same = check.done - check.unchecked;
  const unchecked = check.unchecked ? `, ${count(check.unchecked)} could not be checked` : "";
  return `${count(same)} of ${words(check.maps, "map")} gave the same when they ran a second time${unchecked}; ${duration(1000 * check.seconds)} of slots`;
}

function row(name, one) {
  const href = `/jobs/${encodeURIComponent(name)}/tasks/${encodeURIComponent(one.check)}`;
  const where = one.node ? `, on ${one.map_node || "–"} and on ${one.node}` : "";
  return h("li", {}, h("a", { href }, one.map), ` ${WORDS[one.state] ?? one.state}${where}`);
}

/** Keeps the section; asks which maps these are while it is open and there is news. */
export function checksSection(section, name) {
  let shown = "", job = null;

  async function list() {
    const now = JSON.stringify([job.check, job.state]);
    if (!$("details", section).open || now === shown) return;
    shown = now;
    const told = await get(path("jobs", name, "checks"), { limit: MOST });
    const more = told.total - told.maps.length;
    $("ul", section).replaceChildren(...told.maps.map((one) => row(name, one)), ...(more > 0 ? [h("li", {}, `and ${words(more, "map")} more`)] : []));
  }

  $("details", section).addEventListener("toggle", () => list().catch(() => { shown = ""; }));

  async function update(now) {
    job = now;
    section.hidden = !job.check;
    if (!job.check) return;
    $("p", section).textContent = line(job.check);
    await list();
  }
  return { update };
}
