// The live feed: the server's events on a chart, with the alarm that lasts above it.

import { address, events, pause } from "./api.js";
import { Chart } from "./chart.js";
import { dated, download } from "./csv.js";
import { $ } from "./dom.js";
import { alarmRows, alarmTable, plotted } from "./sensors.js";
import { figure, shares } from "./words.js";

const ROWS = 1000; // on the chart
const SILENT = 60; // s without rows, or SILENT_STEPS of the model's if that is longer: then it is said that none come
const SILENT_STEPS = 20;
const DRAWN = 50; // ms between two drawings at least
const TITLE = document.title;
const SLOWEST = 30; // s between two attempts to connect

let chart = null;
let model = null;
let onNewModel = () => {};
let connection = null; // AbortController
let connected = false;
let arrived = 0; // ms, when the last rows came
let drawing = false;
let rows = [];
let alarms = []; // since the page was opened, the newest first

export function startLive(reload) {
  onNewModel = reload;
  chart = new Chart($("live-chart"), "Live score");
  setInterval(() => connection && banner(), 5000);
  $("live-export").addEventListener("click", () => download(dated("alarms"), alarmRows(alarms, model)));
}

export function watch(chosen) {
  if (connection && model.name === chosen.name) {
    model = chosen; // the same machine, by a newer bundle
    return draw();
  }
  stopWatching();
  [model, rows, alarms] = [chosen, [], []];
  draw();
  connect(chosen.name);
}

export function stopWatching() {
  document.title = TITLE;
  connection?.abort();
  connection = null;
}

async function connect(name) {
  connection = new AbortController();
  const { signal } = connection;
  for (let failed = 0; !signal.aborted; failed++) {
    try {
      state("connecting", "Connecting …");
      await events(address(name, "/events"), signal, () => {
        failed = 0;
        rows = []; // the server sends the last ones again, and the alarm that lasts
        endLasting("while not connected");
        arrived = Date.now();
        state("connected", "Connected, no rows yet");
      }, receive);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 404) return state("lost", `Not connected: ${error.message}`);
    }
    const seconds = Math.min(2 ** failed, SLOWEST);
    state("lost", `Connection lost: trying again in ${seconds} s`);
    await pause(seconds, signal).catch(() => {});
  }
}

function state(name, text) {
  if (connected !== (name === "connected")) draw();
  connected = name === "connected";
  $("live-state").className = `state ${name}`;
  $("live-state").textContent = text;
}

function receive(kind, data) {
  if (kind === "rows") addRows(data);
  if (kind === "alarm" && data.change === "end") addAlarm(data); // of one that begins the rows tell, as it is now
  if (kind === "model") renew(data);
}

function renew({ kept }) {
  if (!kept) {
    rows = [];
    endLasting("with the model");
  }
  onNewModel();
}

function endLasting(end) {
  for (const alarm of alarms.filter((other) => other.end === null)) alarm.end = end;
}

function addRows(data) {
  if (data.alarm) addAlarm(data.alarm);
  if (!data.rows.length) return;
  rows = rows.concat(data.rows).slice(-ROWS);
  arrived = Date.now();
  state("connected", `Connected, last row ${rows.at(-1).time}`);
  const named = shares(data.shares, 5);
  $("live-shares").textContent = named && `Shares of the channels in the last score: ${named}`;
  draw();
}

function addAlarm(alarm) {
  const known = alarms.find(({ number, start }) => number === alarm.number && start === alarm.start);
  if (known) Object.assign(known, alarm);
  else alarms.unshift(alarm);
  draw();
}

// However fast rows come. Not by frames, of which a tab in the background has none.
function draw() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    chart.show(plotted(rows, alarms, model));
    $("live-alarms").replaceChildren(alarmTable(alarms));
    $("live-export").disabled = !alarms.length;
    banner();
  }, DRAWN);
}

function banner() {
  const lasting = alarms.find((alarm) => alarm.end === null);
  const score = rows.findLast((row) => row.score !== null)?.score;
  const said = judged(lasting, score);
  const now = score === undefined ? "" : `Score ${figure(score)}, threshold ${figure(model.alarm.threshold)}`;
  const detail = lasting ? `${lasting.kind}; ${shares(lasting.shares)}` : "";
  $("live-alarm").className = `verdict ${said.look}`;
  $("live-now").textContent = now;
  document.title = lasting ? `ALARM · ${model.name}` : TITLE; // for a tab in the background
  const text = `${said.word}. ${detail}`;
  if ($("live-alarm").dataset.said === text) return; // what has not changed is not said again
  $("live-alarm").dataset.said = text;
  $("live-icon").setAttribute("href", `#icon-${said.look === "normal" ? "normal" : "anomaly"}`);
  $("live-word").textContent = said.word;
  $("live-detail").textContent = detail;
}

// An alarm stays until it is known to be over; "No alarm" is said of rows that have just come, of nothing older.
function judged(lasting, score) {
  if (lasting) return { look: "anomaly", word: `Alarm since ${lasting.start}` };
  if (!connected) return { look: "quiet", word: "Not connected" };
  if (score === undefined) return { look: "quiet", word: "Waiting for scores" };
  const silence = (Date.now() - arrived) / 1000;
  if (silence > Math.max(SILENT, SILENT_STEPS * model.step)) {
    return { look: "quiet", word: `No new rows for ${Math.floor(silence / 60)} min` };
  }
  if (score > model.alarm.threshold) return { look: "error", word: "Above the threshold, no alarm yet" };
  return { look: "normal", word: "No alarm" };
}
