// What is looked at. All of it stands in the address, so that a link shows the same.
//
// Events read and change what is `wanted`, at any moment. A drawing begins by making that the `state`, and reads the
// state alone, which stays as it is until all of it is drawn.

const METRICS = []; // see metrics.js; filled in once the table is open
const wanted = {
  model: null, pin: null, metric: null, feature: null, x: null, y: null, at: {}, theory: true,
  frame: null, theme: null, filter: "", sort: "model", shown: 100,
};
const state = { ...wanted };
const initial = {};
const hasMetric = (name) => METRICS.some((metric) => metric.name === name);
const NUMBERS = ["model", "pin", "feature", "x", "y", "frame"];
const ofFamily = () => Object.keys(FAMILY.state); // which is known later
const texts = () => ["filter", "sort", ...ofFamily()];

/** The state that an address describes; what it does not name is as at the start. */
function stateOf(hash) {
  const found = { ...initial, at: {} };
  for (const [key, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (key.startsWith("at.")) found.at[key.slice(3)] = Number(text);
    else if (NUMBERS.includes(key)) found[key] = Number(text);
    else if (key === "theory") found.theory = text !== "false";
    else if (["metric", "theme", ...texts()].includes(key)) found[key] = text;
  }
  return valid(found);
}

/** The same state with everything that this run does not have replaced by what it starts with. */
function valid(asked) {
  const isAxis = (axis) => SETTINGS.includes(axis);
  const found = { ...asked };
  if (!isListed(found.model ?? -1)) found.model = initial.model;
  if (found.pin !== null && !isListed(found.pin)) found.pin = null;
  if (!hasMetric(found.metric)) found.metric = initial.metric;
  if (!isAxis(found.x) || !(isAxis(found.y) || found.y === null) || found.x === found.y) [found.x, found.y] = [initial.x, initial.y];
  found.at = {};
  for (const axis of SETTINGS) {
    const point = Number(asked.at[axis] ?? pointOf(found.model, axis)), last = RUN.axes[axis].values.length - 1;
    found.at[axis] = Number.isInteger(point) ? Math.min(Math.max(point, 0), last) : 0;
  }
  if (!Number.isInteger(found.feature) || found.feature < 0) found.feature = initial.feature;
  if (!Number.isInteger(found.frame) || found.frame < 0) found.frame = null;
  if (!["light", "dark"].includes(found.theme)) found.theme = initial.theme;
  if (!Number.isInteger(found.shown) || found.shown < 0) found.shown = initial.shown;
  for (const name of texts()) if (typeof found[name] !== "string") found[name] = initial[name];
  found.theory = Boolean(found.theory);
  return found;
}

function toHash() {
  const words = new URLSearchParams(label === null ? {} : { run: label });
  for (const [key, value] of Object.entries(wanted)) {
    if (key === "at") {
      for (const axis of SETTINGS) {
        if (axis !== wanted.x && axis !== wanted.y && value[axis] !== pointOf(wanted.model, axis)) words.set(`at.${axis}`, value[axis]);
      }
    } else if (key !== "shown" && value !== initial[key]) words.set(key, value);
  }
  return words.toString();
}

// --- from one run of the page to another ---------------------------------------------------------------------------------

/** What is looked at without numbers of models and axes, which mean something else in another run. */
function inWords() {
  if (!isListed(wanted.model ?? -1)) return null; // it was never opened
  const { metric, feature, theory, theme } = wanted, said = Object.fromEntries(texts().map((name) => [name, wanted[name]]));
  const none = SETTINGS.length > 1 ? null : undefined; // no axis was chosen, or there is no choice
  const keysOf = (axis) => (axis === null ? none : RUN.axes[axis].keys.join());
  const pin = wanted.pin === null ? null : settingsOf(wanted.pin);
  return { metric, feature, theory, theme, ...said, x: keysOf(wanted.x), y: keysOf(wanted.y), model: settingsOf(wanted.model), pin };
}

/** The state of this run that is nearest to what was looked at in another one. */
function stateLike({ x, y, model, pin, ...others }) {
  const axisOf = (keys) => (keys === null ? null : SETTINGS.find((axis) => RUN.axes[axis].keys.join() === keys));
  const points = pin && pointsLike(pin);
  return valid({
    ...initial, ...others, x: axisOf(x), y: axisOf(y), at: {}, model: modelLike(model),
    pin: points && !points.includes(-1) ? modelAt(points, 0) : null,
  });
}

/** On every axis the point with these settings; -1 where there is none. */
const pointsLike = (settings) => RUN.axes.map(({ keys, values }) => (
  values.findIndex((point) => keys.every((key, k) => String(point[k]) === String(settings[key])))));
const modelAt = (points, start) => points.reduce((model, point, axis) => (point < 0 ? model : moved(model, axis, point)), start);

/** The model with these settings as far as this run has them; where it lacks the seed, the best one. */
function modelLike(settings) {
  const points = pointsLike(settings), model = modelAt(points, initial.model);
  return points[SEEDS] === -1 || !isListed(model) ? bestOf(model) : model;
}

// --- drawing and the address follow ------------------------------------------------------------------------------------

// Drawings are asynchronous and follow each other; changes that come while one is under way are drawn together.
let drawing = Promise.resolve();
let waiting = false;
let left = false; // whether another run of the page is looked at instead
let printed = false; // whether it is drawn for paper

/** Change what is wanted and draw it; resolves once it is drawn, or the page has said what cannot be. */
function set(changes) {
  if (left) return drawing;
  Object.assign(wanted, valid({ ...wanted, ...changes, at: { ...wanted.at, ...changes.at } }));
  if (!waiting) {
    waiting = true;
    busy(1);
    drawing = drawing.then(drawWanted).catch(cannotDraw).finally(() => busy(-1));
  }
  return drawing;
}

async function drawWanted() {
  waiting = false;
  Object.assign(state, wanted);
  await drawAll();
  writeAddress();
}

const PAUSE = 400; // ms between two writings of the address: browsers take some in a time, Safari 100 in 30 s
let written = -PAUSE;
let writing = false;

/** Have the address say what is wanted, soon. */
function writeAddress() {
  if (writing) return;
  writing = true;
  busy(1);
  setTimeout(() => {
    writing = false;
    written = performance.now();
    if (!left) replaceAddress(toHash());
    busy(-1);
  }, Math.max(0, written + PAUSE - performance.now()));
}

function replaceAddress(hash) {
  if (location.hash.slice(1) === hash) return;
  try {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch {
    // A page inside another one may have no address of its own, and a browser may have had enough: nothing is lost.
  }
}

/** Draw everything for paper, or again for the screen: all at once, as the browser does not wait. */
async function print(isPrinted) {
  printed = isPrinted;
  drawn = {};
  await set({});
  const plots = [...document.querySelectorAll("#main .js-plotly-plot")].filter(({ offsetParent }) => offsetParent);
  await Promise.all(plots.map((target) => target.library.relayout(target, { autosize: true })));
}

/** Draw nothing any more; resolves once what is under way is done. */
function leave() {
  left = true;
  stopPlaying();
  return drawing;
}

/** Show a model; the sliders of the map follow it. */
function select(model) {
  if (!isListed(model)) return Promise.resolve();
  const at = Object.fromEntries(SETTINGS.map((axis) => [axis, pointOf(model, axis)]));
  return set({ model, at });
}
