// The rows of the table as files: CSV with all digits for programs, Markdown and LaTeX with four for people.

/** The rows that are shown as CSV: numbers with all digits that the page has, text in quotes where it needs them. */
function csv() {
  const names = columnNames(), quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const exact = (value) => (typeof value !== "number" ? String(value ?? "") : Number.isNaN(value) ? "" : Math.fround(value) === value && !Number.isInteger(value) ? String(Number(value.toPrecision(8))) : String(value));
  const lines = tableRows().map((model) => names.map((name) => quote(exact(valueIn(model, name)))).join(","));
  return `${[names.map(quote).join(","), ...lines].join("\r\n")}\r\n`;
}

const isGap = (value) => value === null || value === undefined || Number.isNaN(value);
const brief = (value) => (isGap(value) ? "" : Number.isInteger(value) ? String(value) : number(value));

/** The columns that have a value: titles, whether they stand right, rows of text; all signs made safe. */
function textTable(safe) {
  const models = tableRows();
  const names = columnNames().filter((name) => models.some((model) => !isGap(valueIn(model, name))));
  const right = names.map((name) => models.every((model) => isGap(valueIn(model, name)) || typeof valueIn(model, name) === "number"));
  const rows = models.map((model) => names.map((name) => safe(brief(valueIn(model, name)))));
  return { heads: names.map(safe), right, rows };
}

function markdown() {
  const { heads, right, rows } = textTable((text) => text.replace(/[\\|<*`~[\]]/g, "\\$&"));
  const lines = [heads, right.map((isRight) => (isRight ? "---:" : "---")), ...rows];
  return lines.map((line) => `| ${line.join(" | ")} |\n`).join("");
}

const TEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}" };

/** A tabular with the rules of the package booktabs. */
function latex() {
  const { heads, right, rows } = textTable((text) => text.replace(/[\\~^<>|&%$#_{}]/g, (sign) => TEX[sign] ?? `\\${sign}`));
  const line = (cells) => `${cells.join(" & ")} \\\\`;
  const columns = right.map((isRight) => (isRight ? "r" : "l")).join("");
  return `${["% \\usepackage{booktabs}", `\\begin{tabular}{${columns}}`, "\\toprule", line(heads), "\\midrule", ...rows.map(line), "\\bottomrule", "\\end{tabular}"].join("\n")}\n`;
}

const SAVED = [ // how the table is saved: name of the button, data-testid, end of the file's name, kind, content
  ["CSV", "export", "csv", "text/csv", csv],
  ["Markdown", "export-markdown", "md", "text/markdown", markdown],
  ["LaTeX", "export-latex", "tex", "application/x-tex", latex],
];

function save(suffix, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: `${RUN.name}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const saveButtons = () => el("div", { className: "buttons" }, "Save as", ...SAVED.map(([name, id, suffix, type, content]) => (
  el("button", { type: "button", "data-testid": id, "aria-label": `Save as ${name}`, onclick: () => save(suffix, type, content()) }, name))));
