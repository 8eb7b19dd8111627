// The card of attention: every head on a sequence that the reader chooses, and what follows a
// position.

const MOST_HEADS = 8;

/**
 * Heat maps of attention, a panel for each head; the chosen position is framed, and the note says
 * what the model expects after it.
 * @type {Draw}
 */
async function drawPatterns(target, { model, weights }, card) {
  const found = await arraysOf("sequences", model);
  if (!found || !weights?.W_Q) return false;
  const names = found.tokens.names ?? [];
  const every = rowsOf(found.tokens);
  const asked = rowsOf(found.asked);
  const which = chosenOf(state.sequence, every.length);
  const tokens = every[which];
  const read = tokens.slice(0, -1);
  const first = Math.max(asked[which].indexOf(1), 0);
  const at = state.position === "" ? first : chosenOf(state.position, read.length);
  stepper(card, every.length, read.length, at);
  const { patterns, logits } = pass(weights, read, settingsOf(model));
  const heads = headsOf(weights).slice(0, MOST_HEADS);
  note(card, saidAfter(names, tokens, at, softmax(logits[at]), Boolean(asked[which][at])));
  const texts = read.map((token, t) => `${t}: ${names[token]}`);
  const share = 1 / heads.length;
  /** @type {Layout} */
  const layout = { margin: { l: 84, r: 8, t: 22, b: 70 }, annotations: [], shapes: [] };
  const traces = heads.map(({ name, layer, head }, i) => {
    const axis = i ? String(i + 1) : "";
    const domain = [i * share, (i + 0.94) * share];
    layout[`xaxis${axis}`] = axisLook({ domain, anchor: `y${axis}`, ...ticks(texts) });
    layout[`yaxis${axis}`] = axisLook({
      anchor: `x${axis}`,
      range: [read.length - 0.5, -0.5],
      ...ticks(texts),
      showticklabels: i === 0,
    });
    layout.annotations.push({
      text: `head ${name}`,
      x: (domain[0] + domain[1]) / 2,
      y: 1,
      xref: "paper",
      yref: "paper",
      yanchor: "bottom",
      showarrow: false,
    });
    layout.shapes.push({
      type: "rect",
      xref: `x${axis}`,
      yref: `y${axis}`,
      x0: -0.5,
      x1: read.length - 0.5,
      y0: at - 0.5,
      y1: at + 0.5,
      line: { color: css("--select"), width: 1.5 },
    });
    return {
      type: "heatmap",
      z: patterns[layer][head],
      xaxis: `x${axis}`,
      yaxis: `y${axis}`,
      colorscale: SEQUENCE,
      zmin: 0,
      zmax: 1,
      showscale: false,
      customdata: read.map((_, t) => read.map((__, s) => [texts[t], texts[s]])),
      hovertemplate: `head ${name}<br>%{customdata[0]} looks at %{customdata[1]}: %{z:.2f}<extra></extra>`,
    };
  });
  await plot(
    target,
    traces,
    layout,
    `Attention of ${heads.length} heads on a sequence of ${read.length} tokens, from 0 to 1`,
  );
  return true;
}

/**
 * A number of a text, from 0 to below n; 0 of what is none.
 * @type {(text: string, n: number) => number}
 */
const chosenOf = (text, n) => {
  const value = Math.round(Number(text));
  return Number.isFinite(value) ? Math.min(Math.max(value, 0), n - 1) : 0;
};

/** @type {(texts: string[]) => Layout} */
const ticks = (texts) => {
  const every = Math.max(1, Math.ceil(texts.length / 16));
  const shown = range(texts.length).filter((t) => t % every === 0);
  return {
    tickvals: shown,
    ticktext: shown.map((t) => texts[t].slice(0, 14)),
    tickangle: undefined,
    showgrid: false,
    zeroline: false,
    tickfont: { size: 9 },
  };
};

/**
 * What the model expects after a position, beside what came.
 * @type {(names: string[], tokens: number[], at: number, p: number[], isAsked: boolean) => string}
 */
function saidAfter(names, tokens, at, p, isAsked) {
  const ranked = range(p.length).sort((i, j) => p[j] - p[i]);
  const expected = ranked.slice(0, 3).map((token) => `${names[token]} ${p[token].toFixed(2)}`);
  const came = tokens[at + 1];
  return [
    `After position ${at}, ${names[tokens[at]]}, the model expects ${expected.join(", ")};`,
    `what came is ${names[came]} (${p[came].toFixed(2)})${isAsked ? "" : ", which nobody can know for sure"}.`,
    "Rows look at columns.",
  ].join(" ");
}

/**
 * Where sequence and position are chosen; made once for a card, so that typing goes on.
 * @type {(card: HTMLElement, sequences: number, positions: number, at: number) => void}
 */
function stepper(card, sequences, positions, at) {
  const article = card.parentElement?.id;
  if (!within(card, ".asked")) {
    const chosen = el(
      "select",
      {
        id: `sequence-${article}`,
        "data-testid": "sequence",
        onchange: () => set({ sequence: chosen.value, position: "" }),
      },
      ...range(sequences).map((i) => el("option", { value: String(i) }, String(i + 1))),
    );
    const typed = el("input", {
      id: `position-${article}`,
      type: "number",
      min: 0,
      max: positions - 1,
      "data-testid": "position",
      oninput: () => set({ position: typed.value }),
    });
    within(card, ".note").before(
      el(
        "p",
        { className: "asked" },
        el("label", { for: chosen.id }, "Sequence ", chosen),
        " ",
        el("label", { for: typed.id }, "position ", typed),
      ),
    );
  }
  /** @type {HTMLSelectElement} */
  const chosen = within(card, ".asked select");
  /** @type {HTMLInputElement} */
  const typed = within(card, ".asked input");
  chosen.value = String(chosenOf(wanted.sequence, sequences));
  typed.max = String(positions - 1);
  if (document.activeElement !== typed) typed.value = String(at);
}
