// What a map can show: numbers of the table, features in two colours, what theory knows of each setting.

/** What the map can show of this run. */
function metricsOf() {
  const found = [];
  const has = (name) => RUN.weights.some((part) => part.arrays[name]);
  if (has("norm")) found.push({ name: "phase", label: "norm × interference of a feature", kind: "phase" });
  for (const [name, { values, names }] of COLUMNS) {
    if (name === "loss" || names?.length > 1 || !names && values.some((value) => value !== values[0] && Number.isFinite(value))) {
      found.push({ name, label: words(name), kind: names ? "text" : "number", names, value: (model) => COLUMNS.get(name).values[LISTED.rowOf[model]] });
    }
  }
  if (SEEDS >= 0) found.push({ name: "agreeing", label: "share of seeds within 1% of the best loss", kind: "number", ofSetting: true, value: agreeing });
  for (const layer of RUN.layers.maps) found.push({ name: layer.name, label: layer.label, kind: "layer", ofSetting: true, layer, names: layer.names });
  return found;
}

/** Share of a setting's models that reach its lowest loss within 1%. */
function agreeing(model) {
  const all = seedsOf(model), lowest = lossOf(bestOf(model));
  return all.length ? all.filter((other) => lossOf(other) <= lowest * (lowest < 0 ? 0.99 : 1.01)).length / all.length : NaN;
}

/** Norm and interference of one feature of every model; NaN where the page has no weights. */
async function featureOf(feature) {
  const found = { norm: new Float32Array(RUN.models).fill(NaN), interference: new Float32Array(RUN.models).fill(NaN) };
  for (const part of RUN.weights) {
    if (!part.arrays.norm || feature >= part.arrays.norm.shape[1]) continue;
    const models = await valuesOf(part.models), n = part.arrays.norm.shape[1];
    for (const name of ["norm", "interference"]) {
      const values = await valuesOf(part.arrays[name]);
      models.forEach((model, i) => (found[name][model] = values[i * n + feature]));
    }
  }
  return found;
}

/** What a metric needs to be drawn: value(model) and, for colours in two dimensions, norm and interference. */
async function ready(metric) {
  if (metric.kind === "phase") {
    const found = await featureOf(state.feature);
    return { ...metric, ...found, value: (model) => found.norm[model], index: (model) => phaseIndex(found.norm[model], found.interference[model]) };
  }
  if (metric.kind !== "layer") return metric;
  const { axes, arrays } = metric.layer, width = RUN.axes[axes[1]].values.length;
  const at = (model) => pointOf(model, axes[0]) * width + pointOf(model, axes[1]);
  if (arrays.z) {
    const z = await valuesOf(arrays.z);
    return { ...metric, kind: metric.names.length ? "text" : "number", value: (model) => z[at(model)] };
  }
  const norm = await valuesOf(arrays.norm), hue = await valuesOf(arrays.hue);
  return { ...metric, kind: "phase", value: (model) => norm[at(model)], index: (model) => phaseIndex(norm[at(model)], hue[at(model)]) };
}
