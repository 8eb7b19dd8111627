// What the page shows of circuits: what patching finds in each part, beside what is true.

/**
 * Shares of the total that parts have, a row a question; the last one says in how many pairs of
 * inputs a part is true.
 * @type {Draw}
 */
async function drawPatched(target, { model, row }, card) {
  const found = await arraysOf("patched", model);
  if (!found) return false;
  const names = found.part.names ?? [];
  const shares = rowsOf(found.share);
  const true_ = listOf(found.true);
  const z = [...shares, true_];
  const rows = [...RUN.constants.questions, "true"];
  note(
    card,
    [
      ...(row.formula ? [`Computes ${row.formula}.`] : []),
      "The share of what is lost where all parts are replaced;",
      "the last row: in how many pairs of inputs a part is true.",
    ].join(" "),
  );
  const most = Math.max(1, ...z.flat().map(Math.abs).filter(Number.isFinite));
  await plot(
    target,
    [
      {
        type: "heatmap",
        z,
        x: names,
        y: rows,
        colorscale: SIGNED,
        zmin: -most,
        zmax: most,
        colorbar: bar(""),
        texttemplate: "%{z:.2f}",
        hovertemplate: "%{y} of %{x}: %{z:.3f}<extra></extra>",
      },
    ],
    {
      margin: { l: 120, r: 8, t: 8, b: 50 },
      xaxis: { type: "category", showgrid: false },
      yaxis: { type: "category", autorange: "reversed", showgrid: false },
    },
    `What patching finds in ${names.length} parts, from ${number(-most)} to ${number(most)}`,
  );
  return true;
}

family({
  words: {
    "circuit.beta": "sharpness β",
    "circuit.rho": "ρ of a backup",
    "circuit.distractors": "unread parts",
    "circuit.kind": "kind",
  },
  columns: ["accuracy"],
  examples: { setting: "circuit.kind=and", label: "" },
  cards: [
    { name: "patched", title: "Parts replaced", draw: drawPatched, across: true },
    { name: "weights", title: "Weights", draw: drawWeights },
  ],
});
