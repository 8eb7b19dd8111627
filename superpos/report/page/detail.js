// One model in detail: a title, its numbers, a card for every panel. The pinned model has the same beside it.

const CARDS = [
  // draw: (target, view {model, row, weights, tensors, step}, card) → false where there is nothing to show
  // moves: whether it changes in time; asks: whether it follows what its own controls ask, see FAMILY.state; across: whether it has a row of the page for itself
  ...FAMILY.cards,
  { name: "history", title: "Training loss", draw: drawHistory, moves: true },
  { name: "seeds", title: "Seeds of this setting", draw: drawSeeds, moves: false },
];
const FIRST = ["loss", ...(RUN.label === null ? [] : [RUN.label]), ...FAMILY.columns];
const MINOR = ["status", "diverged_at", "loss_kind", "backend", "loss_se"]; // said elsewhere, or of no weight

/**
 * Draw a model into an article, nothing for null; `only`: which cards are drawn anew, those that "moves" or "asks".
 * False where it was given up, as another drawing waits.
 */
async function drawDetail(article, model, only) {
  article.hidden = model === null;
  if (model === null) return true;
  if (!article.childElementCount) build(article);
  article.dataset.model = model;
  article.classList.toggle("is-pinned", article.id === "pinned");
  const [weights, found, step] = await Promise.all([weightsOf(model, state.frame), partOf("weights", model), stepOf(model, state.frame)]);
  const view = { model, row: rowOf(model), weights, tensors: found?.part.tensors ?? [], step };
  drawHead(article.querySelector(".head"), view);
  drawConfig(article.querySelector(".config"), view);
  for (const { name, title, draw, ...follows } of CARDS) {
    if (only && !follows[only]) continue;
    const card = article.querySelector(`.card.${name}`);
    if (waiting) return false;
    if (!document.documentElement.dataset.ready && !card.hidden && card.getBoundingClientRect().top > innerHeight) {
      isReady();
      await painted();
    }
    const target = card.querySelector(".plot"), before = card.hidden;
    card.hidden = false; // a plot takes its size from what is seen
    const drawn = await attempt(`The card “${title}”`, () => draw(target, view, card));
    card.hidden = drawn === false;
    if (before && drawn !== false && target.data) fit(target);
  }
  return true;
}

/** Once the browser has painted; a page that is not seen, which is not painted, does not wait for that. */
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(resolve);
    setTimeout(resolve, 100);
  });
}

function build(article) {
  article.append(el("div", { className: "card head" }));
  for (const { name, title, across } of CARDS) {
    article.append(el("section", { className: `card ${name}${across ? " across" : ""}` }, el("h3", {}, title), el("p", { className: "words note" }), el("div", { className: "plot", "data-testid": name })));
  }
  article.append(el("section", { className: "card config" }));
  article.style.setProperty("--rows", CARDS.length + 2);
}

function drawHead(head, { model, row, step }) {
  const isPinned = head.parentElement.id === "pinned";
  const swap = isPinned
    ? [el("button", { type: "button", id: "unpin", "data-testid": "unpin", onclick: () => set({ pin: null }) }, "Unpin"), el("button", { type: "button", onclick: () => set({ pin: wanted.model, model }) }, "Swap")]
    : [el("button", { type: "button", id: "pin", "data-testid": "pin", onclick: () => set({ pin: wanted.pin === model ? null : model }) }, state.pin === model ? "Unpin" : "Pin to compare")];
  const best = bestOf(model);
  if (!isPinned && best !== model) swap.push(el("button", { type: "button", id: "best", onclick: () => select(best) }, "Best seed"));
  const chips = swept.map((key) => el("span", { className: "chip" }, `${words(key)} = ${number(row[key])}`));
  if (best === model && seedsOf(model).length > 1) chips.push(el("span", { className: "chip good" }, "best of its seeds"));
  if (row.status !== "ok") chips.push(el("span", { className: "chip bad" }, `${row.status}${Number.isFinite(row.diverged_at) ? ` at step ${row.diverged_at}` : ""}`));
  if (step !== undefined) chips.push(el("span", { className: "chip" }, "numbers: end of training"));
  const names = [...FIRST.filter((name) => COLUMNS.has(name)), ...[...COLUMNS.keys()].filter((name) => !FIRST.includes(name) && !MINOR.includes(name))];
  keepFocus(head, () => head.replaceChildren(
    el("div", { className: "title" }, el("h2", { "data-testid": "title" }, `${isPinned ? "Pinned: model" : "Model"} ${model}`), el("div", { className: "buttons" }, ...swap)),
    el("p", { className: "chips" }, ...chips),
    el("dl", { className: "values" }, ...names.map((name) => valueItem(name, row))),
  ));
}

function valueItem(name, row) {
  const error = name === "loss" && row.loss_se > 0 ? ` ± ${number(row.loss_se)}` : "";
  const value = el("dd", { "data-testid": `value-${name}`, "data-value": String(row[name]) }, number(row[name]) + error);
  const meaning = name === RUN.label ? FAMILY.meaning(row[name]) : "";
  return el("div", { className: typeof row[name] === "string" ? "wide" : "" }, el("dt", {}, words(name)), value, meaning ? el("dd", { className: "words" }, meaning) : null);
}

function drawConfig(card, { model }) {
  const found = settingsOf(model), wasOpen = card.querySelector("details")?.open ?? false;
  const shown = Object.keys(found).filter((key) => key !== "name" && !key.startsWith("engine.")).sort();
  const lines = shown.map((key) => el("tr", { className: swept.includes(key) ? "swept" : "" }, el("th", { scope: "row" }, key), el("td", {}, found[key] === null ? "null" : String(Array.isArray(found[key]) ? `[${found[key]}]` : found[key]))));
  const command = commandOf(model);
  const copy = el("button", { type: "button", "data-testid": "copy", onclick: () => copyText(command, copy) }, "Copy");
  const alone = command === null
    ? [el("p", { className: "words" }, "This model was trained from Python with functions of its own: see Provenance.")]
    : [el("div", { className: "title" }, el("h3", {}, "Train this model alone"), copy), el("pre", { className: "command", tabIndex: 0 }, el("code", { "data-testid": "command" }, command))];
  card.replaceChildren(
    ...alone,
    el("details", { open: wasOpen }, el("summary", {}, "Every setting"), el("table", { "data-testid": "config" }, el("tbody", {}, ...lines))),
  );
}

/** Copy a text; from a file the clipboard may be out of reach, and the text is selected instead. */
async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  } catch {
    getSelection()?.selectAllChildren(button.closest(".card").querySelector("code"));
  }
}

// --- time ---------------------------------------------------------------------------------------------------------------

let playing = null;

/** The slider over the snapshots of the model in view; it moves the pinned one, too. */
async function drawTime() {
  const bar = document.getElementById("time"), found = await partOf("snapshots", state.model);
  bar.hidden = !found;
  if (!found) return stopPlaying();
  const steps = found.part.steps, last = steps.length - 1;
  if (!bar.childElementCount) buildTime(bar);
  const slide = document.getElementById("frame");
  slide.max = last;
  slide.value = Math.min(wanted.frame ?? last, last); // not that of the state: the mouse may have gone further
  const at = steps[Math.min(state.frame ?? last, last)];
  slide.setAttribute("aria-valuetext", `step ${count(at)}`);
  bar.querySelector("output").textContent = `step ${count(at)} of ${count(steps[last])}`;
  return undefined;
}

/** These elements stay, so that the slider can be dragged while the page follows. */
function buildTime(bar) {
  const slide = el("input", {
    type: "range", id: "frame", min: 0, step: 1, "data-testid": "time", "aria-label": "training step",
    oninput: () => { stopPlaying(); showFrame(Number(slide.value), Number(slide.max)); },
  });
  const play = el("button", { type: "button", id: "play", "data-testid": "play", onclick: () => (playing === null ? startPlaying(Number(slide.max)) : stopPlaying()) }, "Play");
  bar.append(play, slide, el("output", { "data-testid": "step" }));
}

const showFrame = (frame, last) => set({ frame: frame >= last ? null : frame });

function stopPlaying() {
  clearTimeout(playing);
  const wasPlaying = playing !== null;
  playing = null;
  if (wasPlaying) document.getElementById("play")?.replaceChildren("Play");
}

function startPlaying(last) {
  const next = async (frame) => {
    await showFrame(frame, last);
    if (playing === null) return;
    if (frame >= last) stopPlaying();
    else playing = setTimeout(() => next(frame + 1), 40);
  };
  playing = setTimeout(() => next(wanted.frame ?? 0), 0);
  document.getElementById("play")?.replaceChildren("Pause");
}
