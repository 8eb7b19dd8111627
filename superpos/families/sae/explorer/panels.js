// What the page shows of sparse autoencoders: which latent is which feature, how often both are active, both as arrows.

const MOST_SHOWN = 512; // features and latents of a matrix; more are finer than the screen
const MANY_ARROWS = 60;
const NEVER = 0; // the rate of a dead latent

/** Cosines of features (rows) and latents, in the order in which they match. */
async function drawDictionary(target, { model, weights, row }, card) {
  if (!weights?.cosines) return false;
  const last = await arraysOf("weights", model);
  const all = rowsOf(weights.cosines);
  const cells = all.slice(0, MOST_SHOWN).map((line) => line.slice(0, MOST_SHOWN));
  const order = listOf(last.order).slice(0, MOST_SHOWN);
  const rate = listOf(last.rate);
  const dead = rate.filter((value) => value === NEVER).length;
  const cut = Math.max(all.length, rate.length) > MOST_SHOWN ? ` The first ${MOST_SHOWN} of ${all.length} features and ${rate.length} latents.` : "";
  note(card, `Latents in the order in which they match. MMCS ${number(row.mmcs)}, by chance ${number(row.chance)}; ${dead} of ${rate.length} latents never fire.${cut}`);
  const heat = {
    type: "heatmap", z: cells, colorscale: SIGNED, zmin: -1, zmax: 1, colorbar: bar("cosine"),
    x: range(order.length).map((i) => i + 1), y: range(cells.length).map((i) => i + 1),
    customdata: cells.map(() => order.map((latent, i) => `${latent}${rate[i] === NEVER ? ", never fires" : ""}`)),
    hovertemplate: "feature %{y}, latent %{customdata}<br>cosine %{z:.3f}<extra></extra>",
  };
  await plot(target, [heat], {
    xaxis: { title: { text: "latents, as they match" }, showgrid: false, zeroline: false, ...whole(order.length) },
    yaxis: { title: { text: "feature" }, range: [cells.length + 0.5, 0.5], showgrid: false, zeroline: false, ...whole(cells.length) },
  }, `Cosines of ${cells.length} features with ${order.length} latents`);
  return true;
}

/** The cosine of each feature with its nearest latent, over how often the feature is active. */
async function drawRecovery(target, { weights, row }, card) {
  if (!weights?.best) return false;
  const p = listOf(weights.p), best = listOf(weights.best), f1 = listOf(weights.f1);
  const alive = range(best.length).filter((g) => p[g] > 0);
  const found = alive.filter((g) => best[g] > 0.9).length;
  note(card, `${found} of ${best.length} features have a latent at a cosine above .9; the dotted line is chance.`);
  const spread = alive.some((g) => Math.abs(p[g] - p[alive[0]]) > 1e-4);
  const points = {
    type: "scatter", mode: "markers", x: alive.map((g) => (spread ? p[g] : g + 1)), y: alive.map((g) => best[g]),
    customdata: alive.map((g) => [g + 1, number(p[g]), number(f1[g])]), marker: { size: 7, color: blue(), opacity: 0.8 },
    hovertemplate: "feature %{customdata[0]}, p = %{customdata[1]}<br>cosine %{y:.3f}, F1 %{customdata[2]}<extra></extra>",
  };
  const low = Math.min(0, ...points.y);
  const shapes = Number.isFinite(row.chance) ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: row.chance, y1: row.chance, line: { color: css("--grey"), width: 1, dash: "dot" } }] : [];
  await plot(target, [points], {
    shapes,
    xaxis: { title: { text: spread ? "how often the feature is active" : "feature" }, ...(!spread ? whole(best.length) : isLogarithmic(points.x) ? logAxis(points.x) : { type: "linear", nticks: 6 }) },
    yaxis: { title: { text: "cosine of the nearest latent" }, range: [low - 0.04, 1.04] },
  }, `Cosines of ${alive.length} features with their nearest latents`);
  return true;
}

/** How often each latent fires, the most active first. */
async function drawRates(target, { weights }, card) {
  if (!weights?.rate) return false;
  const rate = listOf(weights.rate), order = listOf(weights.order);
  const ranked = range(rate.length).sort((i, j) => rate[j] - rate[i]);
  const live = ranked.filter((i) => rate[i] > NEVER);
  note(card, `${live.length} of ${rate.length} latents fire; ${number(rate.reduce((sum, value) => sum + value, 0))} in a sample (L0).`);
  if (!live.length) return false;
  const points = {
    type: rate.length > 200 ? "scatter" : "bar", mode: "markers", x: live.map((_, i) => i + 1), y: live.map((i) => rate[i]), marker: { color: blue(), size: 4 },
    customdata: live.map((i) => order[i]), hovertemplate: "latent %{customdata}<br>fires in %{y:.3g} of the samples<extra></extra>",
  };
  await plot(target, [points], {
    bargap: 0.15, xaxis: { title: { text: "live latents, the most active first" }, ...whole(live.length) },
    yaxis: { title: { text: "share of the samples" }, ...(isLogarithmic(points.y) ? logAxis(points.y) : {}) },
  }, `Rates of ${live.length} latents`);
  return true;
}

/** Features (grey) and live latents as arrows in two or three dimensions. */
async function drawArrows(target, { model, weights }, card) {
  const last = await arraysOf("weights", model);
  if (!weights?.D || !last?.A) return false;
  const dims = last.A.shape[1], rate = listOf(last.rate), order = listOf(last.order);
  const unit = (row) => row.map((value) => value / (Math.hypot(...row) || 1));
  const features = rowsOf(last.A).map(unit);
  const shown = range(rate.length).filter((i) => rate[i] > NEVER);
  const all = rowsOf(weights.D).map(unit);
  const latents = shown.map((i) => all[i]);
  const pad = (rows) => rows.map((row) => [...row, 0, 0].slice(0, 3));
  note(card, "Grey: true features, of length 1; coloured: latents that fire.");
  const draw = dims > 2 ? drawInSpace : drawInPlane;
  await draw(target, pad(features), pad(latents), shown.map((i) => order[i]));
  return true;
}

const spokes = (ends) => ends.flatMap((end) => [[0, 0, 0], end, [null, null, null]]);
const along = (points) => ({ x: points.map((p) => p[0]), y: points.map((p) => p[1]) });

async function drawInPlane(target, features, latents, names) {
  const line = { type: "scatter", mode: "lines", hoverinfo: "skip" };
  const width = latents.length > MANY_ARROWS ? 1 : 2.5;
  const square = { range: [-1.25, 1.25], showgrid: false, zeroline: false };
  await plot(target, [
    { ...line, ...along(spokes(features)), line: { color: css("--grey"), width: 6 }, opacity: 0.35 },
    { ...line, ...along(spokes(latents)), line: { color: blue(), width } },
    { type: "scatter", mode: "markers", ...along(features), marker: { size: 12, symbol: "circle-open", color: css("--grey"), line: { width: 2 } }, customdata: features.map((_, g) => g + 1), hovertemplate: "feature %{customdata}<extra></extra>" },
    { type: "scatter", mode: "markers", ...along(latents), marker: { size: 8, color: blue() }, customdata: names, hovertemplate: "latent %{customdata}<extra></extra>" },
  ], {
    xaxis: { ...square, constrain: "domain" }, yaxis: { ...square, scaleanchor: "x", constrain: "domain" }, margin: { l: 36, r: 8, t: 8, b: 28 },
    shapes: [{ type: "circle", x0: -1, x1: 1, y0: -1, y1: 1, line: { color: css("--line"), width: 1, dash: "dot" } }],
  }, `${features.length} features and ${latents.length} latents in two dimensions`);
}

async function drawInSpace(target, features, latents, names) {
  const inSpace = (points) => ({ ...along(points), z: points.map((p) => p[2]) });
  const line = { type: "scatter3d", mode: "lines", hoverinfo: "skip" };
  const side = { range: [-1.2, 1.2], title: { text: "" }, showgrid: false, zeroline: false, showbackground: false, showticklabels: false, showspikes: false };
  await plot(target, [
    { ...line, ...inSpace(spokes(features)), line: { color: css("--grey"), width: 10 }, opacity: 0.4 },
    { ...line, ...inSpace(spokes(latents)), line: { color: blue(), width: 4 } },
    { type: "scatter3d", mode: "markers", ...inSpace(features), marker: { size: 6, color: css("--grey") }, customdata: features.map((_, g) => g + 1), hovertemplate: "feature %{customdata}<extra></extra>" },
    { type: "scatter3d", mode: "markers", ...inSpace(latents), marker: { size: 4, color: blue() }, customdata: names, hovertemplate: "latent %{customdata}<extra></extra>" },
  ], {
    margin: { l: 0, r: 0, t: 0, b: 0 }, dragmode: "orbit", uirevision: "turned",
    scene: { xaxis: side, yaxis: side, zaxis: side, aspectmode: "cube", camera: { eye: { x: 0.95, y: 0.75, z: 0.6 } }, uirevision: "turned" },
  }, `${features.length} features and ${latents.length} latents in three dimensions; drag to turn`);
}

family({
  words: {
    mmcs: "MMCS", chance: "MMCS by chance", mcc: "MCC", found_90: "found at cosine .9", found_95: "found at cosine .95",
    l0: "L0", l0_train: "L0 by the rule of training", fvu: "FVU", dead: "dead latents", gamma: "γ (shrinkage)", f1: "F1",
    unique: "uniqueness", c_dec: "overlap of the decoder", loss_recovered: "loss recovered", "sae.l1": "λ", "sae.l0": "λ of L0", "sae.k": "k",
  },
  columns: ["mmcs", "chance", "found_90", "l0", "fvu", "dead"],
  examples: { setting: "sae.l1>=0.1", label: "mmcs>0.9" },
  cards: [
    { name: "dictionary", title: "Features and latents", draw: drawDictionary, moves: true },
    { name: "arrows", title: "Arrows", draw: drawArrows, moves: true },
    { name: "recovery", title: "Which features are found", draw: drawRecovery, moves: false },
    { name: "rates", title: "How often latents fire", draw: drawRates, moves: false },
  ],
  sizes: ({ cosines }) => (cosines ? `${cosines.shape[1]} features, ${cosines.shape[2]} latents` : ""),
  begin: () => ({ metric: "mmcs" }),
});
