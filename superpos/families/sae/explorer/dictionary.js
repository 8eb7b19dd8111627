// The card of cosines: which latent is which feature.

const MOST_SHOWN = 512; // features and latents of a matrix; more are finer than the screen

/**
 * Cosines of features (rows) and latents, in the order in which they match.
 * @type {Draw}
 */
async function drawDictionary(target, { model, weights, row }, card) {
  const last = await arraysOf("weights", model);
  if (!weights?.cosines || !last) return false;
  const all = rowsOf(weights.cosines);
  const cells = all.slice(0, MOST_SHOWN).map((line) => line.slice(0, MOST_SHOWN));
  const order = listOf(last.order).slice(0, MOST_SHOWN);
  const rate = listOf(last.rate);
  const dead = rate.filter((value) => value === NEVER).length;
  const cut =
    Math.max(all.length, rate.length) > MOST_SHOWN
      ? ` The first ${MOST_SHOWN} of ${all.length} features and ${rate.length} latents.`
      : "";
  note(
    card,
    [
      "Latents in the order in which they match.",
      `MMCS ${number(row.mmcs)}, by chance ${number(row.chance)};`,
      `${dead} of ${rate.length} latents never fire.${cut}`,
    ].join(" "),
  );
  const heat = {
    type: "heatmap",
    z: cells,
    colorscale: SIGNED,
    zmin: -1,
    zmax: 1,
    colorbar: bar("cosine"),
    x: range(order.length).map((i) => i + 1),
    y: range(cells.length).map((i) => i + 1),
    customdata: cells.map(() =>
      order.map((latent, i) => `${latent}${rate[i] === NEVER ? ", never fires" : ""}`),
    ),
    hovertemplate: "feature %{y}, latent %{customdata}<br>cosine %{z:.3f}<extra></extra>",
  };
  await plot(
    target,
    [heat],
    {
      xaxis: {
        title: { text: "latents, as they match" },
        showgrid: false,
        zeroline: false,
        ...whole(order.length),
      },
      yaxis: {
        title: { text: "feature" },
        range: [cells.length + 0.5, 0.5],
        showgrid: false,
        zeroline: false,
        ...whole(cells.length),
      },
    },
    `Cosines of ${cells.length} features with ${order.length} latents`,
  );
  return true;
}
