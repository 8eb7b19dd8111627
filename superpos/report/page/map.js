// The map: settings of the sweep, coloured or lifted by a metric. Two axes give a heat map, one a
// curve, none a strip.

/** @type {PlotElement} */
const map = byId("map");

/** @type {() => Promise<void>} */
async function drawMap() {
  const chosen = METRICS.find((own) => own.name === state.metric);
  if (!chosen) throw new Error(`no metric ${state.metric}`);
  const metric = await ready(chosen);
  const { x, y } = state;
  if (x === null) await drawStrip(metric);
  else if (y === null) await drawCurve(metric, x);
  else await drawHeat(metric, x, y);
  selectOnClick(map);
  await drawKey(metric);
}

/**
 * Have a click on a point of a plot show its model.
 * @type {(target: PlotElement) => void}
 */
function selectOnClick(target) {
  if (target.dataset.listens) return;
  target.dataset.listens = "true";
  target.on(
    "plotly_click",
    ({ points: [point] }) => Number.isInteger(point.customdata) && select(point.customdata),
  );
}

/** @type {(values: (number | null)[]) => boolean} */
const isLogarithmic = (values) => {
  const known = values.filter(isFiniteNumber);
  const low = Math.min(...known);
  const high = Math.max(...known);
  return known.length > 0 && low > 0 && high / low > 20;
};

/**
 * Colours of a heat map by kind: values to draw, scale, and the key beside it.
 * @type {(metric: Metric, z: (number | null)[][]) => Trace}
 */
function coloursOf(metric, z) {
  if (metric.kind === "pair")
    return { z, colorscale: PAIRS, zmin: 0, zmax: PALETTE.pairs.length ** 2 - 1, showscale: false };
  if (metric.kind === "text") return categories(metric, z);
  const shown = z.flat().filter(isFiniteNumber);
  if (!isLogarithmic(shown))
    return { z, colorscale: SEQUENCE, showscale: true, colorbar: bar(metric.label) };
  const logs = z.map((row) =>
    row.map((value) => (value !== null && value > 0 ? Math.log10(value) : null)),
  );
  const [low, high] = [Math.min(...shown), Math.max(...shown)].map(Math.log10);
  const ticks = Array.from({ length: 5 }, (_, i) => low + ((high - low) * i) / 4);
  return {
    z: logs,
    colorscale: SEQUENCE,
    showscale: true,
    colorbar: bar(metric.label, {
      tickvals: ticks,
      ticktext: tickTexts(ticks.map((log) => Number((10 ** log).toPrecision(2)))),
    }),
  };
}

/**
 * The most frequent names with a colour each, all others in grey.
 * @type {(metric: Metric, z: (number | null)[][]) => Trace}
 */
function categories(metric, z) {
  const counts = countsOf(z.flat().filter(isFiniteNumber));
  const common = [...counts]
    .sort(([, times], [, others]) => others - times)
    .slice(0, PALETTE.cycle.length)
    .map(([value]) => value);
  const others = counts.size > common.length;
  const colours = [...PALETTE.cycle.slice(0, common.length), ...(others ? [PALETTE.grey] : [])];
  const names = [...common.map((value) => nameIn(metric, value)), ...(others ? ["other"] : [])];
  const steps = colours.flatMap((colour, i) => [
    [i / colours.length, colour],
    [(i + 1) / colours.length, colour],
  ]);
  /** @type {(value: number) => number} */
  const place = (value) => (common.includes(value) ? common.indexOf(value) : common.length);
  return {
    z: z.map((row) => row.map((value) => (isFiniteNumber(value) ? place(value) : null))),
    colorscale: steps,
    zmin: -0.5,
    zmax: colours.length - 0.5,
    showscale: false,
    // For the key below the map, which has room for names
    meta: names.map((name, i) => [name, colours[i]]),
  };
}

/** @type {(metric: Metric, x: number, y: number) => Promise<void>} */
async function drawHeat(metric, x, y) {
  const columns = ordered(x);
  const rows = ordered(y);
  const models = rows.map((j) =>
    columns.map((i) => LISTED.best.get(settingAt({ [x]: i, [y]: j })) ?? null),
  );
  const value = metric.index ?? metric.value;
  const z = models.map((row) =>
    row.map((model) =>
      model === null || (!metric.ofSetting && !isHealthy(model)) ? null : finite(value(model)),
    ),
  );
  const heat = {
    type: "heatmap",
    x: columns.map((i) => coordinate(x, i)),
    y: rows.map((j) => coordinate(y, j)),
    customdata: models,
    text: models.map((row) => row.map((model) => (model === null ? "" : hoverOf(model, metric)))),
    hovertemplate: "%{text}<extra></extra>",
    xgap: 0,
    ygap: 0,
    ...coloursOf(metric, z),
  };
  /** @type {Across} */
  const across = (model) => coordinate(x, pointOf(model, x));
  /** @type {Across} */
  const up = (model) => coordinate(y, pointOf(model, y));
  const traces = [heat, ...boundaries(x, y), ...rings(across, up)];
  const layout = {
    xaxis: { ...axisOf(x), ...spanOf(x) },
    yaxis: { ...axisOf(y), ...spanOf(y) },
    dragmode: "zoom",
    margin: { l: 60, r: 12, t: 8, b: below(x) },
    plot_bgcolor: css("--empty"),
  };
  await plot(
    map,
    traces,
    layout,
    `Map of ${metric.label}: ${axisWords(x)} across, ${axisWords(y)} upwards`,
  );
}

/**
 * A text of a metric of the kind "text".
 * @type {(metric: Metric, value: number) => string}
 */
const nameIn = ({ names }, value) => names?.[value] ?? "–";

/**
 * Theory's boundaries over the axes of the map; none where it has one axis, or none.
 * @type {() => Layers["lines"]}
 */
function boundariesHere() {
  const { x, y, theory } = state;
  if (!theory || x === null || y === null) return [];
  return RUN.layers.lines.filter(({ axes }) => axes.includes(x) && axes.includes(y));
}

/**
 * Theory's boundaries over a map of their two axes, light below dark so that they show on every
 * colour.
 * @type {(x: number, y: number) => Trace[]}
 */
function boundaries(x, y) {
  return boundariesHere().flatMap(({ label, axes, at }, i) => {
    const line = {
      type: "scatter",
      mode: "lines",
      x: at[axes.indexOf(x)],
      y: at[axes.indexOf(y)],
      hoverinfo: "skip",
    };
    return [
      { ...line, line: { color: "#ffffff", width: 4 }, opacity: 0.7 },
      {
        ...line,
        name: label,
        line: { color: "#111111", width: 1.6, dash: i ? "2px 3px" : "solid" },
      },
    ];
  });
}

/**
 * Rings about the model in view and, with corners, the pinned one; a light edge parts them from
 * every colour.
 * @type {(across: Across, up: Across) => Trace[]}
 */
function rings(across, up) {
  const rings = [
    { model: state.pin, symbol: "diamond-open", colour: "--pin" },
    { model: state.model, symbol: "circle-open", colour: "--ring" },
  ];
  return rings.flatMap(({ model, symbol, colour }) => {
    if (model === null || !isShown(model)) return [];
    const edges = [
      { color: "#ffffff", width: 6 },
      { color: css(colour), width: 3 },
    ];
    return edges.map(({ color, width }) => ({
      type: "scatter",
      mode: "markers",
      x: [across(model)],
      y: [up(model)],
      hoverinfo: "skip",
      marker: { symbol, size: 17, color, line: { width } },
    }));
  });
}

/**
 * One axis: every model a point, the best of each setting a line.
 * @type {(metric: Metric, x: number) => Promise<void>}
 */
async function drawCurve(metric, x) {
  const columns = ordered(x);
  const best = columns
    .map((i) => LISTED.best.get(settingAt({ [x]: i })))
    .filter((model) => model !== undefined);
  const models = best.flatMap(seedsOf).filter((model) => metric.ofSetting || isHealthy(model));
  await drawPoints(metric, models, best, (model) => coordinate(x, pointOf(model, x)), axisOf(x));
}

/**
 * No axis but seeds: every model a point.
 * @type {(metric: Metric) => Promise<void>}
 */
async function drawStrip(metric) {
  const models = SEEDS < 0 ? Array.from(LISTED.models) : seedsOf(0);
  /** @type {(model: number) => number} */
  const at = (model) => (SEEDS < 0 ? 0 : pointOf(model, SEEDS));
  const texts = SEEDS < 0 ? ["the only model"] : RUN.axes[SEEDS].texts;
  const step = Math.ceil(texts.length / 12);
  const shown = texts.map((_, i) => i).filter((i) => i % step === 0);
  await drawPoints(
    metric,
    models.filter((model) => metric.ofSetting || isHealthy(model)),
    [],
    at,
    {
      title: { text: SEEDS < 0 ? "" : "seed" },
      tickvals: shown,
      ticktext: shown.map((i) => texts[i]),
    },
  );
}

/**
 * Models as points, the best of each setting joined by a line.
 * @type {(metric: Metric, models: number[], best: number[], across: Across, xaxis: Layout) =>
 *   Promise<void>}
 */
async function drawPoints(metric, models, best, across, xaxis) {
  const isText = metric.kind === "text";
  const { hue } = metric;
  /** @type {Across} */
  const up = (model) => (isText ? plain(nameIn(metric, metric.value(model))) : metric.value(model));
  const points = {
    type: models.length > 3000 ? "scattergl" : "scatter",
    mode: "markers",
    x: models.map(across),
    y: models.map(up),
    customdata: models,
    text: models.map((model) => hoverOf(model, metric)),
    hovertemplate: "%{text}<extra></extra>",
    marker: {
      size: isText ? bubbles(models, across, up) : 7,
      opacity: best.length && !isText && !metric.ofSetting ? 0.45 : 0.85,
      color: hue ? models.map((model) => pairColour(1, hue(model))) : blue(),
      line: { width: 0 },
    },
  };
  const line = {
    type: "scatter",
    mode: "lines",
    x: best.map(across),
    y: best.map(up),
    line: { color: css("--ink"), width: 1.5 },
    hoverinfo: "skip",
  };
  const heights = isText ? [] : models.map(metric.value);
  const low = Math.min(...heights);
  const high = Math.max(...heights);
  const upwards = isText
    ? { type: "category", automargin: true }
    : isLogarithmic(heights)
      ? logAxis(heights)
      : { type: "linear", rangemode: low > 0.7 * high ? "normal" : "tozero" };
  const layout = {
    xaxis,
    yaxis: {
      title: {
        text: isText
          ? ""
          : metric.kind === "pair"
            ? `${FAMILY.pair?.strength} of feature ${state.feature + 1}`
            : metric.label,
      },
      automargin: true,
      ...upwards,
    },
    margin: { l: 72, r: 12, t: 8, b: below(state.x) },
  };
  await plot(
    map,
    [points, ...(isText ? [] : [line]), ...exactCurves(metric), ...rings(across, up)],
    layout,
    `${metric.label} of every model over ${state.x === null ? "seeds" : axisWords(state.x)}`,
  );
}

/**
 * Sizes of points by how many stand on one another: their area counts them.
 * @type {(models: number[], across: Across, up: Across) => number[]}
 */
function bubbles(models, across, up) {
  const places = models.map((model) => `${across(model)} ${up(model)}`);
  const counts = countsOf(places);
  const most = Math.max(...counts.values());
  return places.map((place) => 5 + 15 * Math.sqrt((counts.get(place) ?? 0) / most));
}

/**
 * Exact curves of this metric over this axis.
 * @type {(metric: Metric) => Trace[]}
 */
function exactCurves(metric) {
  if (!state.theory) return [];
  return RUN.layers.curves
    .filter(({ axis, column }) => axis === state.x && column === metric.name)
    .map(({ label, x, y }, i) => ({
      type: "scatter",
      mode: "lines",
      x,
      y,
      name: label,
      hovertemplate: `${label}<extra></extra>`,
      line: { color: PALETTE.cycle[(i + 1) % PALETTE.cycle.length], width: 2, dash: "6px 3px" },
    }));
}

/**
 * The two-dimensional colour key, or what the lines mean.
 * @type {(metric: Metric) => Promise<void>}
 */
async function drawKey(metric) {
  /** @type {PlotElement} */
  const key = byId("key");
  const pair = state.y === null || metric.kind !== "pair" ? null : FAMILY.pair;
  key.hidden = pair === null;
  if (pair !== null) {
    const { strength, hue, corners, label } = pair;
    const side = PALETTE.pairs.length;
    const steps = Array.from({ length: side }, (_, i) => i / (side - 1));
    const z = steps.map((_, i) => steps.map((_, j) => i * side + j));
    const small = { tickvals: [0, 1], tickfont: { size: 10 }, range: [0, 1], showgrid: false };
    const layout = {
      width: 190,
      height: 150,
      margin: { l: 44, r: 4, t: 4, b: 36 },
      xaxis: { ...small, title: { text: hue, standoff: 2 } },
      yaxis: { ...small, title: { text: strength, standoff: 2 } },
      annotations: corners.map(([x, y, text, color]) => ({
        x,
        y,
        text,
        showarrow: false,
        font: { size: 10, color },
        xanchor: x < 0.2 ? "left" : x > 0.8 ? "right" : "center",
      })),
    };
    await plot(
      key,
      [
        {
          type: "heatmap",
          x: steps,
          y: steps,
          z,
          colorscale: PAIRS,
          showscale: false,
          hoverinfo: "skip",
        },
      ],
      layout,
      label,
      { displayModeBar: false, responsive: false },
    );
  }
  const names = state.y === null ? null : map.data[0].meta;
  byId("words").replaceChildren(
    ...(names ? [el("span", { className: "names" }, ...legend(names))] : []),
    explanation(metric),
  );
}

/**
 * What the map shows, in words.
 * @type {(metric: Metric) => string}
 */
function explanation(metric) {
  const isMap = state.y !== null;
  const isCurve = !isMap && state.x !== null && metric.kind !== "text";
  const grey = isMap && map.data[0].z.flat().includes(null) ? "; grey: diverged, or not there" : "";
  const shown = isMap
    ? `Every cell shows the best seed of its setting${grey}.`
    : isCurve
      ? "Points: every seed; line: the best of each setting."
      : metric.kind === "text"
        ? "The larger a point, the more seeds."
        : "";
  const theory = [
    ...boundariesHere().map(({ label }, i) => `${i ? "dotted" : "line"}: ${label}`),
    ...exactCurves(metric).map(({ name }) => `dashed: ${name}`),
  ].join("; ");
  const agreement = state.theory && isMap ? RUN.layers.words : "";
  const meaning = metric.name === RUN.label ? FAMILY.meaning((metric.names ?? []).join()) : "";
  return [shown, meaning, theory && `${capital(theory)}.`, agreement].filter(Boolean).join(" ");
}
/** @type {(text: string) => string} */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
