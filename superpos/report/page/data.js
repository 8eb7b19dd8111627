// The run: RUN is a JSON object that names arrays.

// --- the models that the page lists, and their settings ------------------------------------------

/**
 * Model numbers; the row of a model or -1; the best model of a setting, by its first model.
 * @type {{ models: Numbers, rowOf: Int32Array, best: Map<number, number> }}
 */
const LISTED = { models: new Uint32Array(), rowOf: new Int32Array(), best: new Map() };
/**
 * By name; columns of text hold indices of their names.
 * @type {Map<string, Column>}
 */
const COLUMNS = new Map();
const SEEDS = RUN.axes.findIndex((axis) => axis.seeds);
const SETTINGS = RUN.axes
  .map((_, i) => i)
  .filter((i) => i !== SEEDS && RUN.axes[i].values.length > 1);
const STRIDES = RUN.axes.map((_, i) =>
  RUN.axes.slice(i + 1).reduce((product, axis) => product * axis.values.length, 1),
);

/**
 * Which point of an axis a model has.
 * @type {(model: number, axis: number) => number}
 */
const pointOf = (model, axis) => Math.floor(model / STRIDES[axis]) % RUN.axes[axis].values.length;
/**
 * The same model at another point of one axis.
 * @type {(model: number, axis: number, point: number) => number}
 */
const moved = (model, axis, point) => model + (point - pointOf(model, axis)) * STRIDES[axis];
/**
 * The first model of a model's setting: that of the first seed.
 * @type {(model: number) => number}
 */
const settingOf = (model) => (SEEDS < 0 ? model : moved(model, SEEDS, 0));
/** @type {(model: number) => boolean} */
const isListed = (model) => model >= 0 && model < RUN.models && LISTED.rowOf[model] >= 0;

/**
 * The models of a setting that are listed, all seeds.
 * @type {(model: number) => number[]}
 */
function seedsOf(model) {
  const first = settingOf(model);
  const count = SEEDS < 0 ? 1 : RUN.axes[SEEDS].values.length;
  return Array.from({ length: count }, (_, k) =>
    SEEDS < 0 ? first : moved(first, SEEDS, k),
  ).filter(isListed);
}

/**
 * A cell of the table: number or text; NaN and null are missing.
 * @type {(model: number, name: string) => Value}
 */
function cell(model, name) {
  const column = /** @type {Column} */ (COLUMNS.get(name));
  const value = column.values[LISTED.rowOf[model]];
  return column.names ? column.names[value] : value;
}
/** @type {(model: number) => boolean} */
const isHealthy = (model) => cell(model, "status") === "ok" && Number.isFinite(cell(model, "loss"));
/** @type {(model: number) => number} */
const lossOf = (model) => (isHealthy(model) ? cell(model, "loss") : Infinity);
/** @type {(model: number) => number} */
const bestOf = (model) => LISTED.best.get(settingOf(model)) ?? -1;

/** @type {() => Promise<void>} */
async function openTable() {
  const [rows] = RUN.parts.rows;
  LISTED.models = await valuesOf(rows.models);
  LISTED.rowOf = new Int32Array(RUN.models).fill(-1);
  for (const [row, model] of LISTED.models.entries()) LISTED.rowOf[model] = row;
  for (const [name, column] of Object.entries(rows.arrays))
    COLUMNS.set(name, { values: await valuesOf(column), names: column.names });
  LISTED.best = new Map();
  for (const model of LISTED.models) {
    const setting = settingOf(model);
    const known = LISTED.best.get(setting);
    if (known === undefined || lossOf(model) < lossOf(known)) LISTED.best.set(setting, model);
  }
}

/**
 * Settings of a model by key: as swept, else as fixed.
 * @type {(model: number) => Row}
 */
function settingsOf(model) {
  const found = { ...RUN.config };
  for (const [i, { keys, values }] of RUN.axes.entries())
    for (const [k, key] of keys.entries()) found[key] = values[pointOf(model, i)][k];
  return found;
}
const swept = RUN.axes.flatMap((axis) => axis.keys);

/**
 * A row of the table, as run.table has it: the swept keys, the seed, and the results.
 * @type {(model: number) => Row}
 */
function rowOf(model) {
  const settings = settingsOf(model);
  const keys = swept.includes("seed") ? swept : [...swept, "seed"];
  /** @type {Row} */
  const row = { model };
  for (const key of keys) row[key] = settings[key];
  for (const name of COLUMNS.keys()) row[name] = cell(model, name);
  return row;
}

/**
 * The command that trains one model alone; null where functions of the user's own were trained from
 * Python.
 * @type {(model: number) => string | null}
 */
function commandOf(model) {
  if (RUN.command === null) return null;
  return [RUN.command, ...RUN.axes.map((axis, i) => axis.overrides[pointOf(model, i)])].join(" ");
}

// --- weights, histories, snapshots, what a family adds: each for the models of one shape ---------

/**
 * The part of a section that holds a model, and its place there; null where none does.
 * @type {(kind: string, model: number) => Promise<{ part: Part, at: number } | null>}
 */
async function partOf(kind, model) {
  for (const part of RUN.parts[kind] ?? []) {
    const at = placeAmong(await valuesOf(part.models), model);
    if (at >= 0) return { part, at };
  }
  return null;
}

/**
 * Place of a number in an ascending list, or -1.
 * @type {(list: Numbers, wanted: number) => number}
 */
function placeAmong(list, wanted) {
  let low = 0;
  let high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return list[low] === wanted ? low : -1;
}

/**
 * The arrays of one model in a section, {name: {values, shape, names}}; null where the page has
 * none.
 * @type {(kind: string, model: number) => Promise<Tensors | null>}
 */
async function arraysOf(kind, model) {
  const found = await partOf(kind, model);
  if (!found) return null;
  /** @type {Tensors} */
  const arrays = {};
  for (const [name, array] of Object.entries(found.part.arrays)) {
    const shape = array.shape.slice(1);
    const size = sizeOf(shape);
    arrays[name] = {
      values: await valuesOf(array, found.at * size, (found.at + 1) * size),
      shape,
      names: array.names,
    };
  }
  return arrays;
}
/** @type {(shape: number[]) => number} */
const sizeOf = (shape) => shape.reduce((product, side) => product * side, 1);

/**
 * The rows of a matrix {values, shape: [rows, columns]}.
 * @type {(matrix: Tensor) => Matrix}
 */
const rowsOf = ({ values, shape: [n, m] }) =>
  Array.from({ length: n }, (_, i) => Array.from(values.subarray(i * m, (i + 1) * m)));

/**
 * Training loss of a model: steps and loss; null where it is not in the page.
 * @type {(model: number) => Promise<{ step: number[], loss: number[] } | null>}
 */
async function historyOf(model) {
  const found = await partOf("history", model);
  const arrays = await arraysOf("history", model);
  if (!found || !arrays) return null;
  return { step: found.part.steps, loss: Array.from(arrays.loss.values, (log) => 10 ** log) };
}

/**
 * Weights of a model and what follows from them, at a snapshot or (null) at the end.
 * @type {(model: number, frame?: number | null) => Promise<Tensors | null>}
 */
async function weightsOf(model, frame = null) {
  const last = await arraysOf("weights", model);
  const at = await snapshotOf(model, frame);
  const films = at === null ? null : await arraysOf("snapshots", model);
  if (at === null || !films) return last;
  const then = { ...last };
  for (const [name, array] of Object.entries(films)) {
    const shape = array.shape.slice(1);
    const size = sizeOf(shape);
    then[name] = { values: array.values.subarray(at * size, (at + 1) * size), shape };
  }
  return then;
}

/**
 * The step of a snapshot; undefined at the end of training.
 * @type {(model: number, frame: number | null) => Promise<number | undefined>}
 */
async function stepOf(model, frame) {
  const at = await snapshotOf(model, frame);
  return at === null ? undefined : (await partOf("snapshots", model))?.part.steps[at];
}

/**
 * Which snapshot of a model a frame is; null at the end, and where the page has none of it.
 * @type {(model: number, frame: number | null) => Promise<number | null>}
 */
async function snapshotOf(model, frame) {
  if (frame === null) return null;
  const found = await partOf("snapshots", model);
  return found && Math.min(frame, found.part.steps.length - 1);
}
