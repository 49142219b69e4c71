// A button that puts an address or a command into the clipboard.
import { toast } from "./dialog.js";
import { h, svg } from "./dom.js";

const sheet = (at) => svg("rect", { x: at, y: at, width: 8, height: 8, rx: 1.5 });
const icon = () => svg("svg", { viewBox: "0 0 14 14", width: 13, height: 13, fill: "none", stroke: "currentColor", "stroke-width": 1.3, "aria-hidden": "true" }, sheet(1), sheet(5));

/** The button for a text; `what` it is: "address", "command". */
export const copyButton = (text, what) =>
  h("button", { type: "button", class: "quiet copy", "data-copy": text, "aria-label": `Copy the ${what}`, title: `Copy the ${what}` }, icon());

/** A page that came over plain HTTP has no clipboard of its own: there what is selected is copied. */
function copySelected(text) {
  const field = h("textarea", { class: "visually-hidden", readonly: true, "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("the browser does not allow it");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(button.dataset.copy);
    else copySelected(button.dataset.copy);
    toast("Copied");
  } catch (error) {
    toast(`It was not copied: ${error.message}`, "bad");
  }
  button.focus();
});
