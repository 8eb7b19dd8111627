// What a kind of model adds to the page. Its scripts call family({...}) with any of these; without
// them they stay as here.

/** @type {FamilyOfPage} */
const FAMILY = {
  // How the page writes a key or a column of the table.
  words: {},
  // Results that are named first, after the loss and the label.
  columns: [],
  // (text of the column of labels) → what its notation means, "" where there is nothing to say
  meaning: () => "",
  // Conditions of a filter.
  examples: { setting: "seed>=1", label: "" },
  // {name, title, draw(target, view, card), moves, asks, across}, see CARDS
  cards: [{ name: "weights", title: "Weights", draw: drawWeights, moves: true }],
  // What the map shows beside the columns of the table, see metrics.js.
  metrics: () => [],
  // Of metrics of the kind "pair": {strength, hue, corners: [[x, y, text, colour], ...], label},
  // see drawKey.
  pair: null,
  // (arrays of a part of the weights) → the sizes of its models in words
  sizes: () => "",
  // Texts that its cards ask for, by name, with what the page begins with; cards with `asks`
  // follow them.
  state: {},
  // () → {metric, feature} that the page begins with
  begin: () => ({}),
};

/** @type {Record<string, string>} */
const WORDS = {
  loss: "loss",
  loss_se: "standard error of the loss",
  diverged_at: "diverged at step",
  loss_kind: "kind of loss",
};
/** @type {(name: string) => string} */
const words = (name) =>
  FAMILY.words[name] ?? WORDS[name] ?? (name.includes(".") ? name : name.replaceAll("_", " "));

/** @type {(added: Partial<FamilyOfPage>) => void} */
const family = (added) => Object.assign(FAMILY, added);
