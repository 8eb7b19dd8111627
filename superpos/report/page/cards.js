// The cards of every kind of model: the loss, the seeds, and the weights where a family has nothing
// better to show of them.

const LARGEST = 400; // rows and columns of a matrix; more are finer than the screen

/**
 * A tensor as a matrix {values, shape}: a vector is one row, and of more than two axes all but the
 * last are rows.
 * @type {(tensor: Tensor) => Tensor}
 */
function matrixOf({ values, shape }) {
  const columns = shape.at(-1) ?? 1;
  return { values, shape: [values.length / columns, columns] };
}

/**
 * Every tensor as a matrix, below each other on one scale.
 * @type {Draw}
 */
async function drawWeights(target, { weights, tensors }, card) {
  const drawn = tensors.filter((name) => weights?.[name].values.length);
  if (!weights || !drawn.length) return false;
  const matrices = drawn.map((name) => matrixOf(weights[name]));
  const cut = matrices.map(({ values, shape: [n, m] }) =>
    rowsOf({ values, shape: [Math.min(n, LARGEST), m] }).map((row) => row.slice(0, LARGEST)),
  );
  note(
    card,
    matrices.some(({ shape }) => Math.max(...shape) > LARGEST)
      ? `The first ${LARGEST} rows and columns.`
      : "",
  );
  const most =
    cut
      .flat(2)
      .filter(Number.isFinite)
      .reduce((high, value) => Math.max(high, Math.abs(value)), 0) || 1;
  /** @type {Layout} */
  const layout = {};
  /** @type {(n: number) => number[]} */
  const places = (n) => range(n).map((k) => k + 1);
  const traces = cut.map((z, i) => {
    const axis = i ? String(i + 1) : "";
    const share = 1 / drawn.length;
    const numbers = { showgrid: false, zeroline: false };
    layout[`xaxis${axis}`] = axisLook({
      ...numbers,
      ...whole(z[0].length),
      range: [0.5, z[0].length + 0.5],
      anchor: `y${axis}`,
    });
    layout[`yaxis${axis}`] = axisLook({
      ...numbers,
      ...whole(z.length),
      range: [z.length + 0.5, 0.5],
      title: { text: plain(drawn[i]) },
      anchor: `x${axis}`,
      domain: [1 - (i + 1) * share + 0.3 * share, 1 - i * share],
    });
    return {
      type: "heatmap",
      z,
      x: places(z[0].length),
      y: places(z.length),
      xaxis: `x${axis}`,
      yaxis: `y${axis}`,
      colorscale: SIGNED,
      zmin: -most,
      zmax: most,
      showscale: i === 0,
      colorbar: bar(""),
      hovertemplate: `${plain(drawn[i])}: row %{y}, column %{x}: %{z:.3f}<extra></extra>`,
    };
  });
  target.style.height = `${Math.max(230, 150 * drawn.length) + 60}px`;
  await plot(
    target,
    traces,
    layout,
    `Weights ${drawn.join(", ")}, from ${number(-most)} to ${number(most)}`,
  );
  return true;
}

/**
 * This model's training loss over that of the other seeds.
 * @type {Draw}
 */
async function drawHistory(target, { model, step }, card) {
  const own = await historyOf(model);
  if (!own) return false;
  /** @type {{ x: Gapped, y: Gapped }} */
  const others = { x: [], y: [] };
  const all = seedsOf(model)
    .filter((other) => other !== model)
    .slice(0, 30);
  for (const other of all) {
    const found = await historyOf(other);
    if (found) {
      others.x.push(...found.step, null);
      others.y.push(...found.loss, null);
    }
  }
  note(
    card,
    others.x.length
      ? `${isDark() ? "White" : "Black"}: this model; blue: other seeds of its setting.`
      : "",
  );
  await plot(
    target,
    [
      {
        type: "scatter",
        mode: "lines",
        ...others,
        line: { color: blue(), width: 1 },
        opacity: 0.35,
        hoverinfo: "skip",
      },
      {
        type: "scatter",
        mode: "lines",
        x: own.step,
        y: own.loss,
        line: { color: css("--ink"), width: 2 },
        hovertemplate: "step %{x}: %{y:.4g}<extra></extra>",
      },
    ],
    {
      xaxis: { title: { text: "step" } },
      yaxis: {
        title: { text: "loss on training batches" },
        automargin: true,
        ...logAxis([...own.loss, ...others.y]),
      },
      shapes: stepLine(step),
    },
    `Training loss of model ${model}, from ${number(own.loss[0])} to ${number(own.loss.at(-1))}`,
  );
  return true;
}

/**
 * The models of the setting from the best to the worst.
 * @type {Draw}
 */
async function drawSeeds(target, { model }, card) {
  const all = seedsOf(model);
  if (all.length < 2) return false;
  const ranked = all.filter(isHealthy).sort((a, b) => lossOf(a) - lossOf(b));
  const losses = ranked.map(lossOf);
  const diverged = all.length - ranked.length;
  const reached = agreeing(model) * all.length;
  const median = losses[Math.floor((losses.length - 1) / 2)];
  const said = [
    `Loss: best ${number(losses[0])}, median ${number(median)}, worst ${number(losses.at(-1))}`,
    `${Math.round(reached)} of ${all.length} within 1% of the best`,
    ...(diverged ? [`${diverged} diverged`] : []),
  ];
  note(card, ranked.length ? `${said.join("; ")}.` : "All diverged.");
  const column = RUN.label !== null && COLUMNS.has(RUN.label) ? RUN.label : null;
  /** @type {(own: number) => string} */
  const labelOf = (own) => (column === null ? "" : cell(own, column));
  const kinds = [...new Set(ranked.map(labelOf))];
  /** @type {(own: number) => string} */
  const colour = (own) => PALETTE.cycle[kinds.indexOf(labelOf(own))] ?? PALETTE.grey;
  if (kinds.length > 1)
    within(card, ".note").append(
      ` ${FAMILY.meaning(kinds.join())}`,
      ...legend(kinds.slice(0, PALETTE.cycle.length).map((kind, i) => [kind, PALETTE.cycle[i]])),
    );
  const hover = ranked.map((own) =>
    [
      `model ${own}, seed ${settingsOf(own).seed}`,
      `loss ${number(lossOf(own))}`,
      ...(column === null ? [] : [plain(labelOf(own))]),
    ].join("<br>"),
  );
  const at = ranked.indexOf(model);
  await plot(
    target,
    [
      {
        type: "scatter",
        mode: "markers",
        x: ranked.map((_, i) => i + 1),
        y: losses,
        customdata: ranked,
        text: hover,
        hovertemplate: "%{text}<extra></extra>",
        marker: { size: 8, color: ranked.map(colour) },
      },
      {
        type: "scatter",
        mode: "markers",
        x: at < 0 ? [] : [at + 1],
        y: at < 0 ? [] : [losses[at]],
        hoverinfo: "skip",
        marker: { symbol: "circle-open", size: 15, color: css("--select"), line: { width: 3 } },
      },
    ],
    {
      margin: { l: 72, r: 12, t: 8, b: 40 },
      xaxis: { title: { text: "seeds, the best first" }, ...whole(ranked.length) },
      yaxis: {
        title: { text: "loss" },
        automargin: true,
        ...(isLogarithmic(losses) ? logAxis(losses) : { type: "linear" }),
      },
    },
    `Losses of ${all.length} seeds`,
  );
  selectOnClick(target);
  return true;
}
