"""What the keys of toy models mean: which sampler draws a row, its sparsity, density and
importance.

The one place where a given S becomes p = 1 - S, or a given p becomes S. Shapes: M models, F
features (n).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.data.which_sampler import prefers_sparse
from superpos.families.tms.keys import DEFAULT_SPARSITY, complement
from superpos.families.tms.model import usual_init_std
from superpos.families.tms.structure import Structure, Task
from superpos.family import Shared
from superpos.maths import activity
from superpos.maths.trees import nodes
from superpos.plan import settings
from superpos.plan.columns import Rows, groups_of, objects
from superpos.plan.sweep import Sweep

SPARSITY = "data.sparsity"
DENSITY = "data.density"
_OTHER = {SPARSITY: DENSITY, DENSITY: SPARSITY}
_DEFAULT = {SPARSITY: DEFAULT_SPARSITY, DENSITY: complement(DEFAULT_SPARSITY)}
_DENSITY_KEYS = (SPARSITY, DENSITY, "data.exactly", "data.tree", "data.last")
_LAW_KEYS = (SPARSITY, DENSITY, "data.exactly", "data.tree", "model.n_features")
_SAMPLERS = ("dense", "sparse")


class Settings(settings.Settings):
    """Structures, and the columns data.sparsity, data.density, data.sampler and model.init_std as
    they were used.
    """

    sweep: Sweep

    def __init__(self, sweep: Sweep, make: Callable[..., Structure] = Structure) -> None:
        super().__init__(sweep, make)

    def groups(self) -> list[Rows]:
        """Rows of equal structure and sampler, in order of their first row."""
        return groups_of(2 * self._structure_codes + self.is_sparse)

    def structure_values(self, row: int) -> dict[str, Any]:
        """Values of the fields of a model's structure, with the sampler that draws it."""
        return super().structure_values(row) | {"sampler": _SAMPLERS[int(self.is_sparse[row])]}

    def columns(self, rows: Rows) -> dict[str, Any]:
        """The filled-in columns; sparsity and density are lists of n where any model of the sweep
        has a list.
        """
        return {
            SPARSITY: self._probability(SPARSITY, rows),
            DENSITY: self._probability(DENSITY, rows),
            "data.sampler": np.array(_SAMPLERS, dtype=object)[self.is_sparse[rows].astype(np.intp)],
            "model.init_std": self.init_std(rows),
        }

    @cached_property
    def is_sparse(self) -> NDArray[np.bool_]:
        """Which rows of the sweep [n_models] are drawn by the sparse sampler."""
        found = np.empty(self.sweep.n_models, dtype=np.bool_)
        for rows in groups_of(self._structure_codes):
            values = super().structure_values(int(rows[0]))
            if values["sampler"] != "auto":
                found[rows] = values["sampler"] == "sparse"
                continue
            codes = self.sweep.codes(_DENSITY_KEYS, rows)
            _, first, index = np.unique(codes, return_index=True, return_inverse=True)
            structure = Structure(**values | {"sampler": "dense"})
            sparsity = self.sparsity(rows[first], structure.n_features)
            found[rows] = prefers_sparse(structure, sparsity)[index]
        return found

    @cached_property
    def _structure_codes(self) -> NDArray[np.int64]:
        """A number for each row, the same for rows of equal structure but for the sampler."""
        return self.sweep.codes(self.sweep.schema.structure_keys)

    def init_std(self, rows: Rows) -> NDArray[np.float64]:
        """Standard deviation [M] of the initial weights."""
        n = self.sweep.column("model.n_features", rows)
        m = self.sweep.column("model.n_hidden", rows)
        given = self.sweep.column("model.init_std", rows).astype(np.float64)  # null is NaN
        return np.where(np.isnan(given), usual_init_std(n, m), given)

    def sparsity(self, rows: Rows, n: int) -> NDArray[np.float64]:
        """Sparsity S [M, F] of every feature (or of its set) of models with n features."""
        values = self._probability(SPARSITY, rows)
        sparsity = np.array(values.tolist(), dtype=np.float64).reshape(len(rows), -1) * np.ones(n)
        last = self.sweep.column("data.last", rows)
        rescaled = np.round(1 - (1 - sparsity[:, -1]) * last, 15)
        rescaled = np.maximum(rescaled, 0.0)  # density * last may be 1 + rounding
        sparsity[:, -1] = np.where(last == 1, sparsity[:, -1], rescaled)
        return sparsity

    def data_seed(self, rows: Rows) -> NDArray[np.uint64]:
        """Seed of the finite data set [M] of every model: its own, unless another is given."""
        seeds: NDArray[np.uint64] = self.sweep.column("seed", rows).astype(np.uint64)
        values, index = self.sweep.points("data.seed", rows)
        for i, value in enumerate(values):
            if value is not None:
                seeds[index == i] = value
        return seeds

    def importance(self, rows: Rows, n: int) -> NDArray[np.float64]:
        """Importance I [M, F] of every feature of models with n features."""
        decay = self.sweep.column("importance.decay", rows)
        importance: NDArray[np.float64] = decay[:, None] ** np.arange(n, dtype=np.float64)
        importance[:, -1] *= self.sweep.column("importance.last", rows)
        values, index = self.sweep.points("importance.values", rows)
        for i, value in enumerate(values):
            if value is not None:
                importance[index == i] = value
        return importance

    def _probability(self, key: str, rows: Rows) -> NDArray[Any]:
        """data.sparsity or data.density of each row, whichever of the two was given."""
        codes = self.sweep.codes(_LAW_KEYS, rows)
        # Of many models few differ in these keys.
        _, first, index = np.unique(codes, return_index=True, return_inverse=True)
        values = [self._probability_of(key, row) for row in rows[first].tolist()]
        if not self._has_lists():
            return np.array(values, dtype=np.float64)[index]
        lengths = self.sweep.column("model.n_features", rows[first]).tolist()
        lists = [_repeated(value, n) for value, n in zip(values, lengths, strict=True)]
        return objects([lists[at] for at in index.tolist()])

    def _probability_of(self, key: str, row: int) -> float | tuple[float, ...]:
        """data.sparsity or data.density of one model: as it was given, or as its law has it."""
        n = self._value("model.n_features", row)
        exactly = self._value("data.exactly", row)
        if exactly is not None:
            return _as(key, exactly / n)
        here = self._value(key, row)
        there = self._value(_OTHER[key], row)
        given: float | tuple[float, ...] = _either(here, there, _DEFAULT[key])
        tree = self._value("data.tree", row)
        if tree is None:
            return given
        named = activity.tree(nodes(tree), np.zeros(0)).density.tolist()
        shares = [_as(key, density) for density in named]
        return (*shares, *_repeated(given, n - len(named)))

    def _value(self, key: str, row: int) -> Any:
        """The value of a key in one row."""
        values, _ = self.sweep.points(key, np.array([row]))
        return values[0]

    def _has_lists(self) -> bool:
        """Whether any model of the sweep has one density per feature."""
        lists = any(isinstance(value, tuple) for key in _OTHER for value in self.sweep.values(key))
        return lists or any(tree is not None for tree in self.sweep.values("data.tree"))


def _as(key: str, density: float) -> float:
    """A density under the name of either key."""
    return round(density, 15) if key == DENSITY else complement(density)


def _either(here: Any, there: Any, default: float) -> Any:
    """A probability where it was given, else the complement of the other one, else the default."""
    if here is not None or there is None:
        return default if here is None else here
    return tuple(map(complement, there)) if isinstance(there, tuple) else complement(there)


def _repeated(value: Any, n: int) -> list[float]:
    """A list as it is, a number n times."""
    return list(value) if isinstance(value, tuple) else [value] * n


def task(made: Settings, rows: Rows, shared: Shared) -> Task:
    """The rows of one chunk as arrays for an engine."""
    structure = made.structure(int(rows[0]))
    column = partial(made.sweep.column, rows=rows)
    return Task(
        structure,
        seed=column("seed").astype(np.uint64),
        lr=column("train.lr"),
        weight_decay=column("train.weight_decay"),
        sparsity=made.sparsity(rows, structure.n_features),
        importance=made.importance(rows, structure.n_features),
        init_std=made.init_std(rows),
        data_seed=made.data_seed(rows),
        bias_init=column("model.bias_init"),
        bias_std=column("model.bias_std"),
    )
