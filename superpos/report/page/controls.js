// The controls of the map, and its keys.

/** @type {() => void} */
function drawControls() {
  const metric = METRICS.find((own) => own.name === state.metric);
  const choices = [
    chooser(
      "metric",
      "Show",
      METRICS.map(({ name, label }) => [name, label]),
      state.metric,
      (metric) => set({ metric }),
    ),
  ];
  if (metric?.features)
    choices.push(
      chooser(
        "feature",
        "feature",
        Array.from({ length: metric.features }, (_, i) => [i, i + 1]),
        state.feature,
        (feature) => set({ feature: Number(feature) }),
      ),
    );
  if (SETTINGS.length > 1) {
    /** @type {Option[]} */
    const axes = SETTINGS.map((axis) => [axis, axisWords(axis)]);
    /** @type {(name: "x" | "y", other: "x" | "y") => (value: string) => Promise<void>} */
    const swap = (name, other) => (value) =>
      set(
        value === ""
          ? { y: null }
          : Number(value) === wanted[other]
            ? { x: wanted.y, y: wanted.x }
            : { [name]: Number(value) },
      );
    choices.push(
      chooser("axis-x", "across", axes, state.x ?? "", swap("x", "y")),
      chooser("axis-y", "upwards", [...axes, ["", "none: a curve"]], state.y ?? "", swap("y", "x")),
    );
  }
  if (RUN.layers.lines.length || RUN.layers.curves.length) {
    const box = el("input", {
      type: "checkbox",
      id: "theory",
      checked: state.theory,
      "data-testid": "theory",
      onchange: () => set({ theory: box.checked }),
    });
    choices.push(el("label", { for: "theory", className: "check" }, box, "theory"));
  }
  const place = byId("choices");
  keepFocus(place, () => place.replaceChildren(...choices));
  drawSliders();
}

/**
 * Sliders stay the elements that they are as long as they can: they may be under a mouse that drags
 * them.
 * @type {() => void}
 */
function drawSliders() {
  const place = byId("sliders");
  const others = SETTINGS.filter((axis) => axis !== state.x && axis !== state.y);
  if (place.dataset.axes !== others.join()) {
    place.dataset.axes = others.join();
    keepFocus(place, () => place.replaceChildren(...others.map(slider)));
  }
  for (const axis of others) {
    /** @type {HTMLInputElement} */
    const input = byId(`slice-${axis}`);
    const text = RUN.axes[axis].texts[wanted.at[axis]];
    input.value = String(wanted.at[axis]);
    input.setAttribute("aria-valuetext", text);
    /** @type {Node} */ (input.previousSibling).textContent = `${axisWords(axis)} = ${text} `;
  }
}

/**
 * A list to choose from, with its label.
 * @type {(name: string, label: string, options: Option[], chosen: string | number,
 *   change: (value: string) => unknown) => HTMLElement}
 */
function chooser(name, label, options, chosen, change) {
  const list = el(
    "select",
    { id: name, "data-testid": name, onchange: () => change(list.value) },
    ...options.map(([value, text]) =>
      el("option", { value, selected: String(value) === String(chosen) }, String(text)),
    ),
  );
  return el("label", { for: name }, `${label} `, list);
}

/**
 * A slider over an axis that is not drawn; the model in view goes with it.
 * @type {(axis: number) => HTMLElement}
 */
function slider(axis) {
  const name = `slice-${axis}`;
  const input = el("input", {
    type: "range",
    id: name,
    min: 0,
    max: RUN.axes[axis].values.length - 1,
    step: 1,
    "data-testid": name,
    oninput: () => {
      const there = bestOf(moved(wanted.model, axis, Number(input.value)));
      set({ at: { [axis]: Number(input.value) }, ...(there >= 0 ? { model: there } : {}) });
    },
  });
  return el("label", { for: name, className: "slider" }, "=", input);
}

/**
 * Draw controls anew; the one that had the focus has it again.
 * @type {(parent: HTMLElement, draw: () => void) => void}
 */
function keepFocus(parent, draw) {
  const focused = document.activeElement;
  const name = focused && parent.contains(focused) ? focused.id : null;
  draw();
  if (name) document.getElementById(name)?.focus();
}

/**
 * The neighbour of the model in view along an axis, its best seed; the next one that is listed.
 * @type {(axis: number, by: number) => Promise<void>}
 */
function step(axis, by) {
  const points = ordered(axis);
  for (
    let i = points.indexOf(pointOf(wanted.model, axis)) + by;
    i >= 0 && i < points.length;
    i += by
  ) {
    const best = bestOf(moved(wanted.model, axis, points[i]));
    if (best >= 0) return select(best);
  }
  return Promise.resolve();
}

/**
 * The next seed of the setting, after the last one the first.
 * @type {(by: number) => Promise<void>}
 */
function stepSeed(by) {
  const all = seedsOf(wanted.model);
  return select(all.at((all.indexOf(wanted.model) + by) % all.length) ?? wanted.model);
}

/** @type {(event: KeyboardEvent) => void} */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  /** @type {(axis: number | null) => (by: number) => Promise<void>} */
  const along = (axis) => (axis === null ? stepSeed : (by) => step(axis, by));
  const across = along(wanted.x);
  const up = along(wanted.y);
  const sideways = event.shiftKey ? stepSeed : across;
  /** @type {Record<string, () => Promise<void>>} */
  const actions = {
    ArrowLeft: () => sideways(-1),
    ArrowRight: () => sideways(1),
    ArrowDown: () => up(-1),
    ArrowUp: () => up(1),
    "[": () => stepSeed(-1),
    "]": () => stepSeed(1),
    p: () => set({ pin: wanted.pin === wanted.model ? null : wanted.model }),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

/**
 * Where a model stands in the window, in pixels; null where the map does not show it.
 * @type {(model: number) => { x: number, y: number } | null}
 */
function placeOf(model) {
  if (!isShown(model)) return null;
  const { xaxis, yaxis } = map._fullLayout;
  const box = map.getBoundingClientRect();
  const points = map.data[0];
  const isHeat = points.type === "heatmap";
  const i = isHeat ? -1 : points.customdata.indexOf(model);
  if (!isHeat && i < 0) return null;
  /** @type {(axis: number | null, drawn: any[]) => any} */
  const on = (axis, drawn) =>
    isHeat && axis !== null ? coordinate(axis, pointOf(model, axis)) : drawn[i];
  const x = on(state.x, points.x);
  const y = on(state.y, points.y);
  return { x: box.left + xaxis._offset + xaxis.d2p(x), y: box.top + yaxis._offset + yaxis.d2p(y) };
}
