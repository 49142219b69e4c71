// Server-sent events: one stream a page. The browser reconnects by itself and tells where it was (Last-Event-ID); what it
// gives up on is opened again here, ever more slowly. A page that nobody sees for a while lets its stream go: a browser
// has six connections to a server for all its tabs together.
import { $ } from "./dom.js";

const SLOWEST_MS = 15000;
const UNSEEN_MS = 60000;

const WORDS = { live: "Live", lost: "Connection lost, trying again", resting: "Resting until it is seen", ended: "Ended" };

function say(state) {
  const badge = $("#live");
  if (!badge || badge.dataset.state === state) return;
  badge.dataset.state = state;
  badge.title = $("span", badge).textContent = WORDS[state];
}

/** `url()` where to go on; `handlers`: event name -> function of its data. Returns a function that ends the stream for good. */
export function live(url, handlers) {
  const ended = new AbortController();
  let source = null;
  let pause = 500;
  let again = 0;
  let unseen = 0;

  function open() {
    source = new EventSource(url());
    source.onopen = () => { pause = 500; say("live"); };
    source.onerror = () => {
      say("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      again = setTimeout(open, pause);
      pause = Math.min(pause * 2, SLOWEST_MS);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(event.data ? JSON.parse(event.data) : null));
    }
  }

  function rest(state) {
    clearTimeout(again);
    clearTimeout(unseen);
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
