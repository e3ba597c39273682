// The session as a table that arrow keys go through, and as a CSV file.

import { dated, download } from "./csv.js";
import { $, element, icon } from "./dom.js";
import { WORDS } from "./result.js";
import { session } from "./session.js";
import { clock, figure } from "./words.js";

const rows = new Map(); // entry -> its row, the newest at the top

export function startHistory() {
  session.addEventListener("change", (event) => refresh(event.detail));
  session.addEventListener("select", mark);
  const body = $("history").tBodies[0];
  body.addEventListener("click", (event) => choose(event.target.closest("tr")));
  body.addEventListener("keydown", move);
  $("export").addEventListener("click", exportSession);
  $("clear").addEventListener("click", () => {
    $("clear-text").textContent = `${session.entries.length} results and their notes will be gone; they are nowhere else.`;
    $("clear-dialog").returnValue = "";
    $("clear-dialog").showModal();
  });
  $("clear-dialog").addEventListener("close", () => $("clear-dialog").returnValue === "clear" && session.clear());
  window.addEventListener("beforeunload", (event) => session.unsaved && event.preventDefault());
  refresh([]);
}

export function focusHistory() {
  $("history").querySelector("tr[tabindex='0']")?.focus();
}

export function exportSession() {
  if (!session.entries.length) return;
  download(dated("session"), table());
  session.unsaved = false;
}

function refresh(changed) {
  const { entries } = session;
  const body = $("history").tBodies[0];
  for (const entry of changed) {
    if (!rows.has(entry)) {
      rows.set(entry, element("tr", { tabIndex: -1 }));
      rows.get(entry).entry = entry;
      body.prepend(rows.get(entry));
    }
    fill(rows.get(entry), entry);
  }
  if (!entries.length) {
    rows.clear();
    body.replaceChildren();
  }
  $("history").hidden = !entries.length;
  for (const id of ["export", "clear"]) $(id).disabled = !entries.length;
  $("counts").textContent = entries.length === 0 ? "No photos yet." : counts(entries.map((entry) => session.verdict(entry)));
  mark();
}

function counts(verdicts) {
  const number = (verdict) => verdicts.filter((other) => other === verdict).length;
  const failed = number("error") ? `, ${number("error")} not scored` : "";
  const photos = verdicts.length === 1 ? "1 photo" : `${verdicts.length} photos`;
  return `${photos}: ${number("anomaly")} anomalous, ${number("normal")} normal${failed}`;
}

function fill(row, entry) {
  const { number, time, file, model, result, note } = entry;
  const said = session.verdict(entry);
  const shown = [said, session.tried(model) !== null, note].join();
  if (row.dataset.shown === shown) return;
  row.dataset.shown = shown;
  const small = (text) => element("small", { textContent: text });
  const verdict = [element("span", { className: `said ${said}` }, icon(said), WORDS[said])];
  if (said !== "error") verdict.push(small(`${figure(result.score)}, p\u00a0${figure(result.p_value)}`));
  if (said !== "error" && session.tried(model) !== null) {
    verdict.push(small(said === result.verdict ? "by your threshold" : `by your threshold; model: ${WORDS[result.verdict].toLowerCase()}`));
  }
  const about = [`No. ${number}`, clock(time), model.name].join(" · ");
  row.replaceChildren(
    element("td", { className: "name" }, file.name, small(about), ...[result.error, note].filter(Boolean).map(small)),
    element("td", {}, ...verdict),
  );
}

// One row can be reached with Tab: the selected one, else the newest.
function mark() {
  const reachable = rows.get(session.selected) ?? $("history").tBodies[0].firstElementChild;
  for (const row of rows.values()) {
    row.tabIndex = row === reachable ? 0 : -1;
    row.setAttribute("aria-selected", row.entry === session.selected);
  }
}

function choose(row) {
  if (!row) return;
  session.select(row.entry);
  row.focus({ preventScroll: true }); // the table scrolls, the result beside it stays in sight
  row.scrollIntoView({ block: "nearest" });
}

function move(event) {
  const row = event.target.closest("tr");
  const body = row.parentElement;
  const to = {
    ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling,
    Home: body.firstElementChild, End: body.lastElementChild, Enter: row, " ": row,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(to);
}

function table() {
  const heading = [
    "number", "time", "file", "model", "bundle", "score", "p_value", "threshold", "verdict", "your_threshold",
    "your_verdict", "regions", "error", "note",
  ];
  return [heading, ...session.entries.map((entry) => {
    const { number, time, file, model, result, note } = entry;
    const own = session.tried(model);
    return [
      number, time.toISOString(), file.name, model.name, model.sha256, result.score, result.p_value, model.threshold,
      result.verdict, own, own === null ? null : session.verdict(entry), result.regions?.length, result.error, note,
    ];
  })];
}
