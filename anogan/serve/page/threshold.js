// Another threshold, tried on this session: which share of good parts it would flag, and what becomes of the verdicts.

import { $, drawn } from "./dom.js";
import { session } from "./session.js";
import { falseAlarms, figure, rateInWords } from "./words.js";

const STEPS = 400;
const REACH = 1.6; // of the highest held-out score, unless the session has seen higher ones
const FURTHEST = 4; // of the same: one very bad part must not make the slider coarse
const HEIGHT = 64; // of the strip

let model = null;
let range = [0, 1];

export function startThreshold() {
  $("threshold").max = STEPS;
  $("threshold").addEventListener("input", () => attempt(scoreAt(Number($("threshold").value) / STEPS)));
  $("threshold-number").addEventListener("change", () => {
    const given = $("threshold-number").valueAsNumber;
    attempt(Number.isFinite(given) ? given : null);
  });
  $("threshold-reset").addEventListener("click", () => attempt(null));
  session.addEventListener("change", refresh);
  session.addEventListener("select", strip);
  new ResizeObserver(strip).observe($("strip"));
}

export function thresholdFor(chosen) {
  model = chosen;
  refresh();
}

const attempt = (threshold) => session.tryThreshold(model, threshold);
const scoreAt = (share) => Number((range[0] + share * (range[1] - range[0])).toPrecision(4)); // what is shown is what holds
const mine = () => session.entries.filter(({ model: { sha256 }, result }) => sha256 === model.sha256 && result.verdict !== "error");

function refresh() {
  if (!model) return;
  const held = model.calibration;
  const highest = Math.max(held.at(-1), model.threshold);
  const low = Math.min(held[0], 0);
  const seen = Math.max(...mine().map(({ result }) => result.score), low + REACH * (highest - low));
  range = [low, Math.min(seen, low + FURTHEST * (highest - low))];
  const own = session.tried(model);
  const threshold = own ?? model.threshold;
  const words = rateInWords(falseAlarms(held, model.n_calibration, threshold), model.n_calibration);
  const whose = own === null ? "The model's own threshold" : "Your threshold";
  $("threshold").value = Math.round((STEPS * (threshold - range[0])) / (range[1] - range[0]));
  $("threshold").setAttribute("aria-valuetext", `${figure(threshold)}. ${words}`);
  $("threshold-number").value = figure(threshold);
  $("threshold-reset").disabled = own === null;
  $("rate").textContent = `${whose}, ${figure(threshold)}. ${words}` +
    (own === null ? "" : ` The model's own is ${figure(model.threshold)}.`);
  strip();
}

// Held-out good parts as ticks below the line, this session's photos as dots above it, thresholds across.
function strip() {
  const width = $("strip").clientWidth;
  if (!model || !width) return;
  const x = (score) => 8 + (width - 16) * Math.min(1, Math.max(0, (score - range[0]) / (range[1] - range[0])));
  const upright = (score, top, bottom, name) =>
    drawn("line", { x1: x(score), x2: x(score), y1: top, y2: bottom, class: name });
  const dots = mine().map((entry) => drawn("circle", {
    cx: x(entry.result.score), cy: 22, r: entry === session.selected ? 7 : 4.5,
    class: `dot ${session.verdict(entry)}${entry === session.selected ? " chosen" : ""}`,
  }));
  const own = session.tried(model);
  $("strip").setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  $("strip").setAttribute("aria-label", `Scores from ${figure(range[0])} to ${figure(range[1])}: held-out good parts and this session's photos`);
  $("strip").replaceChildren(
    drawn("line", { x1: 8, x2: width - 8, y1: 36, y2: 36, class: "base" }),
    ...model.calibration.map((score) => upright(score, 38, 48, "good")),
    upright(model.threshold, 6, 50, own === null ? "limit" : "limit faint"),
    ...(own === null ? [] : [upright(own, 6, 50, "limit")]),
    ...dots,
    drawn("text", { x: 8, y: 62 }, "held-out good parts below the line, this session's photos above it"),
  );
}
