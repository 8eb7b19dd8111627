// The card of the feature graph.

/**
 * Features that are represented, joined where abs(Wᵢ·Wⱼ) > τ; each component in the colour of its
 * shape. In training they stand where they end, and are hollow until they are represented.
 * @type {Draw}
 */
async function drawGraph(target, { model, row, weights, step }, card) {
  const found = await arraysOf("graphs", model);
  const last = found && (await arraysOf("weights", model));
  const encoder = encoderOf(weights);
  if (!found || !last || !encoder) return false;
  const W = rowsOf(encoder);
  const place = rowsOf(found.place);
  const shape = listOf(found.shape);
  /** @type {{ words: string, colour: string }[]} */
  const names = found.shape.names ?? [];
  const nodes = range(W.length).filter(
    (i) => shape[i] < names.length && Number.isFinite(place[i][0]),
  );
  /** @type {(i: number) => boolean} */
  const isThere = (i) => step === undefined || Math.hypot(...W[i]) > RUN.constants.represented;
  const hollow = step === undefined ? "" : ` Hollow at step ${count(step)}: not represented yet.`;
  note(
    card,
    [
      `At the end of training: ${row.geometry ?? ""}.`,
      `Joined where |Wᵢ·Wⱼ| > ${RUN.constants.tau}.${hollow}`,
    ].join(" "),
  );
  /** @type {{ low: number, high: number, strength: number, x: Gapped, y: Gapped }[]} */
  const levels = [
    { low: RUN.constants.tau, high: 0.4, strength: 0.25, x: [], y: [] },
    { low: 0.4, high: 0.7, strength: 0.5, x: [], y: [] },
    { low: 0.7, high: Infinity, strength: 0.9, x: [], y: [] },
  ];
  const there = nodes.filter(isThere);
  for (const [a, i] of there.entries()) {
    for (const j of there.slice(a + 1)) {
      const strength = Math.abs(W[i].reduce((sum, value, k) => sum + value * W[j][k], 0));
      const level = levels.find(({ low, high }) => strength > low && strength <= high);
      level?.x.push(place[i][0], place[j][0], null);
      level?.y.push(place[i][1], place[j][1], null);
    }
  }
  const thin = Math.min(1, 25 / nodes.length); // so that a tangle does not become a blot
  const edges = levels.map(({ x, y, strength }) => ({
    type: "scatter",
    mode: "lines",
    x,
    y,
    opacity: Math.max(0.06, thin * strength),
    line: { color: css("--ink"), width: Math.max(0.5, thin) * (1 + strength) },
    hoverinfo: "skip",
    showlegend: false,
  }));
  const kinds = [...new Set(nodes.map((i) => shape[i]))].map((kind) => {
    const own = nodes.filter((i) => shape[i] === kind);
    const { words, colour } = names[kind];
    return {
      type: "scatter",
      mode: "markers",
      name: words,
      x: own.map((i) => place[i][0]),
      y: own.map((i) => place[i][1]),
      marker: {
        size: 8,
        ...markOf(own.map(isThere), colour === "#222222" ? css("--ink") : colour),
      },
      customdata: own.map((i) => i + 1),
      hovertemplate: "feature %{customdata}<extra></extra>",
      showlegend: true,
    };
  });
  const bare = { visible: false, constrain: "domain" };
  await plot(
    target,
    [...edges, ...kinds],
    {
      showlegend: true,
      legend: { orientation: "h", y: -0.02, font: { size: 11 } },
      margin: { l: 4, r: 4, t: 4, b: 4 },
      xaxis: bare,
      yaxis: { ...bare, scaleanchor: "x" },
    },
    `Feature graph: ${row.geometry ?? ""}`,
  );
  return true;
}

/**
 * A filled circle for what is there, a ring for what is not.
 * @type {(there: boolean[], colour: string) => Trace}
 */
const markOf = (there, colour) => ({
  color: there.map((is) => (is ? colour : css("--card"))),
  line: { width: 1, color: there.map((is) => (is ? css("--card") : colour)) },
});
