// The card of the directions of the features, in up to three dimensions.

/**
 * Draws features, the rows of W, in as many dimensions as these have, up to a length `most`.
 * @typedef {(target: PlotElement, W: Matrix, colours: string[], most: number, view: View) =>
 *   Promise<void>} DrawVectors
 */

/**
 * Colours of the features: by set where there are sets, else by importance.
 * @type {(view: View, n: number) => string[]}
 */
function featureColours({ model, weights }, n) {
  const settings = settingsOf(model);
  if (settings["data.set_size"] > 1)
    return range(n).map(
      (i) => PALETTE.cycle[Math.floor(i / settings["data.set_size"]) % PALETTE.cycle.length],
    );
  const importance = weights?.importance ? listOf(weights.importance) : range(n).map(() => 1);
  const most = Math.max(...importance);
  const least = Math.min(...importance);
  return importance.map((value) =>
    importanceColour(most > least ? (value - least) / (most - least) : 1),
  );
}

/** @type {Draw} */
async function drawDirections(target, view, card) {
  const encoder = encoderOf(view.weights);
  if (!encoder || isReluLayer(view.model) || encoder.shape[1] > 3) return false;
  const W = rowsOf(encoder);
  const colours = featureColours(view, W.length);
  const last = rowsOf(encoderOf(await arraysOf("weights", view.model)) ?? encoder);
  const most =
    1.15 * Math.max(1, ...[...W, ...last].map((w) => Math.hypot(...w)).filter(Number.isFinite));
  note(
    card,
    settingsOf(view.model)["data.set_size"] > 1
      ? "A colour for each set of features."
      : `${isDark() ? "Lighter" : "Darker"} features are more important.`,
  );
  const draw = [drawLine, drawPlane, drawSpace][encoder.shape[1] - 1];
  await draw(target, W, colours, most, view);
  return true;
}

/** @type {(W: Matrix) => string[]} */
const hoverVector = (W_) =>
  W_.map(
    (w, i) =>
      `feature ${i + 1}<br>(${w.map(number).join(", ")})<br>norm ${number(Math.hypot(...w))}`,
  );
/** @type {(n: number) => string[]} */
const labels = (n) => range(n).map((i) => String(i + 1));

/** @type {DrawVectors} */
async function drawLine(target, W, colours, most, _view) {
  const arrows = W.map(([x], i) => ({
    type: "scatter",
    mode: "lines+markers",
    x: [0, x],
    y: [i + 1, i + 1],
    line: { color: colours[i], width: 3 },
    marker: { size: [0, 11], color: colours[i] },
    text: ["", hoverVector(W)[i]],
    hovertemplate: "%{text}<extra></extra>",
  }));
  await plot(
    target,
    arrows,
    {
      xaxis: { range: [-most, most], title: { text: "Wᵢ" }, zeroline: true, zerolinewidth: 2 },
      yaxis: { range: [W.length + 0.7, 0.3], ...whole(W.length), title: { text: "feature" } },
    },
    `Weights of ${W.length} features in one dimension`,
  );
}

/** @type {DrawVectors} */
async function drawPlane(target, W, colours, most, _view) {
  const gaps = W.flatMap(([x, y]) => [
    [0, 0],
    [x, y],
    [null, null],
  ]);
  /** @type {Trace[]} */
  const traces = W.map(([x, y], i) => ({
    type: "scatter",
    mode: "lines",
    x: [0, x],
    y: [0, y],
    line: { color: colours[i], width: 2.5 },
    hoverinfo: "skip",
  }));
  if (W.length > 60)
    traces.splice(0, W.length, {
      type: "scatter",
      mode: "lines",
      x: gaps.map(([x]) => x),
      y: gaps.map(([, y]) => y),
      line: { color: css("--grey"), width: 1 },
      hoverinfo: "skip",
    });
  const labelled = W.length <= 12;
  traces.push({
    type: "scatter",
    mode: labelled ? "markers+text" : "markers",
    x: W.map((w) => w[0]),
    y: W.map((w) => w[1]),
    marker: { size: 11, color: colours, line: { width: 1.5, color: css("--card") } },
    text: labelled ? labels(W.length) : undefined,
    textposition: W.map(([x, y]) => `${y < 0 ? "bottom" : "top"} ${x < 0 ? "left" : "right"}`),
    customdata: hoverVector(W),
    hovertemplate: "%{customdata}<extra></extra>",
  });
  const square = { range: [-most, most], showgrid: false, zeroline: false };
  await plot(
    target,
    traces,
    {
      xaxis: { ...square, constrain: "domain" },
      yaxis: { ...square, scaleanchor: "x", constrain: "domain" },
      margin: { l: 36, r: 8, t: 8, b: 28 },
      shapes: [
        {
          type: "circle",
          x0: -1,
          x1: 1,
          y0: -1,
          y1: 1,
          line: { color: css("--line"), width: 1, dash: "dot" },
        },
      ],
    },
    `Directions of ${W.length} features in two dimensions`,
  );
}

/**
 * A turnable view, with the edges of the hull where the model is as at the end of training.
 * @type {DrawVectors}
 */
async function drawSpace(target, W, colours, most, { model }) {
  const lines = { type: "scatter3d", mode: "lines", hoverinfo: "skip" };
  /** @type {(k: number, edges: (number[] | null)[]) => (number | null)[]} */
  const axis = (k, edges) => edges.map((point) => (point ? point[k] : null));
  /** @type {(edges: (number[] | null)[]) => Trace} */
  const along = (edges) => ({ x: axis(0, edges), y: axis(1, edges), z: axis(2, edges) });
  const spokes = W.map((w, i) => ({
    ...lines,
    ...along([[0, 0, 0], w]),
    line: { color: colours[i], width: 6 },
  }));
  const hull = state.frame === null ? (await arraysOf("graphs", model))?.hull : null;
  const edges = hull
    ? range(W.length).flatMap((i) =>
        range(W.length)
          .filter((j) => hull.values[i * W.length + j])
          .flatMap((j) => [W[i], W[j], null]),
      )
    : [];
  const ends = {
    type: "scatter3d",
    mode: "markers",
    ...along(W),
    marker: { size: 6, color: colours },
    customdata: hoverVector(W),
    hovertemplate: "%{customdata}<extra></extra>",
  };
  const names =
    W.length > 12
      ? []
      : W.map(([x, y, z], i) => ({
          x,
          y,
          z,
          text: String(i + 1),
          showarrow: false,
          yshift: 13,
          font: { size: 12, color: css("--ink") },
        }));
  const side = {
    range: [-most, most],
    title: { text: "" },
    color: css("--grey"),
    showgrid: false,
    zeroline: false,
    showline: false,
    showbackground: false,
    showticklabels: false,
    showspikes: false,
  };
  await plot(
    target,
    [...spokes, { ...lines, ...along(edges), line: { color: css("--grey"), width: 2 } }, ends],
    {
      margin: { l: 0, r: 0, t: 0, b: 0 },
      dragmode: "orbit",
      uirevision: "turned",
      scene: {
        annotations: names,
        xaxis: side,
        yaxis: side,
        zaxis: side,
        aspectmode: "cube",
        camera: { eye: { x: 0.95, y: 0.75, z: 0.6 } },
        uirevision: "turned",
      },
    },
    `Directions of ${W.length} features in three dimensions; drag to turn`,
  );
}
