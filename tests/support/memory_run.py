"""Runs of toy models whose weights and losses are made up, and what stands in the figures that are
drawn of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tms import DEFAULTS

from superpos.family import Family
from superpos.plan.sweep import Axis, Sweep

# features 0 and 2 share a line
DIGON_AND_ONE = np.array([[1.0, 0.0], [0.0, 0.9], [-0.8, 0.0], [0.1, 0.0], [0.0, 0.0]])


@dataclass
class MemoryRun:
    """A run whose models are in memory."""

    sweep: Sweep
    table: pd.DataFrame
    W: list[NDArray[Any]]
    b: list[NDArray[Any]]
    steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    losses: NDArray[Any] | None = None
    name: str = "memory"

    @property
    def manifest(self) -> dict[str, Any]:
        return {"plan": self.sweep.to_json()}

    def require_family(self) -> Family:
        return self.sweep.family

    def weights(self, i: int, /) -> dict[str, NDArray[Any]]:
        return {"W": self.W[i], "b": self.b[i]}

    def tensor(self, name: str, rows: NDArray[np.intp], /) -> NDArray[Any]:
        if name == "history/loss":
            assert self.losses is not None
            return self.losses[rows]
        return np.stack([self.weights(int(i))[name] for i in rows])

    def history(self, i: int, /) -> tuple[NDArray[np.int64], NDArray[Any]]:
        return self.steps, np.zeros(0) if self.losses is None else self.losses[i]

    def snapshots(self, _: int, /) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        return np.zeros(0, dtype=np.int64), {}


def plan(base: dict[str, Any], axes: dict[str, Sequence[Any]]) -> Sweep:
    """The sweep of some values and axes; a key "a,b" zips two keys, whose values are tuples."""
    swept = tuple(
        Axis(tuple(keys.split(",")), tuple(v if isinstance(v, tuple) else (v,) for v in values))
        for keys, values in axes.items()
    )
    return Sweep({**DEFAULTS, **base}, swept)


def make_run(
    base: dict[str, Any],
    axes: dict[str, Sequence[Any]],
    W: Callable[[dict[str, Any]], NDArray[Any]],
    loss_of: Callable[[dict[str, Any]], float] = lambda row: 0.1,
) -> MemoryRun:
    """A run with the weights and loss that the functions give for each row; b is minus a tenth."""
    sweep = plan(base, axes)
    table = sweep.table()
    rows = table.to_dict("records")
    weights = [W(row) for row in rows]
    table["status"] = "ok"
    table["loss"] = [loss_of(row) for row in rows]
    table["d_star"] = [w.shape[1] / (w**2).sum() if (w**2).sum() else np.inf for w in weights]
    return MemoryRun(sweep, table, weights, [np.full(len(w), -0.1) for w in weights])


def titles(figure: Figure) -> list[str]:
    """Titles of the panels that have one."""
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def texts(figure: Figure) -> str:
    """Everything that is written in a figure, a line each."""
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))
