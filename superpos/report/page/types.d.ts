// Types of what the scripts of the page share; no part of the page, and not shipped. The types know
// all scripts as one program, so that no name may stand at the top of two of them, also of two
// families.

// --- the content of a page, as superpos/report/page_data.py makes it -----------------------------

/** A value of a config key or of a cell of the table, as JSON has it. */
type Value = any;

/** An array of the page, which lies in a script element of its own. */
interface Stored {
  array: number;
  type: "f2" | "f4" | "u1" | "u2" | "u4";
  shape: number[];
  /** What codes stand for, where the array holds codes. */
  names?: any[];
}

/** Arrays of models whose tensors have equal shapes, [M, ...] each. */
interface Part {
  models: Stored;
  arrays: Record<string, Stored>;
  tensors?: string[];
  /** Of histories and snapshots. */
  steps: number[];
}

/** An axis of the sweep: a point has a value of each of its keys. */
interface Axis {
  keys: string[];
  values: Value[][];
  texts: string[];
  overrides: string[];
  scale: "log" | "linear" | "ordinal";
  seeds: boolean;
}

interface TheoryMap {
  name: string;
  label: string;
  names: string[];
  axes: [number, number];
  arrays: { values: Stored; hue?: Stored };
}

/**
 * What theory knows: boundaries over two axes, curves over one, maps of two, and how training
 * agrees in words.
 */
interface Layers {
  lines: { label: string; axes: number[]; at: number[][] }[];
  curves: { label: string; axis: number; column: string; x: number[]; y: number[] }[];
  maps: TheoryMap[];
  words: string;
}

interface RunContent {
  name: string;
  models: number;
  finished: number;
  axes: Axis[];
  command: string | null;
  config: Record<string, Value>;
  label: string | null;
  constants: any;
  layers: Layers;
  provenance: Record<string, any>;
  notes: [string, string][];
  parts: { rows: Part[]; weights: Part[]; [kind: string]: Part[] };
  omitted: string[];
  budget: number;
}

/** A row of the table that compares runs, as superpos/report/side_by_side.py makes it. */
interface RunRow {
  label: string;
  family: string;
  differs: Record<string, string>;
  finished: number;
  models: number;
  best: number | null;
  median: number | null;
  found: [string, number][];
  digest: string;
}

interface Palette {
  cycle: string[];
  grey: string;
  importance: string[];
  signed: string[];
  superposed: string[];
  sequence: string[];
  pairs: string[][];
}

// --- arrays in use -------------------------------------------------------------------------------

type Numbers = Float32Array | Uint8Array | Uint16Array | Uint32Array;
/** A tensor: its values row by row. */
interface Tensor {
  values: Numbers;
  shape: number[];
  names?: any[];
}
type Tensors = Record<string, Tensor>;
type Matrix = number[][];
/** Places of several lines in one list, null between them. */
type Gapped = (number | null)[];
interface Column {
  values: Numbers;
  names?: string[];
}
type Row = Record<string, Value>;

// --- what is looked at ---------------------------------------------------------------------------

/** All of it stands in the address, see state.js. */
interface State {
  model: number;
  pin: number | null;
  metric: string;
  feature: number;
  /** Axes of the map. */
  x: number | null;
  y: number | null;
  /** Points of the other axes. */
  at: Record<number, number>;
  theory: boolean;
  /** Which snapshot; null is the end of training. */
  frame: number | null;
  theme: "light" | "dark";
  filter: string;
  sort: string;
  shown: number;
  /** What cards of the family ask for, see FAMILY.state. */
  [asked: string]: any;
}

/** What is looked at without numbers that mean something else in another run. */
interface StateInWords {
  x: string | null | undefined;
  y: string | null | undefined;
  model: Row;
  pin: Row | null;
  [others: string]: any;
}

/** What the map can show, see metrics.js. */
interface Metric {
  name: string;
  label: string;
  kind: "number" | "text" | "pair";
  names?: string[];
  features?: number;
  ofSetting?: boolean;
  value(model: number): number;
  index?(model: number): number;
  hue?(model: number): number;
}
/** One whose functions may be missing until it is opened. */
type ClosedMetric = Omit<Metric, "value"> & {
  value?(model: number): number;
  open?(): Promise<Partial<Metric>>;
};

/** A value and its text. */
type Option = [string | number, string | number];

/** Where a model is drawn along an axis of a plot: a number, or the name of a category. */
type Across = (model: number) => number | string;

// --- cards ---------------------------------------------------------------------------------------

/** The model that a card draws, at a snapshot or at the end of training. */
interface View {
  model: number;
  row: Row;
  /** null where the page has no room for them. */
  weights: Tensors | null;
  tensors: string[];
  /** Of the snapshot; undefined at the end of training. */
  step: number | undefined;
}

/** Draws a card into its plot; false where there is nothing to show, and the card is hidden. */
type Draw = (target: PlotElement, view: View, card: HTMLElement) => Promise<boolean>;

interface Card {
  /** The class of its element, and its data-testid. */
  name: string;
  title: string;
  draw: Draw;
  /** Whether it changes with the slider of training. */
  moves?: boolean;
  /** Whether it follows what its own controls ask, see FAMILY.state. */
  asks?: boolean;
  /** Whether it has a row of the page for itself. */
  across?: boolean;
}

/**
 * What a kind of model adds to the page. Its scripts call family({...}) with any of these, see
 * family.js.
 */
interface FamilyOfPage {
  /** How the page writes a key or a column of the table. */
  words: Record<string, string>;
  /** Results that are named first, after the loss and the label. */
  columns: string[];
  /**
   * What the notation of a text of the column of labels means; "" where there is nothing to say.
   */
  meaning(text: string): string;
  /** Conditions of a filter. */
  examples: { setting: string; label: string };
  cards: Card[];
  /** What the map shows beside the columns of the table, see metrics.js. */
  metrics(): ClosedMetric[];
  /**
   * Of metrics of the kind "pair": names of both shares, and texts of the colour key (x, y, text,
   * colour).
   */
  pair: {
    strength: string;
    hue: string;
    label: string;
    corners: [number, number, string, string][];
  } | null;
  /** The sizes of the models of a part of the weights, in words. */
  sizes(arrays: Record<string, Stored>): string;
  /**
   * Texts that its cards ask for, by name, with what the page begins with; cards with `asks` follow
   * them.
   */
  state: Record<string, string>;
  /** What the page begins with. */
  begin(): { metric?: string; feature?: number };
}

// --- what draws ----------------------------------------------------------------------------------

/** Plotly: traces, layouts and its own elements are not checked. */
type Trace = any;
type Layout = any;
interface Library {
  react(target: HTMLElement, traces: Trace[], layout: Layout, config: object): Promise<void>;
  relayout(target: HTMLElement, changes: object): Promise<void>;
  purge(target: HTMLElement): void;
  Plots: { resize(target: HTMLElement): Promise<void> };
}
/** An element that Plotly draws into. */
interface PlotElement extends HTMLElement {
  library?: Library;
  data: Trace[];
  _fullLayout: any;
  on(event: string, listener: (event: any) => void): void;
}

type Child = Node | string | null | undefined;
type Properties = Record<string, any>;

// --- what superpos/report/document.py puts around the scripts ------------------------------------

/** The run that is viewed. */
declare const RUN: RunContent;
/** What tells it apart on a page of several runs; null on the page of one. */
declare const label: string | null;

/**
 * The view of one run: all scripts between runs.js and the shared ones, called anew for every run.
 */
declare function explorer(run: RunContent, label: string | null): RunView;
interface RunView {
  open(words: StateInWords | null): Promise<void>;
  goTo(hash: string): Promise<void>;
  inWords(): StateInWords | null;
  leave(): Promise<void>;
  print(isPrinted: boolean): Promise<void>;
}

interface Window {
  Plotly: Library;
  superpos: object;
}
