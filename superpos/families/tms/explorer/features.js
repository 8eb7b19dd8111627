// What several cards ask of the features of a model.

const MANY_POINTS = 1500; // from here on points are drawn by the graphics card
/** @type {(model: number) => boolean} */
const isReluLayer = (model) => settingsOf(model)["model.hidden"] === "relu";
/**
 * The weights whose rows are directions of the features; null where a user's own parameters mean
 * something else.
 * @type {(weights: Tensors | null) => Tensor | null}
 */
const encoderOf = (weights) => (weights?.norm ? (weights.W ?? weights.W1) : null);

/**
 * A @ Bᵀ of two matrices given as rows.
 * @type {(A: Matrix, B: Matrix) => Matrix}
 */
const product = (A, B) =>
  A.map((a) => B.map((b) => a.reduce((sum, value, k) => sum + value * b[k], 0)));
