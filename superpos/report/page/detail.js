// One model in detail: a title, its numbers, a card for every panel. The pinned model has the same
// beside it.

/**
 * draw: (target, view {model, row, weights, tensors, step}, card) → false where there is nothing to
 * show; moves: whether it changes in time; asks: whether it follows what its own controls ask, see
 * FAMILY.state; across: whether it has a row of the page for itself.
 * @type {Card[]}
 */
const CARDS = [
  ...FAMILY.cards,
  { name: "history", title: "Training loss", draw: drawHistory, moves: true },
  { name: "seeds", title: "Seeds of this setting", draw: drawSeeds, moves: false },
];
const FIRST = ["loss", ...(RUN.label === null ? [] : [RUN.label]), ...FAMILY.columns];
// Said elsewhere, or of no weight
const MINOR = ["status", "diverged_at", "loss_kind", "backend", "loss_se"];

/**
 * Draw a model into an article, nothing for null; `only`: which cards are drawn anew, those that
 * "moves" or "asks". False where it was given up, as another drawing waits.
 * @type {(article: HTMLElement, model: number | null, only: "moves" | "asks" | null) =>
 *   Promise<boolean>}
 */
async function drawDetail(article, model, only) {
  article.hidden = model === null;
  if (model === null) return true;
  if (!article.childElementCount) build(article);
  article.dataset.model = String(model);
  article.classList.toggle("is-pinned", article.id === "pinned");
  const [weights, found, step] = await Promise.all([
    weightsOf(model, state.frame),
    partOf("weights", model),
    stepOf(model, state.frame),
  ]);
  const view = { model, row: rowOf(model), weights, tensors: found?.part.tensors ?? [], step };
  drawHead(within(article, ".head"), view);
  drawConfig(within(article, ".config"), view);
  for (const { name, title, draw, ...follows } of CARDS) {
    if (only && !follows[only]) continue;
    const card = within(article, `.card.${name}`);
    if (waiting) return false;
    if (
      !document.documentElement.dataset.ready &&
      !card.hidden &&
      card.getBoundingClientRect().top > innerHeight
    ) {
      isReady();
      await painted();
    }
    /** @type {PlotElement} */
    const target = within(card, ".plot");
    const before = card.hidden;
    card.hidden = false; // a plot takes its size from what is seen
    const drawn = await attempt(`The card “${title}”`, () => draw(target, view, card));
    card.hidden = drawn === false;
    if (before && drawn !== false && target.data) fit(target);
  }
  return true;
}

/**
 * Once the browser has painted; a page that is not seen, which is not painted, does not wait for
 * that.
 * @type {() => Promise<unknown>}
 */
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(resolve);
    setTimeout(resolve, 100);
  });
}

/** @type {(article: HTMLElement) => void} */
function build(article) {
  article.append(el("div", { className: "card head" }));
  for (const { name, title, across } of CARDS) {
    article.append(
      el(
        "section",
        { className: `card ${name}${across ? " across" : ""}` },
        el("h3", {}, title),
        el("p", { className: "words note" }),
        el("div", { className: "plot", "data-testid": name }),
      ),
    );
  }
  article.append(el("section", { className: "card config" }));
  article.style.setProperty("--rows", String(CARDS.length + 2));
}

/** @type {(head: HTMLElement, view: View) => void} */
function drawHead(head, { model, row, step }) {
  const isPinned = head.parentElement?.id === "pinned";
  const swap = isPinned
    ? [
        el(
          "button",
          {
            type: "button",
            id: "unpin",
            "data-testid": "unpin",
            onclick: () => set({ pin: null }),
          },
          "Unpin",
        ),
        el("button", { type: "button", onclick: () => set({ pin: wanted.model, model }) }, "Swap"),
      ]
    : [
        el(
          "button",
          {
            type: "button",
            id: "pin",
            "data-testid": "pin",
            onclick: () => set({ pin: wanted.pin === model ? null : model }),
          },
          state.pin === model ? "Unpin" : "Pin to compare",
        ),
      ];
  const best = bestOf(model);
  if (!isPinned && best !== model)
    swap.push(
      el("button", { type: "button", id: "best", onclick: () => select(best) }, "Best seed"),
    );
  const chips = swept.map((key) =>
    el("span", { className: "chip" }, `${words(key)} = ${number(row[key])}`),
  );
  if (best === model && seedsOf(model).length > 1)
    chips.push(el("span", { className: "chip good" }, "best of its seeds"));
  if (row.status !== "ok")
    chips.push(
      el(
        "span",
        { className: "chip bad" },
        `${row.status}${Number.isFinite(row.diverged_at) ? ` at step ${row.diverged_at}` : ""}`,
      ),
    );
  if (step !== undefined) chips.push(el("span", { className: "chip" }, "numbers: end of training"));
  const names = [
    ...FIRST.filter((name) => COLUMNS.has(name)),
    ...[...COLUMNS.keys()].filter((name) => !FIRST.includes(name) && !MINOR.includes(name)),
  ];
  keepFocus(head, () =>
    head.replaceChildren(
      el(
        "div",
        { className: "title" },
        el("h2", { "data-testid": "title" }, `${isPinned ? "Pinned: model" : "Model"} ${model}`),
        el("div", { className: "buttons" }, ...swap),
      ),
      el("p", { className: "chips" }, ...chips),
      el("dl", { className: "values" }, ...names.map((name) => valueItem(name, row))),
    ),
  );
}

/** @type {(name: string, row: Row) => HTMLElement} */
function valueItem(name, row) {
  const error = name === "loss" && row.loss_se > 0 ? ` ± ${number(row.loss_se)}` : "";
  const value = el(
    "dd",
    { "data-testid": `value-${name}`, "data-value": String(row[name]) },
    number(row[name]) + error,
  );
  const meaning = name === RUN.label ? FAMILY.meaning(row[name]) : "";
  return el(
    "div",
    { className: typeof row[name] === "string" ? "wide" : "" },
    el("dt", {}, words(name)),
    value,
    meaning ? el("dd", { className: "words" }, meaning) : null,
  );
}

/** @type {(card: HTMLElement, view: View) => void} */
function drawConfig(card, { model }) {
  const found = settingsOf(model);
  const wasOpen = card.querySelector("details")?.open ?? false;
  const shown = Object.keys(found)
    .filter((key) => key !== "name" && !key.startsWith("engine."))
    .sort();
  const lines = shown.map((key) =>
    el(
      "tr",
      { className: swept.includes(key) ? "swept" : "" },
      el("th", { scope: "row" }, key),
      el(
        "td",
        {},
        found[key] === null
          ? "null"
          : String(Array.isArray(found[key]) ? `[${found[key]}]` : found[key]),
      ),
    ),
  );
  const command = commandOf(model);
  const copy = el(
    "button",
    { type: "button", "data-testid": "copy", onclick: () => copyText(command ?? "", copy) },
    "Copy",
  );
  const alone =
    command === null
      ? [
          el(
            "p",
            { className: "words" },
            "This model was trained from Python with functions of its own: see Provenance.",
          ),
        ]
      : [
          el("div", { className: "title" }, el("h3", {}, "Train this model alone"), copy),
          el(
            "pre",
            { className: "command", tabIndex: 0 },
            el("code", { "data-testid": "command" }, command),
          ),
        ];
  card.replaceChildren(
    ...alone,
    el(
      "details",
      { open: wasOpen },
      el("summary", {}, "Every setting"),
      el("table", { "data-testid": "config" }, el("tbody", {}, ...lines)),
    ),
  );
}

/**
 * Copy a text; from a file the clipboard may be out of reach, and the text is selected instead.
 * @type {(text: string, button: HTMLElement) => Promise<void>}
 */
async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  } catch {
    getSelection()?.selectAllChildren(
      within(/** @type {Element} */ (button.closest(".card")), "code"),
    );
  }
}

// --- time ----------------------------------------------------------------------------------------

/**
 * The timer of the next frame; null while nothing is played.
 * @type {ReturnType<typeof setTimeout> | undefined}
 */
let playing;

/**
 * The slider over the snapshots of the model in view; it moves the pinned one, too.
 * @type {() => Promise<void>}
 */
async function drawTime() {
  const bar = byId("time");
  const found = await partOf("snapshots", state.model);
  bar.hidden = !found;
  if (!found) return stopPlaying();
  const steps = found.part.steps;
  const last = steps.length - 1;
  if (!bar.childElementCount) buildTime(bar);
  /** @type {HTMLInputElement} */
  const slide = byId("frame");
  slide.max = String(last);
  // Not that of the state: the mouse may have gone further
  slide.value = String(Math.min(wanted.frame ?? last, last));
  const at = steps[Math.min(state.frame ?? last, last)];
  slide.setAttribute("aria-valuetext", `step ${count(at)}`);
  within(bar, "output").textContent = `step ${count(at)} of ${count(steps[last])}`;
  return undefined;
}

/**
 * These elements stay, so that the slider can be dragged while the page follows.
 * @type {(bar: HTMLElement) => void}
 */
function buildTime(bar) {
  const slide = el("input", {
    type: "range",
    id: "frame",
    min: 0,
    step: 1,
    "data-testid": "time",
    "aria-label": "training step",
    oninput: () => {
      stopPlaying();
      showFrame(Number(slide.value), Number(slide.max));
    },
  });
  const play = el(
    "button",
    {
      type: "button",
      id: "play",
      "data-testid": "play",
      onclick: () => (playing === undefined ? startPlaying(Number(slide.max)) : stopPlaying()),
    },
    "Play",
  );
  bar.append(play, slide, el("output", { "data-testid": "step" }));
}

/** @type {(frame: number, last: number) => Promise<void>} */
const showFrame = (frame, last) => set({ frame: frame >= last ? null : frame });

/** @type {() => void} */
function stopPlaying() {
  clearTimeout(playing);
  const wasPlaying = playing !== undefined;
  playing = undefined;
  if (wasPlaying) document.getElementById("play")?.replaceChildren("Play");
}

/** @type {(last: number) => void} */
function startPlaying(last) {
  /** @type {(frame: number) => Promise<void>} */
  const next = async (frame) => {
    await showFrame(frame, last);
    if (playing === undefined) return;
    if (frame >= last) stopPlaying();
    else playing = setTimeout(() => next(frame + 1), 40);
  };
  playing = setTimeout(() => next(wanted.frame ?? 0), 0);
  document.getElementById("play")?.replaceChildren("Pause");
}
