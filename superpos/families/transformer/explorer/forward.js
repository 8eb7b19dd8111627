// What the cards of transformers compute of the weights of one model: attention, tables, composition.
// The same as superpos.maths.attention and families/transformer/metrics.py, where it is tested.

/**
 * What a transformer does on a sequence: attention of every head [T, T], by layer, and logits [T, V].
 * @typedef {{ patterns: Matrix[][], logits: Matrix }} Passed
 */

/**
 * One matrix of a stack: of a tensor [..., n, m] that at these places.
 * @type {(tensor: Tensor, ...at: number[]) => Matrix}
 */
function matrixAt({ values, shape }, ...at) {
  const [n, m] = shape.slice(at.length);
  const first = at.reduce((place, i, axis) => place * shape[axis] + i, 0) * n * m;
  return range(n).map((row) => Array.from(values.subarray(first + row * m, first + (row + 1) * m)));
}

/** @type {(A: Matrix) => Matrix} */
const transposed = (A) => A[0].map((_, j) => A.map((row) => row[j]));
/**
 * A B, of A [n, k] and B [k, m].
 * @type {(A: Matrix, B: Matrix) => Matrix}
 */
function times(A, B) {
  return A.map((row) => {
    const found = new Array(B[0].length).fill(0);
    for (let k = 0; k < row.length; k++)
      for (let j = 0; j < found.length; j++) found[j] += row[k] * B[k][j];
    return found;
  });
}
/** @type {(A: Matrix, B: Matrix) => Matrix} */
const plus = (A, B) => A.map((row, i) => row.map((value, j) => value + B[i][j]));
/** @type {(row: number[]) => number[]} */
function softmax(row) {
  const top = Math.max(...row);
  const powers = row.map((value) => Math.exp(value - top));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}
/** @type {(A: Matrix) => number} */
const frobenius = (A) => Math.hypot(...A.map((row) => Math.hypot(...row)));

/**
 * How many layers, and heads of each.
 * @type {(weights: Tensors) => number[]}
 */
const layersAndHeads = ({ W_Q }) => (W_Q ? W_Q.shape.slice(0, 2) : [0, 0]);
/**
 * Names of the heads of a model: layer.head.
 * @type {(weights: Tensors) => { name: string, layer: number, head: number }[]}
 */
function headsOf(weights) {
  const [layers, heads] = layersAndHeads(weights);
  return range(layers).flatMap((layer) =>
    range(heads).map((head) => ({ name: `${layer}.${head}`, layer, head })),
  );
}

/**
 * Attention and logits of a model on tokens.
 * @type {(weights: Tensors, tokens: number[], settings: Row) => Passed}
 */
function pass(weights, tokens, settings) {
  const positions = settings["model.positions"];
  const isDirect = settings["model.direct"];
  const E = rowsOf(weights.W_E);
  const embedded = tokens.map((token) => E[token]);
  const nothing = embedded.map((row) => row.map(() => 0));
  const places = weights.W_pos ? rowsOf(weights.W_pos).slice(0, tokens.length) : nothing;
  const withPlaces = plus(embedded, places);
  let written = nothing; // by all heads so far
  const [layers, heads] = layersAndHeads(weights);
  const patterns = range(layers).map((layer) => {
    /** @type {Record<string, boolean>} */
    const reads = {
      q: positions === "stream" || positions === "scores" || (positions === "pointer" && layer > 0),
      v: positions === "stream" || positions === "pointer",
    };
    const forScores = plus(reads.q ? withPlaces : embedded, written);
    const forValues = plus(reads.v ? withPlaces : embedded, written);
    const found = range(heads).map((head) => {
      const q = times(forScores, matrixAt(weights.W_Q, layer, head));
      const k = smeared(weights, layer, head, times(forScores, matrixAt(weights.W_K, layer, head)));
      const v = times(forValues, matrixAt(weights.W_V, layer, head));
      const offsets = weights.W_rel ? matrixAt(weights.W_rel, layer)[head] : null;
      const pattern = attend(q, k, offsets);
      return { pattern, out: times(times(pattern, v), matrixAt(weights.W_O, layer, head)) };
    });
    for (const { out } of found) written = plus(written, out);
    return found.map(({ pattern }) => pattern);
  });
  const hasPlaces = positions === "stream" || positions === "pointer";
  const direct = isDirect ? (hasPlaces ? withPlaces : embedded) : nothing;
  return { patterns, logits: times(plus(direct, written), rowsOf(weights.W_U)) };
}

/**
 * Keys, mixed with those of the position before where they are smeared.
 * @type {(weights: Tensors, layer: number, head: number, k: Matrix) => Matrix}
 */
function smeared({ smear }, layer, head, k) {
  if (!smear) return k;
  const own = 1 / (1 + Math.exp(-rowsOf(smear)[layer][head]));
  return k.map((row, t) =>
    row.map((value, i) => own * value + (1 - own) * k[Math.max(t - 1, 0)][i]),
  );
}

/**
 * The attention [T, T] of queries and keys, with what is added by offset; 0 of what is ahead.
 * @type {(q: Matrix, k: Matrix, offsets: number[] | null) => Matrix}
 */
function attend(q, k, offsets) {
  const root = Math.sqrt(q[0].length);
  return q.map((query, t) => {
    const scores = range(t + 1).map(
      (s) =>
        query.reduce((sum, value, i) => sum + value * k[s][i], 0) / root + (offsets?.[t - s] ?? 0),
    );
    return [...softmax(scores), ...new Array(q.length - t - 1).fill(0)];
  });
}

/**
 * W_OV and W_QK [d, d] of a head.
 * @type {(weights: Tensors, layer: number, head: number) => { ov: Matrix, qk: Matrix }}
 */
function circuitsOf(weights, layer, head) {
  /** @type {(name: string) => Matrix} */
  const of = (name) => matrixAt(weights[name], layer, head);
  return { ov: times(of("W_V"), of("W_O")), qk: times(of("W_Q"), transposed(of("W_K"))) };
}

/**
 * A table [V, V] of tokens by its name: direct, OV L.H or QK L.H; row constants are taken off.
 * @type {(weights: Tensors, name: string) => Matrix | null}
 */
function tableOf(weights, name) {
  const E = rowsOf(weights.W_E);
  const U = rowsOf(weights.W_U);
  const [kind, place] = name.split(" ");
  const found = headsOf(weights).find((head) => head.name === place);
  if (kind !== "direct" && !found) return null;
  const middle = found ? circuitsOf(weights, found.layer, found.head) : null;
  const root = weights.W_Q ? Math.sqrt(weights.W_Q.shape[3]) : 1;
  const table = !middle
    ? times(E, U)
    : kind === "OV"
      ? times(times(E, middle.ov), U)
      : times(times(E, middle.qk), transposed(E)).map((row) => row.map((value) => value / root));
  return table.map((row) => {
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
    return row.map((value) => value - mean);
  });
}

/**
 * Composition ‖W R‖ / (‖W‖ ‖R‖) of two heads by queries, keys and values, minus 1/√d.
 * @type {(weights: Tensors, earlier: [number, number], later: [number, number]) => number[]}
 */
function composedOf(weights, earlier, later) {
  const W = circuitsOf(weights, ...earlier).ov;
  const { ov, qk } = circuitsOf(weights, ...later);
  return [qk, transposed(qk), ov].map(
    (R) => frobenius(times(W, R)) / (frobenius(W) * frobenius(R)) - W.length ** -0.5,
  );
}
