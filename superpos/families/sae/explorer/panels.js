// What the page shows of sparse autoencoders: the list of their cards, and the words for keys and
// results.

family({
  words: {
    mmcs: "MMCS",
    chance: "MMCS by chance",
    mcc: "MCC",
    found_90: "found at cosine .9",
    found_95: "found at cosine .95",
    l0: "L0",
    l0_train: "L0 by the rule of training",
    fvu: "FVU",
    dead: "dead latents",
    gamma: "γ (shrinkage)",
    f1: "F1",
    unique: "uniqueness",
    c_dec: "overlap of the decoder",
    loss_recovered: "loss recovered",
    "sae.l1": "λ",
    "sae.l0": "λ of L0",
    "sae.k": "k",
  },
  columns: ["mmcs", "chance", "found_90", "l0", "fvu", "dead"],
  examples: { setting: "sae.l1>=0.1", label: "mmcs>0.9" },
  cards: [
    { name: "dictionary", title: "Features and latents", draw: drawDictionary, moves: true },
    { name: "arrows", title: "Arrows", draw: drawArrows, moves: true },
    { name: "recovery", title: "Which features are found", draw: drawRecovery, moves: false },
    { name: "rates", title: "How often latents fire", draw: drawRates, moves: false },
  ],
  sizes: ({ cosines }) =>
    cosines ? `${cosines.shape[1]} features, ${cosines.shape[2]} latents` : "",
  begin: () => ({ metric: "mmcs" }),
});
