// Where the settings of a sweep stand on a map.

/** @type {(axis: number) => string} */
const axisWords = (i) =>
  RUN.axes[i].keys
    .map((key) => (RUN.axes[i].keys.length > 1 ? key.split(".").pop() : words(key)))
    .join(", ");

/**
 * Where a point of an axis is drawn.
 * @type {(axis: number, point: number) => number}
 */
const coordinate = (axis, point) =>
  RUN.axes[axis].scale === "ordinal" ? point : RUN.axes[axis].values[point][0];
/**
 * Points of an axis from left to right.
 * @type {(axis: number) => number[]}
 */
const ordered = (axis) =>
  RUN.axes[axis].values
    .map((_, point) => point)
    .sort((a, b) => coordinate(axis, a) - coordinate(axis, b));

/** @type {(axis: number) => Layout} */
function axisOf(axis) {
  const { scale, texts } = RUN.axes[axis];
  const title = { text: axisWords(axis) };
  if (scale === "log") return { title, ...logAxis(RUN.axes[axis].values.map(([value]) => value)) };
  if (scale === "linear" && texts.length > 12) return { title, type: "linear" };
  const step = Math.ceil(texts.length / 12);
  const shown = texts.map((_, i) => i).filter((i) => i % step === 0);
  return {
    title: { ...title, standoff: 4 },
    type: "linear",
    tickvals: shown.map((i) => coordinate(axis, i)),
    ticktext: shown.map((i) => lines(axis, texts[i])),
  };
}
/**
 * A tick's label: the values of zipped keys below each other.
 * @type {(axis: number, text: string) => string}
 */
const lines = (axis, text) =>
  RUN.axes[axis].keys.length > 1 ? text.split(", ").map(plain).join("<br>") : plain(clip(text));
/** @type {(axis: number | null) => number} */
const below = (axis) => 46 + 13 * (axis === null ? 0 : RUN.axes[axis].keys.length - 1);
/** @type {(text: string, most?: number) => string} */
const clip = (text, most = 22) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/**
 * Both edges of a point's cell, midway to its neighbours on the axis's scale.
 * @type {(axis: number, point: number) => number[]}
 */
function edgesOf(axis, point) {
  const log = RUN.axes[axis].scale === "log";
  const places = ordered(axis).map((own) =>
    log ? Math.log(coordinate(axis, own)) : coordinate(axis, own),
  );
  const i = ordered(axis).indexOf(point);
  const here = places[i];
  const left = i > 0 ? (places[i - 1] + here) / 2 : null;
  const right = i + 1 < places.length ? (places[i + 1] + here) / 2 : null;
  const ends = [left ?? 2 * here - (right ?? here + 0.5), right ?? 2 * here - (left ?? here - 0.5)];
  return log ? ends.map(Math.exp) : ends;
}

/**
 * From the first edge of an axis's cells to the last, as the library has it: logarithms on a
 * logarithmic axis.
 * @type {(axis: number) => Layout}
 */
function spanOf(axis) {
  const points = ordered(axis);
  const ends = [edgesOf(axis, points[0])[0], edgesOf(axis, points[points.length - 1])[1]];
  return {
    range: RUN.axes[axis].scale === "log" ? ends.map(Math.log10) : ends,
    showgrid: false,
    zeroline: false,
  };
}

/**
 * The first model of the setting at points of the axes that are drawn, the sliders giving the
 * others.
 * @type {(points: Record<number, number>) => number}
 */
function settingAt(points) {
  let model = 0;
  for (const axis of SETTINGS) model = moved(model, axis, points[axis] ?? state.at[axis]);
  return model;
}

/**
 * Whether a model's setting is on the map as the sliders stand.
 * @type {(model: number) => boolean}
 */
const isShown = (model) =>
  SETTINGS.every(
    (axis) => axis === state.x || axis === state.y || pointOf(model, axis) === state.at[axis],
  );

/** @type {(settings: Row) => string} */
const titleOf = (settings) =>
  swept
    .filter((key) => key !== "seed")
    .map((key) => `${key} = ${number(settings[key])}`)
    .join("<br>");
/**
 * A text in which no name of a key or a label can be HTML.
 * @type {(text: Value) => string}
 */
const plain = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** @type {(model: number, metric: Metric) => string} */
function hoverOf(model, metric) {
  const value = metric.value(model);
  const settings = settingsOf(model);
  const lines = [
    titleOf(settings),
    `model ${model}${SEEDS < 0 ? "" : `, seed ${settings.seed}`}`,
    `loss ${number(cell(model, "loss"))}`,
  ];
  if (metric.kind === "pair") lines.push(`${FAMILY.pair?.strength} ${number(value)}`);
  else if (metric.name !== "loss")
    lines.push(
      `${metric.label} ${metric.kind === "text" ? plain(nameIn(metric, value)) : number(value)}`,
    );
  return lines.filter(Boolean).join("<br>");
}
