// The card of how heads build on each other: composition scores of the weights, and what each path
// costs.

/**
 * Composition of every pair of heads minus that of random matrices, and the cost of each path.
 * @type {Draw}
 */
async function drawComposition(target, { weights, row }, card) {
  if (!weights?.W_Q || weights.W_Q.shape[0] < 2) return false;
  const heads = headsOf(weights);
  const pairs = heads.flatMap((earlier) =>
    heads
      .filter((later) => later.layer > earlier.layer)
      .map((later) => ({
        name: `${earlier.name} → ${later.name}`,
        scores: composedOf(weights, [earlier.layer, earlier.head], [later.layer, later.head]),
      })),
  );
  const into = ["Q", "K", "V"];
  const z = pairs.map(({ scores }) => scores);
  const most = Math.max(0.05, ...z.flat().map(Math.abs).filter(Number.isFinite));
  const paths = ["path_q", "path_k", "path_v", "path_logits"];
  note(
    card,
    "Left: ‖W R‖ / (‖W‖ ‖R‖) minus 1/√d, which random matrices have. Right: nats that it costs to remove what earlier layers write from what later ones read, at the end of training.",
  );
  await plot(
    target,
    [
      {
        type: "heatmap",
        z,
        x: into,
        y: pairs.map(({ name }) => name),
        colorscale: SIGNED,
        zmin: -most,
        zmax: most,
        showscale: false,
        texttemplate: pairs.length > 16 ? "" : "%{z:.2f}",
        hovertemplate: "%{y} by %{x}: %{z:.3f}<extra></extra>",
      },
      {
        type: "bar",
        x: [...into, "logits"],
        y: paths.map((path) => row[path]),
        xaxis: "x2",
        yaxis: "y2",
        marker: { color: blue() },
        hovertemplate: "%{x}: %{y:.3f} nats<extra></extra>",
      },
    ],
    {
      margin: { l: 84, r: 8, t: 8, b: 44 },
      xaxis: { domain: [0, 0.4], showgrid: false, title: { text: "by" } },
      yaxis: { type: "category", autorange: "reversed", showgrid: false },
      xaxis2: axisLook({ domain: [0.64, 1], anchor: "y2", title: { text: "path into" } }),
      yaxis2: axisLook({ anchor: "x2", title: { text: "cost, nats" } }),
    },
    `Composition of ${pairs.length} pairs of heads, and the costs of four paths`,
  );
  return true;
}
