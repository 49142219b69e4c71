// A list on the left, what was chosen of it on the right; one below the other where there is no room.
import { h } from "./dom.js";

export function split(list, hint) {
  const view = h("section", { class: "card view", "aria-live": "polite" }, h("p", { class: "muted view-hint" }, hint));
  const element = h("div", { class: "split" }, list, view);
  /** Show what `make` gives; where it fails, why. */
  async function show(make) {
    view.setAttribute("aria-busy", "true");
    try {
      view.replaceChildren(...[await make()].flat());
    } catch (error) {
      view.replaceChildren(h("p", { class: "notice", "data-kind": "bad" }, error.message));
    }
    view.removeAttribute("aria-busy");
    if (view.getBoundingClientRect().top > innerHeight) view.scrollIntoView({ block: "nearest" });
  }
  return { element, show };
}
