// "51 to 100 of 2,345" with the two buttons; nothing where one page holds all.
import { h } from "./dom.js";
import { count } from "./format.js";

export function pager(box, { offset, limit, total }, go) {
  box.hidden = total <= limit && offset === 0;
  if (box.hidden) { box.replaceChildren(); return; }
  const last = Math.min(offset + limit, total);
  const had = box.contains(document.activeElement) ? document.activeElement.dataset.go : null;
  const button = (to, text, name, off) =>
    h("button", { type: "button", "data-go": name, disabled: off, onclick: () => go(to) }, text);
  box.replaceChildren(
    button(Math.max(offset - limit, 0), "‹ Previous", "back", offset === 0),
    h("span", { "aria-live": "polite" }, total ? `${count(offset + 1)} to ${count(last)} of ${count(total)}` : "none"),
    button(offset + limit, "Next ›", "on", last >= total),
  );
  if (had) box.querySelector(`[data-go="${had}"]`).focus();
}
