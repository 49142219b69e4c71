// Elements are made here and nowhere else. Text goes in as text: no module of this page writes HTML.

const SVG = "http://www.w3.org/2000/svg";

const HIDDEN = /[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0001}\u{e0020}-\u{e007f}]/gu;
/** Text of others: what turns text around, or is there and not seen, is written out (as machine/escaping.py does). */
export const seen = (text) => String(text).replace(HIDDEN, (it) => `\\u${it.codePointAt(0).toString(16).padStart(4, "0")}`);

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : seen(child))));
  return element;
}

/** h("p", {class: "muted"}, "text", node, …): an element; strings become text nodes. */
export const h = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
/** The same for SVG. */
export const svg = (tag, attributes = {}, ...children) =>
  build(document.createElementNS(SVG, tag), attributes, children);

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** A copy of a server's <template>: the row or card that it renders itself on the first paint. */
export const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

/** Text of the parts of an element that carry data-f="name"; only what changed is touched. */
export function fill(element, texts) {
  for (const [name, text] of Object.entries(texts)) {
    for (const part of element.matches(`[data-f="${name}"]`) ? [element] : $$(`[data-f="${name}"]`, element)) {
      if (part.textContent !== seen(text)) part.textContent = seen(text);
    }
  }
}

export function attr(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Let the children of a list be those of `items`, by their data-key: kept where they are the same, so that focus stays. */
export function reconcile(list, items, key, make, update) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = list.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = old.get(name);
    old.delete(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    if (child === place) place = place.nextElementSibling;
    else list.insertBefore(child, place);
    update(child, item);
  }
  for (const child of old.values()) child.remove();
}

/** Calls `run` once, `wait` ms after the last call. */
export function later(run, wait = 200) {
  let timer = 0;
  return (...args) => { clearTimeout(timer); timer = setTimeout(run, wait, ...args); };
}
