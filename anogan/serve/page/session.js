// The photos scored in this tab, in order, and the thresholds tried on them. Tells "select", and "change" with the
// entries that changed.

import { UNREADABLE, address, json, readable } from "./api.js";

const WITH_PICTURES = 40; // results whose pictures are kept; those of older ones are asked for again

class Session extends EventTarget {
  entries = [];
  selected = null;
  unsaved = false; // whether there is what no export has
  #given = 0; // numbers, which no clearing gives again
  #tried = new Map(); // bundle's digest -> threshold
  #pictured = []; // entries with pictures, the latest used last

  // `scored` are {file, result} of `model`: results as the server gives them, or {verdict: "error", error}.
  add(model, scored) {
    const time = new Date();
    const added = scored.map(({ file, result }) => ({ number: ++this.#given, time, file, model, result, note: "" }));
    this.entries.push(...added);
    for (const entry of added) if (entry.result.photo) this.#keep(entry);
    this.unsaved = true;
    this.#tell("change", added);
    return added;
  }

  clear() {
    this.entries = [];
    this.#pictured = [];
    this.unsaved = false;
    this.#tell("change", []);
    this.select(null);
  }

  select(entry) {
    this.selected = entry;
    this.#tell("select");
  }

  annotate(entry, note) {
    entry.note = note;
    this.unsaved = true;
    this.#tell("change", [entry]);
  }

  // null: back to the model's own.
  tryThreshold(model, threshold) {
    if (threshold === null) this.#tried.delete(model.sha256);
    else this.#tried.set(model.sha256, threshold);
    this.#tell("change", this.entries);
  }

  tried(model) {
    return this.#tried.get(model.sha256) ?? null;
  }

  // By the threshold tried, else the model's own: "normal", "anomaly" or "error".
  verdict({ model, result }) {
    const threshold = this.tried(model);
    if (result.verdict === "error" || threshold === null) return result.verdict;
    return result.score > threshold ? "anomaly" : "normal";
  }

  async withPictures(entry) {
    if (!entry.result.photo) {
      const body = entry.file;
      if (!(await readable(body))) throw new Error(UNREADABLE);
      const headers = { "Content-Type": "application/octet-stream" };
      const answer = await json(address(entry.model.name, "/score?pictures=true"), { method: "POST", body, headers });
      if (answer.sha256 !== entry.model.sha256) throw new Error("the model has been replaced since");
      const { size, origin, photo, map, reconstruction } = answer.results[0];
      Object.assign(entry.result, { size, origin, photo, map, reconstruction });
    }
    this.#keep(entry);
    return entry.result;
  }

  #keep(entry) {
    this.#pictured = [...this.#pictured.filter((other) => other !== entry), entry];
    for (const old of this.#pictured.splice(0, this.#pictured.length - WITH_PICTURES)) {
      Object.assign(old.result, { photo: null, map: null, reconstruction: null });
    }
  }

  #tell(what, entries) {
    this.dispatchEvent(new CustomEvent(what, { detail: entries }));
  }
}

export const session = new Session();
