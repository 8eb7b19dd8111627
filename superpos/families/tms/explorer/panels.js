// What the page shows of toy models: a card for each view of their features, the map of norm and interference.

const FEW = RUN.constants.few;
const MOST = 400; // features of a matrix; more are finer than the screen
const MANY_POINTS = 1500; // from here on points are drawn by the graphics card
const isReluLayer = (model) => settingsOf(model)["model.hidden"] === "relu";
/** The weights whose rows are directions of the features; null where a user's own parameters mean something else. */
const encoderOf = (weights) => (weights?.norm ? (weights.W ?? weights.W1) : null);

/** A @ Bᵀ of two matrices given as rows. */
const product = (A, B) => A.map((a) => B.map((b) => a.reduce((sum, value, k) => sum + value * b[k], 0)));

/** How input j reaches output i through linear layers, WᵀW or W₂W₁ᵀ with features in rows of W, and b beside it. */
async function drawMatrix(target, { weights, model }, card) {
  if (!encoderOf(weights)) return false;
  const W = rowsOf(encoderOf(weights)).slice(0, MOST), out = weights.W2 ? rowsOf(weights.W2).slice(0, MOST) : W;
  const name = weights.W2 ? "W₂W₁ᵀ" : "WᵀW", first = encoderOf(weights).shape[0] > MOST ? [`The first ${MOST} features.`] : [];
  note(card, [...first, ...(isReluLayer(model) ? [linearNote(settingsOf(model))] : [])].join(" "));
  const G = product(out, W), n = W.length, features = range(n).map((i) => i + 1);
  card.querySelector("h3").textContent = `${name} and b`;
  const heat = { type: "heatmap", colorscale: SIGNED, zmin: -1, zmax: 1, y: features, hoverongaps: false };
  const traces = [{ ...heat, x: features, z: G, colorbar: bar(""), hovertemplate: "output %{y}, input %{x}: %{z:.3f}<extra></extra>" }];
  if (weights.b) traces.push({ ...heat, x: ["b"], z: listOf(weights.b).slice(0, n).map((value) => [value]), xaxis: "x2", showscale: false, hovertemplate: "b of feature %{y}: %{z:.3f}<extra></extra>" });
  const y = { autorange: false, range: [n + 0.5, 0.5], constrain: "domain", ...whole(n), title: { text: "output" } };
  await plot(target, traces, {
    xaxis: { domain: [0, 0.88], range: [0.5, n + 0.5], scaleanchor: "y", constrain: "domain", ...whole(n), title: { text: "input" } },
    xaxis2: axisLook({ domain: [0.92, 1], type: "category", showgrid: false }), yaxis: y,
  }, `${name} of ${n} features and their biases, from −1 to 1`);
  return true;
}
/** What a matrix of the weights alone says of a model with a hidden ReLU. */
function linearNote(settings) {
  const lost = settings["model.target"] === "abs" ? ": neurons for x > 0 and x < 0 cancel, a perfect |x| gives 0" : "";
  return `From input to pre-activation of the output, with the hidden ReLU left out${lost}.`;
}

/** Colours of the features: by set where there are sets, else by importance. */
function featureColours({ model, weights }, n) {
  const settings = settingsOf(model);
  if (settings["data.correlation"] !== "none") return range(n).map((i) => PALETTE.cycle[Math.floor(i / settings["data.set_size"]) % PALETTE.cycle.length]);
  const importance = weights.importance ? listOf(weights.importance) : range(n).map(() => 1);
  const most = Math.max(...importance), least = Math.min(...importance);
  return importance.map((value) => importanceColour(most > least ? (value - least) / (most - least) : 1));
}

async function drawDirections(target, view, card) {
  const encoder = encoderOf(view.weights);
  if (!encoder || isReluLayer(view.model) || encoder.shape[1] > 3) return false;
  const W = rowsOf(encoder), colours = featureColours(view, W.length);
  const last = rowsOf(encoderOf(await arraysOf("weights", view.model)));
  const most = 1.15 * Math.max(1, ...[...W, ...last].map((w) => Math.hypot(...w)).filter(Number.isFinite));
  note(card, settingsOf(view.model)["data.correlation"] === "none" ? `${isDark() ? "Lighter" : "Darker"} features are more important.` : "A colour for each set of features.");
  const draw = [drawLine, drawPlane, drawSpace][encoder.shape[1] - 1];
  await draw(target, W, colours, most, view);
  return true;
}

const hoverVector = W_ => W_.map((w, i) => `feature ${i + 1}<br>(${w.map(number).join(", ")})<br>norm ${number(Math.hypot(...w))}`);
const labels = (n) => range(n).map((i) => String(i + 1));

async function drawLine(target, W, colours, most) {
  const arrows = W.map(([x], i) => ({ type: "scatter", mode: "lines+markers", x: [0, x], y: [i + 1, i + 1], line: { color: colours[i], width: 3 }, marker: { size: [0, 11], color: colours[i] }, text: ["", hoverVector(W)[i]], hovertemplate: "%{text}<extra></extra>" }));
  await plot(target, arrows, { xaxis: { range: [-most, most], title: { text: "Wᵢ" }, zeroline: true, zerolinewidth: 2 }, yaxis: { range: [W.length + 0.7, 0.3], ...whole(W.length), title: { text: "feature" } } }, `Weights of ${W.length} features in one dimension`);
}

async function drawPlane(target, W, colours, most) {
  const gaps = W.flatMap(([x, y]) => [[0, 0], [x, y], [null, null]]);
  const traces = W.map(([x, y], i) => ({ type: "scatter", mode: "lines", x: [0, x], y: [0, y], line: { color: colours[i], width: 2.5 }, hoverinfo: "skip" }));
  if (W.length > 60) traces.splice(0, W.length, { type: "scatter", mode: "lines", x: gaps.map(([x]) => x), y: gaps.map(([, y]) => y), line: { color: css("--grey"), width: 1 }, hoverinfo: "skip" });
  const labelled = W.length <= 12;
  traces.push({ type: "scatter", mode: labelled ? "markers+text" : "markers", x: W.map((w) => w[0]), y: W.map((w) => w[1]), marker: { size: 11, color: colours, line: { width: 1.5, color: css("--card") } }, text: labelled ? labels(W.length) : undefined, textposition: W.map(([x, y]) => `${y < 0 ? "bottom" : "top"} ${x < 0 ? "left" : "right"}`), customdata: hoverVector(W), hovertemplate: "%{customdata}<extra></extra>" });
  const square = { range: [-most, most], showgrid: false, zeroline: false };
  await plot(target, traces, {
    xaxis: { ...square, constrain: "domain" }, yaxis: { ...square, scaleanchor: "x", constrain: "domain" }, margin: { l: 36, r: 8, t: 8, b: 28 },
    shapes: [{ type: "circle", x0: -1, x1: 1, y0: -1, y1: 1, line: { color: css("--line"), width: 1, dash: "dot" } }],
  }, `Directions of ${W.length} features in two dimensions`);
}

/** A turnable view, with the edges of the hull where the model is as at the end of training. */
async function drawSpace(target, W, colours, most, { model }) {
  const lines = { type: "scatter3d", mode: "lines", hoverinfo: "skip" }, axis = (k, edges) => edges.map((point) => (point ? point[k] : null));
  const along = (edges) => ({ x: axis(0, edges), y: axis(1, edges), z: axis(2, edges) });
  const spokes = W.map((w, i) => ({ ...lines, ...along([[0, 0, 0], w]), line: { color: colours[i], width: 6 } }));
  const hull = state.frame === null ? (await arraysOf("graphs", model))?.hull : null;
  const edges = hull ? range(W.length).flatMap((i) => range(W.length).filter((j) => hull.values[i * W.length + j]).flatMap((j) => [W[i], W[j], null])) : [];
  const ends = { type: "scatter3d", mode: "markers", ...along(W), marker: { size: 6, color: colours }, customdata: hoverVector(W), hovertemplate: "%{customdata}<extra></extra>" };
  const names = W.length > 12 ? [] : W.map(([x, y, z], i) => ({ x, y, z, text: String(i + 1), showarrow: false, yshift: 13, font: { size: 12, color: css("--ink") } }));
  const side = { range: [-most, most], title: { text: "" }, color: css("--grey"), showgrid: false, zeroline: false, showline: false, showbackground: false, showticklabels: false, showspikes: false };
  await plot(target, [...spokes, { ...lines, ...along(edges), line: { color: css("--grey"), width: 2 } }, ends], {
    margin: { l: 0, r: 0, t: 0, b: 0 }, dragmode: "orbit", uirevision: "turned",
    scene: { annotations: names, xaxis: side, yaxis: side, zaxis: side, aspectmode: "cube", camera: { eye: { x: 0.95, y: 0.75, z: 0.6 } }, uirevision: "turned" },
  }, `Directions of ${W.length} features in three dimensions; drag to turn`);
}

async function drawNorms(target, { weights }) {
  if (!weights?.norm) return false;
  const norms = listOf(weights.norm), hue = listOf(weights.interference), features = range(norms.length).map((i) => i + 1);
  const key = { type: "scatter", mode: "markers", x: [null], y: [null], hoverinfo: "skip", marker: { color: [0], colorscale: SUPERPOSED, cmin: 0, cmax: 1, showscale: true, colorbar: bar("interference", { tickvals: [0, 0.5, 1] }) } };
  const isMany = norms.length > MANY_POINTS;
  await plot(target, [key, {
    type: isMany ? "scattergl" : "bar", mode: "markers", x: features, y: norms, customdata: hue, hovertemplate: "feature %{x}<br>norm %{y:.3f}<br>interference %{customdata:.3f}<extra></extra>",
    marker: { color: hue.map((value) => pick(PALETTE.superposed, value)), line: { width: 0 }, ...(isMany ? { size: 3 } : {}) },
  }], { bargap: norms.length > 60 ? 0 : 0.15, xaxis: { title: { text: "feature" }, ...whole(norms.length) }, yaxis: { title: { text: "norm ‖Wᵢ‖" }, range: [0, Math.max(1.25, ...norms.filter(Number.isFinite).map((v) => 1.05 * v))] } }, `Norms of ${norms.length} features, coloured by interference`);
  return true;
}

async function drawDimensionality(target, { weights }, card) {
  if (!weights?.dimensionality) return false;
  const all = listOf(weights.dimensionality), order = range(all.length).sort((i, j) => all[j] - all[i]);
  note(card, "The share of a dimension that each feature has, in order of size; lines: the shares in polytopes.");
  const rules = RUN.constants.fractions.map(({ value }) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line: { color: css("--line"), width: 1 }, layer: "below" }));
  const names = RUN.constants.fractions.map(({ name, text, place }) => ({ xref: "paper", x: 1.01, xanchor: "left", y: place, text: `${text} ${name}`, showarrow: false, font: { size: 10, color: css("--grey") } }));
  await plot(target, [{
    type: all.length > MANY_POINTS ? "scattergl" : "scatter", mode: "markers", x: range(all.length).map((i) => i + 1), y: order.map((i) => all[i]), customdata: order.map((i) => i + 1),
    marker: { size: all.length > 60 ? 4 : 8, color: blue() }, hovertemplate: "feature %{customdata}: D = %{y:.3f}<extra></extra>",
  }], { shapes: rules, annotations: names, margin: { l: 48, r: 112, t: 8, b: 40 }, xaxis: { title: { text: "rank" }, showgrid: false, zeroline: false, ...whole(all.length) }, yaxis: { title: { text: "Dᵢ" }, range: [-0.04, 1.07], showgrid: false, zeroline: false } }, `Dimensionality of ${all.length} features`);
  return true;
}

/**
 * Features that are represented, joined where abs(Wᵢ·Wⱼ) > τ; each component in the colour of its shape.
 * In training they stand where they end, and are hollow until they are represented.
 */
async function drawGraph(target, { model, row, weights, step }, card) {
  const found = await arraysOf("graphs", model), last = found && (await arraysOf("weights", model));
  if (!found || !last) return false;
  const W = rowsOf(encoderOf(weights)), place = rowsOf(found.place), shape = listOf(found.shape), { names } = found.shape;
  const nodes = range(W.length).filter((i) => shape[i] < names.length && Number.isFinite(place[i][0]));
  const isThere = (i) => step === undefined || Math.hypot(...W[i]) > RUN.constants.represented;
  const hollow = step === undefined ? "" : ` Hollow at step ${count(step)}: not represented yet.`;
  note(card, `At the end of training: ${row.geometry ?? ""}. Joined where |Wᵢ·Wⱼ| > ${RUN.constants.tau}.${hollow}`);
  const levels = [[RUN.constants.tau, 0.25], [0.4, 0.5], [0.7, 0.9]].map(([low, strength], i, all) => ({ low, high: all[i + 1]?.[0] ?? Infinity, strength, x: [], y: [] }));
  const there = nodes.filter(isThere);
  there.forEach((i, a) => there.slice(a + 1).forEach((j) => {
    const strength = Math.abs(W[i].reduce((sum, value, k) => sum + value * W[j][k], 0));
    const level = levels.find(({ low, high }) => strength > low && strength <= high);
    if (level) [level.x, level.y].forEach((list, k) => list.push(place[i][k], place[j][k], null));
  }));
  const thin = Math.min(1, 25 / nodes.length); // so that a tangle does not become a blot
  const edges = levels.map(({ x, y, strength }) => ({ type: "scatter", mode: "lines", x, y, opacity: Math.max(0.06, thin * strength), line: { color: css("--ink"), width: Math.max(0.5, thin) * (1 + strength) }, hoverinfo: "skip", showlegend: false }));
  const kinds = [...new Set(nodes.map((i) => shape[i]))].map((kind) => {
    const own = nodes.filter((i) => shape[i] === kind), { words, colour } = names[kind];
    return { type: "scatter", mode: "markers", name: words, x: own.map((i) => place[i][0]), y: own.map((i) => place[i][1]), marker: { size: 8, ...markOf(own.map(isThere), colour === "#222222" ? css("--ink") : colour) }, customdata: own.map((i) => i + 1), hovertemplate: "feature %{customdata}<extra></extra>", showlegend: true };
  });
  const bare = { visible: false, constrain: "domain" };
  await plot(target, [...edges, ...kinds], { showlegend: true, legend: { orientation: "h", y: -0.02, font: { size: 11 } }, margin: { l: 4, r: 4, t: 4, b: 4 }, xaxis: bare, yaxis: { ...bare, scaleanchor: "x" } }, `Feature graph: ${row.geometry ?? ""}`);
  return true;
}

/** A filled circle for what is there, a ring for what is not. */
const markOf = (there, colour) => ({
  color: there.map((is) => (is ? colour : css("--card"))),
  line: { width: 1, color: there.map((is) => (is ? css("--card") : colour)) },
});

/** Stacked weights of every neuron of a ReLU layer, positive ones upwards; features by importance, neurons by theirs. */
async function drawNeurons(target, { weights, model }, card) {
  const first = encoderOf(weights);
  if (!first || !isReluLayer(model)) return false;
  const [n, m] = first.shape, importance = weights.importance ? listOf(weights.importance) : range(n).map(() => 1);
  const features = range(n).sort((i, j) => importance[j] - importance[i]), into = rowsOf(first);
  const top = range(m).map((k) => features.reduce((best, i, rank) => (Math.abs(into[i][k]) > Math.abs(into[features[best]][k]) ? rank : best), 0));
  const neurons = range(m).sort((a, b) => top[a] - top[b] || into[features[top[b]]][b] - into[features[top[a]]][a]);
  const counts = weights.neurons && state.frame === null ? listOf(weights.neurons) : null;
  const drawn = [["W", "weights W"], ["W1", "input W₁"], ["W2", "output W₂"]].filter(([name]) => weights[name]);
  const colour = (rank, k) => (n <= FEW || !counts ? importanceColour(1 - rank / Math.max(1, n - 1)) : counts[k] === 0 ? PALETTE.grey : pick(PALETTE.superposed, (Math.min(counts[k], RUN.constants.many) - 1) / (RUN.constants.many - 1)));
  note(card, n <= FEW ? `A bar is a neuron, a colour a feature, ${isDark() ? "light" : "dark"} for the most important.` : `A bar is a neuron; blue has one feature, red ${RUN.constants.many} or more.`);
  const share = 1 / drawn.length, more = {};
  const traces = drawn.map(([name, label], place) => {
    const axis = place ? String(place + 1) : "";
    if (place) more[`yaxis${axis}`] = axisLook();
    more[`yaxis${axis}`] = { ...(more[`yaxis${axis}`] ?? {}), domain: [1 - (place + 1) * share + 0.06 * (drawn.length > 1), 1 - place * share], title: { text: label }, anchor: "x", zeroline: true };
    return { ...stack(rowsOf(weights[name]), features, neurons, colour), yaxis: `y${axis}` };
  });
  target.style.height = `${200 * drawn.length + 60}px`;
  await plot(target, traces, { ...more, barmode: "overlay", bargap: 0.15, xaxis: { title: { text: "neurons" }, anchor: drawn.length > 1 ? `y${drawn.length}` : "y", showgrid: false, zeroline: false, range: [-0.7, m - 0.3], showticklabels: false } }, `Weights of ${m} neurons, stacked by feature${counts ? `; ${counts.filter((own) => own === 1).length} monosemantic` : ""}`);
  return true;
}

function stack(W, features, neurons, colour) {
  const found = { x: [], y: [], base: [], text: [], colours: [] };
  const least = 0.02 * Math.max(...W.flat().map(Math.abs)); // thinner pieces are not seen
  neurons.forEach((k, x) => {
    const ends = [0, 0];
    features.forEach((i, rank) => {
      const value = W[i][k], way = value > 0 ? 0 : 1;
      if (!(Math.abs(value) > least)) return;
      found.x.push(x); found.y.push(value); found.base.push(ends[way]); found.colours.push(colour(rank, k));
      found.text.push(`neuron ${k + 1}, feature ${i + 1}<br>${number(value)}`);
      ends[way] += value;
    });
  });
  return { type: "bar", x: found.x, y: found.y, base: found.base, text: found.text, textposition: "none", hovertemplate: "%{text}<extra></extra>", marker: { color: found.colours, line: { width: 0.3, color: css("--card") } } };
}

// --- the map --------------------------------------------------------------------------------------------------------

const featuresOf = (arrays) => arrays.norm?.shape[1] ?? 0;

/** Norm × interference of one feature, where there are features. */
function featureMetrics() {
  const features = Math.max(0, ...RUN.parts.weights.map(({ arrays }) => featuresOf(arrays)));
  const open = async () => {
    const { norm, interference } = await shownFeature();
    return { value: (model) => norm[model], hue: (model) => interference[model], index: (model) => pairIndex(norm[model], interference[model]) };
  };
  return features ? [{ name: "phase", label: "norm × interference of a feature", kind: "pair", features, open }] : [];
}

/** Norm and interference of the chosen feature of every model; NaN where the page has no weights. */
async function shownFeature() {
  const found = { norm: new Float32Array(RUN.models).fill(NaN), interference: new Float32Array(RUN.models).fill(NaN) };
  for (const { models: numbers, arrays } of RUN.parts.weights) {
    const n = featuresOf(arrays);
    if (state.feature >= n) continue;
    const models = await valuesOf(numbers);
    for (const name of ["norm", "interference"]) {
      const values = await valuesOf(arrays[name]);
      models.forEach((model, i) => (found[name][model] = values[i * n + state.feature]));
    }
  }
  return found;
}

/** A map begins with the last feature, a curve of many features in few dimensions with D*. */
function begin() {
  const arrays = RUN.parts.weights[0]?.arrays ?? {}, features = featuresOf(arrays) || 1, hidden = arrays.W?.shape[2] ?? 1;
  const isCrowded = features > 2 * hidden && hidden > 3;
  const metric = SETTINGS.length > 1 && hasMetric("phase") ? "phase" : isCrowded && hasMetric("d_star") ? "d_star" : "loss";
  return { metric, feature: features - 1 };
}

const sizes = (arrays) => (arrays.norm ? `n = ${arrays.norm.shape[1]}, m = ${(arrays.W ?? arrays.W1).shape[2]}` : "");
/** What names such as "24/8" in a text of geometries mean, where there are any. */
const meaning = (geometry) => (/\d\/\d/.test(geometry) ? "k/d: k features in d dimensions, a shape without a name." : "");

family({
  words: {
    "data.density": "density 1 − S", "data.sparsity": "sparsity S", "importance.last": "importance of the last feature r",
    "model.n_features": "features n", "model.n_hidden": "hidden dimensions m", "data.last": "density factor of the last feature",
    d_star: "dimensions per feature D*", n_represented: "features represented",
    interference_mean: "interference, mean", interference_max: "interference, largest",
    dimensionality_sum: "Σ dimensionality", monosemantic_neurons: "monosemantic neurons",
  },
  columns: ["d_star", "n_represented", "monosemantic_neurons", "interference_mean", "interference_max", "dimensionality_sum"],
  meaning,
  examples: { setting: "data.density>=0.1", label: "geometry~pentagon" },
  cards: [
    { name: "matrix", title: "WᵀW and b", draw: drawMatrix, moves: true },
    { name: "directions", title: "Directions of the features", draw: drawDirections, moves: true },
    { name: "norms", title: "Length of the features, by interference", draw: drawNorms, moves: true },
    { name: "dimensionality", title: "Dimensionality of the features", draw: drawDimensionality, moves: true },
    { name: "graph", title: "Feature graph", draw: drawGraph, moves: true },
    { name: "attributions", title: "What explains one input", draw: drawAttributions, moves: true, asks: true, across: true },
    { name: "neurons", title: "Weights by neuron", draw: drawNeurons, moves: true, across: true },
  ],
  state: { input: FIRST_INPUT.join(" "), method: EXPLAINED_BY[0][0] },
  metrics: featureMetrics,
  pair: {
    strength: "norm", hue: "interference", label: "Colour key: white is not represented, blue a dedicated dimension, red superposed",
    corners: [[0.5, 0.08, "not represented", "#222"], [0.02, 0.93, "dedicated", "#fff"], [0.98, 0.76, "superposed", "#fff"]],
  },
  sizes,
  begin,
});
