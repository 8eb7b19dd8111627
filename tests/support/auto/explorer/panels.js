// What the page shows of autoencoders: how near each feature of the dictionary is to each latent.

async function drawDictionary(target, { weights }, card) {
  if (!weights?.cosines) return false;
  const cells = rowsOf(weights.cosines), found = cells.filter((row) => Math.max(...row) >= RUN.constants.found).length;
  note(card, `${found} of ${cells.length} features have a latent.`);
  const heat = { type: "heatmap", z: cells, colorscale: SIGNED, zmin: -1, zmax: 1, colorbar: bar("cosine") };
  await plot(target, [heat], { xaxis: { title: { text: "latent" } }, yaxis: { title: { text: "feature" } } }, `Cosines of ${cells.length} features with the latents`);
  return true;
}

const lost = (model) => 1 - COLUMNS.get("found").values[LISTED.rowOf[model]];

family({
  words: { "auto.density": "p", found: "share of the features found" },
  columns: ["found", "n_alive"],
  cards: [
    { name: "dictionary", title: "Dictionary", draw: drawDictionary, moves: false },
    { name: "weights", title: "Weights", draw: drawWeights, moves: true },
  ],
  metrics: () => [{ name: "lost", label: "share of the features lost", kind: "number", value: lost }],
  begin: () => ({ metric: "lost" }),
});
