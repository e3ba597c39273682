// The inspector's page: which model, which token, which key does what.

import { json, onTokenNeeded } from "./api.js";
import { cameraKey, stopCamera } from "./camera.js";
import { $, element, facts } from "./dom.js";
import { exportSession, focusHistory, startHistory } from "./history.js";
import { intakeFor, startIntake } from "./intake.js";
import { startLive, stopWatching, watch } from "./live.js";
import { startResult } from "./result.js";
import { sensorsFor, startSensors } from "./sensors.js";
import { startThreshold, thresholdFor } from "./threshold.js";
import { percent } from "./words.js";

const MODEL = "anogan-model"; // the one chosen last in this tab
const KEYS = "anogan-keys";

let models = [];

async function loadModels() {
  try {
    ({ models } = await json("models"));
    notice(models.length ? "" : "The server has no model.");
  } catch (error) {
    return notice(`The models cannot be listed: ${error.message}.`, "Try again", loadModels);
  }
  const wanted = $("model").value || sessionStorage.getItem(MODEL);
  $("model").replaceChildren(...models.map(({ name, kind }) =>
    element("option", { value: name, textContent: `${name} (${kind})`, selected: name === wanted })));
  if (models.length) useModel();
}

function useModel() {
  const model = models.find(({ name }) => name === $("model").value);
  const sensors = model.kind === "sensors";
  sessionStorage.setItem(MODEL, model.name);
  $("photos").hidden = sensors;
  $("sensors").hidden = !sensors;
  describe(model);
  if (sensors) {
    stopCamera();
    sensorsFor(model);
    watch(model);
  } else {
    stopWatching();
    intakeFor(model);
    thresholdFor(model);
  }
}

function describe(model) {
  const rate = model.alarm ? ["False alarms", model.alarm.budget] : ["False-alarm rate", percent(model.false_alarm_rate)];
  facts($("model-facts"), [
    ["Detector", model.detector], rate, ["Held-out samples", model.n_calibration.toLocaleString("en")],
    ["Bundle", model.sha256.slice(0, 12)], ["Loaded", new Date(model.loaded).toLocaleString("en-GB")],
  ]);
}

function notice(text, button = "", onClick = null) {
  $("notice").hidden = !text;
  $("notice").replaceChildren(text, ...(button ? [" ", element("button", { type: "button", textContent: button, onclick: onClick })] : []));
}

function askToken(refused) {
  $("token-why").textContent = refused ? "The server does not accept that token." : "The server asks for a token.";
  $("token").value = "";
  $("token-dialog").showModal();
  return new Promise((resolve) => {
    $("token-dialog").onclose = () => {
      if ($("token").value.trim()) resolve($("token").value.trim());
      else $("token-dialog").showModal(); // nothing works without it
    };
  });
}

function onKey(event) {
  const typing = event.target.closest("input:not([type=range], [type=checkbox]), select, textarea, .plot, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !$("keys-on").checked) return;
  const photos = !$("photos").hidden;
  const action = {
    "?": () => $("help").showModal(),
    o: () => (photos ? $("choose") : $("choose-csv")).click(),
    c: () => photos && cameraKey(),
    h: () => photos && focusHistory(),
    e: () => photos && exportSession(),
  }[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
}

onTokenNeeded(askToken);
for (const start of [startIntake, startResult, startHistory, startThreshold, startSensors, startLive]) start(loadModels);
$("model").addEventListener("change", useModel);
$("help-open").addEventListener("click", () => $("help").showModal());
$("keys-on").checked = sessionStorage.getItem(KEYS) !== "off";
$("keys-on").addEventListener("change", () => sessionStorage.setItem(KEYS, $("keys-on").checked ? "on" : "off"));
document.addEventListener("keydown", onKey);
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault()); // beside the zone too
loadModels();
