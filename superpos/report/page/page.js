// Puts the view of a run together. What tests and other programs may rely on:
//
//   document.documentElement.dataset.ready  "true" once the first screen is drawn; dataset.busy
//                                           "true" while something is still to be drawn, or to be
//                                           written to the address
//   window.superpos                         there once the data are read; what is wanted before is
//                                           in the address
//   window.superpos.state()                 what is looked at: model, pin, metric, feature, x, y,
//                                           at, theory, frame, ...
//   window.superpos.select(model)           shows a model, set({...}) changes the state,
//                                           pin(model | null); all Promises
//   window.superpos.row(model)              its row as in run.table; rows(): numbers as filtered
//                                           and sorted; csv()
//   window.superpos.best(model)             best model of the same setting; place(model): its
//                                           pixels in the map, or null
//   window.superpos.weights(model)          Promise of its tensors by name as nested lists;
//                                           history(model): {step, loss}; null: left out
//   location.hash                           the state as URLSearchParams; data-testid on every part

/**
 * The state that is on the screen; what is missing in it is to be drawn.
 * @type {Partial<State>}
 */
let drawn = {};
/**
 * What could not be drawn.
 * @type {string[]}
 */
const faults = [];

/**
 * Draw what changed since the last drawing; the first screen counts as ready, what lies below it
 * follows.
 * @type {() => Promise<void>}
 */
async function drawAll() {
  const before = drawn;
  /** @type {(...keys: string[]) => boolean} */
  const changed = (...keys) =>
    keys.some((key) => JSON.stringify(before[key]) !== JSON.stringify(state[key]));
  const theme = changed("theme");
  const view = theme || changed("metric", "feature", "x", "y", "at", "theory");
  const other = changed("model");
  const model = theme || changed("model", "pin");
  faults.length = 0;
  if (theme) setTheme();
  if (view) await attempt("The controls", drawControls);
  if (view || model) await attempt("The map", drawMap);
  const whole =
    model || changed("frame", ...ofFamily())
      ? await attempt("The models", () =>
          drawModels(model ? null : changed("frame") ? "moves" : "asks"),
        )
      : true;
  if (theme) await attempt("All axes", drawParallel);
  if (changed("filter", "sort", "shown")) await attempt("The table", drawTable);
  else if (other) markRow();
  if (other) speak(state.model);
  drawn = faults.length ? {} : { ...state, model: whole ? state.model : undefined };
  notice("fault", faults.join("; "));
}

/**
 * Draw a part of the page; where that fails the page says so, and its other parts are drawn.
 * @type {<T>(what: string, draw: () => T | Promise<T>) => Promise<T | false>}
 */
async function attempt(what, draw) {
  try {
    return await draw();
  } catch (fault) {
    console.error(fault);
    faults.push(`${what} cannot be drawn: ${fault}`);
    return false;
  }
}

/**
 * No drawing is the last one: what failed is said, and the next one draws everything anew.
 * @type {(fault: unknown) => void}
 */
function cannotDraw(fault) {
  console.error(fault);
  drawn = {};
  notice("fault", `The page cannot be drawn: ${fault}`);
}

/** @type {(model: number) => void} */
function speak(model) {
  const text = `Model ${model}: ${titleText(model)}; loss ${number(cell(model, "loss"))}`;
  byId("spoken").textContent = text;
}

/**
 * The model in view and the pinned one; false where it was given up, as something else is wanted in
 * the meantime.
 * @type {(only: "moves" | "asks" | null) => Promise<boolean>}
 */
async function drawModels(only) {
  const sideBySide = byId("compared");
  const two = state.pin !== null;
  const resized = sideBySide.classList.contains("two") !== two;
  sideBySide.classList.toggle("two", two);
  await drawTime();
  const [detail, pinned] = ["detail", "pinned"].map((id) => byId(id));
  const done =
    (await drawDetail(detail, state.model, only)) && (await drawDetail(pinned, state.pin, only));
  if (done && resized) resizeAll();
  return done;
}

/** @type {() => void} */
function resizeAll() {
  for (const target of plotsIn("#compared")) if (target.offsetParent) fit(target);
}

/** @type {() => void} */
function setTheme() {
  document.documentElement.dataset.theme = printed ? "light" : state.theme;
  document.documentElement.classList.toggle("printed", printed);
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  byId("theme").setAttribute(
    "aria-label",
    isDark() ? "Switch to light colours" : "Switch to dark colours",
  );
}

/**
 * What a page begins with: the best model of the setting in the middle, the view that shows most of
 * such a run.
 * @type {(words: StateInWords | null) => void}
 */
function beginWith(words) {
  METRICS.push(...metricsOf());
  const best = bestOf(
    SETTINGS.reduce((model, axis) => moved(model, axis, RUN.axes[axis].values.length >> 1), 0),
  );
  const model = isListed(best) ? best : LISTED.models[0];
  const axes = SETTINGS.slice(-2);
  Object.assign(initial, {
    model,
    pin: null,
    metric: "loss",
    feature: 0,
    theory: true,
    frame: null,
    filter: "",
    sort: "model",
    shown: 100,
    x: axes.at(-1) ?? null,
    y: axes.length > 1 ? axes[0] : null,
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
    ...FAMILY.state,
    ...FAMILY.begin(),
  });
  if (!hasMetric(initial.metric)) initial.metric = METRICS[0]?.name ?? null;
  Object.assign(wanted, words === null ? stateOf(location.hash) : stateLike(words));
}

/** @type {() => void} */
function describe() {
  byId("name").textContent = RUN.name;
  const sizes = [...new Set(RUN.parts.weights.map(({ arrays }) => FAMILY.sizes(arrays)))].filter(
    Boolean,
  );
  const swept = SETTINGS.map((axis) => `${axisWords(axis)} (${RUN.axes[axis].values.length})`).join(
    " × ",
  );
  const seeds = SEEDS < 0 ? "" : `${count(RUN.axes[SEEDS].values.length)} seeds`;
  byId("summary").textContent = [
    `${count(RUN.finished)} model${RUN.finished === 1 ? "" : "s"}`,
    sizes.slice(0, 3).join("; "),
    [swept, seeds].filter(Boolean).join(" × "),
  ]
    .filter(Boolean)
    .join(" · ");
  if (RUN.finished < RUN.models)
    notice(
      "incomplete",
      [
        `This run is incomplete: ${count(RUN.finished)} of ${count(RUN.models)} models`,
        "are finished and shown.",
      ].join(" "),
    );
}

/**
 * An array as lists in lists.
 * @type {(tensor: Tensor) => Value}
 */
function nested({ values, shape: [n, ...rest] }) {
  const size = sizeOf(rest);
  /** @type {(i: number) => Numbers} */
  const part = (i) => values.subarray(i * size, (i + 1) * size);
  return rest.length
    ? range(n).map((i) => nested({ values: part(i), shape: rest }))
    : Array.from(values);
}

/** What window.superpos offers of the run in view, see above. */
const INTERFACE = {
  state: () => ({ ...wanted, at: { ...wanted.at } }),
  set,
  select,
  pin: /** @type {(model: number | null) => Promise<void>} */ (model) => set({ pin: model }),
  row: /** @type {(model: number) => Row | null} */ (model) =>
    isListed(model) ? rowOf(model) : null,
  rows: tableRows,
  csv,
  best: bestOf,
  place: placeOf,
  weights: /** @type {(model: number) => Promise<Row | null>} */ async (model) => {
    const found = await partOf("weights", model);
    const arrays = await arraysOf("weights", model);
    if (!found || !arrays) return null;
    return Object.fromEntries(
      (found.part.tensors ?? []).map((name) => [name, nested(arrays[name])]),
    );
  },
  history: historyOf,
};

/**
 * Show the run as its address says, or as near as it can be to words of another run; see inWords.
 * @type {(words: StateInWords | null) => Promise<void>}
 */
async function openRun(words) {
  describe();
  await openTable();
  if (!LISTED.models.length)
    throw new Error(`no model of it has room in a page of ${number(RUN.budget / 1e6)} MB`);
  await LIBRARY;
  beginWith(words);
  window.superpos = { ...INTERFACE, ...PAGE };
  buildTable();
  buildProvenance();
  byId("theme").onclick = () => set({ theme: wanted.theme === "dark" ? "light" : "dark" });
  map.addEventListener("keydown", onKey);
  await set({});
  isReady();
}

/** @type {(hash: string) => Promise<void>} */
const goTo = (hash) => set(stateOf(hash));

/** @type {() => void} */
function isReady() {
  if (!document.documentElement.dataset.ready) performance.mark("ready");
  document.documentElement.dataset.ready = "true";
}
