// Every axis of a sweep side by side, for sweeps of three and more, of which the map shows two at a
// time: a line for the best model of each setting, coloured by its loss. What is chosen by dragging
// along the axes is chosen in the table.

/** @type {PlotElement} */
const parallel = byId("parallel");

/** @type {() => Promise<void>} */
async function drawParallel() {
  if (SETTINGS.length < 3) return;
  byId("parallel-card").hidden = false;
  const models = [...LISTED.best.values()].filter((model) => isHealthy(model) && lossOf(model) > 0);
  const losses = models.map((model) => Math.log10(lossOf(model)));
  const kept = constraints(); // of another theme
  const dimensions = [
    ...SETTINGS.map((axis) => axisDimension(axis, models)),
    lossDimension(losses),
  ];
  parallel.style.minWidth = `${110 * dimensions.length}px`;
  const trace = {
    type: "parcoords",
    dimensions: dimensions.map((dimension, i) => ({ ...dimension, constraintrange: kept[i] })),
    line: { color: losses, colorscale: SEQUENCE, reversescale: isDark() },
    unselected: { line: { color: css("--line"), opacity: 0.15 } },
    labelfont: { size: 12 },
    tickfont: { size: 10 },
    rangefont: { size: 1, color: "rgba(0,0,0,0)" }, // the ticks say it
  };
  const words = `Settings and lowest loss of ${count(models.length)} settings, a line each`;
  await plot(parallel, [trace], { margin: { l: 70, r: 70, t: 40, b: 20 } }, words, {
    displayModeBar: false,
  });
  if (parallel.dataset.listens) return;
  parallel.dataset.listens = "true";
  parallel.on("plotly_restyle", () => set({ filter: chosenWords(), shown: 100 }));
}

/**
 * An axis of the sweep: its points at equal distances, at most eight of them named.
 * @type {(axis: number, models: number[]) => Layout}
 */
function axisDimension(axis, models) {
  const { texts } = RUN.axes[axis];
  const step = Math.ceil(texts.length / 8);
  const last = texts.length - 1;
  const named = range(texts.length).filter((i) => i % step === 0);
  const values = models.map((model) => pointOf(model, axis));
  return {
    label: axisWords(axis),
    values,
    range: [-0.2, last + 0.2],
    tickvals: named,
    ticktext: named.map((i) => texts[i]),
  };
}

/** @type {(losses: number[]) => Layout} */
function lossDimension(losses) {
  const low = Math.min(...losses);
  const high = Math.max(...losses);
  const ticks = range(5).map((i) => low + ((high - low) * i) / 4);
  return {
    label: "lowest loss",
    values: losses,
    tickvals: ticks,
    ticktext: ticks.map((tick) => number(Number((10 ** tick).toPrecision(2)))),
  };
}

/**
 * What is chosen along each axis, one range or several; none before the first drawing.
 * @type {() => any[]}
 */
function constraints() {
  /** @type {{ constraintrange?: any[] }[]} */
  const dimensions = parallel.data?.[0].dimensions ?? [];
  return dimensions.map(({ constraintrange }) => constraintrange);
}

/**
 * What is chosen as conditions of the table's filter.
 * @type {() => string}
 */
function chosenWords() {
  const ranges = constraints().map((chosen) => (chosen?.length ? [chosen].flat(2) : null));
  const words = ranges.flatMap((chosen, i) => {
    if (!chosen) return [];
    const [low, high] = [Math.min(...chosen), Math.max(...chosen)];
    return i < SETTINGS.length
      ? axisWordsBetween(SETTINGS[i], low, high)
      : [`loss>=${(10 ** low).toPrecision(4)}`, `loss<=${(10 ** high).toPrecision(4)}`];
  });
  return words.length ? ["best", ...words].join(" ") : "";
}

/**
 * Conditions for the points of an axis between two places; none where its values are no ascending
 * or falling numbers.
 * @type {(axis: number, low: number, high: number) => string[]}
 */
function axisWordsBetween(axis, low, high) {
  const {
    keys: [key],
    values,
  } = RUN.axes[axis];
  const chosen = values.slice(Math.ceil(low), Math.floor(high) + 1).map(([value]) => value);
  if (chosen.length === 1) return [`${key}=${chosen[0]}`];
  const isNumbers = values.every(([value]) => typeof value === "number");
  const order = values.slice(1).map(([value], i) => Math.sign(value - values[i][0]));
  if (!chosen.length || !isNumbers || new Set(order).size > 1) return [];
  return [`${key}>=${Math.min(...chosen)}`, `${key}<=${Math.max(...chosen)}`];
}
