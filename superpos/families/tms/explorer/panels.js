// What the page shows of toy models: the list of their cards, and the words for keys and results.

family({
  words: {
    "data.density": "density 1 − S",
    "data.sparsity": "sparsity S",
    "importance.last": "importance of the last feature r",
    "model.n_features": "features n",
    "model.n_hidden": "hidden dimensions m",
    "data.last": "density factor of the last feature",
    d_star: "dimensions per feature D*",
    n_represented: "features represented",
    interference_mean: "interference, mean",
    interference_max: "interference, largest",
    dimensionality_sum: "Σ dimensionality",
    monosemantic_neurons: "monosemantic neurons",
  },
  columns: [
    "d_star",
    "n_represented",
    "monosemantic_neurons",
    "interference_mean",
    "interference_max",
    "dimensionality_sum",
  ],
  // What names such as "24/8" mean.
  meaning: (geometry) =>
    /\d\/\d/.test(geometry) ? "k/d: k features in d dimensions, a shape without a name." : "",
  examples: { setting: "data.density>=0.1", label: "geometry~pentagon" },
  cards: [
    { name: "matrix", title: "WᵀW and b", draw: drawMatrix, moves: true },
    { name: "directions", title: "Directions of the features", draw: drawDirections, moves: true },
    {
      name: "norms",
      title: "Length of the features, by interference",
      draw: drawNorms,
      moves: true,
    },
    {
      name: "dimensionality",
      title: "Dimensionality of the features",
      draw: drawDimensionality,
      moves: true,
    },
    { name: "graph", title: "Feature graph", draw: drawGraph, moves: true },
    {
      name: "attributions",
      title: "What explains one input",
      draw: drawAttributions,
      moves: true,
      asks: true,
      across: true,
    },
    { name: "neurons", title: "Weights by neuron", draw: drawNeurons, moves: true, across: true },
  ],
  state: { input: FIRST_INPUT.join(" "), method: EXPLAINED_BY[0][0] },
  metrics: featureMetrics,
  pair: {
    strength: "norm",
    hue: "interference",
    label: "Colour key: white is not represented, blue a dedicated dimension, red superposed",
    corners: [
      [0.5, 0.08, "not represented", "#222"],
      [0.02, 0.93, "dedicated", "#fff"],
      [0.98, 0.76, "superposed", "#fff"],
    ],
  },
  sizes: (arrays) =>
    arrays.norm ? `n = ${arrays.norm.shape[1]}, m = ${(arrays.W ?? arrays.W1).shape[2]}` : "",
  begin: firstView,
});
