// What the page shows of transformers: the list of their cards, and the words for keys and results.

family({
  words: {
    excess: "excess over the floor, nats",
    formed_at: "formed at step",
    width: "steps that forming took",
    prefix: "prefix matching",
    previous: "attention to the token before",
    path_q: "cost of the path into Q, nats",
    path_k: "cost of the path into K, nats",
    path_v: "cost of the path into V, nats",
    path_logits: "cost of the path into the logits, nats",
    composition_q: "Q-composition − 1/√d",
    composition_k: "K-composition − 1/√d",
    composition_v: "V-composition − 1/√d",
    ov_positivity: "OV positivity",
    planted_precision: "precision of planted triples",
    bug_ratio: "bug trigrams over their true p",
    "model.n_layers": "layers",
    "model.n_heads": "heads a layer",
    "model.d_model": "dimensions d",
    "model.d_head": "dimensions of a head",
    "language.kind": "language",
  },
  columns: ["excess", "floor", "formed_at", "prefix", "previous", "ov_positivity"],
  meaning: (circuit) =>
    ({
      induction: "Keys carry the token before; it attends to what followed.",
      shifted: "Values carry it too; it attends one token further.",
      mixed: "Between induction and shifted.",
      recency: "Keys carry nothing, and it does not attend to what followed.",
    })[circuit] ?? "",
  examples: { setting: "model.n_layers>=2", label: "circuit~induction" },
  cards: [
    {
      name: "patterns",
      title: "Attention on a sequence",
      draw: drawPatterns,
      moves: true,
      asks: true,
      across: true,
    },
    { name: "tables", title: "Tables of tokens", draw: drawTables, moves: true, asks: true },
    {
      name: "composition",
      title: "How heads build on each other",
      draw: drawComposition,
      moves: true,
    },
    { name: "formation", title: "How it came about", draw: drawFormation, moves: true },
    { name: "weights", title: "Weights", draw: drawWeights, moves: true },
  ],
  state: { sequence: "0", position: "", table: "direct" },
  sizes: ({ W_E, W_Q }) =>
    W_E
      ? [
          `${W_E.shape[1]} tokens, d = ${W_E.shape[2]}`,
          ...(W_Q ? [`${W_Q.shape[1]} layers of ${W_Q.shape[2]} heads`] : ["no layers"]),
        ].join(", ")
      : "",
  begin: () => ({ metric: "excess" }),
});
