// Photos come in: chosen, dropped, pasted or taken, and are scored in small batches.

import { ApiError, UNREADABLE, address, json, patiently, readable } from "./api.js";
import { cameraFor, startCamera } from "./camera.js";
import { $, announce, takesFiles } from "./dom.js";
import { session } from "./session.js";

const BATCH = 4; // photos in one request
const FEW = 8; // photos at once up to which pictures come with the scores; of more, with the one that is shown
const TOO_MUCH = [0, 408, 413, 422]; // what one photo may cause for its whole batch

let model = null;
let reload = async () => {}; // asks the server for its models anew
let running = null; // AbortController of the batches under way
let shown = null; // what this drop has brought to the result view
const waiting = []; // {file, model, pictures}
const tally = { done: 0, total: 0, anomaly: 0, normal: 0, error: 0 };

export function startIntake(reloadModels) {
  reload = reloadModels;
  takesFiles($("photos"), $("choose"), $("files"), take);
  startCamera((file) => take([file]));
  $("cancel").addEventListener("click", () => running?.abort());
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length && !$("photos").hidden) take(files);
  });
}

export function intakeFor(chosen) {
  model = chosen;
  cameraFor(chosen);
}

function take(files) {
  if (!files.length || !model) return;
  waiting.push(...files.map((file) => ({ file, model, pictures: files.length <= FEW })));
  tally.total += files.length;
  if (!running) work();
}

async function work() {
  running = new AbortController();
  shown = null;
  $("intake-state").textContent = "";
  progress();
  try {
    while (waiting.length) await scoreBatch(nextBatch(), running.signal);
    finish("");
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    finish(`Cancelled: ${tally.total - tally.done} not scored. `);
  } finally {
    running = null;
  }
}

function nextBatch() {
  const same = waiting.findIndex((item) => item.model !== waiting[0].model || item.pictures !== waiting[0].pictures);
  return waiting.splice(0, Math.min(BATCH, same < 0 ? waiting.length : same));
}

async function scoreBatch(batch, signal) {
  const results = await scored(batch, signal);
  const added = session.add(await modelNow(batch[0].model, results), batch.map(({ file }, i) => ({ file, result: results[i] })));
  tally.done += batch.length;
  for (const entry of added) tally[session.verdict(entry)] += 1;
  progress();
  show(added);
}

// The model that these results are of: a newer bundle may have replaced the one that was asked.
async function modelNow(asked, results) {
  const latest = () => (model.name === asked.name ? model : asked);
  if (results.some(({ sha256 }) => sha256 && sha256 !== latest().sha256)) await reload();
  return latest();
}

// The first result of a drop is shown, until an anomaly comes or the person chooses another.
function show(added) {
  const anomaly = added.find((entry) => session.verdict(entry) === "anomaly");
  const untouched = shown === null || session.selected === shown;
  if (shown === null || (anomaly && untouched && session.verdict(shown) !== "anomaly")) {
    shown = anomaly ?? added[0];
    session.select(shown);
  }
}

async function scored(batch, signal) {
  const sendable = await Promise.all(batch.map(({ file }) => readable(file)));
  const results = await answered(batch.filter((_, i) => sendable[i]), signal);
  return sendable.map((sent) => (sent ? results.shift() : { verdict: "error", error: UNREADABLE }));
}

async function answered(batch, signal) {
  if (!batch.length) return [];
  try {
    return await patiently(() => send(batch, signal), signal, (error, seconds) =>
      progress(`${error.message}; trying again in ${Math.ceil(seconds)} s`));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (batch.length === 1 || !TOO_MUCH.includes(error.status)) {
      return batch.map(() => ({ verdict: "error", error: error.message }));
    }
    const results = [];
    for (const item of batch) results.push(...(await answered([item], signal)));
    return results;
  }
}

async function send(batch, signal) {
  const body = new FormData();
  for (const { file } of batch) body.append("files", file, file.name);
  const query = batch[0].pictures ? "?pictures=true" : "";
  const answer = await json(address(batch[0].model.name, `/score${query}`), { method: "POST", body, signal });
  if (answer.results.length !== batch.length) throw new ApiError(200, "the server left out a photo");
  return answer.results.map((result) => ({ ...result, sha256: answer.sha256 }));
}

function progress(wait = "") {
  $("progress").hidden = false;
  $("progress-bar").max = tally.total;
  $("progress-bar").value = tally.done;
  $("progress-text").textContent = `${tally.done} of ${tally.total} scored${wait && `: ${wait}`}`;
}

function finish(before) {
  const text = `${before}${tally.done} scored: ${tally.anomaly} anomalous, ${tally.normal} normal` +
    (tally.error ? `, ${tally.error} could not be scored (the table says why)` : "");
  $("intake-state").textContent = text;
  announce(text);
  $("progress").hidden = true;
  waiting.length = 0;
  for (const name of Object.keys(tally)) tally[name] = 0;
}
