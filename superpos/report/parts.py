"""What the page holds of every model: weights and what follows from them, histories, snapshots, within a budget.

A *part* is one such thing for the models of one shape. The best model of every setting comes first.
Shapes: M models, F features (n), H hidden (m), S recorded steps or snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import metrics
from superpos.families.tms.explorer.graphs import MAX_FEATURES, Legend, graphs, most
from superpos.plan.sweep import Sweep
from superpos.report.pack import INFLATION, half
from superpos.store import Run

Kind = Literal["rows", "weights", "history", "snapshots", "graphs"]
KINDS: Final[Sequence[Kind]] = get_args(Kind)
Arrays = dict[str, NDArray[Any]]
Models = NDArray[np.intp]

# What is taken into the page first. Rows of the table say most a byte, snapshots least.
ORDER: Final[Sequence[tuple[Kind, bool]]] = (
    ("rows", True),
    ("weights", True),
    ("history", True),
    ("graphs", True),
    ("rows", False),
    ("snapshots", True),
    ("weights", False),
    ("history", False),
    ("graphs", False),
    ("snapshots", False),
)


class Part(NamedTuple):
    """One thing of the models of one shape."""

    kind: Kind
    models: Models
    bytes_each: int  # in the page, before compression and base64
    make: Callable[[Models], Arrays]  # arrays [M, ...] of some of the models
    steps: NDArray[np.int64] | None = None  # [S]
    most: int | None = None  # models, whatever the budget


class Kept(NamedTuple):
    """The models of a part that the page holds."""

    part: Part
    models: Models


def parts(run: Run, rows: Part, legend: Legend) -> list[Part]:
    """All parts of a run; `rows` is that of its table, `legend` gets the shapes of its feature graphs."""
    return [rows] + [part for models in _shapes(run) for part in _parts(run, models, legend)]


def fit(found: Sequence[Part], best: NDArray[np.bool_], budget: float) -> list[Kept]:
    """Which models of each part fit `budget` bytes of the page. `best` [M]: the best model of its setting."""
    left, listed = budget / INFLATION, np.zeros(len(best), dtype=np.bool_)
    chosen: dict[int, list[Models]] = {i: [] for i in range(len(found))}
    for kind, first in ORDER:
        for i, part in enumerate(found):
            if part.kind == kind:
                can = part.models[(best[part.models] == first) & (listed[part.models] | (kind == "rows"))]
                room = max(0, int(left // part.bytes_each))
                if part.most is not None:
                    room = min(room, part.most - sum(map(len, chosen[i])))
                taken = can[:room]
                left -= len(taken) * part.bytes_each
                chosen[i].append(taken)
                listed[taken] = True
    return [Kept(part, np.sort(np.concatenate(chosen[i]))) for i, part in enumerate(found)]


def left_out(kept: Sequence[Kept]) -> list[str]:
    """What the budget has no room for, a line a kind."""
    lines = []
    for kind in KINDS:
        own = [found for found in kept if found.part.kind == kind]
        wanted, there = (sum(map(len, of)) for of in ([k.part.models for k in own], [k.models for k in own]))
        if there < wanted:
            lines.append(f"{kind} of {wanted - there:,} of {wanted:,} models")
    return lines


def _shapes(run: Run) -> Iterator[Models]:
    """The finished models by what is stored of them: names and shapes of weights, recorded steps."""
    groups: dict[Any, list[Models]] = {}
    finished = run.table["model"].to_numpy(dtype=np.intp)
    for rows in run.folder.rows:
        if not np.isin(rows[0], finished):
            continue
        first = int(rows[0])
        shapes = tuple((name, value.shape) for name, value in sorted(run.weights(first).items()))
        steps = tuple(map(tuple, (run.history(first)[0].tolist(), run.snapshots(first)[0].tolist())))
        groups.setdefault((shapes, steps, str(run.table.at[first, "model.hidden"])), []).append(rows)
    return (np.sort(np.concatenate(rows)) for rows in groups.values())


def _parts(run: Run, models: Models, legend: Legend) -> Iterator[Part]:
    first = int(models[0])
    weights, steps = run.weights(first), run.snapshots(first)[0]
    history = run.history(first)[0]
    encoder = _encoder(run, first)
    yield _part("weights", models, lambda rows: _weights(run, rows, list(weights), encoder))
    if len(history):
        yield _part("history", models, lambda rows: {"loss": _loss(run, rows)}, history)
    if len(steps):
        yield _part("snapshots", models, lambda rows: _snapshots(run, rows, list(weights), encoder), steps)
    if encoder is not None and _has_graph(run, first, weights[encoder].shape):
        drawn = _part("graphs", models, lambda rows: graphs(run.tensor(encoder, rows), legend))
        yield drawn._replace(most=most(weights[encoder].shape[0]))


def _part(kind: Kind, models: Models, make: Callable[[Models], Arrays], steps: Any = None) -> Part:
    size = sum(values.nbytes for values in make(models[:1]).values())
    return Part(kind, models, size, make, steps)


def _encoder(run: Run, model: int) -> str | None:
    """The weights [F, H] whose rows are the features' directions, as in the run's metrics; None without such."""
    if run.own and run.own.has_params:  # a user's own W may mean anything
        return None
    shape = tuple(run.table[key].loc[model] for key in ("model.n_features", "model.n_hidden"))
    return next(
        (name for name, value in run.weights(model).items() if name in ("W", "W1") and value.shape == shape), None
    )


def _is_relu(run: Run, model: int) -> bool:
    return bool(run.table.at[model, "model.hidden"] == "relu")


def _has_graph(run: Run, model: int, shape: tuple[int, ...]) -> bool:
    """Whether the graph says more than arrows in the plane; a ReLU layer has axes of its own instead."""
    return not _is_relu(run, model) and shape[0] <= MAX_FEATURES and shape[1] > 2


def _weights(run: Run, rows: Models, names: Sequence[str], encoder: str | None) -> Arrays:
    """Weights, and of every feature its norm, interference, dimensionality and importance."""
    found: Arrays = {name: run.tensor(name, rows) for name in names}
    arrays: Arrays = {name: half(value) for name, value in found.items()}
    if encoder is None:
        return arrays
    arrays |= _features(found[encoder]) | {"importance": half(_importance(run, rows))}
    if _is_relu(run, int(rows[0])):
        counts = metrics.neuron_monosemanticity(found[encoder])
        arrays["neurons"] = np.minimum(counts, 255).astype(np.uint8)
    return arrays


def _features(W: NDArray[Any]) -> Arrays:
    """Norm, interference and dimensionality of the features of W [..., F, H]."""
    return {
        "norm": half(metrics.feature_norms(W)),
        "interference": half(metrics.interference(W)),
        "dimensionality": half(metrics.dimensionality(W)),
    }


def _importance(run: Run, rows: Models) -> NDArray[np.float64]:
    importance: NDArray[np.float64] = Sweep.from_json(run.manifest["plan"]).task(rows).importance
    return importance


def _loss(run: Run, rows: Models) -> NDArray[np.float16]:
    """Decimal logarithm of the training loss [M, S], NaN where it is 0 or less."""
    loss = run.tensor("history/loss", rows).astype(np.float64)
    return half(np.log10(np.where(loss > 0, loss, np.nan)))


def _snapshots(run: Run, rows: Models, names: Sequence[str], encoder: str | None) -> Arrays:
    """Weights at every snapshot, and norm, interference and dimensionality of every feature then."""
    found = {name: run.tensor(f"snapshots/{name}", rows) for name in names}
    arrays: Arrays = {name: half(value) for name, value in found.items()}
    return arrays if encoder is None else arrays | _features(found[encoder])
