// The card of how often latents fire.

/**
 * How often each latent fires, the most active first.
 * @type {Draw}
 */
async function drawRates(target, { weights }, card) {
  if (!weights?.rate) return false;
  const rate = listOf(weights.rate);
  const order = listOf(weights.order);
  const ranked = range(rate.length).sort((i, j) => rate[j] - rate[i]);
  const live = ranked.filter((i) => rate[i] > NEVER);
  const l0 = rate.reduce((sum, value) => sum + value, 0);
  note(card, `${live.length} of ${rate.length} latents fire; ${number(l0)} in a sample (L0).`);
  if (!live.length) return false;
  const points = {
    type: rate.length > 200 ? "scatter" : "bar",
    mode: "markers",
    x: live.map((_, i) => i + 1),
    y: live.map((i) => rate[i]),
    marker: { color: blue(), size: 4 },
    customdata: live.map((i) => order[i]),
    hovertemplate: "latent %{customdata}<br>fires in %{y:.3g} of the samples<extra></extra>",
  };
  await plot(
    target,
    [points],
    {
      bargap: 0.15,
      xaxis: { title: { text: "live latents, the most active first" }, ...whole(live.length) },
      yaxis: {
        title: { text: "share of the samples" },
        ...(isLogarithmic(points.y) ? logAxis(points.y) : {}),
      },
    },
    `Rates of ${live.length} latents`,
  );
  return true;
}
