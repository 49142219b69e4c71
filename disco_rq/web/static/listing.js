// A table whose rows come from the API: sorted by its heads, in pages, refreshed in place.
import { attr, h, reconcile, seen } from "./dom.js";
import { pager } from "./pager.js";

/**
 * columns: [{title, cell(row), sort: its name for the API (none: not sortable), number: bool}]
 * load({sort, order, offset, limit}) -> {total, rows}; key(row); caption: what the table is; empty: nodes to show instead.
 * Returns {element, refresh(), restart()}: restart begins again at the first page.
 */
export function listing({ columns, load, key, caption, empty, sort = null, order = "asc", limit = 100, rowClass = null }) {
  const state = { sort, order, offset: 0, limit };
  let asked = 0;
  const heads = columns.map((column) => head(column));
  const body = h("tbody");
  const box = h("div", { class: "card table-box listing" },
    h("table", {}, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, h("tr", {}, heads)), body));
  const pages = h("div", { class: "pager" });
  const none = h("div", { class: "empty", hidden: true }, empty);
  const wrong = h("p", { class: "notice", "data-kind": "bad", role: "alert", hidden: true });
  const element = h("div", { "aria-busy": "true" }, wrong, box, none, pages);

  function head(column) {
    const cell = h("th", { scope: "col", class: column.number ? "number" : null });
    cell.append(column.sort ? h("button", { type: "button", class: "sort", onclick: () => sortBy(column) }, column.title) : column.title);
    return cell;
  }

  function sortBy(column) {
    const again = state.sort === column.sort;
    state.order = again ? (state.order === "asc" ? "desc" : "asc") : column.number ? "desc" : "asc";
    state.sort = column.sort;
    restart();
  }

  function showOrder() {
    columns.forEach((column, i) => attr(heads[i], "aria-sort",
      column.sort && column.sort === state.sort && (state.order === "asc" ? "ascending" : "descending")));
  }

  function setRow(line, row) {
    const now = JSON.stringify(row);
    if (line.dataset.shown === now) return;
    line.dataset.shown = now;
    if (rowClass) attr(line, "class", rowClass(row));
    const had = line.contains(document.activeElement);
    line.replaceChildren(...columns.map((column) => h("td", { class: column.number ? "number" : column.class }, column.cell(row))));
    if (had) line.querySelector("a, button")?.focus();
  }

  async function refresh() {
    const mine = ++asked;
    try {
      const { total, rows } = await load({ ...state });
      if (mine !== asked) return;  // an older answer than what was asked for last
      wrong.hidden = true;
      reconcile(body, rows, key, () => h("tr"), setRow);
      box.hidden = !rows.length;
      none.hidden = rows.length > 0;
      pager(pages, { ...state, total }, (to) => { state.offset = to; refresh(); });
    } catch (error) {
      if (mine !== asked) return;
      wrong.textContent = seen(error.message);
      wrong.hidden = false;
    }
    element.removeAttribute("aria-busy");
  }

  function restart() {
    state.offset = 0;
    showOrder();
    return refresh();
  }

  showOrder();
  return { element, refresh, restart };
}
