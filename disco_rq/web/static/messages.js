// The history of a job: what it said itself, and what the system says of it. The newest line is at the bottom.
import { get, path } from "./api.js";
import { $, $$, clone, fill, later } from "./dom.js";
import { iso, moment } from "./format.js";

const MOST_LINES = 2000;  // kept in the page; older ones come again with "Show earlier ones"

function line({ id, at, host, kind, message }) {
  const item = clone("message-line");
  Object.assign(item.dataset, { key: id, kind });
  const time = $("time", item);
  time.dateTime = time.title = iso(at);
  time.textContent = moment(at);
  $(".host", item).title = host;
  fill(item, { host, message });
  return item;
}

export function messagesTab(job) {
  const list = $("#messages");
  const filter = $("#messages-filter");
  const own = $("#messages-own");
  const none = $("#no-messages");
  const earlier = $("#messages-earlier");

  const wanted = (item) => (!own.checked || item.dataset.kind === "msg")
    && item.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());

  function tellEmpty() {
    const any = $$("li", list).some((item) => !item.hidden);
    none.hidden = any;
    list.hidden = !any;
    none.textContent = list.children.length
      ? "No message is like that: shorten the filter."
      : "Nothing was said yet. A job speaks with msg(\"…\") in its map or reduce.";
  }

  function add(event) {
    const atEnd = list.hidden || list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const item = line(event);
    item.hidden = !wanted(item);
    list.append(item);
    if (list.children.length > MOST_LINES) {
      list.firstElementChild.remove();
      earlier.hidden = false;
    }
    if (!item.hidden && list.hidden) tellEmpty();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  async function before() {
    const { events, more } = await get(path("jobs", job.name, "events"), { before: list.firstElementChild?.dataset.key, limit: 200 });
    const height = list.scrollHeight;
    list.prepend(...events.map(line));
    choose();
    list.scrollTop += list.scrollHeight - height;
    earlier.hidden = !more;
  }

  function choose() {
    for (const item of list.children) item.hidden = !wanted(item);
    tellEmpty();
  }

  filter.addEventListener("input", later(choose, 80));
  own.addEventListener("change", choose);
  earlier.addEventListener("click", before);
  tellEmpty();
  list.scrollTop = list.scrollHeight;
  return { add, last: () => list.lastElementChild?.dataset.key ?? "0-0", update() {} };
}
