// One photo's verdict, large: word, score, how rare, where, and what the model draws in its place.

import { pause } from "./api.js";
import { $, announce, drawn, element, facts } from "./dom.js";
import { session } from "./session.js";
import { figure, rarity } from "./words.js";

const DWELL = 0.15; // s on a row before its pictures are fetched, so that going through rows asks for none
const COARSE = 160; // pixels of the longer side up to which single pixels are shown

export const WORDS = { normal: "Normal", anomaly: "Anomaly", error: "Not scored" };

export function startResult() {
  session.addEventListener("select", show);
  session.addEventListener("change", () => session.selected && verdict(session.selected));
  $("note").addEventListener("change", () => session.annotate(session.selected, $("note").value));
  $("opacity").addEventListener("input", applyControls);
  $("show-boxes").addEventListener("change", applyControls);
  $("large").addEventListener("change", applyControls);
  applyControls();
}

function show() {
  const entry = session.selected;
  $("result-empty").hidden = entry !== null;
  $("result").hidden = entry === null;
  if (!entry) return;
  verdict(entry);
  announce(`${entry.file.name}: ${$("verdict-word").textContent}. ${$("verdict-rare").textContent}`);
  $("note").value = entry.note;
  facts($("terms"), Object.entries(entry.result.terms ?? {}).map(([name, value]) => [name, figure(value)]));
  $("terms-part").hidden = !entry.result.terms;
  regions(entry.result.regions ?? []);
  pictures(entry);
}

function verdict({ model, result, file }) {
  const said = session.verdict({ model, result });
  const own = session.tried(model);
  const scored = result.verdict !== "error";
  $("verdict").className = `verdict ${said}`;
  $("verdict-icon").setAttribute("href", `#icon-${said}`);
  $("verdict-word").textContent = WORDS[said];
  $("verdict-file").textContent = file.name;
  $("verdict-rare").textContent = scored ? sentence(rarity(result.p_value, model.n_calibration)) : sentence(result.error);
  $("verdict-score").hidden = !scored;
  $("verdict-own").hidden = !scored || own === null;
  if (!scored) return;
  const compared = own ?? model.threshold;
  const side = result.score > compared ? "above" : "not above";
  $("verdict-score").textContent = `Score ${figure(result.score)}, ${side} ${own === null ? "the" : "your"} threshold ` +
    `${figure(compared)}; p-value ${figure(result.p_value)}`;
  $("verdict-own").textContent = `By the model's own threshold, ${figure(model.threshold)}: ${WORDS[result.verdict].toLowerCase()}.`;
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

function regions(found) {
  $("regions-part").hidden = found.length === 0;
  $("regions-title").textContent = `${found.length} ${found.length === 1 ? "place looks" : "places look"} defective`;
  const rows = found.map((region, i) => [
    i + 1, `${region.left}, ${region.top}`, `${region.width}, ${region.height}`, figure(region.peak), figure(region.p_value),
  ]);
  $("regions").tBodies[0].replaceChildren(...rows.map((cells) =>
    element("tr", {}, ...cells.map((text) => element("td", { textContent: text })))));
}

async function pictures(entry) {
  $("pictures").hidden = true;
  $("pictures-state").textContent = "";
  if (entry.result.verdict === "error") return;
  const slow = setTimeout(() => current(entry) && ($("pictures-state").textContent = "Fetching the pictures …"), 200);
  try {
    if (!entry.result.photo) await pause(DWELL);
    if (!current(entry)) return;
    const result = await session.withPictures(entry);
    if (!current(entry)) return;
    $("pictures-state").textContent = "";
    draw(result, entry.file.name);
  } catch (error) {
    if (current(entry)) $("pictures-state").textContent = `The pictures cannot be shown: ${error.message}.`;
  } finally {
    clearTimeout(slow);
  }
}

const current = (entry) => session.selected === entry;

function draw(result, name) {
  for (const part of ["photo", "map", "reconstruction"]) $(part).src = result[part];
  $("photo").alt = `${name}: the part looked at`;
  $("pictures").classList.toggle("coarse", Math.max(...result.size) <= COARSE);
  $("reconstruction").style.aspectRatio = `${result.size[1]} / ${result.size[0]}`; // it has the model's resolution
  boxes(result);
  $("pictures").hidden = false;
}

// Regions are in pixels of the whole photo; what is shown is the part looked at, `size` at `origin`, perhaps reduced.
function boxes({ size: [height, width], origin: [left, top] = [0, 0], regions: found }) {
  const letter = Math.max(width, height) / 22;
  $("boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
  $("boxes").replaceChildren(...found.flatMap((region, i) => {
    const at = { x: region.left - left, y: region.top - top, width: region.width, height: region.height };
    const text = { x: at.x + letter / 5, y: at.y > letter ? at.y - letter / 4 : at.y + letter, "font-size": letter };
    return [
      drawn("rect", { ...at, class: "rim" }), drawn("rect", { ...at, class: "line" }),
      drawn("text", { ...text, "stroke-width": letter / 5 }, String(i + 1)),
    ];
  }));
}

function applyControls() {
  const share = Number($("opacity").value) / 100;
  $("map").style.opacity = share;
  $("opacity-value").textContent = `${$("opacity").value} %`;
  $("boxes").classList.toggle("off", !$("show-boxes").checked);
  $("pictures").classList.toggle("large", $("large").checked);
}
