// The card of the dimensionality of each feature.

/** @type {Draw} */
async function drawDimensionality(target, { weights }, card) {
  if (!weights?.dimensionality) return false;
  const all = listOf(weights.dimensionality);
  const order = range(all.length).sort((i, j) => all[j] - all[i]);
  note(
    card,
    "The share of a dimension that each feature has, in order of size; " +
      "lines: the shares in polytopes.",
  );
  /** @type {{ name: string, value: number, text: string, place: number }[]} */
  const fractions = RUN.constants.fractions;
  const rules = fractions.map(({ value }) => ({
    type: "line",
    xref: "paper",
    x0: 0,
    x1: 1,
    y0: value,
    y1: value,
    line: { color: css("--line"), width: 1 },
    layer: "below",
  }));
  const names = fractions.map(({ name, text, place }) => ({
    xref: "paper",
    x: 1.01,
    xanchor: "left",
    y: place,
    text: `${text} ${name}`,
    showarrow: false,
    font: { size: 10, color: css("--grey") },
  }));
  await plot(
    target,
    [
      {
        type: all.length > MANY_POINTS ? "scattergl" : "scatter",
        mode: "markers",
        x: range(all.length).map((i) => i + 1),
        y: order.map((i) => all[i]),
        customdata: order.map((i) => i + 1),
        marker: { size: all.length > 60 ? 4 : 8, color: blue() },
        hovertemplate: "feature %{customdata}: D = %{y:.3f}<extra></extra>",
      },
    ],
    {
      shapes: rules,
      annotations: names,
      margin: { l: 48, r: 112, t: 8, b: 40 },
      xaxis: { title: { text: "rank" }, showgrid: false, zeroline: false, ...whole(all.length) },
      yaxis: { title: { text: "Dᵢ" }, range: [-0.04, 1.07], showgrid: false, zeroline: false },
    },
    `Dimensionality of ${all.length} features`,
  );
  return true;
}
