// The map: settings of the sweep, coloured or lifted by a metric. Two axes give a heat map, one a curve, none a strip.

const map = document.getElementById("map");

async function drawMap() {
  const metric = await ready(METRICS.find((own) => own.name === state.metric));
  const draw = state.x === null ? drawStrip : state.y === null ? drawCurve : drawHeat;
  await draw(metric);
  selectOnClick(map);
  await drawKey(metric);
}

/** Have a click on a point of a plot show its model. */
function selectOnClick(target) {
  if (target.dataset.listens) return;
  target.dataset.listens = "true";
  target.on("plotly_click", ({ points: [point] }) => Number.isInteger(point.customdata) && select(point.customdata));
}

const isLogarithmic = (values) => {
  const known = values.filter(Number.isFinite), low = Math.min(...known), high = Math.max(...known);
  return known.length > 0 && low > 0 && high / low > 20;
};

/** Colours of a heat map by kind: values to draw, scale, and the key beside it. */
function coloursOf(metric, z) {
  if (metric.kind === "pair") return { z, colorscale: PAIRS, zmin: 0, zmax: PALETTE.pairs.length ** 2 - 1, showscale: false };
  if (metric.kind === "text") return categories(metric, z);
  const flat = z.flat(), shown = flat.filter((value) => Number.isFinite(value));
  if (!isLogarithmic(shown)) return { z, colorscale: SEQUENCE, showscale: true, colorbar: bar(metric.label) };
  const logs = z.map((row) => row.map((value) => (value > 0 ? Math.log10(value) : null)));
  const [low, high] = [Math.min(...shown), Math.max(...shown)].map(Math.log10);
  const ticks = Array.from({ length: 5 }, (_, i) => low + ((high - low) * i) / 4);
  return { z: logs, colorscale: SEQUENCE, showscale: true, colorbar: bar(metric.label, { tickvals: ticks, ticktext: tickTexts(ticks.map((log) => Number((10 ** log).toPrecision(2)))) }) };
}

/** The most frequent names with a colour each, all others in grey. */
function categories(metric, z) {
  const counts = new Map();
  for (const value of z.flat()) if (Number.isFinite(value)) counts.set(value, (counts.get(value) ?? 0) + 1);
  const common = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a)).slice(0, PALETTE.cycle.length);
  const others = counts.size > common.length, colours = [...PALETTE.cycle.slice(0, common.length), ...(others ? [PALETTE.grey] : [])];
  const names = [...common.map((value) => metric.names[value]), ...(others ? ["other"] : [])];
  const steps = colours.flatMap((colour, i) => [[i / colours.length, colour], [(i + 1) / colours.length, colour]]);
  const place = (value) => (common.includes(value) ? common.indexOf(value) : common.length);
  return {
    z: z.map((row) => row.map((value) => (Number.isFinite(value) ? place(value) : null))), colorscale: steps, zmin: -0.5, zmax: colours.length - 0.5,
    showscale: false, meta: names.map((name, i) => [name, colours[i]]), // for the key below the map, which has room for names
  };
}

async function drawHeat(metric) {
  const columns = ordered(state.x), rows = ordered(state.y);
  const models = rows.map((j) => columns.map((i) => LISTED.best.get(settingAt({ [state.x]: i, [state.y]: j })) ?? null));
  const value = metric.index ?? metric.value;
  const z = models.map((row) => row.map((model) => (model === null || (!metric.ofSetting && !isHealthy(model)) ? null : finite(value(model)))));
  const heat = {
    type: "heatmap", x: columns.map((i) => coordinate(state.x, i)), y: rows.map((j) => coordinate(state.y, j)), customdata: models,
    text: models.map((row) => row.map((model) => (model === null ? "" : hoverOf(model, metric)))), hovertemplate: "%{text}<extra></extra>",
    xgap: 0, ygap: 0, ...coloursOf(metric, z),
  };
  const across = (model) => coordinate(state.x, pointOf(model, state.x)), up = (model) => coordinate(state.y, pointOf(model, state.y));
  const traces = [heat, ...boundaries(), ...rings(across, up)];
  const layout = { xaxis: { ...axisOf(state.x), ...spanOf(state.x) }, yaxis: { ...axisOf(state.y), ...spanOf(state.y) }, dragmode: "zoom", margin: { l: 60, r: 12, t: 8, b: below(state.x) }, plot_bgcolor: css("--empty") };
  await plot(map, traces, layout, `Map of ${metric.label}: ${axisWords(state.x)} across, ${axisWords(state.y)} upwards`);
}
const finite = (value) => (Number.isFinite(value) ? value : null);

const boundariesHere = () => (state.theory ? RUN.layers.lines.filter(({ axes }) => axes.includes(state.x) && axes.includes(state.y)) : []);

/** Theory's boundaries over a map of their two axes, light below dark so that they show on every colour. */
function boundaries() {
  return boundariesHere().flatMap(({ label, axes, at }, i) => {
    const line = { type: "scatter", mode: "lines", x: at[axes.indexOf(state.x)], y: at[axes.indexOf(state.y)], hoverinfo: "skip" };
    return [
      { ...line, line: { color: "#ffffff", width: 4 }, opacity: 0.7 },
      { ...line, name: label, line: { color: "#111111", width: 1.6, dash: i ? "2px 3px" : "solid" } },
    ];
  });
}

/** Rings about the model in view and, with corners, the pinned one; a light edge parts them from every colour. */
function rings(across, up) {
  const shown = [[state.pin, "diamond-open", "--pin"], [state.model, "circle-open", "--ring"]].filter(([model]) => model !== null && isShown(model));
  return shown.flatMap(([model, symbol, colour]) => [["#ffffff", 6], [css(colour), 3]].map(([color, width]) => (
    { type: "scatter", mode: "markers", x: [across(model)], y: [up(model)], hoverinfo: "skip", marker: { symbol, size: 17, color, line: { width } } })));
}

/** One axis: every model a point, the best of each setting a line. */
async function drawCurve(metric) {
  const columns = ordered(state.x);
  const best = columns.map((i) => LISTED.best.get(settingAt({ [state.x]: i }))).filter((model) => model !== undefined);
  const models = best.flatMap(seedsOf).filter((model) => metric.ofSetting || isHealthy(model));
  await drawPoints(metric, models, best, (model) => coordinate(state.x, pointOf(model, state.x)), axisOf(state.x));
}

/** No axis but seeds: every model a point. */
async function drawStrip(metric) {
  const models = SEEDS < 0 ? Array.from(LISTED.models) : seedsOf(0);
  const at = (model) => (SEEDS < 0 ? 0 : pointOf(model, SEEDS));
  const texts = SEEDS < 0 ? ["the only model"] : RUN.axes[SEEDS].texts;
  const step = Math.ceil(texts.length / 12), shown = texts.map((_, i) => i).filter((i) => i % step === 0);
  await drawPoints(metric, models.filter((model) => metric.ofSetting || isHealthy(model)), [], at, { title: { text: SEEDS < 0 ? "" : "seed" }, tickvals: shown, ticktext: shown.map((i) => texts[i]) });
}

async function drawPoints(metric, models, best, across, xaxis) {
  const isText = metric.kind === "text", up = (model) => (isText ? plain(metric.names[metric.value(model)]) : metric.value(model));
  const colour = (model) => (metric.hue ? pairColour(1, metric.hue(model)) : blue());
  const points = {
    type: models.length > 3000 ? "scattergl" : "scatter", mode: "markers", x: models.map(across), y: models.map(up), customdata: models,
    text: models.map((model) => hoverOf(model, metric)), hovertemplate: "%{text}<extra></extra>",
    marker: { size: isText ? bubbles(models, across, up) : 7, opacity: best.length && !isText && !metric.ofSetting ? 0.45 : 0.85, color: metric.hue ? models.map(colour) : blue(), line: { width: 0 } },
  };
  const line = { type: "scatter", mode: "lines", x: best.map(across), y: best.map(up), line: { color: css("--ink"), width: 1.5 }, hoverinfo: "skip" };
  const heights = isText ? [] : models.map(up), low = Math.min(...heights), high = Math.max(...heights);
  const upwards = isText ? { type: "category", automargin: true } : isLogarithmic(heights) ? logAxis(heights) : { type: "linear", rangemode: low > 0.7 * high ? "normal" : "tozero" };
  const layout = { xaxis, yaxis: { title: { text: isText ? "" : metric.kind === "pair" ? `${FAMILY.pair.strength} of feature ${state.feature + 1}` : metric.label }, automargin: true, ...upwards }, margin: { l: 72, r: 12, t: 8, b: below(state.x) } };
  await plot(map, [points, ...(isText ? [] : [line]), ...exactCurves(metric), ...rings(across, up)], layout, `${metric.label} of every model over ${state.x === null ? "seeds" : axisWords(state.x)}`);
}

/** Sizes of points by how many stand on one another: their area counts them. */
function bubbles(models, across, up) {
  const place = (model) => `${across(model)} ${up(model)}`, counts = new Map();
  for (const model of models) counts.set(place(model), (counts.get(place(model)) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return models.map((model) => 5 + 15 * Math.sqrt(counts.get(place(model)) / most));
}

/** Exact curves of this metric over this axis. */
function exactCurves(metric) {
  if (!state.theory) return [];
  return RUN.layers.curves.filter(({ axis, column }) => axis === state.x && column === metric.name).map(({ label, x, y }, i) => ({
    type: "scatter", mode: "lines", x, y, name: label, hovertemplate: `${label}<extra></extra>`, line: { color: PALETTE.cycle[(i + 1) % PALETTE.cycle.length], width: 2, dash: "6px 3px" },
  }));
}

/** The two-dimensional colour key, or what the lines mean. */
async function drawKey(metric) {
  const key = document.getElementById("key");
  key.hidden = metric.kind !== "pair" || state.y === null;
  if (!key.hidden) {
    const { strength, hue, corners, label } = FAMILY.pair, side = PALETTE.pairs.length, steps = Array.from({ length: side }, (_, i) => i / (side - 1));
    const z = steps.map((_, i) => steps.map((_, j) => i * side + j));
    const small = { tickvals: [0, 1], tickfont: { size: 10 }, range: [0, 1], showgrid: false };
    const layout = {
      width: 190, height: 150, margin: { l: 44, r: 4, t: 4, b: 36 },
      xaxis: { ...small, title: { text: hue, standoff: 2 } }, yaxis: { ...small, title: { text: strength, standoff: 2 } },
      annotations: corners.map(([x, y, text, color]) => (
        { x, y, text, showarrow: false, font: { size: 10, color }, xanchor: x < 0.2 ? "left" : x > 0.8 ? "right" : "center" })),
    };
    await plot(key, [{ type: "heatmap", x: steps, y: steps, z, colorscale: PAIRS, showscale: false, hoverinfo: "skip" }], layout, label, { displayModeBar: false, responsive: false });
  }
  const names = state.y === null ? null : map.data[0].meta;
  document.getElementById("words").replaceChildren(...(names ? [el("span", { className: "names" }, ...legend(names))] : []), explanation(metric));
}

/** What the map shows, in words. */
function explanation(metric) {
  const isMap = state.y !== null, isCurve = !isMap && state.x !== null && metric.kind !== "text";
  const grey = isMap && map.data[0].z.flat().includes(null) ? "; grey: diverged, or not there" : "";
  const shown = isMap ? `Every cell shows the best seed of its setting${grey}.`
    : isCurve ? "Points: every seed; line: the best of each setting." : metric.kind === "text" ? "The larger a point, the more seeds." : "";
  const theory = [...boundariesHere().map(({ label }, i) => `${i ? "dotted" : "line"}: ${label}`), ...exactCurves(metric).map(({ name }) => `dashed: ${name}`)].join("; ");
  const agreement = state.theory && isMap ? RUN.layers.words : "";
  const meaning = metric.name === RUN.label ? FAMILY.meaning(metric.names.join()) : "";
  return [shown, meaning, theory && `${capital(theory)}.`, agreement].filter(Boolean).join(" ");
}
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
