// Elements, numbers as text, colours of the theme, and what all plots share.

/** An element with properties, attributes ("data-…", "aria-…", role, for) and children; text is text, never HTML. */
function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}


/** A number with four digits, as short as it can be; "–" where there is none. */
function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return Array.isArray(value) ? `[${value.map(number).join(", ")}]` : String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}
const count = (value) => value.toLocaleString("en");

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = () => document.documentElement.dataset.theme === "dark";
const blue = () => PALETTE.cycle[isDark() ? 4 : 0]; // of points and pale lines: light enough on dark
const scale = (colours) => colours.map((colour, i) => [i / (colours.length - 1), colour]);
const pick = (colours, share) => colours[Math.round(Math.min(Math.max(share || 0, 0), 1) * (colours.length - 1))];
/** The colour of an importance from 0 to 1: what is important stands out from the background, dark or light. */
const importanceColour = (share) => pick(PALETTE.importance, isDark() ? 0.7 * (1 - share) : share);
const SIGNED = scale(PALETTE.signed), SUPERPOSED = scale(PALETTE.superposed), SEQUENCE = scale(PALETTE.sequence);

/** The colour of two shares: how far from white, and which hue; NaN is grey. */
function pairColour(strength, hue) {
  const index = pairIndex(strength, hue), side = PALETTE.pairs.length;
  return Number.isNaN(index) ? PALETTE.grey : PALETTE.pairs[Math.floor(index / side)][index % side];
}
function pairIndex(strength, hue) {
  const side = PALETTE.pairs.length, step = (value) => Math.round(Math.min(Math.max(value, 0), 1) * (side - 1));
  return step(strength) * side + step(hue);
}
const PAIRS = scale(PALETTE.pairs.flat());

const CONFIG = {
  displaylogo: false, responsive: true, showTips: false,
  showSendToCloud: false, plotlyServerURL: "", // the page sends nothing anywhere
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "toggleSpikelines"],
};

function axisLook(more = {}) {
  return {
    color: css("--ink"), gridcolor: css("--faint"), zerolinecolor: css("--line"), linecolor: css("--line"),
    tickfont: { size: 11 }, exponentformat: "power", title: { font: { size: 12 } }, ticklabeloverflow: "allow", ...more, // to look for overflow takes long
  };
}

function layoutOf(more = {}) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 12, color: css("--ink") },
    margin: { l: 60, r: 12, t: 8, b: 40 }, showlegend: false, hovermode: "closest", dragmode: false,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--grey"), activecolor: css("--ink"), orientation: "v" },
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") } },
    ...more,
    xaxis: axisLook(more.xaxis), yaxis: axisLook(more.yaxis),
  };
}

/** Ticks of a logarithmic axis over values: 1, 2, 5 of every power of ten on a short axis, some powers on a long one. */
function logTicks(values) {
  const known = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  const low = Math.min(...known), high = Math.max(...known), span = high - low;
  if (!known.length) return {};
  const parts = span > 2.2 ? [1] : span > 1.2 ? [1, 3] : [1, 2, 5], skip = Math.max(1, Math.ceil(span / 7));
  const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i).filter((power) => power % skip === 0);
  const ticks = powers.flatMap((power) => parts.map((part) => Number(`${part}e${power}`))).filter((tick) => Math.log10(tick) > low - 0.1 && Math.log10(tick) < high + 0.1);
  if (ticks.filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high).length < 2) return { nticks: 6 }; // a short span: even steps
  return { tickvals: ticks, ticktext: tickTexts(ticks) };
}
/** Numbers of one axis in one notation: plain where none is long, else powers of ten as the library writes them. */
function tickTexts(ticks) {
  if (ticks.every((tick) => tick >= 1e-4 && tick < 1e5)) return ticks.map(String);
  return ticks.map((tick) => tick.toExponential().replace(/^1e/, "e").replace(/e\+?(.*)/, (_, power, at) => `${at ? "×" : ""}10<sup>${power.replace("-", "−")}</sup>`));
}
const logAxis = (values) => ({ type: "log", ...logTicks(values) });

/** Names with their colours, as the words of a note. */
const legend = (pairs) => pairs.flatMap(([name, colour]) => [el("span", { className: "dot", style: `background: ${colour}` }), name]);
const bar = (title, more = {}) => ({
  title: { text: title, side: "right", font: { size: 11 } }, thickness: 10, len: 0.9, outlinewidth: 0, tickfont: { size: 10 }, exponentformat: "power", ...more,
});

/** Draw into an element; `label` says in words what is seen. After a failure the next drawing begins anew. */
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

const NEAR = 0.5, FAR = 10; // of the eye, in sides of the cube that is seen

/** Keep what a turnable view shows in sight: from within a point, or from afar, labels have no place. */
function limitZoom(target) {
  target._fullLayout.scene?._scene?.camera?.view.setDistanceLimits(NEAR, FAR);
}

/** Give a plot the size of its place; one that has been hidden in the meantime has none. */
const fit = (target) => target.library.Plots.resize(target).catch(() => undefined);

const range = (n) => Array.from({ length: n }, (_, i) => i);
const listOf = (array) => Array.from(array.values, (value) => value);
/** Write the note of a card. */
const note = (card, text) => (card.querySelector(".note").textContent = text);
/** Ticks at whole numbers from 1 to n, at most eight where there are many. */
function whole(n) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((size) => n / size <= 8) ?? 10 ** Math.ceil(Math.log10(n / 8));
  return { dtick: n <= 10 ? 1 : step, tick0: n <= 10 ? 1 : 0, tickangle: 0, showgrid: false, zeroline: false };
}

/** Say something above the page, in the place of that name; nothing where the text is empty. */
function notice(name, text) {
  const others = document.querySelector(`.notice[data-testid="${name}"]`);
  if (others?.textContent === text || (!others && !text)) return;
  others?.remove();
  if (text) document.getElementById("notices").append(el("p", { className: "notice", "data-testid": name }, text));
}

let tasks = 0; // drawings and writings of the address that are to come or under way
function busy(by) {
  tasks += by;
  document.documentElement.dataset.busy = String(tasks > 0);
}
