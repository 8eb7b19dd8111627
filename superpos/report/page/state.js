// What is looked at. All of it stands in the address, so that a link shows the same.

const METRICS = []; // see metrics.js; filled in once the table is open
const state = {
  model: null, pin: null, metric: null, feature: null, x: null, y: null, at: {}, theory: true,
  frame: null, theme: null, filter: "", sort: "model", shown: 100,
};
const initial = {};
const hasMetric = (name) => METRICS.some((metric) => metric.name === name);
const NUMBERS = ["model", "pin", "feature", "x", "y", "frame"];

/** The state that an address describes; what it does not name is as at the start. */
function stateOf(hash) {
  const found = { ...initial, at: {} };
  for (const [key, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (key.startsWith("at.")) found.at[key.slice(3)] = Number(text);
    else if (NUMBERS.includes(key)) found[key] = Number(text);
    else if (key === "theory") found.theory = text !== "false";
    else if (["metric", "theme", "filter", "sort"].includes(key)) found[key] = text;
  }
  return valid(found);
}

/** The same state with everything that this run does not have replaced by what it starts with. */
function valid(wanted) {
  const isAxis = (axis) => SETTINGS.includes(axis);
  const found = { ...wanted };
  if (!isListed(found.model ?? -1)) found.model = initial.model;
  if (found.pin !== null && !isListed(found.pin)) found.pin = null;
  if (!hasMetric(found.metric)) found.metric = initial.metric;
  if (!isAxis(found.x) || !(isAxis(found.y) || found.y === null) || found.x === found.y) [found.x, found.y] = [initial.x, initial.y];
  found.at = {};
  for (const axis of SETTINGS) {
    const point = Number(wanted.at[axis] ?? pointOf(found.model, axis)), last = RUN.axes[axis].values.length - 1;
    found.at[axis] = Number.isInteger(point) ? Math.min(Math.max(point, 0), last) : 0;
  }
  if (!Number.isInteger(found.feature) || found.feature < 0) found.feature = initial.feature;
  if (!Number.isInteger(found.frame) || found.frame < 0) found.frame = null;
  if (!["light", "dark"].includes(found.theme)) found.theme = initial.theme;
  return found;
}

function toHash() {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (key === "at") {
      for (const axis of SETTINGS) {
        if (axis !== state.x && axis !== state.y && value[axis] !== pointOf(state.model, axis)) words.set(`at.${axis}`, value[axis]);
      }
    } else if (key !== "shown" && value !== initial[key]) words.set(key, value);
  }
  return words.toString();
}

// Drawings are asynchronous and follow each other; changes that come while one is under way are drawn together.
let drawing = Promise.resolve(), waiting = false;

/** Change the state and draw it; resolves once it is drawn. */
function set(changes) {
  Object.assign(state, valid({ ...state, ...changes, at: { ...state.at, ...changes.at } }));
  if (!waiting) {
    waiting = true;
    document.documentElement.dataset.busy = "true";
    drawing = drawing.then(() => {
      waiting = false;
      return drawAll();
    }).then(() => {
      if (!waiting) document.documentElement.dataset.busy = "false";
    });
  }
  return drawing;
}

/** Show a model; the sliders of the map follow it. */
function select(model) {
  if (!isListed(model)) return Promise.resolve();
  const at = Object.fromEntries(SETTINGS.map((axis) => [axis, pointOf(model, axis)]));
  return set({ model, at });
}
