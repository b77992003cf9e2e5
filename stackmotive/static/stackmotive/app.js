// Everything the pages do beyond htmx: theme, hidden amounts, the socket, job cards, toasts, the drop zone, live charts.
"use strict";
const root = document.documentElement;
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const keep = (key, value) => { try { value ? localStorage.setItem(key, value) : localStorage.removeItem(key); } catch { /* refused */ } };

// --- theme and amounts ---------------------------------------------------------------------------------------------
const showSettings = () => {
  const hidden = root.dataset.amounts === "hidden";
  $$('[data-act="amounts"]').forEach((b) => { b.setAttribute("aria-pressed", hidden); b.title = (hidden ? "Show" : "Hide") + " amounts (h)"; });
  $$('[data-act="theme"]').forEach((b) => { b.title = "Theme: " + (root.dataset.theme || "system"); });
};
const toggleAmounts = () => {
  if (root.dataset.amounts === "hidden") delete root.dataset.amounts; else root.dataset.amounts = "hidden";
  keep("amounts", root.dataset.amounts);
  showSettings();
};
const nextTheme = () => {
  const next = { undefined: "dark", dark: "light", light: undefined }[root.dataset.theme];
  if (next) root.dataset.theme = next; else delete root.dataset.theme;
  keep("theme", next);
  showSettings();
};
const actions = {
  amounts: toggleAmounts, theme: nextTheme, dismiss: (button) => button.closest(".toast").remove(),
  "drop-preview": (button) => { button.closest(".preview").remove(); document.querySelectorAll("form[data-preview]").forEach((form) => form.reset()); },
  "close-drawer": () => document.getElementById("drawer").close(),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) actions[button.dataset.act]?.(button);
  $$("details.pop[open]").forEach((box) => { if (!box.contains(event.target)) box.open = false; });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") $$("details.pop[open]").forEach((box) => { box.open = false; box.querySelector("summary").focus(); });
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable]")) return;
  if (event.key === "h") toggleAmounts();
  const search = event.key === "/" && document.querySelector('input[type="search"]');
  if (search) { event.preventDefault(); search.focus(); }
});
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-auto]");
  if (form) form.requestSubmit();
});

// --- the drawer: links to where a figure comes from open beside the page; without this they are pages of their own -----
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-drawer]");
  const drawer = document.getElementById("drawer");
  if (event.target === drawer) return drawer.close(); // beside the panel
  if (!link || !drawer || !window.htmx || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  htmx.ajax("GET", link.getAttribute("href"), { target: "#drawer-body", swap: "innerHTML" }).then(() => {
    if (!drawer.open) drawer.showModal();
    drawer.scrollTop = 0;
  });
});

// --- toasts and jobs -----------------------------------------------------------------------------------------------
function toast(title, body = "", level = "info") {
  const box = document.createElement("div");
  box.className = `toast ${level}`;
  box.innerHTML = '<b></b><button class="icon-btn" type="button" data-act="dismiss" aria-label="Dismiss"><svg class="i" viewBox="0 0 24 24" aria-hidden="true"><use href="#i-x"/></svg></button><p></p>';
  box.querySelector("b").textContent = title;
  box.querySelector("p").textContent = body;
  document.getElementById("toasts").append(box);
  setTimeout(() => box.matches(":hover, :focus-within") || box.remove(), 8000);
}
const fire = (name, detail) => document.body.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
const ENDED = ["done", "partial", "failed", "cancelled", "unchanged", "needs_mapping"];
let portfolioTimer;
function tellChange() { // not while a form is answered or a preview is read: both would be swapped away
  clearTimeout(portfolioTimer);
  if (document.querySelector(".htmx-request, .preview")) portfolioTimer = setTimeout(tellChange, 400);
  else fire("portfolio:changed");
}
const heard = {
  hello: () => setLive("on", "Live"),
  notification: (frame) => toast(frame.title, frame.body, { critical: "error", error: "error", warning: "warning", success: "success" }[frame.severity] || "info"),
  portfolio: () => { clearTimeout(portfolioTimer); portfolioTimer = setTimeout(tellChange, 400); },
  progress: (frame) => {
    const bars = $$(`[data-job="${CSS.escape(frame.id)}"] progress`);
    bars.forEach((bar) => { if (frame.total) { bar.max = frame.total; bar.value = frame.done; } });
    if (!bars.length || ENDED.includes(frame.status)) { fire("jobs:changed"); fire("job:ended", { id: frame.id }); }
  },
};

// --- the socket: the cookie is its login; it comes back with a growing, uneven pause ---------------------------------
let pause = 1000, lastNews = "";
function setLive(state, text) {
  document.body.dataset.live = state;
  $$("[data-live-text]").forEach((label) => { label.textContent = text; });
}
function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/notifications/`);
  let beat;
  socket.onopen = () => {
    const send = (frame) => socket.readyState === 1 && socket.send(JSON.stringify({ v: 1, ...frame }));
    send({ type: "subscribe", topics: ["portfolio"] });
    if (pause > 1000) { fire("portfolio:changed"); fire("jobs:changed"); }
    if (pause > 1000 && lastNews) send({ type: "replay", since: lastNews });
    pause = 1000;
    beat = setInterval(() => send({ type: "ping" }), 30000);
  };
  socket.onmessage = (message) => {
    const frame = JSON.parse(message.data);
    if (frame.type === "notification") lastNews = frame.id;
    heard[frame.type]?.(frame);
  };
  socket.onclose = (event) => {
    clearInterval(beat);
    if (event.code === 4401 || event.code === 4403) return setLive("off", event.code === 4401 ? "Signed out" : "Updates limited");
    setLive("off", "Reconnecting");
    pause = Math.min(pause * 2, 60000);
    setTimeout(connect, pause * (0.5 + Math.random() / 2));
  };
}

// --- drop zone: the chosen file's name, and a preview as soon as there is one ----------------------------------------
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => event.target.closest?.(".drop")?.classList.toggle("over", name === "dragenter" || name === "dragover"));
}
document.addEventListener("change", (event) => {
  if (!event.target.matches(".drop input")) return;
  const file = event.target.files[0];
  event.target.closest(".drop").querySelector("b").textContent = file ? file.name : "Drop a file here";
});

// --- live charts: the still picture stays until its live twin is drawn -----------------------------------------------
let vega;
const loadVega = () => (vega ??= new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.type = "module"; // the bundle declares globals of one letter; a module keeps them to itself
  script.src = document.body.dataset.vega;
  script.onload = () => resolve(window.vegaEmbed);
  script.onerror = reject;
  document.head.append(script);
}));
async function drawCharts(within) {
  const boxes = $$("[data-chart]:not(.is-live)", within);
  if (!boxes.length) return;
  const embed = await loadVega();
  for (const box of boxes) {
    const spec = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
    const live = box.querySelector(".live");
    if (spec.width === "container" && box.clientWidth < 500) spec.height = 230;
    box.classList.add("is-live"); // a chart measures its container, which must be visible
    try {
      await embed(live, spec, { renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: { disableDefaultStyle: true, theme: "own" } });
      live.setAttribute("role", "img");
      live.setAttribute("aria-label", spec.description);
      box.classList.remove("wait");
    } catch (error) { box.classList.remove("is-live"); console.error(error); }
  }
}

document.addEventListener("DOMContentLoaded", () => {
  showSettings();
  if (document.getElementById("jobs")) connect();
  $$("[data-zone]").forEach((field) => { field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || field.value; });
  if (!window.htmx) return;
  htmx.onLoad((element) => { drawCharts(element); showSettings(); });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id !== "preview") return;
    $$(".steps li").forEach((step, i) => { step.classList.toggle("done", i === 0); step.toggleAttribute("aria-current", false); if (i === 1) step.setAttribute("aria-current", "step"); });
  });
  document.body.addEventListener("htmx:beforeRequest", (event) => { // a preview needs a file
    const file = event.detail.target.id === "preview" && document.querySelector(".drop input");
    if (file && !file.files.length) event.preventDefault();
  });
  document.body.addEventListener("toast:show", (event) => toast(event.detail.title, event.detail.body, event.detail.level));
  document.body.addEventListener("htmx:responseError", (event) => { // the answer is a page that says what to do
    const told = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    const [title, body] = ["h1", "h1 + p"].map((part) => told.querySelector(`.lone ${part}`)?.textContent);
    toast(title || "That did not work", body || "Try again, or reload the page.", "error");
  });
  document.body.addEventListener("htmx:sendError", () => toast("No connection", "The server cannot be reached. Your data is safe.", "error"));
});
