// The card of features and latents as arrows.

const MANY_ARROWS = 60;

/**
 * Draws features and latents [., 3] as arrows.
 * @typedef {(target: PlotElement, features: Matrix, latents: Matrix, names: number[]) =>
 *   Promise<void>} DrawPairs
 */

/**
 * Features (grey) and live latents as arrows in two or three dimensions.
 * @type {Draw}
 */
async function drawArrows(target, { model, weights }, card) {
  const last = await arraysOf("weights", model);
  if (!weights?.D || !last?.A) return false;
  const dims = last.A.shape[1];
  const rate = listOf(last.rate);
  const order = listOf(last.order);
  /** @type {(row: number[]) => number[]} */
  const unit = (row) => row.map((value) => value / (Math.hypot(...row) || 1));
  const features = rowsOf(last.A).map(unit);
  const shown = range(rate.length).filter((i) => rate[i] > NEVER);
  const all = rowsOf(weights.D).map(unit);
  const latents = shown.map((i) => all[i]);
  /** @type {(rows: Matrix) => Matrix} */
  const pad = (rows) => rows.map((row) => [...row, 0, 0].slice(0, 3));
  note(card, "Grey: true features, of length 1; coloured: latents that fire.");
  const draw = dims > 2 ? drawInSpace : drawInPlane;
  await draw(
    target,
    pad(features),
    pad(latents),
    shown.map((i) => order[i]),
  );
  return true;
}

/** @type {(ends: Matrix) => (number | null)[][]} */
const spokes = (ends) => ends.flatMap((end) => [[0, 0, 0], end, [null, null, null]]);
/** @type {(points: (number | null)[][]) => Trace} */
const along = (points) => ({ x: points.map((p) => p[0]), y: points.map((p) => p[1]) });

/**
 * @type {DrawPairs}
 */
async function drawInPlane(target, features, latents, names) {
  const line = { type: "scatter", mode: "lines", hoverinfo: "skip" };
  const width = latents.length > MANY_ARROWS ? 1 : 2.5;
  const square = { range: [-1.25, 1.25], showgrid: false, zeroline: false };
  await plot(
    target,
    [
      {
        ...line,
        ...along(spokes(features)),
        line: { color: css("--grey"), width: 6 },
        opacity: 0.35,
      },
      { ...line, ...along(spokes(latents)), line: { color: blue(), width } },
      {
        type: "scatter",
        mode: "markers",
        ...along(features),
        marker: { size: 12, symbol: "circle-open", color: css("--grey"), line: { width: 2 } },
        customdata: features.map((_, g) => g + 1),
        hovertemplate: "feature %{customdata}<extra></extra>",
      },
      {
        type: "scatter",
        mode: "markers",
        ...along(latents),
        marker: { size: 8, color: blue() },
        customdata: names,
        hovertemplate: "latent %{customdata}<extra></extra>",
      },
    ],
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
    `${features.length} features and ${latents.length} latents in two dimensions`,
  );
}

/**
 * @type {DrawPairs}
 */
async function drawInSpace(target, features, latents, names) {
  /** @type {(points: (number | null)[][]) => Trace} */
  const inSpace = (points) => ({ ...along(points), z: points.map((p) => p[2]) });
  const line = { type: "scatter3d", mode: "lines", hoverinfo: "skip" };
  const side = {
    range: [-1.2, 1.2],
    title: { text: "" },
    showgrid: false,
    zeroline: false,
    showbackground: false,
    showticklabels: false,
    showspikes: false,
  };
  await plot(
    target,
    [
      {
        ...line,
        ...inSpace(spokes(features)),
        line: { color: css("--grey"), width: 10 },
        opacity: 0.4,
      },
      { ...line, ...inSpace(spokes(latents)), line: { color: blue(), width: 4 } },
      {
        type: "scatter3d",
        mode: "markers",
        ...inSpace(features),
        marker: { size: 6, color: css("--grey") },
        customdata: features.map((_, g) => g + 1),
        hovertemplate: "feature %{customdata}<extra></extra>",
      },
      {
        type: "scatter3d",
        mode: "markers",
        ...inSpace(latents),
        marker: { size: 4, color: blue() },
        customdata: names,
        hovertemplate: "latent %{customdata}<extra></extra>",
      },
    ],
    {
      margin: { l: 0, r: 0, t: 0, b: 0 },
      dragmode: "orbit",
      uirevision: "turned",
      scene: {
        xaxis: side,
        yaxis: side,
        zaxis: side,
        aspectmode: "cube",
        camera: { eye: { x: 0.95, y: 0.75, z: 0.6 } },
        uirevision: "turned",
      },
    },
    `${features.length} features and ${latents.length} latents in three dimensions; drag to turn`,
  );
}
