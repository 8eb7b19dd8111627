// The card of the weights of each neuron.

const FEW = RUN.constants.few;

/**
 * Stacked weights of every neuron of a ReLU layer, positive ones upwards; features by importance,
 * neurons by theirs.
 * @type {Draw}
 */
async function drawNeurons(target, { weights, model }, card) {
  const first = encoderOf(weights);
  if (!weights || !first || !isReluLayer(model)) return false;
  const [n, m] = first.shape;
  const importance = weights.importance ? listOf(weights.importance) : range(n).map(() => 1);
  const features = range(n).sort((i, j) => importance[j] - importance[i]);
  const into = rowsOf(first);
  const top = range(m).map((k) =>
    features.reduce(
      (best, i, rank) => (Math.abs(into[i][k]) > Math.abs(into[features[best]][k]) ? rank : best),
      0,
    ),
  );
  const neurons = range(m).sort(
    (a, b) => top[a] - top[b] || into[features[top[b]]][b] - into[features[top[a]]][a],
  );
  const counts = weights.neurons && state.frame === null ? listOf(weights.neurons) : null;
  const drawn = [
    ["W", "weights W"],
    ["W1", "input W₁"],
    ["W2", "output W₂"],
  ].filter(([name]) => weights[name]);
  /** @type {(rank: number, k: number) => string} */
  const colour = (rank, k) =>
    n <= FEW || !counts
      ? importanceColour(1 - rank / Math.max(1, n - 1))
      : counts[k] === 0
        ? PALETTE.grey
        : pick(
            PALETTE.superposed,
            (Math.min(counts[k], RUN.constants.many) - 1) / (RUN.constants.many - 1),
          );
  const strong = isDark() ? "light" : "dark";
  note(
    card,
    n <= FEW
      ? `A bar is a neuron, a colour a feature, ${strong} for the most important.`
      : `A bar is a neuron; blue has one feature, red ${RUN.constants.many} or more.`,
  );
  const share = 1 / drawn.length;
  /** @type {Layout} */
  const more = {};
  const traces = drawn.map(([name, label], place) => {
    const axis = place ? String(place + 1) : "";
    if (place) more[`yaxis${axis}`] = axisLook();
    more[`yaxis${axis}`] = {
      ...(more[`yaxis${axis}`] ?? {}),
      domain: [1 - (place + 1) * share + (drawn.length > 1 ? 0.06 : 0), 1 - place * share],
      title: { text: label },
      anchor: "x",
      zeroline: true,
    };
    return { ...stack(rowsOf(weights[name]), features, neurons, colour), yaxis: `y${axis}` };
  });
  target.style.height = `${200 * drawn.length + 60}px`;
  await plot(
    target,
    traces,
    {
      ...more,
      barmode: "overlay",
      bargap: 0.15,
      xaxis: {
        title: { text: "neurons" },
        anchor: drawn.length > 1 ? `y${drawn.length}` : "y",
        showgrid: false,
        zeroline: false,
        range: [-0.7, m - 0.3],
        showticklabels: false,
      },
    },
    [
      `Weights of ${m} neurons, stacked by feature`,
      ...(counts ? [`${counts.filter((own) => own === 1).length} monosemantic`] : []),
    ].join("; "),
  );
  return true;
}

/**
 * @type {(W: Matrix, features: number[], neurons: number[],
 *   colour: (rank: number, k: number) => string) => Trace}
 */
function stack(W, features, neurons, colour) {
  /** @type {{ x: number[], y: number[], base: number[], text: string[], colours: string[] }} */
  const found = { x: [], y: [], base: [], text: [], colours: [] };
  const least = 0.02 * Math.max(...W.flat().map(Math.abs)); // thinner pieces are not seen
  neurons.forEach((k, x) => {
    const ends = [0, 0];
    features.forEach((i, rank) => {
      const value = W[i][k];
      const way = value > 0 ? 0 : 1;
      if (!(Math.abs(value) > least)) return;
      found.x.push(x);
      found.y.push(value);
      found.base.push(ends[way]);
      found.colours.push(colour(rank, k));
      found.text.push(`neuron ${k + 1}, feature ${i + 1}<br>${number(value)}`);
      ends[way] += value;
    });
  });
  return {
    type: "bar",
    x: found.x,
    y: found.y,
    base: found.base,
    text: found.text,
    textposition: "none",
    hovertemplate: "%{text}<extra></extra>",
    marker: { color: found.colours, line: { width: 0.3, color: css("--card") } },
  };
}
