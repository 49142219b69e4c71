// A job's pilot: how far it is, and once it is through what the rest will take.
import { get, path } from "./api.js";
import { $, h } from "./dom.js";
import { count, duration, size, words } from "./format.js";

const seconds = (s) => duration(1000 * s);
const whole = (n) => count(Math.round(n));

/** "4 min 10 s (3 min 2 s to 6 min 1 s)". */
function between(range, text) {
  const [expected, low, high] = [range.expected, range.low, range.high].map(text);
  return low === high ? expected : `${expected} (${low} to ${high})`;
}

function rows(told) {
  return [
    ["Time left", between(told.seconds, seconds)],
    told.reduce_seconds.expected > 0 && ["Of it the reduces", between(told.reduce_seconds, seconds)],
    told.check_seconds !== null && ["Of it the checks", `${between(told.check_seconds, seconds)}; ${between(told.check_slot_seconds, seconds)} of slots`],
    ["Slots", count(told.slots)],
    ["Map output", between(told.bytes, size)],
    ["Map records", between(told.records, whole)],
    told.skew !== null && ["Largest partition", `${told.skew.toFixed(1)} times the mean one`],
    ["Memory of the largest task", size(told.memory)],
    ["Bad entries", count(told.bad)],
    ["Failed attempts", count(told.failed)],
    ...told.suggestions.map((line) => ["Suggested", line]),
  ].filter(Boolean);
}

/** Keeps the section; asks as long as there may be news. */
export function pilotSection(section, name) {
  let over = false;

  function show(told) {
    over = told.seconds !== null;
    section.hidden = !told.maps;
    $("h2", section).textContent = over ? `After a pilot of ${words(told.maps, "map")}` : "Pilot";
    $("p", section).textContent = over ? "" : `${count(told.done)} of ${words(told.maps, "map")} done`;
    $("dl", section).replaceChildren(...(over ? rows(told) : []).flatMap(([title, value]) =>
      [h("dt", {}, title), h("dd", { class: "wrap-anywhere" }, value)]));
  }

  async function update(job) {
    if (job.pilot && !over) show(await get(path("jobs", name, "pilot")));
    $("[data-waits]", section).hidden = !(over && job.paused && job.state === "active");
  }
  return { update };
}
