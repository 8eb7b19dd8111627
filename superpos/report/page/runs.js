// The runs of the page, of which one is looked at: explorer(RUN, label) is the view of one.
//
// A page of several runs has a list of them, which compares them, and a chooser beside the name.
// What is looked at is kept from one to the next as far as the next one has it. Beside what page.js
// says, tests may rely on:
//
//   window.superpos.run()        the label of the run in view, null on the page of one run; runs():
//                                all labels
//   window.superpos.open(label)  shows another run; a Promise

/**
 * Run a library, a script that was compressed, from a URL: the browser then takes a tenth less time
 * for it. It reads its canvases often, which the browser wants to know.
 * @type {(id: string) => Promise<Library>}
 */
async function openLibrary(id) {
  /** @type {{ getContext: (kind: string, options?: object) => any }} */
  const canvas = HTMLCanvasElement.prototype;
  const { getContext } = canvas;
  canvas.getContext = function (kind, options) {
    const asked = kind === "2d" ? { willReadFrequently: true, ...options } : options;
    return getContext.call(this, kind, asked);
  };
  const url = URL.createObjectURL(new Blob([await inflate(id)], { type: "text/javascript" }));
  const opened = await new Promise((done, fail) => {
    const onload = () => done(window.Plotly); // the one that this script has made
    const onerror = () => fail(new Error("the library that draws cannot be run"));
    document.head.append(el("script", { src: url, onload, onerror }));
  });
  URL.revokeObjectURL(url);
  return opened;
}

const LIBRARY = openLibrary("library");
LIBRARY.catch(() => undefined); // whatever waits for it says so

const FLAT = new Set(["scatter", "heatmap", "bar"]);
/** @type {Promise<Library> | undefined} */
let wholeLibrary;

/**
 * What draws traces: the small library is open in half the time, the whole one has the kinds that
 * few pages need.
 * @type {(traces: Trace[]) => Promise<Library>}
 */
function libraryFor(traces) {
  if (traces.every(({ type }) => FLAT.has(type))) return LIBRARY;
  wholeLibrary ??= openLibrary("whole-library");
  return wholeLibrary;
}
/**
 * None on the page of one run.
 * @type {RunRow[]}
 */
const RUNS = JSON.parse(document.getElementById("runs")?.textContent ?? "[]");
const EMPTY = byId("main").cloneNode(true);

let place = -1; // of the run that is wanted, among all
/**
 * Of the run that is open.
 * @type {RunView | null}
 */
let view = null;
/**
 * What was looked at in the run before it.
 * @type {StateInWords | null}
 */
let kept = null;
let opening = Promise.resolve();

/** @type {(at: number) => string | null} */
const labelOf = (at) => RUNS[at]?.label ?? null;

/**
 * The place of the run that an address names; the first where it names none of the page.
 * @type {(hash: string) => number}
 */
function placeIn(hash) {
  const label = new URLSearchParams(hash.replace(/^#/, "")).get("run");
  return Math.max(
    0,
    RUNS.findIndex((run) => run.label === label),
  );
}

/**
 * Show a run, as the address has it or as near as it can be to what is looked at; of several the
 * last one wins.
 * @type {(wanted: number, byAddress?: boolean) => Promise<void>}
 */
function show(wanted, byAddress = false) {
  place = wanted;
  busy(1);
  opening = opening
    .then(() => (place === wanted ? change(wanted, byAddress) : undefined))
    .catch(cannotOpen)
    .finally(() => busy(-1));
  return opening;
}

/** @type {(to: number, byAddress: boolean) => Promise<void>} */
async function change(to, byAddress) {
  if (view !== null) {
    kept = view.inWords() ?? kept;
    await view.leave();
    clear();
  }
  markRun(to);
  view = explorer(JSON.parse(byId(to ? `run-${to}` : "run").textContent), labelOf(to));
  await view.open(byAddress ? null : kept);
}

/**
 * The page as it was before a run was drawn on it.
 * @type {() => void}
 */
function clear() {
  for (const plotted of plotsIn("#main")) plotted.library?.purge(plotted);
  byId("main").replaceWith(EMPTY.cloneNode(true));
  byId("notices").replaceChildren();
  delete document.documentElement.dataset.error;
}

/** @type {(fault: unknown) => void} */
function cannotOpen(fault) {
  document.documentElement.dataset.error = String(fault);
  notice("fault", `${labelOf(place) ?? "This page"} cannot be shown: ${fault}`);
  console.error(fault);
}

/**
 * Another address: another run, or something else of this one.
 * @type {() => void}
 */
function followAddress() {
  const wanted = placeIn(location.hash);
  if (wanted !== place) show(wanted, true);
  else opening.then(() => (wanted === place ? view?.goTo(location.hash) : undefined));
}

/**
 * To the table, leaving the address as it is: it says what is looked at.
 * @type {(event: Event) => void}
 */
function skip(event) {
  event.preventDefault();
  byId("table-card").focus();
}

// --- what compares the runs ----------------------------------------------------------------------

/** @type {() => void} */
function buildRuns() {
  if (!RUNS.length) return;
  const options = RUNS.map(({ label }, at) => el("option", { value: at }, label));
  const chooser = el(
    "select",
    { id: "run-chosen", "data-testid": "run", onchange: () => show(Number(chooser.value)) },
    ...options,
  );
  byId("theme").before(
    el("label", { for: "run-chosen", className: "run-chosen" }, "Run ", chooser),
  );
  const isMixed = new Set(RUNS.map(({ family }) => family)).size > 1;
  const heads = [
    "run",
    ...(isMixed ? ["family"] : []),
    "models",
    "lowest loss",
    "median loss",
    "found",
    "what differs",
    "digest",
  ];
  const lines = RUNS.map((run, at) =>
    el("tr", { "data-run": run.label }, ...runCells(run, at, isMixed)),
  );
  const card = byId("runs-card");
  card.hidden = false;
  card.append(
    el("h2", { id: "runs-title" }, `${count(RUNS.length)} runs`),
    el(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Runs of this page" },
      el(
        "table",
        { id: "runs-table", "data-testid": "runs" },
        el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, ...lines),
      ),
    ),
    el(
      "p",
      { className: "words" },
      "Losses and what was found are those of models that did not diverge. ",
      "What is looked at is kept from one run to the next as far as the next one has it.",
    ),
  );
}

/** @type {(run: RunRow, at: number, isMixed: boolean) => HTMLElement[]} */
function runCells(
  { label, family, differs, finished, models, best, median, found, digest },
  at,
  isMixed,
) {
  const link = el(
    "a",
    {
      href: `#${new URLSearchParams({ run: label })}`,
      onclick: (/** @type {Event} */ event) => {
        event.preventDefault();
        show(at);
      },
    },
    label,
  );
  /** @type {(texts: string[]) => HTMLElement} */
  const chips = (texts) =>
    el(
      "td",
      {},
      ...(texts.length
        ? [
            el(
              "div",
              { className: "chips" },
              ...texts.map((text) => el("span", { className: "chip" }, text)),
            ),
          ]
        : ["–"]),
    );
  return [
    el("th", { scope: "row" }, link),
    ...(isMixed ? [el("td", {}, family)] : []),
    el(
      "td",
      { className: "number" },
      finished < models ? `${count(finished)} of ${count(models)}` : count(models),
    ),
    el("td", { className: "number" }, number(best)),
    el("td", { className: "number" }, number(median)),
    chips(found.map(([name, times]) => `${name} (${count(times)})`)),
    chips(Object.entries(differs).map(([key, text]) => `${key} = ${text}`)),
    el("td", {}, el("code", { title: digest }, digest.slice(0, 12))),
  ];
}

/** @type {(at: number) => void} */
function markRun(at) {
  if (!RUNS.length) return;
  document.title = `${labelOf(at)} · superpos`;
  /** @type {HTMLSelectElement} */
  const chosen = byId("run-chosen");
  chosen.value = String(at);
  for (const link of document.querySelectorAll("#runs-table a")) {
    if (link.textContent === labelOf(at)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

const PAGE = {
  run: () => labelOf(place),
  runs: () => RUNS.map(({ label }) => label),
  open: /** @type {(label: string) => Promise<void>} */ (label) =>
    RUNS.some((run) => run.label === label)
      ? show(RUNS.findIndex((run) => run.label === label))
      : opening,
};

buildRuns();
byId("skip").addEventListener("click", skip);
show(placeIn(location.hash), true).then(() => {
  addEventListener("hashchange", followAddress);
  addEventListener("beforeprint", () => view?.print(true));
  addEventListener("afterprint", () => view?.print(false));
});
