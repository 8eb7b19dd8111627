// The run: RUN is a JSON object that names arrays.

// --- the models that the page lists, and their settings ---------------------------------------------------------------

const LISTED = { models: null, rowOf: null, best: null }; // model numbers; row of a model or -1; best model of a setting
const COLUMNS = new Map(); // name: {values, names}; text columns hold indices of their names
const SEEDS = RUN.axes.findIndex((axis) => axis.seeds);
const SETTINGS = RUN.axes.map((_, i) => i).filter((i) => i !== SEEDS && RUN.axes[i].values.length > 1);
const STRIDES = RUN.axes.map((_, i) => RUN.axes.slice(i + 1).reduce((product, axis) => product * axis.values.length, 1));

/** Which point of an axis a model has. */
const pointOf = (model, axis) => Math.floor(model / STRIDES[axis]) % RUN.axes[axis].values.length;
/** The same model at another point of one axis. */
const moved = (model, axis, point) => model + (point - pointOf(model, axis)) * STRIDES[axis];
/** The first model of a model's setting: that of the first seed. */
const settingOf = (model) => (SEEDS < 0 ? model : moved(model, SEEDS, 0));
const isListed = (model) => model >= 0 && model < RUN.models && LISTED.rowOf[model] >= 0;

/** The models of a setting that are listed, all seeds. */
function seedsOf(model) {
  const first = settingOf(model);
  const count = SEEDS < 0 ? 1 : RUN.axes[SEEDS].values.length;
  return Array.from({ length: count }, (_, k) => (SEEDS < 0 ? first : moved(first, SEEDS, k))).filter(isListed);
}

/** A cell of the table: number or text; NaN and null are missing. */
function cell(model, name) {
  const column = COLUMNS.get(name);
  const value = column.values[LISTED.rowOf[model]];
  return column.names ? column.names[value] : value;
}
const isHealthy = (model) => cell(model, "status") === "ok" && Number.isFinite(cell(model, "loss"));
const lossOf = (model) => (isHealthy(model) ? cell(model, "loss") : Infinity);
const bestOf = (model) => LISTED.best.get(settingOf(model)) ?? -1;

async function openTable() {
  const [rows] = RUN.parts.rows;
  LISTED.models = await valuesOf(rows.models);
  LISTED.rowOf = new Int32Array(RUN.models).fill(-1);
  LISTED.models.forEach((model, row) => (LISTED.rowOf[model] = row));
  for (const [name, column] of Object.entries(rows.arrays)) COLUMNS.set(name, { values: await valuesOf(column), names: column.names });
  LISTED.best = new Map();
  for (const model of LISTED.models) {
    const setting = settingOf(model), known = LISTED.best.get(setting);
    if (known === undefined || lossOf(model) < lossOf(known)) LISTED.best.set(setting, model);
  }
}

/** Settings of a model by key: as swept, else as fixed. */
function settingsOf(model) {
  const found = { ...RUN.config };
  RUN.axes.forEach((axis, i) => axis.keys.forEach((key, k) => (found[key] = axis.values[pointOf(model, i)][k])));
  return found;
}
const swept = RUN.axes.flatMap((axis) => axis.keys);

/** A row of the table, as run.table has it: the swept keys, the seed, and the results. */
function rowOf(model) {
  const settings = settingsOf(model);
  const keys = swept.includes("seed") ? swept : [...swept, "seed"];
  const row = { model };
  for (const key of keys) row[key] = settings[key];
  for (const name of COLUMNS.keys()) row[name] = cell(model, name);
  return row;
}

/** The command that trains one model alone; null where functions of the user's own were trained from Python. */
function commandOf(model) {
  if (RUN.command === null) return null;
  return [RUN.command, ...RUN.axes.map((axis, i) => axis.overrides[pointOf(model, i)])].join(" ");
}

// --- weights, histories, snapshots, what a family adds: each for the models of one shape --------------------------------------------------

/** The part of a section that holds a model, and its place there; null where none does. */
async function partOf(kind, model) {
  for (const part of RUN.parts[kind] ?? []) {
    const at = placeIn(await valuesOf(part.models), model);
    if (at >= 0) return { part, at };
  }
  return null;
}

/** Place of a number in an ascending list, or -1. */
function placeIn(list, wanted) {
  let low = 0, high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return list[low] === wanted ? low : -1;
}

/** The arrays of one model in a section, {name: {values, shape, names}}; null where the page has none. */
async function arraysOf(kind, model) {
  const found = await partOf(kind, model);
  if (!found) return null;
  const arrays = {};
  for (const [name, array] of Object.entries(found.part.arrays)) {
    const shape = array.shape.slice(1), size = sizeOf(shape);
    arrays[name] = { values: await valuesOf(array, found.at * size, (found.at + 1) * size), shape, names: array.names };
  }
  return arrays;
}
const sizeOf = (shape) => shape.reduce((product, side) => product * side, 1);

/** The rows of a matrix {values, shape: [rows, columns]}. */
const rowsOf = ({ values, shape: [n, m] }) => Array.from({ length: n }, (_, i) => Array.from(values.subarray(i * m, (i + 1) * m)));

/** Training loss of a model: steps and loss; null where it is not in the page. */
async function historyOf(model) {
  const found = await partOf("history", model);
  return found && { step: found.part.steps, loss: Array.from((await arraysOf("history", model)).loss.values, (log) => 10 ** log) };
}

/** Weights of a model and what follows from them, at a snapshot or (null) at the end. */
async function weightsOf(model, frame = null) {
  const last = await arraysOf("weights", model), at = await snapshotOf(model, frame);
  if (at === null) return last;
  const then = { ...last };
  for (const [name, array] of Object.entries(await arraysOf("snapshots", model))) {
    const shape = array.shape.slice(1), size = sizeOf(shape);
    then[name] = { values: array.values.subarray(at * size, (at + 1) * size), shape };
  }
  return then;
}

/** The step of a snapshot; undefined at the end of training. */
async function stepOf(model, frame) {
  const at = await snapshotOf(model, frame);
  return at === null ? undefined : (await partOf("snapshots", model)).part.steps[at];
}

/** Which snapshot of a model a frame is; null at the end, and where the page has none of it. */
async function snapshotOf(model, frame) {
  const found = frame === null ? null : await partOf("snapshots", model);
  return found && Math.min(frame, found.part.steps.length - 1);
}
