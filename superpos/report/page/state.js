// What is looked at. All of it stands in the address, so that a link shows the same.
//
// Events read and change what is `wanted`, at any moment. A drawing begins by making that the
// `state`, and reads the state alone, which stays as it is until all of it is drawn.

/**
 * See metrics.js; filled in once the table is open.
 * @type {ClosedMetric[]}
 */
const METRICS = [];
/** @type {State} */
const wanted = {
  model: -1,
  pin: null,
  metric: "",
  feature: 0,
  x: null,
  y: null,
  at: {},
  theory: true,
  frame: null,
  theme: "light",
  filter: "",
  sort: "model",
  shown: 100,
};
const state = { ...wanted };
/** What the page begins with. */
const initial = { ...wanted };
/** @type {(name: string) => boolean} */
const hasMetric = (name) => METRICS.some((metric) => metric.name === name);
const NUMBERS = ["model", "pin", "feature", "x", "y", "frame"];
/** @type {() => string[]} */
const ofFamily = () => Object.keys(FAMILY.state); // which is known later
/** @type {() => string[]} */
const texts = () => ["filter", "sort", ...ofFamily()];

/**
 * The state that an address describes; what it does not name is as at the start.
 * @type {(hash: string) => State}
 */
function stateOf(hash) {
  /** @type {State} */
  const found = { ...initial, at: {} };
  for (const [key, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (key.startsWith("at.")) found.at[Number(key.slice(3))] = Number(text);
    else if (NUMBERS.includes(key)) found[key] = Number(text);
    else if (key === "theory") found.theory = text !== "false";
    else if (["metric", "theme", ...texts()].includes(key)) found[key] = text;
  }
  return valid(found);
}

/**
 * The same state with everything that this run does not have replaced by what it starts with.
 * @type {(asked: State) => State}
 */
function valid(asked) {
  /** @type {(axis: number | null) => boolean} */
  const isAxis = (axis) => axis !== null && SETTINGS.includes(axis);
  const found = { ...asked };
  if (!isListed(found.model)) found.model = initial.model;
  if (found.pin !== null && !isListed(found.pin)) found.pin = null;
  if (!hasMetric(found.metric)) found.metric = initial.metric;
  if (!isAxis(found.x) || !(isAxis(found.y) || found.y === null) || found.x === found.y)
    [found.x, found.y] = [initial.x, initial.y];
  found.at = {};
  for (const axis of SETTINGS) {
    const point = Number(asked.at[axis] ?? pointOf(found.model, axis));
    const last = RUN.axes[axis].values.length - 1;
    found.at[axis] = Number.isInteger(point) ? Math.min(Math.max(point, 0), last) : 0;
  }
  if (!Number.isInteger(found.feature) || found.feature < 0) found.feature = initial.feature;
  if (found.frame === null || !Number.isInteger(found.frame) || found.frame < 0) found.frame = null;
  if (!["light", "dark"].includes(found.theme)) found.theme = initial.theme;
  if (!Number.isInteger(found.shown) || found.shown < 0) found.shown = initial.shown;
  for (const name of texts()) if (typeof found[name] !== "string") found[name] = initial[name];
  found.theory = Boolean(found.theory);
  return found;
}

/** @type {() => string} */
function toHash() {
  const words = new URLSearchParams(label === null ? {} : { run: label });
  for (const [key, value] of Object.entries(wanted)) {
    if (key === "at") {
      for (const axis of SETTINGS) {
        if (axis !== wanted.x && axis !== wanted.y && value[axis] !== pointOf(wanted.model, axis))
          words.set(`at.${axis}`, value[axis]);
      }
    } else if (key !== "shown" && value !== initial[key]) words.set(key, value);
  }
  return words.toString();
}

// --- from one run of the page to another ---------------------------------------------------------

/**
 * What is looked at without numbers of models and axes, which mean something else in another run.
 * @type {() => StateInWords | null}
 */
function inWords() {
  if (!isListed(wanted.model)) return null; // it was never opened
  const { metric, feature, theory, theme } = wanted;
  const said = Object.fromEntries(texts().map((name) => [name, wanted[name]]));
  const none = SETTINGS.length > 1 ? null : undefined; // no axis was chosen, or there is no choice
  /** @type {(axis: number | null) => string | null | undefined} */
  const keysOf = (axis) => (axis === null ? none : RUN.axes[axis].keys.join());
  const pin = wanted.pin === null ? null : settingsOf(wanted.pin);
  return {
    metric,
    feature,
    theory,
    theme,
    ...said,
    x: keysOf(wanted.x),
    y: keysOf(wanted.y),
    model: settingsOf(wanted.model),
    pin,
  };
}

/**
 * The state of this run that is nearest to what was looked at in another one.
 * @type {(words: StateInWords) => State}
 */
function stateLike({ x, y, model, pin, ...others }) {
  /** @type {(keys: string | null | undefined) => number | null | undefined} */
  const axisLike = (keys) =>
    keys === null ? null : SETTINGS.find((axis) => RUN.axes[axis].keys.join() === keys);
  const points = pin && pointsLike(pin);
  const axes = /** @type {{ x: number | null, y: number | null }} */ ({
    x: axisLike(x),
    y: axisLike(y), // undefined, as no run has such an axis, is not valid either
  });
  return valid({
    ...initial,
    ...others,
    ...axes,
    at: {},
    model: modelLike(model),
    pin: points && !points.includes(-1) ? modelAt(points, 0) : null,
  });
}

/**
 * On every axis the point with these settings; -1 where there is none.
 * @type {(settings: Row) => number[]}
 */
const pointsLike = (settings) =>
  RUN.axes.map(({ keys, values }) =>
    values.findIndex((point) => keys.every((key, k) => String(point[k]) === String(settings[key]))),
  );
/** @type {(points: number[], start: number) => number} */
const modelAt = (points, start) =>
  points.reduce((model, point, axis) => (point < 0 ? model : moved(model, axis, point)), start);

/**
 * The model with these settings as far as this run has them; where it lacks the seed, the best one.
 * @type {(settings: Row) => number}
 */
function modelLike(settings) {
  const points = pointsLike(settings);
  const model = modelAt(points, initial.model);
  return points[SEEDS] === -1 || !isListed(model) ? bestOf(model) : model;
}

// --- drawing and the address follow --------------------------------------------------------------

// Drawings are asynchronous and follow each other; changes that come while one is under way are
// drawn together.
let drawing = Promise.resolve();
let waiting = false;
let left = false; // whether another run of the page is looked at instead
let printed = false; // whether it is drawn for paper

/**
 * Change what is wanted and draw it; resolves once it is drawn, or the page has said what cannot
 * be.
 * @type {(changes: Partial<State>) => Promise<void>}
 */
function set(changes) {
  if (left) return drawing;
  Object.assign(wanted, valid({ ...wanted, ...changes, at: { ...wanted.at, ...changes.at } }));
  if (!waiting) {
    waiting = true;
    busy(1);
    drawing = drawing
      .then(drawWanted)
      .catch(cannotDraw)
      .finally(() => busy(-1));
  }
  return drawing;
}

/** @type {() => Promise<void>} */
async function drawWanted() {
  waiting = false;
  Object.assign(state, wanted);
  await drawAll();
  writeAddress();
}

// Ms between two writings of the address: browsers take some in a time, Safari 100 in 30 s
const PAUSE = 400;
let written = -PAUSE;
let writing = false;

/**
 * Have the address say what is wanted, soon.
 * @type {() => void}
 */
function writeAddress() {
  if (writing) return;
  writing = true;
  busy(1);
  setTimeout(
    () => {
      writing = false;
      written = performance.now();
      if (!left) replaceAddress(toHash());
      busy(-1);
    },
    Math.max(0, written + PAUSE - performance.now()),
  );
}

/** @type {(hash: string) => void} */
function replaceAddress(hash) {
  if (location.hash.slice(1) === hash) return;
  try {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch {
    // A page inside another one may have no address of its own, and a browser may have had enough:
    // nothing is lost.
  }
}

/**
 * Draw everything for paper, or again for the screen: all at once, as the browser does not wait.
 * @type {(isPrinted: boolean) => Promise<void>}
 */
async function drawForPaper(isPrinted) {
  printed = isPrinted;
  drawn = {};
  await set({});
  const seen = plotsIn("#main").filter(({ offsetParent }) => offsetParent);
  await Promise.all(seen.map((target) => target.library?.relayout(target, { autosize: true })));
}

/**
 * Draw nothing any more; resolves once what is under way is done.
 * @type {() => Promise<void>}
 */
function leave() {
  left = true;
  stopPlaying();
  return drawing;
}

/**
 * Show a model; the sliders of the map follow it.
 * @type {(model: number) => Promise<void>}
 */
function select(model) {
  if (!isListed(model)) return Promise.resolve();
  const at = Object.fromEntries(SETTINGS.map((axis) => [axis, pointOf(model, axis)]));
  return set({ model, at });
}
