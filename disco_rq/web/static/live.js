// Server-sent events: one stream a page. The browser reconnects by itself and tells where it was (Last-Event-ID); what it
// gives up on is opened again here, ever more slowly.
import { $ } from "./dom.js";

const SLOWEST_MS = 15000;

function say(state) {
  const badge = $("#live");
  if (!badge || badge.dataset.state === state) return;
  badge.dataset.state = state;
  const text = { live: "Live", lost: "Connection lost, trying again", ended: "Ended", waiting: "Connecting" }[state];
  $("span", badge).textContent = text;
  badge.title = text;
}

/** `url()` where to go on; `handlers`: event name -> function of its data. Returns a function that ends the stream for good. */
export function live(url, handlers) {
  let source = null;
  let pause = 500;
  let timer = 0;
  function open() {
    source = new EventSource(url());
    source.onopen = () => { pause = 500; say("live"); };
    source.onerror = () => {
      say("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, pause);
      pause = Math.min(pause * 2, SLOWEST_MS);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(event.data ? JSON.parse(event.data) : null, event));
    }
  }
  open();
  return () => { clearTimeout(timer); source.close(); say("ended"); };
}
