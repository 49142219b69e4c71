// A question before what cannot be undone, and a word after what was done.
import { $, h } from "./dom.js";

/** Ask in a <dialog>; true when the reader agrees. Escape and "Cancel" say no; "Cancel" has the focus. */
export function confirmed({ title, text, action, danger = true }) {
  return new Promise((resolve) => {
    const cancel = h("button", { type: "submit", value: "", autofocus: true }, "Cancel");
    const go = h("button", { type: "submit", value: "yes", class: danger ? "primary danger" : "primary" }, action);
    const box = h(
      "dialog",
      { "aria-labelledby": "dialog-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        h("p", { class: "wrap-anywhere" }, text),
        h("div", { class: "choices" }, cancel, go)),
    );
    box.addEventListener("close", () => { resolve(box.returnValue === "yes"); box.remove(); });
    document.body.append(box);
    box.showModal();
  });
}

/** A line at the bottom of the page for some seconds; read out by screen readers. */
export function toast(text, kind = "good") {
  const line = h("p", { class: "toast", "data-kind": kind }, text);
  $("#toasts").append(line);
  setTimeout(() => line.remove(), kind === "bad" ? 9000 : 4000);
}
