// The card of attributions of one input, computed in the page, beside what is true of it: what each
// input does to each output. The same formulas as superpos.explain, where they are tested; inputs
// that are taken away are 0.

/**
 * What follows the sum: the identity, or max(z, 0).
 * @typedef {{ isLinear: boolean, of(z: number): number, isOn(z: number): boolean }} Activation
 */
/**
 * A number for each input: (weights a, bias b, inputs x, activation f).
 * @typedef {(a: number[], b: number, x: number[], f: Activation) => number[]} Explain
 */

const MOST_EXPLAINED = 10; // features: 2ⁿ sets are looked at
const EXPLAINED_BY = [
  ["shapley", "Shapley values"],
  ["integrated_gradients", "integrated gradients"],
  ["gradient_times_input", "gradient × input"],
  ["gradient", "gradient"],
];
const FIRST_INPUT = [1, 0.7, 0.4]; // of the first features; the others are 0

/**
 * Numbers from 0 to 1, one for each of n features, of a text; null where it is something else.
 * Missing ones are 0.
 * @type {(text: string, n: number) => number[] | null}
 */
function inputOf(text, n) {
  const words = text.split(/[\s,]+/).filter(Boolean);
  const values = words.map(Number);
  if (values.length > n || values.some((value) => !(value >= 0 && value <= 1))) return null;
  return range(n).map((j) => values[j] ?? 0);
}

/**
 * What explains one output z = b + Σ a_j x_j of inputs x, which is cut off below 0 unless it is
 * linear.
 * @type {Record<string, Explain>}
 */
const EXPLAIN = {
  gradient: (a, b, x, f) => a.map((weight) => (f.isOn(sumOf(a, b, x)) ? weight : 0)),
  gradient_times_input: (a, b, x, f) =>
    EXPLAIN.gradient(a, b, x, f).map((slope, j) => slope * x[j]),
  integrated_gradients: (a, b, x, f) => {
    const low = b;
    const high = sumOf(a, b, x);
    const top = Math.max(low, high);
    const bottom = Math.min(low, high);
    const share = f.isLinear || (bottom >= 0 && top > 0) ? 1 : top <= 0 ? 0 : top / (top - bottom);
    return a.map((weight, j) => share * weight * x[j]);
  },
  shapley: (a, b, x, f) => {
    const n = x.length;
    const value = new Float64Array(2 ** n);
    const size = new Uint8Array(2 ** n);
    const found = range(n).map(() => 0);
    value[0] = b;
    for (let set = 1; set < value.length; set++) {
      const last = 31 - Math.clz32(set);
      const without = set ^ (1 << last);
      value[set] = value[without] + a[last] * x[last];
      size[set] = size[without] + 1;
    }
    const orders = range(n).map((k) => (factorial(k) * factorial(n - 1 - k)) / factorial(n));
    for (let set = 0; set < value.length; set++) {
      for (let j = 0; j < n; j++)
        if (!((set >> j) & 1))
          found[j] += orders[size[set]] * (f.of(value[set | (1 << j)]) - f.of(value[set]));
    }
    return found;
  },
};
/** @type {(k: number) => number} */
const factorial = (k) => range(k).reduce((product_, i) => product_ * (i + 1), 1);
/** @type {(a: number[], b: number, x: number[]) => number} */
const sumOf = (a, b, x) => a.reduce((sum, weight, j) => sum + weight * x[j], b);
/** @type {Explain} */
const effectsOf = (a, b, x, f) =>
  a.map((weight, j) => f.of(sumOf(a, b, x)) - f.of(sumOf(a, b, x) - weight * x[j]));

/**
 * A heat map of what dropping each input does to each output, and one of what a method says; input
 * and method are chosen.
 * @type {Draw}
 */
async function drawAttributions(target, { weights, model }, card) {
  const encoder = encoderOf(weights);
  const settings = settingsOf(model);
  if (
    !encoder ||
    !weights?.b ||
    isReluLayer(model) ||
    encoder.shape[0] > MOST_EXPLAINED ||
    settings["data.signed"]
  )
    return false;
  const W = rowsOf(encoder);
  const G = product(weights.W2 ? rowsOf(weights.W2) : W, W);
  const b = listOf(weights.b);
  const n = W.length;
  const isLinear = settings["model.output"] === "linear";
  /** @type {Activation} */
  const f = {
    isLinear,
    of: (z) => (isLinear ? z : Math.max(z, 0)),
    isOn: (z) => isLinear || z > 0,
  };
  explainControls(card, n);
  const x = inputOf(state.input, n) ?? range(n).map(() => 0);
  const [name, title] = methodOf(state.method);
  const true_ = G.map((a, i) => effectsOf(a, b[i], x, f));
  const said = G.map((a, i) => EXPLAIN[name](a, b[i], x, f));
  const moves = range(n).filter((i) => true_[i].some((effect) => Math.abs(effect) > 1e-9));
  const hits = moves.filter(
    (i) => strongest(said[i]) >= 0 && strongest(said[i]) === strongest(true_[i]),
  ).length;
  const causes = moves.flatMap((i) =>
    range(n)
      .filter((j) => Math.abs(true_[i][j]) > 1e-9)
      .map((j) => [i, j]),
  );
  const missed = causes.filter(([i, j]) => Math.abs(said[i][j]) < 1e-9).length;
  note(
    card,
    moves.length
      ? [
          `The strongest cause is named in ${hits} of ${moves.length} outputs that move;`,
          `${missed} of ${causes.length} real causes get 0.`,
        ].join(" ")
      : "No output moves, whichever input is dropped.",
  );
  const most = Math.max(1e-9, ...[...true_, ...said].flat().map(Math.abs).filter(Number.isFinite));
  const places = range(n).map((i) => i + 1);
  const heat = {
    type: "heatmap",
    x: places,
    y: places,
    colorscale: SIGNED,
    zmin: -most,
    zmax: most,
  };
  /** @type {(what: string) => string} */
  const hover = (what) => `${what} of input %{x} on output %{y}: %{z:.3f}<extra></extra>`;
  const y = { autorange: false, range: [n + 0.5, 0.5], ...whole(n) };
  const ends = { range: [0.5, n + 0.5], ...whole(n) };
  await plot(
    target,
    [
      { ...heat, z: true_, showscale: false, hovertemplate: hover("effect") },
      {
        ...heat,
        z: said,
        xaxis: "x2",
        yaxis: "y2",
        colorbar: bar(""),
        hovertemplate: hover(name.replaceAll("_", " ")),
      },
    ],
    {
      xaxis: { ...ends, domain: [0, 0.47], title: { text: "true effect of dropping the input" } },
      yaxis: { ...y, title: { text: "output" } },
      xaxis2: axisLook({
        ...ends,
        domain: [0.53, 1],
        title: { text: title },
        anchor: "y2",
      }),
      yaxis2: axisLook({ ...y, showticklabels: false, anchor: "x2" }),
    },
    [
      `True effects of ${n} inputs on ${n} outputs`,
      `and ${name.replaceAll("_", " ")}`,
      `from ${number(-most)} to ${number(most)}`,
    ].join(", "),
  );
  return true;
}

/**
 * A method by its name, the first one for another name: the name, and how it is written.
 * @type {(name: string) => string[]}
 */
const methodOf = (name) => EXPLAINED_BY.find(([own]) => own === name) ?? EXPLAINED_BY[0];

/**
 * The place of the largest value of a row; -1 where all are 0.
 * @type {(row: number[]) => number}
 */
function strongest(row) {
  const best = row.reduce((at, value, j) => (Math.abs(value) > Math.abs(row[at]) ? j : at), 0);
  return Math.abs(row[best]) > 1e-9 ? best : -1;
}

/**
 * Where input and method are chosen; made once for a card, so that typing goes on.
 * @type {(card: HTMLElement, n: number) => void}
 */
function explainControls(card, n) {
  const article = card.parentElement?.id;
  const id = `input-${article}`;
  if (!within(card, ".asked")) {
    const typed = el("input", {
      id,
      type: "text",
      size: 18,
      "data-testid": "input",
      oninput: () => set({ input: typed.value }),
    });
    const methods = el(
      "select",
      {
        id: `method-${article}`,
        "data-testid": "method",
        onchange: () => set({ method: methods.value }),
      },
      ...EXPLAINED_BY.map(([value, text]) => el("option", { value }, text)),
    );
    within(card, ".note").before(
      el(
        "p",
        { className: "asked" },
        el("label", { for: id }, "Input ", typed),
        " ",
        el("label", { for: methods.id }, "method ", methods),
      ),
    );
  }
  /** @type {HTMLInputElement} */
  const typed = within(card, ".asked input");
  /** @type {HTMLSelectElement} */
  const methods = within(card, ".asked select");
  if (typed.value !== wanted.input) typed.value = wanted.input;
  typed.setAttribute("aria-invalid", String(inputOf(wanted.input, n) === null));
  typed.title = `up to ${n} numbers from 0 to 1; without more, the others are 0`;
  methods.value = methodOf(wanted.method)[0];
}
