"""What a figure needs to know of a run: the points of its sweep, with settings and best models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superpos.family import Family
from superpos.maths.types import Floats
from superpos.store.rows import healthy
from superpos.units import number

Array = NDArray[Any]

NOTHING: Final = "has no model that finished without diverging"


class Run(Protocol):
    """The part of a stored run that figures read; i counts the models of the sweep."""

    @property
    def name(self) -> str:
        """Name of the run."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the run keeps of itself: its plan, its config."""

    @property
    def table(self) -> pd.DataFrame:
        """One row per finished model: "model", its keys, "seed", "status", "loss", metrics."""

    def require_family(self) -> Family:
        """The kind of the models, with a user's own functions.

        Raises `SuperposError` if unknown.
        """

    def weights(self, i: int, /) -> Mapping[str, Array]:
        """Parameters of model i by name."""

    def tensor(self, name: str, rows: NDArray[np.intp], /) -> Array:
        """One parameter [len(rows), ...] of models of equal shape."""

    def history(self, i: int, /) -> tuple[Array, Array]:
        """Steps and training loss of model i."""

    def snapshots(self, i: int, /) -> tuple[Array, Mapping[str, Array]]:
        """Finished steps [S] and the parameters of model i then, [S, ...]; S = 0 without any."""


def short(value: float) -> str:
    """A number in a label, three digits: "0.05", "1", "0.368"."""
    return number(value, 3)


@dataclass(frozen=True)
class Point:
    """One point of a sweep: the settings that vary, and models of all seeds, the best first."""

    varied: Mapping[str, Any]
    settings: Mapping[str, Any]
    models: NDArray[np.intp]
    words: Mapping[str, str]
    """How papers write keys, see `family.Exhibits`."""

    @property
    def best(self) -> int:
        """The model with the lowest loss."""
        return int(self.models[0])

    def number(self, key: str) -> float:
        """A setting as one number, also a list of equal ones; NaN where it is none or several."""
        try:
            values = np.unique(np.array(self.settings[key], dtype=np.float64))
        except (KeyError, TypeError, ValueError):
            return np.nan
        return float(values[0]) if len(values) == 1 else np.nan

    def label(self, keys: Sequence[str] | None = None) -> str:
        """The settings that vary (or those of `keys`) in words: "1 − S = 0.05"."""
        chosen = self.varied if keys is None else {key: self.settings[key] for key in keys}
        return "\n".join(self._phrase(key, value) for key, value in chosen.items())

    def _phrase(self, key: str, value: object) -> str:
        whole = self.words.get(f"{key}={value}")
        if whole is not None:
            return whole
        if isinstance(value, bool) or not isinstance(value, int | float):
            text = "list" if isinstance(value, tuple) else str(value)
        else:
            text = short(value)
        return f"{self.words.get(key, key.rpartition('.')[2])} = {text}"


AnyPoint = TypeVar("AnyPoint", bound=Point)


def points(run: Run) -> list[Point]:
    """The points of the sweep in the order of the table; only healthy models.

    Raises `SuperposError` for a run of an unknown family.
    """
    family = run.require_family()
    table = healthy(run.table)
    if table.empty:
        return []
    left_out = family.follows(table)
    keys = [key for key in table.columns if "." in key and key not in left_out]
    settings = {key: _column(table[key]) for key in keys}
    same = {key: column.values[0] for key, column in settings.items() if len(column.values) == 1}
    varied = {key: column for key, column in settings.items() if key not in same}
    models = table["model"].to_numpy(dtype=np.intp)
    loss = table["loss"].to_numpy(dtype=float)
    found = []
    for rows in _groups([column.codes for column in varied.values()], loss):
        own = {key: column.values[column.codes[rows[0]]] for key, column in varied.items()}
        found.append(Point(own, same | own, models[rows], family.shows.words))
    return found


def ordered(chosen: Sequence[AnyPoint], key: str | None) -> list[AnyPoint]:
    """The same points, the greatest value of a setting first; those without one number at the
    end.
    """
    if key is None:
        return list(chosen)
    numbers = np.array([point.number(key) for point in chosen])
    order = np.argsort(np.where(np.isfinite(numbers), -numbers, np.inf), kind="stable")
    return [chosen[i] for i in order]


def points_reason(chosen: Sequence[Point], most: int) -> str | None:
    """Why so many points of a sweep do not fit one figure, in words; None when they do."""
    if 1 <= len(chosen) <= most:
        return None
    return f"needs 1 to {most} points in the sweep, found {len(chosen)}"


def all_equal(run: Run, expected: Mapping[str, Any]) -> str | None:
    """The first setting that is not as expected in every model, in words, or that no model trained;
    None where all are as expected.
    """
    table = run.table
    for key, value in expected.items():
        if key in table.columns and any(found != value for found in _column(table[key]).values):
            return f"needs {key}={_written(value)} in every model"
    return NOTHING if healthy(table).empty else None


def _written(value: object) -> str:
    """A value as the command line has it."""
    return "null" if value is None else str(value).lower()


class _Column(NamedTuple):
    """A column: its distinct values in the order of their first rows, and which of them each row
    has.
    """

    values: list[object]
    codes: NDArray[np.intp]


def _column(column: pd.Series) -> _Column:
    """Distinct plain values; only columns of lists and the like need a look at every cell."""
    if column.dtype == object:
        column = pd.Series([_plain(value) for value in column], dtype=object)
    codes, values = pd.factorize(column, use_na_sentinel=False)
    return _Column([_plain(value) for value in values], codes.astype(np.intp))


def _plain(value: object) -> object:
    """A cell of the table as a plain, hashable Python value; None where nothing is set."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(_plain(item) for item in value)
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _groups(codes: Sequence[NDArray[np.intp]], loss: Floats) -> list[NDArray[np.intp]]:
    """Rows that agree in every code, the lowest loss first; groups in the order of first rows."""
    group = np.zeros(len(loss), dtype=np.intp)
    for code in codes:
        group = pd.factorize(group * (code.max() + 1) + code)[0]  # numbered by first rows
    order = np.lexsort((loss, group))
    return np.split(order, np.cumsum(np.bincount(group))[:-1])
