"""What the page holds of every model within a budget.

These are results, weights, histories, snapshots, and what a family adds. A *part* is one such thing
for models whose arrays have equal shapes. Of the budget the best model of every setting gets its
share first. Shapes: M models, S recorded steps or snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.report.pack import INFLATION, half
from superpos.store import Run

KINDS: Final = ("rows", "weights", "history", "snapshots")
"""The kinds of parts that the page of every family knows."""

Models = NDArray[np.intp]
Tensors = Mapping[str, NDArray[Any]]


class Coded(NamedTuple):
    """An array of what is no number: codes, and the names that they count."""

    codes: NDArray[Any]
    names: Sequence[Any]  # JSON


Arrays = dict[str, NDArray[Any] | Coded]
More = Callable[[Models, Tensors], Arrays]
"""(models, their tensors [M, ...], at snapshots [M, S, ...]) -> what follows from them, by name."""


class Part(NamedTuple):
    """One thing of models of one shape."""

    kind: str  # of KINDS, or a family's own
    models: Models
    bytes_each: int  # in the page, before compression and base64
    make: Callable[[Models], Arrays]  # arrays [M, ...] of some of the models
    steps: NDArray[np.int64] | None = None  # [S]
    most: int | None = None  # models, whatever the budget
    tensors: Sequence[str] = ()  # which of the arrays are what was trained


class Kept(NamedTuple):
    """The models of a part that the page holds."""

    part: Part
    models: Models


def parts(run: Run, rows: Part) -> list[Part]:
    """All parts of a run; `rows` is that of its table."""
    of_shape = run.require_family().shows.explorer.parts or standard
    found = [rows]
    for models in _shapes(run):
        found += of_shape(run, models)
    return found


def standard(run: Run, models: Models) -> Iterator[Part]:
    """Weights, histories and snapshots of models of one shape: all parts of a family that adds
    none.
    """
    yield weights(run, models)
    yield from history(run, models)
    yield from snapshots(run, models)


def weights(run: Run, models: Models, more: More | None = None) -> Part:
    """The tensors of models of one shape, and what follows from them."""
    names = list(run.weights(int(models[0])))

    def make(rows: Models) -> Arrays:
        tensors = {name: run.tensor(name, rows) for name in names}
        return _with_more(tensors, rows, more)

    return sized("weights", models, make)._replace(tensors=names)


def history(run: Run, models: Models) -> Iterator[Part]:
    """The training loss of models of one shape, where it was recorded."""
    steps, _ = run.history(int(models[0]))
    if len(steps):
        found = sized("history", models, lambda rows: {"loss": _loss(run, rows)})
        yield found._replace(steps=steps)


def snapshots(run: Run, models: Models, more: More | None = None) -> Iterator[Part]:
    """The tensors of models of one shape at every snapshot, and what follows; nothing without
    snapshots.
    """
    steps, names = run.snapshots(int(models[0]))

    def make(rows: Models) -> Arrays:
        tensors = {name: run.tensor(f"snapshots/{name}", rows) for name in names}
        return _with_more(tensors, rows, more)

    if len(steps):
        yield sized("snapshots", models, make)._replace(steps=steps, tensors=list(names))


def sized(kind: str, models: Models, make: Callable[[Models], Arrays]) -> Part:
    """A part whose size is that of its first model."""
    made = make(models[:1]).values()
    size = sum((array.codes if isinstance(array, Coded) else array).nbytes for array in made)
    return Part(kind, models, size, make)


def fit(found: Sequence[Part], best: NDArray[np.bool_], budget: float) -> list[Kept]:
    """Which models of each part fit `budget` bytes of the page; `best` [M] marks that of each
    setting.
    """
    left = budget / INFLATION
    listed = np.zeros(len(best), dtype=np.bool_)
    chosen: dict[int, list[Models]] = {i: [] for i in range(len(found))}
    for kind, first in _order(found):
        for i, part in enumerate(found):
            if part.kind == kind:
                can = part.models[
                    (best[part.models] == first) & (listed[part.models] | (kind == "rows"))
                ]
                room = max(0, int(left // part.bytes_each))
                if part.most is not None:
                    room = min(room, part.most - sum(map(len, chosen[i])))
                taken = can[:room]
                left -= len(taken) * part.bytes_each
                chosen[i].append(taken)
                listed[taken] = True
    return [Kept(part, np.sort(np.concatenate(chosen[i]))) for i, part in enumerate(found)]


def left_out(kept: Sequence[Kept]) -> list[str]:
    """What the budget has no room for, a line for each kind."""
    lines = []
    for kind in kinds(found.part for found in kept):
        own = [found for found in kept if found.part.kind == kind]
        wanted = sum(len(found.part.models) for found in own)
        there = sum(len(found.models) for found in own)
        if there < wanted:
            lines.append(f"{kind} of {wanted - there:,} of {wanted:,} models")
    return lines


def kinds(found: Iterable[Part]) -> list[str]:
    """The kinds that every page knows, then those that a family added."""
    return list(dict.fromkeys([*KINDS, *(part.kind for part in found)]))


def _order(found: Sequence[Part]) -> list[tuple[str, bool]]:
    """What is taken into the page first, (kind, of the best models).

    Rows say most for their bytes, snapshots least.
    """
    added = kinds(found)[len(KINDS) :]
    return [
        ("rows", True),
        ("weights", True),
        ("history", True),
        *((kind, True) for kind in added),
        ("rows", False),
        ("snapshots", True),
        ("weights", False),
        ("history", False),
        *((kind, False) for kind in added),
        ("snapshots", False),
    ]


def _shapes(run: Run) -> Iterator[Models]:
    """The finished models by what is stored of them: names and shapes of weights, recorded
    steps.
    """
    groups: dict[Any, list[Models]] = {}
    finished = run.table["model"].to_numpy(dtype=np.intp)
    for rows in run.folder.rows:
        if not np.isin(rows[0], finished):
            continue
        first = int(rows[0])
        shapes = tuple((name, value.shape) for name, value in sorted(run.weights(first).items()))
        recorded, _ = run.history(first)
        filmed, _ = run.snapshots(first)
        steps = (tuple(recorded.tolist()), tuple(filmed.tolist()))
        groups.setdefault((shapes, steps), []).append(rows)
    return (np.sort(np.concatenate(rows)) for rows in groups.values())


def _with_more(tensors: Tensors, rows: Models, more: More | None) -> Arrays:
    arrays: Arrays = {name: half(value) for name, value in tensors.items()}
    return arrays if more is None else arrays | more(rows, tensors)


def _loss(run: Run, rows: Models) -> NDArray[np.float16]:
    """Decimal logarithm of the training loss [M, S], NaN where it is 0 or less."""
    loss = run.tensor("history/loss", rows).astype(np.float64)
    return half(np.log10(np.where(loss > 0, loss, np.nan)))
