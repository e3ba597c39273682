// Elements by id and anew. Text is put in as text alone: file names and the server's words may be hostile.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const icon = (name) => drawn("svg", { class: "icon", "aria-hidden": "true" }, drawn("use", { href: `#icon-${name}` }));

export function facts(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value]) =>
    element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
}

// A table of texts; `headings` are [title, row -> text].
export function table(headings, rows) {
  const head = element("tr", {}, ...headings.map(([title]) => element("th", { scope: "col", textContent: title })));
  const body = rows.map((row) => element("tr", {}, ...headings.map(([, text]) => element("td", { textContent: text(row) }))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

// For screen readers; the same text twice is said twice.
export function announce(text) {
  $("announcer").textContent = "";
  setTimeout(() => { $("announcer").textContent = text; }, 50);
}

// Files dropped on `zone` or chosen with `button` through the hidden `input`.
export function takesFiles(zone, button, input, onFiles) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  let depth = 0; // dragenter and dragleave also tell of what lies inside
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    button.classList.toggle("over", depth > 0);
  };
  zone.addEventListener("dragenter", () => mark(1));
  zone.addEventListener("dragleave", () => mark(-1));
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    onFiles([...event.dataTransfer.files]);
  });
}
