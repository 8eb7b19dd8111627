// Puts the page together. What tests and other programs may rely on:
//
//   document.documentElement.dataset.ready   "true" once the first screen is drawn; dataset.busy "true" while drawing
//   window.superpos.state()                  what is looked at: model, pin, metric, feature, x, y, at, theory, frame, ...
//   window.superpos.select(model)            shows a model, set({...}) changes the state, pin(model | null); all Promises
//   window.superpos.row(model)               its row as in run.table; rows(): numbers as filtered and sorted; csv()
//   window.superpos.best(model)              best model of the same setting; place(model): its pixels in the map, or null
//   window.superpos.weights(model)           Promise of its tensors by name as nested lists; history(model): {step, loss}; null: left out
//   location.hash                            the state as URLSearchParams; data-testid on every part

let drawn = null; // the state that is on the screen

/** Draw what changed since the last drawing; the first screen counts as ready, what lies below it follows. */
async function drawAll() {
  const before = drawn ?? {}, now = { ...state, at: { ...state.at } };
  const changed = (...keys) => drawn === null || keys.some((key) => JSON.stringify(before[key]) !== JSON.stringify(now[key]));
  const first = drawn === null, theme = changed("theme"), view = changed("metric", "feature", "x", "y", "at", "theory");
  const model = changed("model", "pin", "frame"), rows = changed("filter", "sort", "shown"), other = changed("model");
  drawn = now;
  if (theme) setTheme();
  if (theme || view) drawControls();
  if (theme || view || changed("model", "pin")) await drawMap();
  if (theme || model) await drawModels(now, first, !theme && !changed("model", "pin"));
  if (theme) await drawParallel();
  if (rows) drawTable();
  else if (other) markRow();
  if (other) document.getElementById("spoken").textContent = `Model ${now.model}: ${titleText(now.model)}; loss ${number(cell(now.model, "loss"))}`;
  const hash = toHash();
  if (location.protocol === "about:") return; // inside a notebook the page has no address of its own
  if (location.hash.slice(1) !== hash) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

/** The model in view and the pinned one; given up where something else is wanted in the meantime. */
async function drawModels(now, first, moved) {
  const sideBySide = document.getElementById("compared"), two = now.pin !== null;
  const resized = !first && sideBySide.classList.contains("two") !== two;
  sideBySide.classList.toggle("two", two);
  await drawTime();
  const [detail, pinned] = ["detail", "pinned"].map((id) => document.getElementById(id));
  const done = await drawDetail(detail, now.model, moved) && await drawDetail(pinned, now.pin, moved);
  if (!done) drawn.model = undefined; // to be drawn again
  else if (resized) resizeAll();
}

function resizeAll() {
  for (const target of document.querySelectorAll("#compared .plot")) if (target.data && target.offsetParent) Plotly.Plots.resize(target);
}

function setTheme() {
  document.documentElement.dataset.theme = state.theme;
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  document.getElementById("theme").setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
}

/** What a page begins with: the best model of the setting in the middle, the view that shows most of such a run. */
function begin() {
  METRICS.push(...metricsOf());
  const best = bestOf(SETTINGS.reduce((model, axis) => moved(model, axis, RUN.axes[axis].values.length >> 1), 0));
  const model = isListed(best) ? best : LISTED.models[0];
  const axes = SETTINGS.slice(-2);
  Object.assign(initial, {
    model, pin: null, metric: "loss", feature: 0, theory: true, frame: null, filter: "", sort: "model", shown: 100,
    x: axes.at(-1) ?? null, y: axes.length > 1 ? axes[0] : null,
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
    ...FAMILY.begin(),
  });
  if (!hasMetric(initial.metric)) initial.metric = METRICS[0]?.name ?? null;
  Object.assign(state, stateOf(location.hash));
}

function describe() {
  document.getElementById("name").textContent = RUN.name;
  const sizes = [...new Set(RUN.parts.weights.map(({ arrays }) => FAMILY.sizes(arrays)))].filter(Boolean);
  const swept = SETTINGS.map((axis) => `${axisWords(axis)} (${RUN.axes[axis].values.length})`).join(" × ");
  const seeds = SEEDS < 0 ? "" : `${count(RUN.axes[SEEDS].values.length)} seeds`;
  document.getElementById("summary").textContent = [`${count(RUN.finished)} model${RUN.finished === 1 ? "" : "s"}`, sizes.slice(0, 3).join("; "), [swept, seeds].filter(Boolean).join(" × ")].filter(Boolean).join(" · ");
  if (RUN.finished < RUN.models) notice(`This run is incomplete: ${count(RUN.finished)} of ${count(RUN.models)} models are finished and shown.`, "incomplete");
}

function notice(text, name) {
  const place = document.getElementById("notice");
  Object.assign(place, { hidden: false, textContent: text, className: "notice" });
  place.dataset.testid = name;
}

/** Run the library: a script that was compressed. It reads its canvases often, which the browser wants to know. */
async function openLibrary() {
  const { getContext } = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.getContext = function (kind, options) {
    return getContext.call(this, kind, kind === "2d" ? { willReadFrequently: true, ...options } : options);
  };
  const code = new TextDecoder().decode(await inflate("library"));
  document.head.append(el("script", { textContent: code }));
}

/** An array as lists in lists. */
function nested({ values, shape: [n, ...rest] }) {
  const size = sizeOf(rest), part = (i) => values.subarray(i * size, (i + 1) * size);
  return rest.length ? range(n).map((i) => nested({ values: part(i), shape: rest })) : Array.from(values);
}

window.superpos = {
  state: () => ({ ...state, at: { ...state.at } }),
  set, select,
  pin: (model) => set({ pin: model }),
  row: (model) => (isListed(model) ? rowOf(model) : null),
  rows: tableRows, csv,
  best: bestOf,
  place: placeOf,
  weights: async (model) => {
    const found = await partOf("weights", model), arrays = await arraysOf("weights", model);
    return found && Object.fromEntries(found.part.tensors.map((name) => [name, nested(arrays[name])]));
  },
  history: historyOf,
};

async function open() {
  describe();
  await Promise.all([openLibrary(), openTable()]);
  begin();
  buildTable();
  buildProvenance();
  document.getElementById("theme").addEventListener("click", () => set({ theme: isDark() ? "light" : "dark" }));
  map.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => set(stateOf(location.hash)));
  await set({});
  isReady();
}

function isReady() {
  if (!document.documentElement.dataset.ready) performance.mark("ready");
  document.documentElement.dataset.ready = "true";
}

open().catch((fault) => {
  document.documentElement.dataset.error = String(fault);
  notice(`This page could not be drawn: ${fault}`, "fault");
  throw fault;
});
