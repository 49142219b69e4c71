// Numbers and times as people read them, in the reader's language and zone; times in milliseconds. figures.py does it for the first paint.
import { h } from "./dom.js";

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

/** 1234567 → "1,234,567". */
export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));
/** 1234567 → "1.2M". */
export const brief = (n) => (n === null || n === undefined ? "–" : n < 10000 ? whole.format(n) : short.format(n));

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = -1;
  let value = bytes;
  while (value >= 1023.95 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** Milliseconds as "340 ms", "4.2 s", "1 min 5 s", "2 h 3 min", "3 d 4 h". */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 1000) return `${Math.max(Math.round(ms), 0)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.floor(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(s % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How old something is, in its largest unit: "12 s", "3 min", "5 h", "2 d". */
export function age(ms) {
  const s = Math.max(Math.floor(ms / 1000), 0);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

/** A number a second: "0.4", "2.5", "37", "1,250". */
export const rate = (n) => (n >= 10 ? whole.format(Math.round(n)) : n.toFixed(1));

const clockOf = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dayOf = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** A moment (milliseconds since 1970) in the reader's zone: the time, and the day if it was not today. */
export function moment(ms) {
  const date = new Date(ms);
  const today = new Date().toDateString() === date.toDateString();
  return today ? clockOf.format(date) : `${dayOf.format(date)}, ${clockOf.format(date)}`;
}
export const iso = (ms) => new Date(ms).toISOString();

/** <time> with the ISO form as its title. */
export const time = (ms) =>
  ms === null || ms === undefined ? h("span", {}, "–") : h("time", { datetime: iso(ms), title: iso(ms) }, moment(ms));

/** Times of the first paint are UTC: put them into the reader's zone. */
export function localTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    element.textContent = moment(Date.parse(element.dateTime));
  }
}

export const words = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
