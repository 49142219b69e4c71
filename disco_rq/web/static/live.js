// Server-sent events: one stream a page. The browser reconnects by itself and tells where it was (Last-Event-ID); what it
// gives up on is opened again here, ever more slowly. A page that nobody sees for a while lets its stream go: a browser
// has six connections to a server for all its tabs together. It is live when data comes: a server that cannot reach Redis
// takes the connection and sends none. What is shown is dimmed then, with the time of the last that came.
import { $ } from "./dom.js";
import { moment } from "./format.js";

const SLOWEST_MS = 15000;
const UNSEEN_MS = 60000;
const AGAIN_MS = 2000;
const SILENT_MS = 15000;  // a stream that goes on sends something every five seconds

const WORDS = { live: "Live", lost: "Connection lost, trying again", resting: "Resting until it is seen", ended: "Ended" };

function say(state) {
  const badge = $("#live");
  if (!badge || badge.dataset.state === state) return;
  badge.dataset.state = state;
  badge.title = $("span", badge).textContent = WORDS[state];
}

let heard = Date.now();  // the page itself came with data

/** Data came. */
export function fresh() {
  heard = Date.now();
  setStale(false);
}

/** No more data comes: dim what is shown and say of when it is. */
export function setStale(stale) {
  const note = $("#stale");
  document.documentElement.toggleAttribute("data-stale", stale);
  note.hidden = !stale;
  const text = stale ? `The master or its Redis cannot be reached, trying again. This page is as of ${moment(heard)}.` : "";
  if (note.textContent !== text) note.textContent = text;
}

function lost() {
  say("lost");
  setStale(true);
}

/** What `ask` gives, asked until somebody answers; what the server says no to is thrown. */
export async function reached(ask) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error.status && error.status < 500) throw error;
      lost();
      await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
    }
  }
}

/** `url()` where to go on; `handlers`: event name -> function of its data. Returns a function that ends the stream for good. */
export function live(url, handlers) {
  const ended = new AbortController();
  let source = null;
  let pause = 500;
  let again = 0;
  let unseen = 0;
  let silent = 0;

  function hear() {
    pause = 500;
    clearTimeout(silent);
    silent = setTimeout(lost, SILENT_MS);
    fresh();
    say("live");
  }

  function open() {
    source = new EventSource(url());
    silent = setTimeout(lost, SILENT_MS);
    source.onerror = () => {
      clearTimeout(silent);
      lost();
      if (source.readyState !== EventSource.CLOSED) return;
      again = setTimeout(open, pause);
      pause = Math.min(pause * 2, SLOWEST_MS);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => { hear(); handle(event.data ? JSON.parse(event.data) : null); });
    }
  }

  function rest(state) {
    clearTimeout(again);
    clearTimeout(unseen);
    clearTimeout(silent);
    setStale(false);
    source?.close();
    source = null;
    say(state);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(unseen);
    if (document.hidden) unseen = setTimeout(rest, UNSEEN_MS, "resting");
    else if (!source) open();
  }, { signal: ended.signal });
  open();
  return () => { ended.abort(); rest("ended"); };
}
