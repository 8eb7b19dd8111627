// The table: filtered by a few conditions, sorted by a column. And what the run was made with.

const CONDITION = /^([A-Za-z_][\w.]*)(<=|>=|!=|=|<|>|~)(.+)$/;
/** @type {Record<string, (a: number, b: number) => boolean>} */
const TESTS = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

/** @type {() => string[]} */
const columnNames = () => {
  const keys = swept.includes("seed") ? swept : [...swept, "seed"];
  const first = FIRST.filter((name) => COLUMNS.has(name));
  return [
    "model",
    ...keys,
    ...first,
    ...[...COLUMNS.keys()].filter((name) => !first.includes(name)),
  ];
};
/** @type {(model: number, name: string) => Value} */
const valueIn = (model, name) =>
  name === "model" ? model : COLUMNS.has(name) ? cell(model, name) : settingsOf(model)[name];

/**
 * A filter as a test of models; the words that it does not understand come back too.
 * @type {(filter: string) => { test: (model: number) => boolean, unknown: string[] }}
 */
function parse(filter) {
  /** @type {((model: number) => boolean)[]} */
  const tests = [];
  const unknown = [];
  for (const word of filter.trim().split(/\s+/).filter(Boolean)) {
    const [, name, sign, wanted] = word.match(CONDITION) ?? [];
    if (word === "best") tests.push((model) => bestOf(model) === model);
    else if (!name)
      tests.push((model) =>
        [...COLUMNS].some(
          ([own, { names }]) =>
            names !== undefined && cell(model, own).toLowerCase().includes(word.toLowerCase()),
        ),
      );
    else if (!columnNames().includes(name) && !(name in RUN.config)) unknown.push(word);
    else tests.push((model) => compare(valueIn(model, name), sign, wanted));
  }
  return { test: (model) => tests.every((own) => own(model)), unknown };
}

/** @type {(value: Value, sign: string, wanted: string) => boolean} */
function compare(value, sign, wanted) {
  if (sign === "~") return String(value).toLowerCase().includes(wanted.toLowerCase());
  if (TESTS[sign]) return TESTS[sign](Number(value), Number(wanted));
  const number = Number(wanted);
  const isNumber = typeof value === "number" && Number.isFinite(number);
  const equal = isNumber
    ? Math.abs(value - number) <= 1e-6 * Math.max(Math.abs(value), Math.abs(number))
    : String(value) === wanted;
  return sign === "=" ? equal : !equal;
}

/**
 * Numbers of the models that pass the filter, in the order of the column that is sorted by.
 * @type {() => number[]}
 */
function tableRows() {
  const { test } = parse(state.filter);
  const name = state.sort.replace(/^-/, "");
  const way = state.sort.startsWith("-") ? -1 : 1;
  const models = Array.from(LISTED.models).filter(test);
  if (!columnNames().includes(name)) return models;
  const keys = new Map(models.map((model) => [model, valueIn(model, name)]));
  return models.sort((a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    // What is missing stands last
    if (isGap(x) || isGap(y)) return Number(isGap(x)) - Number(isGap(y)) || a - b;
    return way * (x < y ? -1 : x > y ? 1 : 0) || a - b;
  });
}

/** @type {() => void} */
function buildTable() {
  const card = byId("table-card");
  const filter = el("input", {
    type: "search",
    id: "filter",
    "data-testid": "filter",
    placeholder: ["loss<0.01", FAMILY.examples.label, "best"].filter(Boolean).join(" "),
    "aria-describedby": "filter-help",
    oninput: () => set({ filter: filter.value, shown: 100 }),
  });
  const { setting, label } = FAMILY.examples;
  const examples = ["loss<0.01", setting, "status=diverged", label].filter(Boolean);
  const names = columnNames();
  const heads = names.map((name) =>
    el(
      "th",
      { scope: "col", "data-column": name },
      el(
        "button",
        { type: "button", onclick: () => set({ sort: wanted.sort === name ? `-${name}` : name }) },
        name,
      ),
    ),
  );
  card.append(
    el("div", { className: "title" }, el("h2", { id: "table-title" }, "Table"), saveButtons()),
    el("label", { for: "filter", className: "filter" }, "Filter ", filter),
    el(
      "p",
      { id: "filter-help", className: "words" },
      `Conditions such as ${examples.join(", ")}; a word that any text holds; `,
      "best for the best model of every setting. ",
      el("strong", { id: "filter-fault", role: "status" }),
    ),
    el("p", { className: "words", "data-testid": "rows-shown", id: "rows-shown" }),
    el(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Rows of the table" },
      el(
        "table",
        { id: "table", "data-testid": "table" },
        el("thead", {}, el("tr", {}, ...heads)),
        el("tbody"),
      ),
    ),
    el(
      "button",
      { type: "button", id: "more", onclick: () => set({ shown: wanted.shown + 400 }) },
      "Show more",
    ),
  );
  within(card, "tbody").addEventListener("click", (event) => {
    const line = /** @type {Element} */ (event.target).closest("tr");
    if (line) select(Number(line.dataset.model));
  });
}

/** @type {() => void} */
function drawTable() {
  const names = columnNames();
  const models = tableRows();
  const shown = models.slice(0, state.shown);
  const { unknown } = parse(state.filter);
  /** @type {HTMLInputElement} */
  const filter = byId("filter");
  if (filter.value !== state.filter && document.activeElement !== filter)
    filter.value = state.filter;
  byId("filter-fault").textContent = unknown.length ? `Not understood: ${unknown.join(" ")}` : "";
  byId("rows-shown").textContent =
    `${count(models.length)} of ${count(RUN.finished)} models` +
    (models.length > shown.length ? `, the first ${count(shown.length)} are shown` : "");
  byId("more").hidden = models.length <= shown.length;
  for (const head of elements("#table th[data-column]")) {
    const name = head.dataset.column;
    head.setAttribute(
      "aria-sort",
      state.sort === name ? "ascending" : state.sort === `-${name}` ? "descending" : "none",
    );
  }
  within(document, "#table tbody").replaceChildren(
    ...shown.map((model) =>
      el("tr", { "data-model": model }, ...names.map((name) => cellOf(model, name))),
    ),
  );
  markRow();
}

/** @type {(model: number, name: string) => HTMLElement} */
function cellOf(model, name) {
  const value = valueIn(model, name);
  if (name === "model")
    return el(
      "th",
      { scope: "row" },
      el(
        "button",
        { type: "button", className: "link", "aria-label": `Show model ${model}` },
        String(model),
      ),
    );
  return el(
    "td",
    { className: typeof value === "number" ? "number" : "" },
    name === "seed" ? String(value) : number(value),
  );
}

/**
 * Mark the row of the model in view.
 * @type {() => void}
 */
function markRow() {
  for (const line of elements("#table tbody tr"))
    line.classList.toggle("selected", Number(line.dataset.model) === state.model);
}

// --- provenance ----------------------------------------------------------------------------------

/** @type {() => void} */
function buildProvenance() {
  const { command, created, versions, machine, engine, reasons, git, own, digest, run_id, folder } =
    RUN.provenance;
  /** @type {(values: Record<string, any> | null) => string} */
  const listed = (values) =>
    Object.entries(values ?? {})
      .filter(([, value]) => value !== null)
      .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(", ") : value}`)
      .join(", ");
  const facts = [
    ["command", (command ?? []).join(" ")],
    ["run", `${RUN.name} ${run_id}`],
    ["folder", folder],
    ["begun", created],
    ["versions", listed(versions)],
    ["machine", listed(machine)],
    ["engine", listed(engine)],
    ["why this engine", (reasons ?? []).join("; ")],
    [
      "source",
      git ? `${git.commit}${git.dirty ? ", with changes" : ""}` : "not in a git repository",
    ],
    ...(own
      ? Object.entries(own).map(([name, { source, ...others }]) => [
          `own ${name}`,
          source ?? JSON.stringify(Object.values(others)),
        ])
      : []),
    ["digest", digest],
    ["models", `${count(RUN.finished)} of ${count(RUN.models)} finished`],
    ...RUN.notes.map(([time, text]) => [`note of ${time}`, text]),
  ];
  const diverged = Array.from(LISTED.models).filter(
    (model) => cell(model, "status") === "diverged",
  );
  const links = diverged
    .slice(0, 200)
    .map((model) =>
      el(
        "li",
        {},
        el(
          "button",
          { type: "button", className: "link", onclick: () => select(model) },
          `model ${model}`,
        ),
        ` at step ${cell(model, "diverged_at")}: ${titleText(model)}`,
      ),
    );
  byId("provenance").append(
    el("h2", { id: "provenance-title" }, "Provenance"),
    el(
      "dl",
      { className: "facts" },
      ...facts.map(([name, value]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, value ?? "–")),
      ),
    ),
    el("h3", {}, `Diverged models: ${count(diverged.length)}`),
    el(
      "ul",
      { "data-testid": "diverged" },
      ...links,
      ...(diverged.length > links.length
        ? [
            el(
              "li",
              {},
              `and ${count(diverged.length - links.length)} more: filter the table by status=diverged`,
            ),
          ]
        : []),
    ),
    el("h3", {}, "What this page holds"),
    el(
      "p",
      { "data-testid": "left-out" },
      RUN.omitted.length
        ? [
            `Left out, so that the page stays below ${number(RUN.budget / 1e6)} MB, or because`,
            `drawing them takes long: ${RUN.omitted.join("; ")}. The best model of every setting`,
            "comes first. Load the run from Python for the rest.",
          ].join(" ")
        : "The table, weights, histories and snapshots of every finished model.",
    ),
    el(
      "p",
      { className: "words" },
      "Weights are rounded to three digits, numbers of the table to seven. ",
      "Models of one seed share their random draws across the sweep: neighbouring cells are not ",
      "independent.",
    ),
  );
}
/** @type {(model: number) => string} */
const titleText = (model) =>
  swept.map((key) => `${key} = ${number(settingsOf(model)[key])}`).join(", ");
