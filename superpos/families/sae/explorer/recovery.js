// The card of the features that are found.

/**
 * The cosine of each feature with its nearest latent, over how often the feature is active.
 * @type {Draw}
 */
async function drawRecovery(target, { weights, row }, card) {
  if (!weights?.best) return false;
  const p = listOf(weights.p);
  const best = listOf(weights.best);
  const f1 = listOf(weights.f1);
  const alive = range(best.length).filter((g) => p[g] > 0);
  const found = alive.filter((g) => best[g] > 0.9).length;
  note(
    card,
    [
      `${found} of ${best.length} features have a latent at a cosine above .9;`,
      "the dotted line is chance.",
    ].join(" "),
  );
  const spread = alive.some((g) => Math.abs(p[g] - p[alive[0]]) > 1e-4);
  const points = {
    type: "scatter",
    mode: "markers",
    x: alive.map((g) => (spread ? p[g] : g + 1)),
    y: alive.map((g) => best[g]),
    customdata: alive.map((g) => [g + 1, number(p[g]), number(f1[g])]),
    marker: { size: 7, color: blue(), opacity: 0.8 },
    hovertemplate:
      "feature %{customdata[0]}, p = %{customdata[1]}<br>" +
      "cosine %{y:.3f}, F1 %{customdata[2]}<extra></extra>",
  };
  const low = Math.min(0, ...points.y);
  const shapes = Number.isFinite(row.chance)
    ? [
        {
          type: "line",
          xref: "paper",
          x0: 0,
          x1: 1,
          y0: row.chance,
          y1: row.chance,
          line: { color: css("--grey"), width: 1, dash: "dot" },
        },
      ]
    : [];
  await plot(
    target,
    [points],
    {
      shapes,
      xaxis: {
        title: { text: spread ? "how often the feature is active" : "feature" },
        ...(!spread
          ? whole(best.length)
          : isLogarithmic(points.x)
            ? logAxis(points.x)
            : { type: "linear", nticks: 6 }),
      },
      yaxis: { title: { text: "cosine of the nearest latent" }, range: [low - 0.04, 1.04] },
    },
    `Cosines of ${alive.length} features with their nearest latents`,
  );
  return true;
}
