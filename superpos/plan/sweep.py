"""A sweep: a table with one row a model, kept as a base config and axes, so that a million rows cost a few columns.

The rows are the cartesian product of the axes; the LAST axis is the fastest.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from superpos.config.rules import RULES
from superpos.config.schema import AXIS_KEYS, DEFAULT_SPARSITY, DEFAULTS, KEYS, STRUCTURE_KEYS, complement
from superpos.families.tms.data.which_sampler import prefers_sparse
from superpos.families.tms.structure import Structure, Task
from superpos.plan.columns import array_of, either, objects, repeated
from superpos.user.functions import Own

if TYPE_CHECKING:
    from pandas import DataFrame

NUMERICS_VERSION = 3
"""Raised whenever the result of any config changes in any bit; part of every run id."""
MAX_CHUNK_MODELS = 1000
WORK_LIMIT = 1e13
"""Nominal floating-point operations in a chunk, minutes of one machine."""

Rows = NDArray[np.intp]
_PAIR = ("data.sparsity", "data.density")
_DENSITY_KEYS = ("data.sparsity", "data.density", "data.last")
_NOT_IDENTITY = ("name", "engine.device", "engine.threads", "engine.memory_gb")


@dataclass(frozen=True)
class Axis:
    """One dimension of a sweep: several keys are zipped."""

    keys: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    """One inner tuple a point, one canonical value a key."""


@dataclass(frozen=True)
class Sweep:
    """Canonical values of every schema key, and the axes that replace some of them."""

    base: Mapping[str, Any]
    axes: tuple[Axis, ...] = ()
    own: Own | None = None
    """A user's own model, data and target."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Points of each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def n_models(self) -> int:
        """Rows of the sweep."""
        return math.prod(self.shape)

    def row(self, i: int) -> dict[str, Any]:
        """Every key of model i."""
        if not 0 <= i < self.n_models:
            raise IndexError(f"model {i} of a sweep of {self.n_models}")
        values = dict(self.base)
        for axis, at in zip(self.axes, np.unravel_index(i, self.shape), strict=True):
            values.update(zip(axis.keys, axis.values[at], strict=True))
        return values

    def _axis_of(self, key: str) -> int | None:
        return next((i for i, axis in enumerate(self.axes) if key in axis.keys), None)

    def _position(self, axis: int, rows: Rows | None) -> Rows:
        """Index of each row's point in an axis."""
        stride = math.prod(self.shape[axis + 1 :])
        every = np.arange(self.n_models, dtype=np.intp) if rows is None else rows
        return every // stride % self.shape[axis]

    def _values(self, key: str) -> Iterator[Any]:
        """The values that a key takes in the whole sweep."""
        axis = self._axis_of(key)
        points = ((self.base[key],),) if axis is None else self.axes[axis].values
        at = 0 if axis is None else self.axes[axis].keys.index(key)
        return (point[at] for point in points)

    def _points(self, key: str, rows: Rows | None) -> tuple[tuple[Any, ...], Rows]:
        """The values that a key takes in `rows`, and the index into them of each row."""
        axis = self._axis_of(key)
        if axis is None:
            return (self.base[key],), np.zeros(self.n_models if rows is None else len(rows), dtype=np.intp)
        if rows is None:
            return tuple(self._values(key)), self._position(axis, None)
        at, points = self.axes[axis].keys.index(key), self.axes[axis].values
        used, index = np.unique(self._position(axis, rows), return_inverse=True)  # a chunk of an axis of a million
        return tuple(points[i][at] for i in used.tolist()), index.astype(np.intp)

    def column(self, key: str, rows: Rows | None = None) -> NDArray[Any]:
        """Values of a key in `rows` (default: all): numbers where all are numbers, else objects (lists are tuples)."""
        values, index = self._points(key, rows)
        return array_of(key, values)[index]

    def table(self, rows: Rows | None = None) -> DataFrame:
        """A row a model: "model", "row_id" and every key that may be swept.

        init_std and data.sampler are what was used; data.sparsity and data.density are both filled in, as lists of n
        where any model of the sweep has a list.
        """
        from pandas import DataFrame  # imported here: expanding and listing sweeps must not wait for it

        return DataFrame(self.columns(rows))

    def columns(self, rows: Rows | None = None) -> dict[str, Any]:
        """The columns of `table`."""
        rows = np.arange(self.n_models) if rows is None else rows
        columns: dict[str, Any] = {"model": rows.astype(np.int64), "row_id": np.array(self.row_ids(rows), dtype=object)}
        for key in AXIS_KEYS:
            columns[key] = self._probability(key, rows) if key in _PAIR else self._column_of_table(key, rows)
        return columns

    def _column_of_table(self, key: str, rows: Rows) -> Any:
        if key == "model.init_std":
            return self._init_std(rows)
        if key == "data.sampler":
            return self._sampler(rows)
        values = self.column(key, rows)
        if values.dtype != object or KEYS[key].kind == "choice":
            return values
        if KEYS[key].kind == "int":
            from pandas import array  # nullable integers

            return array(list(values), dtype="Int64")
        return objects([None if value is None else list(value) for value in values])

    def _probability(self, key: str, rows: Rows) -> NDArray[Any]:
        """data.sparsity or data.density of each row, whichever of the two was given."""
        other = _PAIR[1 - _PAIR.index(key)]
        default = DEFAULT_SPARSITY if key == "data.sparsity" else complement(DEFAULT_SPARSITY)
        (here, i), (there, j) = self._points(key, rows), self._points(other, rows)
        pairs, index = np.unique(i * len(there) + j, return_inverse=True)  # of many models few differ
        values = [either(here[at // len(there)], there[at % len(there)], default) for at in pairs.tolist()]
        if not any(isinstance(value, tuple) for name in _PAIR for value in self._values(name)):
            return np.array(values, dtype=np.float64)[index]
        lengths = self.column("model.n_features", rows).tolist()
        return objects([repeated(values[at], n) for at, n in zip(index.tolist(), lengths, strict=True)])

    def _init_std(self, rows: Rows) -> NDArray[np.float64]:
        n, m = self.column("model.n_features", rows), self.column("model.n_hidden", rows)
        given = self.column("model.init_std", rows).astype(np.float64)  # null is NaN
        return np.where(np.isnan(given), np.sqrt(2.0 / (n + m)), given)

    def _sampler(self, rows: Rows) -> NDArray[Any]:
        return np.where(self._is_sparse(rows), "sparse", "dense").astype(object)

    def chunks(self) -> list[Rows]:
        """Rows of each chunk: equal structure, by seed, at most 1000 models and `WORK_LIMIT` (or one model)."""
        chunks: list[Rows] = []
        for rows in self._structure_groups():
            size = max(1, min(MAX_CHUNK_MODELS, int(WORK_LIMIT // work_of(self.structure(int(rows[0]))))))
            by_seed = rows[np.argsort(self.column("seed", rows), kind="stable")]  # models of one seed share their draws
            chunks += [np.sort(part) for part in np.array_split(by_seed, math.ceil(len(rows) / size))]
        return chunks

    def _structure_groups(self) -> list[Rows]:
        """Rows of equal structure, groups in order of their first row."""
        every = np.arange(self.n_models, dtype=np.intp)
        return _groups(2 * self._code(STRUCTURE_KEYS, every) + self._is_sparse(every))

    def _code(self, keys: Collection[str], rows: Rows) -> NDArray[np.int64]:
        """A number a row, the same for rows in which all `keys` have the same values."""
        code = np.zeros(len(rows), dtype=np.int64)
        for i, axis in enumerate(self.axes):
            at = [k for k, key in enumerate(axis.keys) if key in keys]
            if not at:
                continue
            distinct: dict[tuple[Any, ...], int] = {}
            ids = [distinct.setdefault(tuple(point[k] for k in at), len(distinct)) for point in axis.values]
            code = code * len(distinct) + np.array(ids)[self._position(i, rows)]
        return code

    def _is_sparse(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows are drawn by the sparse sampler."""
        found = np.empty(len(rows), dtype=np.bool_)
        for group in _groups(self._code(STRUCTURE_KEYS, rows)):
            values = self._structure_values(int(rows[group[0]]))
            if values["sampler"] != "auto":
                found[group] = values["sampler"] == "sparse"
                continue
            _, first, index = np.unique(self._code(_DENSITY_KEYS, rows[group]), return_index=True, return_inverse=True)
            structure = Structure(**values | {"sampler": "dense"})
            sparsity = self._sparsity(rows[group[first]], structure.n_features)
            found[group] = prefers_sparse(structure, sparsity)[index]
        return found

    def _structure_values(self, i: int) -> dict[str, Any]:
        row = self.row(i)
        return {key.rpartition(".")[2]: row[key] for key in STRUCTURE_KEYS}

    def structure(self, i: int) -> Structure:
        """What model i shares with the other models of its chunk."""
        sampler = self._sampler(np.array([i]))[0]
        return Structure(**self._structure_values(i) | {"sampler": sampler, "own": self.own})

    @property
    def work(self) -> float:
        """Nominal operations of the whole sweep."""
        return sum(len(rows) * work_of(self.structure(int(rows[0]))) for rows in self._structure_groups())

    def task(self, rows: Rows) -> Task:
        """The rows of one chunk as arrays for an engine."""
        structure = self.structure(int(rows[0]))
        return Task(
            structure=structure,
            seed=self.column("seed", rows).astype(np.uint64),
            sparsity=self._sparsity(rows, structure.n_features),
            importance=self._importance(rows, structure.n_features),
            lr=self.column("train.lr", rows),
            weight_decay=self.column("train.weight_decay", rows),
            init_std=self._init_std(rows),
        )

    def _sparsity(self, rows: Rows, n: int) -> NDArray[np.float64]:
        values = self._probability("data.sparsity", rows)
        sparsity = np.array(values.tolist(), dtype=np.float64).reshape(len(rows), -1) * np.ones(n)
        last = self.column("data.last", rows)
        rescaled = np.maximum(np.round(1 - (1 - sparsity[:, -1]) * last, 15), 0.0)  # density * last may be 1 + rounding
        sparsity[:, -1] = np.where(last == 1, sparsity[:, -1], rescaled)
        return sparsity

    def _importance(self, rows: Rows, n: int) -> NDArray[np.float64]:
        decay = self.column("importance.decay", rows)
        importance: NDArray[np.float64] = decay[:, None] ** np.arange(n, dtype=np.float64)
        importance[:, -1] *= self.column("importance.last", rows)
        values, index = self._points("importance.values", rows)
        for i, value in enumerate(values):
            if value is not None:
                importance[index == i] = value
        return importance

    def faults(self, skip: Collection[str] = ()) -> list[str]:
        """Values that do not fit together: the first fault of each rule, and how many combinations it concerns.

        Rules about keys in `skip`, whose values are known to be wrong, and about those that a user's own functions take
        the place of are left out.
        """
        replaced = self.own.replaces if self.own else {}
        idle = [
            f"{key}: given beside {name}=, which takes its place; allowed: the default, {DEFAULTS[key]}"
            for key, name in replaced.items()
            if any(value != DEFAULTS[key] for value in self._values(key))
        ]
        rules = [(keys, rule) for keys, rule in RULES if not set(keys) & {*skip, *replaced}]
        return idle + [fault for keys, rule in rules if (fault := _first(rule(*values) for values in self._each(keys)))]

    def _each(self, keys: Sequence[str]) -> Iterator[list[Any]]:
        """Every distinct combination of values that `keys` take together."""
        fixed = {key: self.base[key] for key in keys}
        pools = [
            dict.fromkeys(
                tuple((key, value) for key, value in zip(axis.keys, point, strict=True) if key in fixed)
                for point in axis.values
            )
            for axis in self.axes
            if not fixed.keys().isdisjoint(axis.keys)
        ]
        for points in itertools.product(*pools):
            values = fixed | dict(itertools.chain.from_iterable(points))
            yield [values[key] for key in keys]

    def to_json(self) -> dict[str, Any]:
        """The plan: what decides results, in canonical form. Device, threads, memory and name are no part of it."""
        values = {key: value for key, value in self.base.items() if key not in _NOT_IDENTITY and value != DEFAULTS[key]}
        axes = [{"keys": list(axis.keys), "values": [list(point) for point in axis.values]} for axis in self.axes]
        plan = {"numerics_version": NUMERICS_VERSION, "values": values, "axes": axes}
        plan |= {"own": self.own.to_json()} if self.own else {}
        return json.loads(json.dumps(plan))  # type: ignore[no-any-return]  # tuples become lists: equal after a file

    @classmethod
    def from_json(cls, plan: Mapping[str, Any]) -> Sweep:
        """The inverse of `to_json`; keys that are no part of a plan have their defaults."""
        values = {key: _frozen(value) for key, value in plan["values"].items()}
        axes = tuple(Axis(tuple(axis["keys"]), tuple(map(_frozen, axis["values"]))) for axis in plan["axes"])
        own = Own.from_json(plan["own"]) if "own" in plan else None
        return cls({**DEFAULTS, **values}, axes, own)

    @property
    def run_id(self) -> str:
        """12 hex digits of the plan's SHA-256."""
        return _hash(json.dumps(self.to_json(), sort_keys=True))

    def row_ids(self, rows: Rows) -> list[str]:
        """12 hex digits a row, of its own non-default values: the same in every sweep that holds the model."""
        own = self.own.record if self.own else ""
        columns = [[f"superpos {NUMERICS_VERSION}{own}"] * len(rows)]
        for key in sorted(KEYS.keys() - _NOT_IDENTITY):
            values, index = self._points(key, rows)
            texts = [f";{key}={json.dumps(value)}" if value != DEFAULTS[key] else "" for value in values]
            if any(texts):
                columns.append([texts[i] for i in index])
        return [_hash("".join(parts)) for parts in zip(*columns, strict=True)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _groups(code: NDArray[np.int64]) -> list[Rows]:
    """Positions of equal codes, in order of their first."""
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    ordered = np.argsort(group, kind="stable").astype(np.intp)
    groups = np.split(ordered, np.cumsum(np.bincount(group))[:-1])
    return [groups[k] for k in np.argsort(first)]


def work_a_step(structure: Structure) -> float:
    """Nominal operations of one step of one model: 10nm + 60n a sample."""
    n, m = structure.n_features, structure.n_hidden
    return float(structure.samples_per_step) * (10 * n * m + 60 * n)


def work_of(structure: Structure) -> float:
    """Nominal operations to train one model."""
    return structure.steps * work_a_step(structure) + 1.0


def _first(found: Iterable[str | None]) -> str | None:
    faults = [fault for fault in found if fault is not None]
    if not faults:
        return None
    return faults[0] + (f" (and {len(faults) - 1:,} more combinations)" if len(faults) > 1 else "")
