// Tabs after the WAI-ARIA pattern: one stop for Tab, arrow keys, Home and End move and open; the address keeps the choice.
import { $, $$ } from "./dom.js";

/** `open(name, panel)` is called when a tab is shown, the first one too. Returns a function that opens a tab by name. */
export function tabs(list, open) {
  const all = $$('[role="tab"]', list);
  const named = (name) => all.find((tab) => tab.dataset.tab === name);

  function show(tab, { focus = false, keep = true } = {}) {
    for (const other of all) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", chosen);
      other.tabIndex = chosen ? 0 : -1;
      $(`#${other.getAttribute("aria-controls")}`).hidden = !chosen;
    }
    if (focus) tab.focus();
    list.scrollTo({ left: tab.offsetLeft - list.clientWidth / 2 + tab.clientWidth / 2 });
    if (keep) history.replaceState(null, "", `#${tab.dataset.tab}`);
    open(tab.dataset.tab, $(`#${tab.getAttribute("aria-controls")}`));
  }

  list.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) show(tab);
  });
  list.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    show(all[(to + all.length) % all.length], { focus: true });
  });
  addEventListener("hashchange", () => {
    const tab = named(location.hash.slice(1));
    if (tab && tab.getAttribute("aria-selected") !== "true") show(tab, { keep: false });
  });
  show(named(location.hash.slice(1)) || all[0], { keep: false });
  return (name) => show(named(name));
}
