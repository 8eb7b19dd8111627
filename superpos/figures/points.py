"""What a figure needs to know of a run: its settings, the points of its sweep, the best model of each.

Shapes: F features (n), H hidden (m).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superpos.figures import style
from superpos.maths.types import Floats
from superpos.user.functions import Own

Array = NDArray[Any]

DENSITY: Final = "data.density"
NOTHING: Final = "has no model that finished without diverging"
_NAMES: Final = {
    DENSITY: "1 − S",
    "model.n_features": "n",
    "model.n_hidden": "m",
    "importance.last": "r",
    "train.lr": "lr",
}


class Run(Protocol):
    """The part of a stored run that figures read; i counts the models of the sweep."""

    @property
    def name(self) -> str:
        """Name of the run."""

    @property
    def own(self) -> Own | None:
        """A user's own model, data and target."""

    @property
    def table(self) -> pd.DataFrame:
        """A row a finished model: "model", its keys by dotted name, "seed", "status", "loss", metrics."""

    def weights(self, i: int, /) -> Mapping[str, Array]:
        """Parameters of model i: tied {"W": [F, H], "b": [F]}."""

    def tensor(self, name: str, rows: NDArray[np.intp], /) -> Array:
        """One parameter [len(rows), ...] of models of equal shape."""

    def history(self, i: int, /) -> tuple[Array, Array]:
        """Steps and training loss of model i."""

    def snapshots(self, i: int, /) -> tuple[Array, Mapping[str, Array]]:
        """Finished steps [S] and the parameters of model i then, {"W": [S, F, H], ...}; S = 0 where none were kept."""


@dataclass(frozen=True)
class Point:
    """One point of a sweep: the settings that vary, and its models of all seeds, the lowest loss first."""

    varied: Mapping[str, Any]
    settings: Mapping[str, Any]
    models: NDArray[np.intp]

    @property
    def best(self) -> int:
        """The model with the lowest loss."""
        return int(self.models[0])

    @property
    def density(self) -> float:
        """Density 1 − S of every feature; NaN where features differ."""
        values = np.unique(np.array(self.settings[DENSITY], dtype=np.float64))
        return float(values[0]) if len(values) == 1 else np.nan

    @property
    def shape(self) -> tuple[int, int]:
        """(n_features, n_hidden)."""
        return int(self.settings["model.n_features"]), int(self.settings["model.n_hidden"])

    @property
    def importance(self) -> Floats:
        """Importance [F]: the explicit list, or decay^i with the factor on the last feature."""
        values = self.settings.get("importance.values")
        if values is not None:
            return np.array(values, dtype=np.float64)
        decay = float(self.settings.get("importance.decay", 1.0))
        importance = np.power(decay, np.arange(self.shape[0]), dtype=np.float64)
        importance[-1] *= float(self.settings.get("importance.last", 1.0))
        return importance

    def label(self, keys: Sequence[str] | None = None) -> str:
        """The settings that vary (or those of `keys`) in words: "1 − S = 0.05"."""
        chosen = self.varied if keys is None else {key: self.settings[key] for key in keys}
        return "\n".join(_phrase(key, value) for key, value in chosen.items())


def _phrase(key: str, value: object) -> str:
    if key == "model.output":
        return "ReLU output" if value == "relu" else f"{value} output"
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = "list" if isinstance(value, tuple) else str(value)
    else:
        text = style.number(value)
    return f"{_NAMES.get(key, key.rpartition('.')[2])} = {text}"


def _plain(value: object) -> object:
    """A cell of the table as a plain, hashable Python value; None where nothing is set."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(_plain(item) for item in value)
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


class _Column(NamedTuple):
    """A column of the table: its distinct values in the order of their first rows, and which of them each row has."""

    values: list[object]
    codes: NDArray[np.intp]


def _column(column: pd.Series) -> _Column:
    """Distinct plain values; only columns of lists and the like need a look at every cell."""
    if column.dtype == object:
        column = pd.Series([_plain(value) for value in column], dtype=object)
    codes, values = pd.factorize(column, use_na_sentinel=False)
    return _Column([_plain(value) for value in values], codes.astype(np.intp))


def _settings(table: pd.DataFrame) -> dict[str, _Column]:
    """The config columns, without those that follow from others: sparsity, sampler, a default init_std."""
    standard = np.sqrt(2 / (table["model.n_features"] + table["model.n_hidden"]).to_numpy(dtype=float))
    left_out = ["data.sparsity"]
    if np.allclose(table["model.init_std"].to_numpy(dtype=float), standard, rtol=1e-9):
        left_out.append("model.init_std")
    columns = {key: _column(table[key]) for key in table.columns if "." in key and key not in left_out}
    sampler = columns.pop("data.sampler", None)
    if sampler is None:  # a run of before there were two
        return columns
    codes = [column.codes for column in columns.values() if len(column.values) > 1]
    settings, with_sampler = (len(set(zip(*found, strict=True))) for found in (codes, [*codes, sampler.codes]))
    return columns if max(settings, 1) == with_sampler else columns | {"data.sampler": sampler}


def healthy(run: Run) -> pd.DataFrame:
    """The rows of models that did not diverge and have a loss; none where nothing has finished."""
    table = run.table
    if not len(table):
        return table
    chosen: pd.DataFrame = table[(table["status"] == "ok") & np.isfinite(table["loss"].astype(float))]
    return chosen.reset_index(drop=True)


def points(run: Run) -> list[Point]:
    """The points of the sweep in the order of the table; only models that did not diverge."""
    table = healthy(run)
    if not len(table):
        return []
    settings = _settings(table)
    same = {key: column.values[0] for key, column in settings.items() if len(column.values) == 1}
    varied = {key: column for key, column in settings.items() if key not in same}
    models, loss = table["model"].to_numpy(dtype=np.intp), table["loss"].to_numpy(dtype=float)
    found = []
    for rows in _groups([column.codes for column in varied.values()], loss):
        own = {key: column.values[column.codes[rows[0]]] for key, column in varied.items()}
        found.append(Point(own, same | own, models[rows]))
    return found


def _groups(codes: Sequence[NDArray[np.intp]], loss: Floats) -> list[NDArray[np.intp]]:
    """Rows that agree in every code, the lowest loss first; groups in the order of their first rows."""
    group = np.zeros(len(loss), dtype=np.intp)
    for code in codes:
        group = pd.factorize(group * (code.max() + 1) + code)[0]  # numbered by first rows
    order = np.lexsort((loss, group))
    return np.split(order, np.cumsum(np.bincount(group))[:-1])


def by_density(chosen: Sequence[Point]) -> list[Point]:
    """The same points, the densest first; those without one density keep their place at the end."""
    return sorted(chosen, key=lambda point: -point.density if np.isfinite(point.density) else np.inf)


def points_reason(chosen: Sequence[Point], most: int) -> str | None:
    """Why so many points of a sweep do not fit one figure, in words; None when they do."""
    return None if 1 <= len(chosen) <= most else f"needs 1 to {most} points in the sweep, found {len(chosen)}"


def all_equal(run: Run, expected: Mapping[str, Any]) -> str | None:
    """The first setting that is not as expected in every model, in words; None when all are."""
    table = run.table
    for key, value in expected.items():
        if key in table.columns and any(found != value for found in _column(table[key]).values):
            return f"needs {key}={_written(value)} in every model"
    return None


def _written(value: object) -> str:
    """A value as the command line has it."""
    return "null" if value is None else str(value).lower()
