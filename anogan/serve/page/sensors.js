// Sensors: a recording scored as a whole. The live feed is in live.js.

import { address, json, patiently } from "./api.js";
import { Chart } from "./chart.js";
import { dated, download } from "./csv.js";
import { $, announce, element, table, takesFiles } from "./dom.js";
import { axis, figure, shares } from "./words.js";

const ALARM_COLUMNS = [
  ["No.", (alarm) => alarm.number],
  ["Begin", (alarm) => alarm.start],
  ["End", (alarm) => alarm.end ?? "lasts"],
  ["Peak", (alarm) => figure(alarm.peak)],
  ["p-value of such a peak", (alarm) => figure(alarm.p_value)],
  ["Kind", (alarm) => alarm.kind],
  ["Channels", (alarm) => shares(alarm.shares, 5)],
];

let model = null;
let chart = null;
let scored = null; // {file, model, rows, alarms, notes}
let running = null; // AbortController

export function startSensors() {
  chart = new Chart($("csv-chart"), "Score over time in the recording");
  takesFiles($("sensors"), $("choose-csv"), $("csv"), ([file]) => file && score(file));
  $("rows-export").addEventListener("click", () => download(dated("scores"), [
    ["time", "score", "p_value", "alarm"],
    ...scored.rows.map((row) => [row.time, row.score, row.p_value, row.alarm]),
  ]));
  $("alarms-export").addEventListener("click", () => download(dated("alarms"), alarmRows(scored.alarms, scored.model)));
}

export function sensorsFor(chosen) {
  if (model?.name !== chosen.name) forget();
  model = chosen;
}

function forget() {
  running?.abort();
  $("recording").hidden = true;
  $("csv-state").textContent = "";
}

async function score(file) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const asked = model;
  const say = (text) => { $("csv-state").textContent = text; };
  say(`Scoring ${file.name} …`);
  try {
    const headers = { "Content-Type": "text/csv" };
    const send = () => json(address(asked.name, "/score"), { method: "POST", body: file, headers, signal });
    const answer = await patiently(send, signal, (error, seconds) => say(`${error.message}; trying again in ${Math.ceil(seconds)} s`));
    scored = { ...answer, file, model: asked };
    show();
    say(summary());
  } catch (error) {
    if (error.name !== "AbortError") say(`${file.name} could not be scored: ${error.message}.`);
  }
  announce($("csv-state").textContent);
}

function summary() {
  const { file, rows, alarms, notes } = scored;
  const number = alarms.length === 1 ? "1 alarm" : `${alarms.length || "no"} alarms`;
  return [`${file.name}: ${number} in ${rows.length.toLocaleString("en")} rows`, ...notes].join("; ");
}

function show() {
  $("recording").hidden = false;
  chart.show(plotted(scored.rows, scored.alarms, scored.model));
  chart.all();
  $("csv-alarms").replaceChildren(alarmTable(scored.alarms));
}

// What a chart needs of rows and alarms; an alarm lies where its begin and end stand among the rows.
export function plotted(rows, alarms, { alarm: { threshold } }) {
  const stamps = rows.map((row) => row.time);
  const { x, unit } = axis(stamps);
  const places = new Map(stamps.map((stamp, i) => [String(stamp), x[i]]).toReversed());
  const bands = alarms.map((alarm) => ({
    from: places.get(String(alarm.start)) ?? x[0],
    to: alarm.end === null ? Infinity : places.get(String(alarm.end)) ?? -Infinity, // it ended before the first row
    text: `alarm ${alarm.number}: ${shares(alarm.shares)}`,
  }));
  return { x, unit, stamps, score: rows.map((row) => row.score), p: rows.map((row) => row.p_value), threshold, alarms: bands };
}

export function alarmTable(alarms) {
  if (!alarms.length) return element("p", { className: "aside", textContent: "No alarms." });
  return table(ALARM_COLUMNS, alarms);
}

export function alarmRows(alarms, { name, sha256, channels }) {
  const heading = ["number", "start", "end", "peak", "p_value", "kind", "rise_s", ...channels.map((channel) => `share ${channel}`)];
  return [[...heading, "model", "bundle"], ...alarms.map((alarm) => [
    alarm.number, alarm.start, alarm.end, alarm.peak, alarm.p_value, alarm.kind, alarm.rise,
    ...channels.map((channel) => alarm.shares?.[channel] ?? null), name, sha256,
  ])];
}
