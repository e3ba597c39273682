// The server: requests with a token, patience where it is busy, and its stream of events.

const TOKEN = "anogan-token";

export class ApiError extends Error {
  constructor(status, detail, retryAfter = null) {
    super(detail);
    this.status = status; // 0: no answer
    this.retryAfter = retryAfter; // seconds
  }
}

let askToken = async () => "";
let asked = null; // one question at a time, whoever was refused

// `ask(refused)` resolves to a token; `refused` tells that the one given before was wrong.
export function onTokenNeeded(ask) {
  askToken = ask;
}

export const address = (name, what = "") => `models/${encodeURIComponent(name)}${what}`;

export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const answer = await send(path, options, token);
    if (answer.ok) return answer;
    if (answer.status !== 401) throw await refusal(answer);
    if (sessionStorage.getItem(TOKEN) === token) await newToken(token !== null);
  }
}

export const json = async (path, options) => (await request(path, options)).json();

async function send(path, options, token) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    return await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the server cannot be reached");
  }
}

async function refusal(answer) {
  let detail = `the server answered ${answer.status}`;
  try {
    const said = (await answer.json()).detail;
    detail = typeof said === "string" ? said : JSON.stringify(said) ?? detail;
  } catch { /* no JSON: a proxy's page, perhaps */ }
  const wait = Number(answer.headers.get("Retry-After"));
  return new ApiError(answer.status, detail, wait > 0 ? wait : null);
}

async function newToken(refused) {
  asked ??= askToken(refused).then((token) => sessionStorage.setItem(TOKEN, token)).finally(() => { asked = null; });
  await asked;
}

export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(new DOMException("stopped", "AbortError")); };
    const timer = setTimeout(() => { signal?.removeEventListener("abort", stop); resolve(); }, 1000 * seconds);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}

// Again and again while the server is busy or away. Where it is there, but the connection breaks on what is sent, twice.
export async function patiently(attempt, signal, onWait) {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const away = error.status === 0 && (tries < 3 || !(await reachable()));
      if (error.status === 0 && !away) throw new ApiError(0, "the connection broke while it was sent");
      if (error.status !== 503 && !away) throw error;
      const seconds = error.retryAfter ?? Math.min(2 ** tries, 15);
      onWait(error, seconds);
      await pause(seconds, signal);
    }
  }
}

export const UNREADABLE = "it cannot be read: a folder, or changed since it was chosen";

// What cannot be read would look like a broken connection when it is sent.
export const readable = (file) => file.slice(0, 1).arrayBuffer().then(() => true, () => false);

async function reachable() {
  return fetch("health", { cache: "no-store" }).then((answer) => answer.ok, () => false);
}

// Server-sent events by fetch, which can send a token; EventSource cannot. Ends when the connection does.
export async function events(path, signal, onOpen, onEvent) {
  const answer = await request(path, { signal, headers: { Accept: "text/event-stream" } });
  onOpen();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) dispatch(block, onEvent);
  }
}

function dispatch(block, onEvent) {
  const fields = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line)).filter(Boolean);
  const data = fields.filter(([, name]) => name === "data").map(([, , value]) => value).join("\n");
  if (data) onEvent(fields.find(([, name]) => name === "event")?.[2] ?? "message", JSON.parse(data));
}
