// What a kind of model adds to the page. Its scripts call family({...}) with any of these; without them they stay as here.

const FAMILY = {
  words: {}, // how the page writes a key or a column of the table
  columns: [], // results that are named first, after the loss and the label
  meaning: () => "", // (text of the column of labels) → what its notation means, "" where there is nothing to say
  examples: { setting: "seed>=1", label: "" }, // conditions of a filter
  cards: [{ name: "weights", title: "Weights", draw: drawWeights, moves: true }], // see CARDS
  metrics: () => [], // what the map shows beside the columns of the table, see metrics.js
  pair: null, // of metrics of the kind "pair": {strength, hue, corners: [[x, y, text, colour], ...], label}, see drawKey
  sizes: () => "", // (arrays of a part of the weights) → the sizes of its models in words
  state: {}, // texts that its cards ask for, by name, with what the page begins with; cards with `asks` follow them
  begin: () => ({}), // () → {metric, feature} that the page begins with
};

const WORDS = { loss: "loss", loss_se: "standard error of the loss", diverged_at: "diverged at step", loss_kind: "kind of loss" };
const words = (name) => FAMILY.words[name] ?? WORDS[name] ?? (name.includes(".") ? name : name.replaceAll("_", " "));

const family = (added) => Object.assign(FAMILY, added);
