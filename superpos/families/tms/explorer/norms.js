// The card of the length of each feature, coloured by its interference.

/** @type {Draw} */
async function drawNorms(target, { weights }) {
  if (!weights?.norm) return false;
  const norms = listOf(weights.norm);
  const hue = listOf(weights.interference);
  const features = range(norms.length).map((i) => i + 1);
  const key = {
    type: "scatter",
    mode: "markers",
    x: [null],
    y: [null],
    hoverinfo: "skip",
    marker: {
      color: [0],
      colorscale: SUPERPOSED,
      cmin: 0,
      cmax: 1,
      showscale: true,
      colorbar: bar("interference", { tickvals: [0, 0.5, 1] }),
    },
  };
  const isMany = norms.length > MANY_POINTS;
  await plot(
    target,
    [
      key,
      {
        type: isMany ? "scattergl" : "bar",
        mode: "markers",
        x: features,
        y: norms,
        customdata: hue,
        hovertemplate:
          "feature %{x}<br>norm %{y:.3f}<br>interference %{customdata:.3f}<extra></extra>",
        marker: {
          color: hue.map((value) => pick(PALETTE.superposed, value)),
          line: { width: 0 },
          ...(isMany ? { size: 3 } : {}),
        },
      },
    ],
    {
      bargap: norms.length > 60 ? 0 : 0.15,
      xaxis: { title: { text: "feature" }, ...whole(norms.length) },
      yaxis: {
        title: { text: "norm ‖Wᵢ‖" },
        range: [0, Math.max(1.25, ...norms.filter(Number.isFinite).map((v) => 1.05 * v))],
      },
    },
    `Norms of ${norms.length} features, coloured by interference`,
  );
  return true;
}
