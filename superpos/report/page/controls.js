// The controls of the map, and its keys.

function drawControls() {
  const controls = document.getElementById("controls");
  const metric = METRICS.find((own) => own.name === state.metric);
  const choices = [chooser("metric", "Show", METRICS.map((own) => [own.name, own.label]), state.metric, (metric) => set({ metric }))];
  if (metric.features) choices.push(chooser("feature", "feature", Array.from({ length: metric.features }, (_, i) => [i, i + 1]), state.feature, (feature) => set({ feature: Number(feature) })));
  if (SETTINGS.length > 1) {
    const axes = SETTINGS.map((axis) => [axis, axisWords(axis)]);
    const swap = (name, other) => (value) => set(value === "" ? { y: null } : Number(value) === state[other] ? { x: state.y, y: state.x } : { [name]: Number(value) });
    choices.push(chooser("axis-x", "across", axes, state.x, swap("x", "y")), chooser("axis-y", "upwards", [...axes, ["", "none: a curve"]], state.y ?? "", swap("y", "x")));
  }
  if (RUN.layers.lines.length || RUN.layers.curves.length) {
    const box = el("input", { type: "checkbox", id: "theory", checked: state.theory, "data-testid": "theory", onchange: () => set({ theory: box.checked }) });
    choices.push(el("label", { for: "theory" }, box, " theory"));
  }
  const others = SETTINGS.filter((axis) => axis !== state.x && axis !== state.y);
  keepFocus(controls, () => controls.replaceChildren(...choices, ...others.map(slider)));
}

function chooser(name, label, options, chosen, change) {
  const list = el("select", { id: name, "data-testid": name, onchange: () => change(list.value) }, ...options.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, text)));
  return el("label", { for: name }, `${label} `, list);
}

/** A slider over an axis that is not drawn; the model in view goes with it. */
function slider(axis) {
  const point = state.at[axis], name = `slice-${axis}`;
  const input = el("input", {
    type: "range", id: name, min: 0, max: RUN.axes[axis].values.length - 1, step: 1, value: point, "data-testid": name, "aria-valuetext": RUN.axes[axis].texts[point],
    oninput: () => {
      const there = bestOf(moved(state.model, axis, Number(input.value)));
      set({ at: { [axis]: Number(input.value) }, ...(there >= 0 ? { model: there } : {}) });
    },
  });
  return el("label", { for: name, className: "slider" }, `${axisWords(axis)} = ${RUN.axes[axis].texts[point]} `, input);
}

/** Draw controls anew; the one that had the focus has it again. */
function keepFocus(parent, draw) {
  const name = parent.contains(document.activeElement) ? document.activeElement.id : null;
  draw();
  if (name) document.getElementById(name)?.focus();
}

/** The neighbour of the model in view along an axis, its best seed; the next one that is listed. */
function step(axis, by) {
  const points = ordered(axis);
  for (let i = points.indexOf(pointOf(state.model, axis)) + by; i >= 0 && i < points.length; i += by) {
    const best = bestOf(moved(state.model, axis, points[i]));
    if (best >= 0) return select(best);
  }
  return Promise.resolve();
}

/** The next seed of the setting, after the last one the first. */
function stepSeed(by) {
  const all = seedsOf(state.model);
  return select(all.at((all.indexOf(state.model) + by) % all.length));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const across = state.x === null ? stepSeed : (by) => step(state.x, by), up = state.y === null ? stepSeed : (by) => step(state.y, by);
  const sideways = event.shiftKey ? stepSeed : across;
  const actions = {
    ArrowLeft: () => sideways(-1), ArrowRight: () => sideways(1), ArrowDown: () => up(-1), ArrowUp: () => up(1),
    "[": () => stepSeed(-1), "]": () => stepSeed(1), p: () => set({ pin: state.pin === state.model ? null : state.model }),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

/** Where a model stands in the window, in pixels; null where the map does not show it. */
function placeOf(model) {
  if (!isShown(model)) return null;
  const { xaxis, yaxis } = map._fullLayout, box = map.getBoundingClientRect();
  const points = map.data[0], isHeat = points.type === "heatmap";
  const i = isHeat ? -1 : points.customdata.indexOf(model);
  if (!isHeat && i < 0) return null;
  const x = isHeat ? coordinate(state.x, pointOf(model, state.x)) : points.x[i], y = isHeat ? coordinate(state.y, pointOf(model, state.y)) : points.y[i];
  return { x: box.left + xaxis._offset + xaxis.d2p(x), y: box.top + yaxis._offset + yaxis.d2p(y) };
}
