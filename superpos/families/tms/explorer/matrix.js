// The card of WᵀW and b.

const MOST = 400; // features of a matrix; more are finer than the screen

/**
 * How input j reaches output i through linear layers, WᵀW or W₂W₁ᵀ with features in rows of W, and
 * b beside it.
 * @type {Draw}
 */
async function drawMatrix(target, { weights, model }, card) {
  const encoder = encoderOf(weights);
  if (!weights || !encoder) return false;
  const W = rowsOf(encoder).slice(0, MOST);
  const out = weights.W2 ? rowsOf(weights.W2).slice(0, MOST) : W;
  const name = weights.W2 ? "W₂W₁ᵀ" : "WᵀW";
  const first = encoder.shape[0] > MOST ? [`The first ${MOST} features.`] : [];
  note(card, [...first, ...(isReluLayer(model) ? [linearNote(settingsOf(model))] : [])].join(" "));
  const G = product(out, W);
  const n = W.length;
  const features = range(n).map((i) => i + 1);
  within(card, "h3").textContent = `${name} and b`;
  const heat = {
    type: "heatmap",
    colorscale: SIGNED,
    zmin: -1,
    zmax: 1,
    y: features,
    hoverongaps: false,
  };
  /** @type {Trace[]} */
  const traces = [
    {
      ...heat,
      x: features,
      z: G,
      colorbar: bar(""),
      hovertemplate: "output %{y}, input %{x}: %{z:.3f}<extra></extra>",
    },
  ];
  if (weights.b)
    traces.push({
      ...heat,
      x: ["b"],
      z: listOf(weights.b)
        .slice(0, n)
        .map((value) => [value]),
      xaxis: "x2",
      showscale: false,
      hovertemplate: "b of feature %{y}: %{z:.3f}<extra></extra>",
    });
  const y = {
    autorange: false,
    range: [n + 0.5, 0.5],
    constrain: "domain",
    ...whole(n),
    title: { text: "output" },
  };
  await plot(
    target,
    traces,
    {
      xaxis: {
        domain: [0, 0.88],
        range: [0.5, n + 0.5],
        scaleanchor: "y",
        constrain: "domain",
        ...whole(n),
        title: { text: "input" },
      },
      xaxis2: axisLook({ domain: [0.92, 1], type: "category", showgrid: false }),
      yaxis: y,
    },
    `${name} of ${n} features and their biases, from −1 to 1`,
  );
  return true;
}
/**
 * What a matrix of the weights alone says of a model with a hidden ReLU.
 * @type {(settings: Row) => string}
 */
function linearNote(settings) {
  const lost =
    settings["model.target"] === "abs"
      ? ": neurons for x > 0 and x < 0 cancel, a perfect |x| gives 0"
      : "";
  return `From input to pre-activation of the output, with the hidden ReLU left out${lost}.`;
}
