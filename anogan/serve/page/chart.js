// A score over time: line, threshold, shaded alarms; drag, buttons or keys zoom, a cursor reads values out.

import { drawn, element } from "./dom.js";
import { figure, place } from "./words.js";

const HEIGHT = 280;
const EDGE = { left: 52, right: 12, top: 12, bottom: 28 };
const DRAG = 8; // pixels from which on a press is a drag
const NEAREST = 4; // rows that can be zoomed to at least
const GAP = 5; // times the usual step, from which on the line is broken
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

export class Chart {
  // data: {x, unit, stamps, score, p, threshold, alarms: [{from, to, text}]}; x ascending, score null where there is none
  #data = null;
  #view = null; // [from, to] of x; null: all
  #cursor = null; // a row
  #drag = null; // [begin, now] in pixels

  constructor(host, label) {
    this.plot = element("div", { className: "plot", tabIndex: 0 });
    this.plot.setAttribute("role", "application");
    this.plot.setAttribute("aria-label", `${label}: left and right move the cursor, plus and minus zoom, 0 shows all`);
    this.svg = drawn("svg", { "aria-hidden": "true" });
    this.readout = element("output", { className: "readout" });
    this.plot.append(this.svg);
    host.append(this.plot, element("div", { className: "controls" }, this.readout, this.#buttons()));
    this.#listen();
    new ResizeObserver(() => this.#render()).observe(this.plot);
  }

  show(data) {
    const steps = data.x.slice(1).map((value, i) => value - data.x[i]).sort((a, b) => a - b);
    this.#data = { ...data, step: steps[steps.length >> 1] || 1 };
    if (this.#cursor !== null && this.#cursor >= data.x.length) this.#cursor = null;
    this.#render();
  }

  all() {
    this.#zoomTo(null);
  }

  #buttons() {
    const button = (text, label, onClick) => {
      const made = element("button", { type: "button", textContent: text, title: label, onclick: onClick });
      made.setAttribute("aria-label", label);
      return made;
    };
    return element("div", { className: "buttons" },
      button("−", "Zoom out", () => this.#scale(2)), button("+", "Zoom in", () => this.#scale(0.5)),
      button("←", "Earlier", () => this.#shift(-0.5)), button("→", "Later", () => this.#shift(0.5)),
      button("All", "Show all", () => this.all()));
  }

  #listen() {
    const at = (event) => event.clientX - this.plot.getBoundingClientRect().left;
    this.plot.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.#drag = [at(event), at(event)];
      this.plot.setPointerCapture(event.pointerId);
    });
    this.plot.addEventListener("pointermove", (event) => {
      if (!this.#data) return;
      if (this.#drag) this.#drag[1] = at(event);
      this.#point(this.#nearest(this.#value(at(event))));
    });
    this.plot.addEventListener("pointerup", () => {
      const [begin, end] = (this.#drag ?? [0, 0]).toSorted((a, b) => a - b);
      this.#drag = null;
      if (end - begin >= DRAG) this.#zoomTo([this.#value(begin), this.#value(end)]);
    });
    this.plot.addEventListener("pointercancel", () => { this.#drag = null; this.#render(); });
    this.plot.addEventListener("dblclick", () => this.all());
    this.plot.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    if (!this.#data || event.ctrlKey || event.metaKey || event.altKey) return;
    const leap = event.shiftKey ? 10 : 1;
    const action = {
      ArrowLeft: () => this.#step(-leap), ArrowRight: () => this.#step(leap),
      "+": () => this.#scale(0.5), "=": () => this.#scale(0.5), "-": () => this.#scale(2), 0: () => this.all(),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  // From a pixel's worth of rows to the next, so that a long recording can be walked through.
  #step(by) {
    const [from, to] = this.#span();
    const first = this.#nearest(from);
    const rows = Math.max(1, Math.round((this.#nearest(to) - first) / Math.max(1, this.#width())));
    const start = this.#cursor ?? (by > 0 ? first - rows : this.#nearest(to) + rows);
    this.#point(Math.min(this.#data.x.length - 1, Math.max(0, start + by * rows)));
    const x = this.#data.x[this.#cursor];
    if (x < from || x > to) this.#shift(x < from ? -0.5 : 0.5);
  }

  #point(row) {
    const { stamps, score, p, alarms, x } = this.#data;
    this.#cursor = row;
    const alarm = alarms.find(({ from, to }) => x[row] >= from && x[row] <= to);
    const value = score[row] === null ? "no score yet" : `score ${figure(score[row])}, p-value ${figure(p[row])}`;
    this.readout.textContent = `${stamps[row]}: ${value}${alarm ? `, ${alarm.text}` : ""}`;
    this.#render();
  }

  #span() {
    const { x } = this.#data;
    return this.#view ?? [x[0], Math.max(x.at(-1), x[0] + this.#data.step)];
  }

  #zoomTo(view) {
    if (!this.#data?.x.length) return;
    const { x, step } = this.#data;
    this.#view = view && view[1] - view[0] < x.at(-1) - x[0] ? [view[0], Math.max(view[1], view[0] + NEAREST * step)] : null;
    this.#render();
  }

  #scale(by) {
    if (!this.#data?.x.length) return;
    const [from, to] = this.#span();
    const seen = this.#cursor === null ? null : this.#data.x[this.#cursor];
    const middle = seen !== null && seen >= from && seen <= to ? seen : (from + to) / 2;
    this.#slide([middle - by * (middle - from), middle + by * (to - middle)]);
  }

  #shift(by) {
    if (!this.#data?.x.length || !this.#view) return;
    const [from, to] = this.#view;
    this.#slide([from + by * (to - from), to + by * (to - from)]);
  }

  // Into what there is, as wide as it was.
  #slide([from, to]) {
    const { x } = this.#data;
    const over = Math.min(0, x.at(-1) - to) || Math.max(0, x[0] - from);
    this.#zoomTo([from + over, to + over]);
  }

  #width = () => this.plot.clientWidth - EDGE.left - EDGE.right;

  #value(pixel) {
    const [from, to] = this.#span();
    return from + (Math.min(1, Math.max(0, (pixel - EDGE.left) / this.#width())) * (to - from));
  }

  #nearest(value) {
    const { x } = this.#data;
    let low = 0;
    let high = x.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low > 0 && value - x[low - 1] < x[low] - value ? low - 1 : low;
  }

  #render() {
    const width = this.plot.clientWidth;
    if (!width || !this.#data?.x.length) {
      return this.svg.replaceChildren(drawn("text", { x: EDGE.left, y: HEIGHT / 2 }, "No rows yet"));
    }
    const { x, score, threshold, alarms, unit } = this.#data;
    const [from, to] = this.#span();
    const rows = [Math.max(0, this.#nearest(from) - 1), Math.min(x.length, this.#nearest(to) + 2)];
    const visible = score.slice(...rows).filter((value) => value !== null);
    const lowest = visible.reduce((a, b) => Math.min(a, b), 0);
    const highest = visible.reduce((a, b) => Math.max(a, b), 1.25 * threshold) * 1.05;
    const bottom = HEIGHT - EDGE.bottom;
    const across = (value) => EDGE.left + ((value - from) / (to - from)) * this.#width();
    const up = (value) => bottom - ((value - lowest) / (highest - lowest)) * (bottom - EDGE.top);
    const inside = (value) => Math.min(Math.max(value, EDGE.left), width - EDGE.right);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("height", HEIGHT);
    const bands = alarms.filter((alarm) => alarm.to >= from && alarm.from <= to).map((alarm) => {
      const [begin, end] = [inside(across(alarm.from)), inside(across(Math.min(alarm.to, to)))];
      return drawn("rect", { x: begin, width: Math.max(2, end - begin), y: EDGE.top, height: bottom - EDGE.top, class: "alarm" });
    });
    this.svg.replaceChildren(
      ...bands, ...this.#grid(across, up, [from, to], [lowest, highest], unit),
      drawn("path", { d: this.#path(rows, across, up), class: "score" }),
      drawn("line", { x1: EDGE.left, x2: width - EDGE.right, y1: up(threshold), y2: up(threshold), class: "limit" }),
      drawn("text", { x: width - EDGE.right, y: up(threshold) - 5, class: "limit-text" }, `threshold ${figure(threshold)}`),
      ...this.#marks(across, up, bottom),
    );
  }

  // Of many rows on one pixel, the lowest and the highest.
  #path([first, last], across, up) {
    const { x, score, step } = this.#data;
    const bucket = Math.max(1, Math.floor((last - first) / (2 * Math.max(1, this.#width()))));
    const parts = [];
    let pen = "M";
    for (let begin = first; begin < last; begin += bucket) {
      let low = -1;
      let high = -1;
      for (let i = begin; i < Math.min(last, begin + bucket); i++) {
        if (score[i] === null || (i > 0 && x[i] - x[i - 1] > GAP * step)) pen = "M";
        if (score[i] === null) continue;
        if (low < 0 || score[i] < score[low]) low = i;
        if (high < 0 || score[i] > score[high]) high = i;
      }
      for (const i of low < 0 ? [] : [...new Set([Math.min(low, high), Math.max(low, high)])]) {
        const px = Math.min(Math.max(across(x[i]), EDGE.left), EDGE.left + this.#width());
        parts.push(`${pen}${px.toFixed(1)} ${up(score[i]).toFixed(1)}`);
        pen = "L";
      }
    }
    return parts.join("");
  }

  #grid(across, up, [from, to], [lowest, highest], unit) {
    const end = EDGE.left + this.#width();
    const levels = ticks(lowest, highest, 4).flatMap((value) => [
      drawn("line", { x1: EDGE.left, x2: end, y1: up(value), y2: up(value), class: "grid" }),
      drawn("text", { x: EDGE.left - 8, y: up(value) + 4, class: "level" }, figure(value)),
    ]);
    const times = ticks(from, to, this.#width() / 110, unit).map((value) =>
      drawn("text", { x: Math.min(Math.max(across(value), EDGE.left + 30), end - 30), y: HEIGHT - 8, class: "time" }, place(value, unit, to - from)));
    return [...levels, ...times];
  }

  #marks(across, up, bottom) {
    const marks = [];
    const { x, score } = this.#data;
    if (this.#drag && Math.abs(this.#drag[1] - this.#drag[0]) >= DRAG) {
      const [begin, end] = this.#drag.toSorted((a, b) => a - b);
      marks.push(drawn("rect", { x: begin, width: end - begin, y: EDGE.top, height: bottom - EDGE.top, class: "selection" }));
    }
    const [from, to] = this.#span();
    if (this.#cursor !== null && x[this.#cursor] >= from && x[this.#cursor] <= to) {
      const at = across(x[this.#cursor]);
      marks.push(drawn("line", { x1: at, x2: at, y1: EDGE.top, y2: bottom, class: "cursor" }));
      if (score[this.#cursor] !== null) marks.push(drawn("circle", { cx: at, cy: up(score[this.#cursor]), r: 4, class: "cursor" }));
    }
    return marks;
  }
}

// Round values between two ends, about `most` of them.
function ticks(from, to, most, unit = "number") {
  const rough = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const decimal = [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= rough);
  const step = unit === "date" ? STEPS.find((seconds) => seconds >= rough) ?? decimal : decimal;
  const found = [];
  for (let value = Math.ceil(from / step) * step; value <= to; value += step) found.push(value);
  return found;
}
