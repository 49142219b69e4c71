// Lines over time. Where nothing is known there is no line.
import { h, svg } from "./dom.js";
import { moment } from "./format.js";

const HEIGHT = 72;
const WIDTH = 600;

function line(values, x, y) {
  let path = "";
  let pen = false;
  values.forEach((value, i) => {
    if (value === null || value === undefined) pen = false;
    else {
      path += `${pen ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      if (!pen && (values[i + 1] ?? null) === null) path += "h2";  // one alone
      pen = true;
    }
  });
  return path;
}

/**
 * A chart in words and lines. times: of the values, in ms; series: [{name, kind, values}], kind "map", "reduce" or "of";
 * format: of a value; from, to: words for the ends, else their times; whole: what the values are a part of.
 */
export function chart({ title, times, series, format, from, to, whole = 0 }) {
  const most = Math.max(...series.flatMap(({ values }) => values.filter((value) => value !== null)), whole);
  const known = times.filter((time) => time !== null);
  const [first, last] = [known[0], known.at(-1)];
  const x = (i) => (times[i] === null || last === first ? 0 : ((times[i] - first) / (last - first)) * WIDTH);
  const y = (value) => HEIGHT - 2 - (most ? value / most : 0) * (HEIGHT - 6);
  const now = ({ name, values }) => `${name} ${format(values.findLast((value) => value !== null) ?? 0)}`;
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${title}: at the end ${series.map(now).join(", ")}; at most ${format(most)}` },
  series.map(({ kind, values }) => svg("path", { class: "series", "data-phase": kind, d: line(values, x, y) })));
  return h("figure", { class: "chart-box" },
    h("figcaption", { class: "small" }, h("span", { class: "muted" }, title), h("span", { class: "legend" }, series.map((one) => h("span", {}, h("span", { class: "key", "data-phase": one.kind }), now(one))))),
    picture,
    h("p", { class: "chart-axis muted" }, h("span", {}, from ?? moment(first)), h("span", {}, `0 to ${format(most)}`), h("span", {}, to ?? moment(last))));
}
