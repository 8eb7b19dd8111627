// The card of how a model came to look back: excess and scores along training.

/**
 * Excess over the floor, and the greatest prefix-matching and previous-token scores.
 * @type {Draw}
 */
async function drawFormation(target, { model, step }, card) {
  const found = await arraysOf("formation", model);
  if (!found) return false;
  const steps = (await partOf("formation", model))?.part.steps ?? [];
  const scores = [
    { name: "prefix", title: "prefix matching", colour: PALETTE.cycle[1] },
    { name: "previous", title: "attention to the token before", colour: PALETTE.cycle[2] },
  ];
  note(card, "Scores are the greatest of all heads, on 64 sequences.");
  const line = { type: "scatter", mode: "lines+markers", marker: { size: 4 }, x: steps };
  const known = scores.filter(({ name }) => listOf(found[name]).some(Number.isFinite));
  await plot(
    target,
    [
      {
        ...line,
        y: listOf(found.excess),
        name: "excess",
        line: { color: blue() },
        hovertemplate: "step %{x}: %{y:.3f} nats above the floor<extra></extra>",
      },
      ...known.map(({ name, title, colour }) => ({
        ...line,
        y: listOf(found[name]),
        yaxis: "y2",
        name: title,
        line: { color: colour, dash: "dot" },
        hovertemplate: `step %{x}: ${title} %{y:.2f}<extra></extra>`,
      })),
    ],
    {
      margin: { l: 60, r: 56, t: 8, b: 44 },
      showlegend: true,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      xaxis: { title: { text: "training step" } },
      yaxis: { title: { text: "excess, nats" }, rangemode: "tozero" },
      yaxis2: axisLook({
        overlaying: "y",
        side: "right",
        range: [0, 1.02],
        showgrid: false,
        title: { text: "score" },
      }),
      shapes: stepLine(step),
    },
    `Excess along ${steps.length} snapshots of training, and ${known.length} scores`,
  );
  return true;
}
