// Numbers and times as a person reads them.

export const figure = (value) => (value === null || value === undefined ? "" : String(Number(value.toPrecision(4))));

export function percent(share) {
  return `${Number((100 * share).toPrecision(3))} %`;
}

export const clock = (date) => date.toLocaleTimeString("en-GB");

// A p-value among n good parts: 0.025 -> "1 in 40 good parts looks this odd or odder".
export function rarity(p, n) {
  if (Math.abs(p * (n + 1) - 1) < 1e-3) return `fewer than 1 in ${n} good parts look this odd`;
  if (p > 0.1) return `${Math.round(100 * p)} in 100 good parts look this odd or odder`;
  return `1 in ${Math.round(1 / p)} good parts looks this odd or odder`;
}

// Which share of good parts a threshold flags at most: (k + 1) / (n + 1), where k of the n held-out ones score higher
// (calibration.py). `scores` are sorted, evenly spaced ranks where there were more; then the bound is the next one above.
export function falseAlarms(scores, n, threshold) {
  const below = scores.filter((score) => score <= threshold).length;
  const rank = below ? Math.floor(((below - 1) * (n - 1)) / Math.max(scores.length - 1, 1)) + 1 : 0;
  const higher = n - (scores.length === n ? below : rank);
  return { higher, exact: scores.length === n, rate: (higher + 1) / (n + 1) };
}

export function rateInWords({ higher, exact, rate }, n) {
  const held = `${exact ? "" : "at most "}${higher} of the ${n} held-out good parts ${higher === 1 ? "scores" : "score"} higher`;
  const oneIn = rate > 0.1 ? "" : `, 1 in ${Math.floor(1 / rate)}`;
  return `Flags at most ${percent(rate)} of good parts${oneIn}: ${held}.`;
}

// Times as they stand in a recording -> numbers for an axis: seconds of a date, the numbers themselves, or row numbers.
export function axis(stamps) {
  const numbers = stamps.map((stamp) => (typeof stamp === "string" && stamp.trim() === "" ? NaN : Number(stamp)));
  if (ascending(numbers)) return { x: numbers, unit: "number" };
  const dates = stamps.map((stamp) => instant(stamp));
  if (ascending(dates)) return { x: dates, unit: "date" };
  return { x: stamps.map((_, i) => i), unit: "row" };
}

function ascending(values) {
  return values.every((value, i) => Number.isFinite(value) && (i === 0 || value >= values[i - 1]));
}

// Without a zone a time is read as UTC and shown as UTC, so that it is shown as it stands.
function instant(stamp) {
  const text = String(stamp).trim().replace(" ", "T");
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes("T");
  return Date.parse(zoned ? text : `${text}Z`) / 1000;
}

// A place on an axis, as fine as `span` asks for.
export function place(value, unit, span) {
  if (unit !== "date") return figure(value);
  const text = new Date(value * 1000).toISOString();
  if (span > 3 * 86400) return text.slice(5, 10);
  if (span > 86400 / 2) return `${text.slice(5, 10)} ${text.slice(11, 16)}`;
  return span > 300 ? text.slice(11, 16) : text.slice(11, 19);
}

export function shares(byChannel, most = 3) {
  const named = Object.entries(byChannel ?? {}).sort((a, b) => b[1] - a[1]).slice(0, most);
  return named.filter(([, share]) => share >= 0.05).map(([name, share]) => `${name} ${Math.round(100 * share)}\u00a0%`).join(", ");
}
