// Numbers as text, colours of the theme, and what all plots share.

/**
 * A number with four digits, as short as it can be; "–" where there is none.
 * @type {(value: Value) => string}
 */
function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number")
    return Array.isArray(value) ? `[${value.map(number).join(", ")}]` : String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6)
    ? value.toExponential(2)
    : String(Number(value.toPrecision(4)));
}
/** @type {(value: number) => string} */
const count = (value) => value.toLocaleString("en");

/**
 * @param {number | null | undefined} value
 * @returns {value is number}
 */
function isFiniteNumber(value) {
  return Number.isFinite(value);
}
/** @type {(value: number) => number | null} */
const finite = (value) => (Number.isFinite(value) ? value : null);

/**
 * How often each value is among some.
 * @type {<T>(values: T[]) => Map<T, number>}
 */
function countsOf(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** @type {(name: string) => string} */
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** @type {() => boolean} */
const isDark = () => document.documentElement.dataset.theme === "dark";
/** @type {() => string} */
// Of points and pale lines: light enough on dark
const blue = () => PALETTE.cycle[isDark() ? 4 : 0];
/** @type {(colours: string[]) => [number, string][]} */
const scale = (colours) => colours.map((colour, i) => [i / (colours.length - 1), colour]);
/** @type {(colours: string[], share: number) => string} */
const pick = (colours, share) =>
  colours[Math.round(Math.min(Math.max(share || 0, 0), 1) * (colours.length - 1))];
/**
 * The colour of an importance from 0 to 1: what is important stands out from the background, dark
 * or light.
 * @type {(share: number) => string}
 */
const importanceColour = (share) => pick(PALETTE.importance, isDark() ? 0.7 * (1 - share) : share);
const SIGNED = scale(PALETTE.signed);
const SUPERPOSED = scale(PALETTE.superposed);
const SEQUENCE = scale(PALETTE.sequence);

/**
 * The colour of two shares: how far from white, and which hue; NaN is grey.
 * @type {(strength: number, hue: number) => string}
 */
function pairColour(strength, hue) {
  const index = pairIndex(strength, hue);
  const side = PALETTE.pairs.length;
  return Number.isNaN(index) ? PALETTE.grey : PALETTE.pairs[Math.floor(index / side)][index % side];
}
/** @type {(strength: number, hue: number) => number} */
function pairIndex(strength, hue) {
  const side = PALETTE.pairs.length;
  /** @type {(value: number) => number} */
  const step = (value) => Math.round(Math.min(Math.max(value, 0), 1) * (side - 1));
  return step(strength) * side + step(hue);
}
const PAIRS = scale(PALETTE.pairs.flat());

const CONFIG = {
  displaylogo: false,
  responsive: true,
  showTips: false,
  showSendToCloud: false,
  plotlyServerURL: "", // the page sends nothing anywhere
  modeBarButtonsToRemove: [
    "select2d",
    "lasso2d",
    "autoScale2d",
    "zoomIn2d",
    "zoomOut2d",
    "toggleSpikelines",
  ],
};

/** @type {(more?: Layout) => Layout} */
function axisLook(more = {}) {
  return {
    color: css("--ink"),
    gridcolor: css("--faint"),
    zerolinecolor: css("--line"),
    linecolor: css("--line"),
    tickfont: { size: 11 },
    exponentformat: "power",
    title: { font: { size: 12 } },
    ticklabeloverflow: "allow", // to look for overflow takes long
    ...more,
  };
}

/**
 * A line at the step that is shown, over steps; none at the end of training.
 * @type {(step: number | undefined) => Layout[]}
 */
function stepLine(step) {
  if (step === undefined) return [];
  const line = { color: css("--select"), width: 2 };
  return [{ type: "line", x0: step, x1: step, yref: "paper", y0: 0, y1: 1, line }];
}

/** @type {(more?: Layout) => Layout} */
function layoutOf(more = {}) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: css("--ink") },
    margin: { l: 60, r: 12, t: 8, b: 40 },
    showlegend: false,
    hovermode: "closest",
    dragmode: false,
    modebar: {
      bgcolor: "rgba(0,0,0,0)",
      color: css("--grey"),
      activecolor: css("--ink"),
      orientation: "v",
    },
    hoverlabel: {
      bgcolor: css("--card"),
      bordercolor: css("--line"),
      font: { color: css("--ink") },
    },
    ...more,
    xaxis: axisLook(more.xaxis),
    yaxis: axisLook(more.yaxis),
  };
}

/**
 * Ticks of a logarithmic axis over values: 1, 2, 5 of every power of ten on a short axis, some
 * powers on a long one.
 * @type {(values: (number | null)[]) => Layout}
 */
function logTicks(values) {
  const known = values
    .filter(isFiniteNumber)
    .filter((value) => value > 0)
    .map(Math.log10);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const span = high - low;
  if (!known.length) return {};
  const parts = span > 2.2 ? [1] : span > 1.2 ? [1, 3] : [1, 2, 5];
  const skip = Math.max(1, Math.ceil(span / 7));
  const powers = Array.from(
    { length: Math.ceil(high) - Math.floor(low) + 1 },
    (_, i) => Math.floor(low) + i,
  ).filter((power) => power % skip === 0);
  const ticks = powers
    .flatMap((power) => parts.map((part) => Number(`${part}e${power}`)))
    .filter((tick) => Math.log10(tick) > low - 0.1 && Math.log10(tick) < high + 0.1);
  if (ticks.filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high).length < 2)
    return { nticks: 6 }; // a short span: even steps
  return { tickvals: ticks, ticktext: tickTexts(ticks) };
}
/**
 * Numbers of one axis in one notation: plain where none is long, else powers of ten as the library
 * writes them.
 * @type {(ticks: number[]) => string[]}
 */
function tickTexts(ticks) {
  if (ticks.every((tick) => tick >= 1e-4 && tick < 1e5)) return ticks.map(String);
  return ticks.map((tick) =>
    tick
      .toExponential()
      .replace(/^1e/, "e")
      .replace(
        /e\+?(.*)/,
        (_, power, at) => `${at ? "×" : ""}10<sup>${power.replace("-", "−")}</sup>`,
      ),
  );
}
/** @type {(values: (number | null)[]) => Layout} */
const logAxis = (values) => ({ type: "log", ...logTicks(values) });

/**
 * Names with their colours, as the words of a note.
 * @type {(pairs: [string, string][]) => (Node | string)[]}
 */
const legend = (pairs) =>
  pairs.flatMap(([name, colour]) => [
    el("span", { className: "dot", style: `background: ${colour}` }),
    name,
  ]);
/** @type {(title: string, more?: Layout) => Layout} */
const bar = (title, more = {}) => ({
  title: { text: title, side: "right", font: { size: 11 } },
  thickness: 10,
  len: 0.9,
  outlinewidth: 0,
  tickfont: { size: 10 },
  exponentformat: "power",
  ...more,
});

/**
 * Draw into an element; `label` says in words what is seen. After a failure the next drawing begins
 * anew.
 * @type {(target: PlotElement, traces: Trace[], layout: Layout, label: string, more?: object) =>
 *   Promise<void>}
 */
async function plot(target, traces, layout, label, more = {}) {
  if (target.getAttribute("role") !== "application") target.setAttribute("role", "figure");
  target.setAttribute("aria-label", label);
  const library = await libraryFor(traces);
  if (target.library !== library) target.library?.purge(target);
  target.library = library;
  try {
    await library.react(target, traces, layoutOf(layout), { ...CONFIG, ...more });
    limitZoom(target);
  } catch (fault) {
    library.purge(target);
    delete target.dataset.listens;
    throw fault;
  }
}

const NEAR = 0.5;
const FAR = 10; // of the eye, in sides of the cube that is seen

/**
 * Keep what a turnable view shows in sight: from within a point, or from afar, labels have no
 * place.
 * @type {(target: PlotElement) => void}
 */
function limitZoom(target) {
  target._fullLayout.scene?._scene?.camera?.view.setDistanceLimits(NEAR, FAR);
}

/**
 * What the library has drawn in the element of a selector.
 * @type {(selector: string) => PlotElement[]}
 */
const plotsIn = (selector) => /** @type {any} */ (elements(`${selector} .js-plotly-plot`));

/**
 * Give a plot the size of its place; one that has been hidden in the meantime has none.
 * @type {(target: PlotElement) => Promise<void> | undefined}
 */
const fit = (target) => target.library?.Plots.resize(target).catch(() => undefined);

/** @type {(n: number) => number[]} */
const range = (n) => Array.from({ length: n }, (_, i) => i);
/** @type {(array: Tensor) => number[]} */
const listOf = (array) => Array.from(array.values, (value) => value);
/**
 * Write the note of a card.
 * @type {(card: HTMLElement, text: string) => void}
 */
const note = (card, text) => (within(card, ".note").textContent = text);
/**
 * Ticks at whole numbers from 1 to n, at most eight where there are many.
 * @type {(n: number) => Layout}
 */
function whole(n) {
  const step =
    [1, 2, 5, 10, 20, 50, 100, 200, 500].find((size) => n / size <= 8) ??
    10 ** Math.ceil(Math.log10(n / 8));
  return {
    dtick: n <= 10 ? 1 : step,
    tick0: n <= 10 ? 1 : 0,
    tickangle: 0,
    showgrid: false,
    zeroline: false,
  };
}

/**
 * Say something above the page, in the place of that name; nothing where the text is empty.
 * @type {(name: string, text: string) => void}
 */
function notice(name, text) {
  const others = document.querySelector(`.notice[data-testid="${name}"]`);
  if (others?.textContent === text || (!others && !text)) return;
  others?.remove();
  if (text) byId("notices").append(el("p", { className: "notice", "data-testid": name }, text));
}

let tasks = 0; // drawings and writings of the address that are to come or under way
/** @type {(by: number) => void} */
function busy(by) {
  tasks += by;
  document.documentElement.dataset.busy = String(tasks > 0);
}
