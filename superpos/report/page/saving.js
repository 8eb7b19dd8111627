// The rows of the table as files: CSV with all digits for programs, Markdown and LaTeX with four
// for people.

/**
 * The rows that are shown as CSV: numbers with all digits that the page has, text in quotes where
 * it needs them.
 * @type {() => string}
 */
function csv() {
  const names = columnNames();
  /** @type {(text: string) => string} */
  const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  /** @type {(value: Value) => string} */
  const exact = (value) =>
    typeof value !== "number"
      ? String(value ?? "")
      : Number.isNaN(value)
        ? ""
        : Math.fround(value) === value && !Number.isInteger(value)
          ? String(Number(value.toPrecision(8)))
          : String(value);
  const lines = tableRows().map((model) =>
    names.map((name) => quote(exact(valueIn(model, name)))).join(","),
  );
  return `${[names.map(quote).join(","), ...lines].join("\r\n")}\r\n`;
}

/** @type {(value: Value) => boolean} */
const isGap = (value) => value === null || value === undefined || Number.isNaN(value);
/** @type {(value: Value) => string} */
const brief = (value) =>
  isGap(value) ? "" : Number.isInteger(value) ? String(value) : number(value);

/**
 * The columns that have a value: titles, whether they stand right, rows of text; all signs made
 * safe.
 * @type {(safe: (text: string) => string) =>
 *   { heads: string[], right: boolean[], rows: string[][] }}
 */
function textTable(safe) {
  const models = tableRows();
  const names = columnNames().filter((name) =>
    models.some((model) => !isGap(valueIn(model, name))),
  );
  const right = names.map((name) =>
    models.every(
      (model) => isGap(valueIn(model, name)) || typeof valueIn(model, name) === "number",
    ),
  );
  const rows = models.map((model) => names.map((name) => safe(brief(valueIn(model, name)))));
  return { heads: names.map(safe), right, rows };
}

/** @type {() => string} */
function markdown() {
  const { heads, right, rows } = textTable((text) => text.replace(/[\\|<*`~[\]]/g, "\\$&"));
  const lines = [heads, right.map((isRight) => (isRight ? "---:" : "---")), ...rows];
  return lines.map((line) => `| ${line.join(" | ")} |\n`).join("");
}

/** @type {Record<string, string>} */
const TEX = {
  "\\": "\\textbackslash{}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "<": "\\textless{}",
  ">": "\\textgreater{}",
  "|": "\\textbar{}",
};

/**
 * A tabular with the rules of the package booktabs.
 * @type {() => string}
 */
function latex() {
  const { heads, right, rows } = textTable((text) =>
    text.replace(/[\\~^<>|&%$#_{}]/g, (sign) => TEX[sign] ?? `\\${sign}`),
  );
  /** @type {(cells: string[]) => string} */
  const line = (cells) => `${cells.join(" & ")} \\\\`;
  const columns = right.map((isRight) => (isRight ? "r" : "l")).join("");
  const all = [
    "% \\usepackage{booktabs}",
    `\\begin{tabular}{${columns}}`,
    "\\toprule",
    line(heads),
    "\\midrule",
    ...rows.map(line),
    "\\bottomrule",
    "\\end{tabular}",
  ];
  return `${all.join("\n")}\n`;
}

/**
 * How the table is saved: name of the button, data-testid, end of the file's name, kind, content.
 * @type {[string, string, string, string, () => string][]}
 */
const SAVED = [
  ["CSV", "export", "csv", "text/csv", csv],
  ["Markdown", "export-markdown", "md", "text/markdown", markdown],
  ["LaTeX", "export-latex", "tex", "application/x-tex", latex],
];

/** @type {(suffix: string, type: string, text: string) => void} */
function save(suffix, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: `${RUN.name}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** @type {() => HTMLElement} */
const saveButtons = () =>
  el(
    "div",
    { className: "buttons" },
    "Save as",
    ...SAVED.map(([name, id, suffix, type, content]) =>
      el(
        "button",
        {
          type: "button",
          "data-testid": id,
          "aria-label": `Save as ${name}`,
          onclick: () => save(suffix, type, content()),
        },
        name,
      ),
    ),
  );
