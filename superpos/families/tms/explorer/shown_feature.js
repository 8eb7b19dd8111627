// What the map shows of one feature, and what the page begins with.

/** @type {(arrays: Record<string, Stored>) => number} */
const featuresOf = (arrays) => arrays.norm?.shape[1] ?? 0;

/**
 * Norm × interference of one feature, where there are features.
 * @type {() => ClosedMetric[]}
 */
function featureMetrics() {
  const features = Math.max(0, ...RUN.parts.weights.map(({ arrays }) => featuresOf(arrays)));
  const open = async () => {
    const { norm, interference } = await shownFeature();
    /** @type {Partial<Metric>} */
    const opened = {
      value: (model) => norm[model],
      hue: (model) => interference[model],
      index: (model) => pairIndex(norm[model], interference[model]),
    };
    return opened;
  };
  return features
    ? [{ name: "phase", label: "norm × interference of a feature", kind: "pair", features, open }]
    : [];
}

/**
 * Norm and interference of the chosen feature of every model; NaN where the page has no weights.
 * @type {() => Promise<{ norm: Float32Array, interference: Float32Array }>}
 */
async function shownFeature() {
  const found = {
    norm: new Float32Array(RUN.models).fill(NaN),
    interference: new Float32Array(RUN.models).fill(NaN),
  };
  for (const { models: numbers, arrays } of RUN.parts.weights) {
    const n = featuresOf(arrays);
    if (state.feature >= n) continue;
    const models = await valuesOf(numbers);
    const norm = await valuesOf(arrays.norm);
    const interference = await valuesOf(arrays.interference);
    for (const [i, model] of models.entries()) {
      found.norm[model] = norm[i * n + state.feature];
      found.interference[model] = interference[i * n + state.feature];
    }
  }
  return found;
}

/**
 * A map begins with the last feature, a curve of many features in few dimensions with D*.
 * @type {() => { metric: string, feature: number }}
 */
function firstView() {
  const arrays = RUN.parts.weights[0]?.arrays ?? {};
  const features = featuresOf(arrays) || 1;
  const hidden = arrays.W?.shape[2] ?? 1;
  const isCrowded = features > 2 * hidden && hidden > 3;
  const metric =
    SETTINGS.length > 1 && hasMetric("phase")
      ? "phase"
      : isCrowded && hasMetric("d_star")
        ? "d_star"
        : "loss";
  return { metric, feature: features - 1 };
}
