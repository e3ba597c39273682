// Tables as CSV files. A text that a spreadsheet would take for a formula gets an apostrophe before it.

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export const csvText = (rows) => rows.map((row) => row.map(cell).join(",") + "\r\n").join("");

// The mark at the beginning tells spreadsheets that it is UTF-8.
export function download(name, rows) {
  const address = URL.createObjectURL(new Blob(["\ufeff", csvText(rows)], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// session-2026-11-25T10-46-06.csv, in local time.
export function dated(name, ending = "csv") {
  const now = new Date();
  const local = new Date(now - now.getTimezoneOffset() * 60_000);
  return `${name}-${local.toISOString().slice(0, 19).replaceAll(":", "-")}.${ending}`;
}
