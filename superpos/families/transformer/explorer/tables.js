// The card of a model's tables of tokens: direct path, OV and QK circuits.

/**
 * One table as a heat map; which one is chosen.
 * @type {Draw}
 */
async function drawTables(target, { model, weights }, card) {
  const found = await arraysOf("sequences", model);
  if (!found || !weights?.W_E) return false;
  const names = found.tokens.names ?? [];
  const heads = headsOf(weights).map(({ name }) => name);
  const isDirect = settingsOf(model)["model.direct"];
  const every = [
    ...(isDirect ? ["direct"] : []),
    ...heads.map((head) => `OV ${head}`),
    ...heads.map((head) => `QK ${head}`),
  ];
  if (!every.length) return false;
  const name = every.includes(state.table) ? state.table : every[0];
  tableChoice(card, every, name);
  const z = tableOf(weights, name);
  if (!z) return false;
  const isQk = name.startsWith("QK");
  note(
    card,
    isQk
      ? "Score of a query (row) and a key (column), before the softmax, of tokens alone; the mean of a row means nothing."
      : "How far a token (row) raises the next one (column); the mean of a row means nothing.",
  );
  const most = Math.max(1e-9, ...z.flat().map(Math.abs).filter(Number.isFinite));
  await plot(
    target,
    [
      {
        type: "heatmap",
        z,
        x: names,
        y: names,
        colorscale: SIGNED,
        zmin: -most,
        zmax: most,
        colorbar: bar(isQk ? "score" : "logit"),
        hovertemplate: isQk
          ? "query %{y}, key %{x}: %{z:.2f}<extra></extra>"
          : "%{y} raises %{x} by %{z:.2f}<extra></extra>",
      },
    ],
    {
      margin: { l: 76, r: 8, t: 8, b: 76 },
      xaxis: {
        type: "category",
        showgrid: false,
        title: { text: isQk ? "key" : "next token" },
      },
      yaxis: {
        type: "category",
        autorange: "reversed",
        showgrid: false,
        title: { text: isQk ? "query" : name === "direct" ? "token now" : "token attended to" },
      },
    },
    `Table ${name} of ${names.length} tokens, from ${number(-most)} to ${number(most)}`,
  );
  return true;
}

/**
 * Where the table is chosen; its options are those of the model.
 * @type {(card: HTMLElement, every: string[], name: string) => void}
 */
function tableChoice(card, every, name) {
  if (!within(card, ".asked")) {
    const made = el("select", {
      id: `table-${card.parentElement?.id}`,
      "data-testid": "table-name",
      onchange: () => set({ table: made.value }),
    });
    within(card, ".note").before(
      el("p", { className: "asked" }, el("label", { for: made.id }, "Table ", made)),
    );
  }
  /** @type {HTMLSelectElement} */
  const chosen = within(card, ".asked select");
  if (chosen.options.length !== every.length || chosen.options[0].value !== every[0])
    chosen.replaceChildren(...every.map((value) => el("option", { value }, value)));
  chosen.value = name;
}
