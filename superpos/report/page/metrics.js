// What a map can show: what a family adds, numbers and texts of the table, what theory knows of
// each setting.
//
//   {name, label, kind, value}  kind: "number"; "text": value counts `names`; "pair": value is a
//                               share, drawn in two colours
//   index(model), hue(model)    of a pair: its number in the colour key; the second share, where
//                               single points have it
//   features                    how many features there are to choose from, where it is about one
//                               of them
//   ofSetting                   whether all seeds have the same
//   open()                      Promise of what is still missing of these

/**
 * What the map can show of this run.
 * @type {() => ClosedMetric[]}
 */
function metricsOf() {
  const found = FAMILY.metrics();
  for (const [name, { values, names }] of COLUMNS) {
    if (
      name === "loss" ||
      (names && names.length > 1) ||
      (!names && values.some((value) => value !== values[0] && Number.isFinite(value)))
    ) {
      found.push({
        name,
        label: words(name),
        kind: names ? "text" : "number",
        names,
        value: (model) => values[LISTED.rowOf[model]],
      });
    }
  }
  if (SEEDS >= 0)
    found.push({
      name: "agreeing",
      label: "share of seeds within 1% of the best loss",
      kind: "number",
      ofSetting: true,
      value: agreeing,
    });
  return [...found, ...RUN.layers.maps.map(layerMetric)];
}

/**
 * Share of a setting's models that reach its lowest loss within 1%.
 * @type {(model: number) => number}
 */
function agreeing(model) {
  const all = seedsOf(model);
  const lowest = lossOf(bestOf(model));
  return all.length
    ? all.filter((other) => lossOf(other) <= lowest * (lowest < 0 ? 0.99 : 1.01)).length /
        all.length
    : NaN;
}

/**
 * A map of theory, which has a value for every setting of two axes.
 * @type {(map: TheoryMap) => ClosedMetric}
 */
function layerMetric({ name, label, names, axes, arrays }) {
  /** @type {(model: number) => number} */
  const at = (model) =>
    pointOf(model, axes[0]) * RUN.axes[axes[1]].values.length + pointOf(model, axes[1]);
  /** @type {() => Promise<Partial<Metric>>} */
  const open = async () => {
    const values = await valuesOf(arrays.values);
    const hue = arrays.hue && (await valuesOf(arrays.hue));
    return {
      value: (model) => values[at(model)],
      ...(hue ? { index: (model) => pairIndex(values[at(model)], hue[at(model)]) } : {}),
    };
  };
  return {
    name,
    label,
    kind: arrays.hue ? "pair" : names.length ? "text" : "number",
    names,
    ofSetting: true,
    open,
  };
}

/**
 * A metric with all that it needs to be drawn.
 * @type {(metric: ClosedMetric) => Promise<Metric>}
 */
const ready = async (metric) => /** @type {Metric} */ ({ ...metric, ...(await metric.open?.()) });
