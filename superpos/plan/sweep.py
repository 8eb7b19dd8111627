"""A sweep: a table with one row per model, kept as a base config and axes: a million rows cost a
few columns.

The rows are the cartesian product of the axes; the LAST axis is the fastest.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.config.rules import rules_of
from superpos.config.schema import Schema, schema_of
from superpos.engines.task import Structure
from superpos.errors import SuperposError
from superpos.family import DEFAULT, Family, Shared, UnknownFamilyError, find
from superpos.plan.columns import Rows, array_of, table_column
from superpos.plan.settings import Settings
from superpos.user.functions import with_recorded_functions

if TYPE_CHECKING:
    from pandas import DataFrame

NUMERICS_VERSION = 3
"""Raised whenever the result of any config changes in any bit; part of every run id."""
MAX_CHUNK_MODELS = 1000
WORK_LIMIT = 1e13
"""Nominal floating-point operations in a chunk, minutes of one machine."""

_NOT_IDENTITY = ("name", "engine.device", "engine.threads", "engine.memory_gb")


@dataclass(frozen=True)
class Axis:
    """One dimension of a sweep: several keys are zipped."""

    keys: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    """One inner tuple per point, one canonical value per key."""


class Chunk(NamedTuple):
    """Models that are trained together."""

    rows: Rows
    structure: Any
    """What they share: a family's `Structure`."""
    work: float
    """Nominal operations to train them."""


@dataclass(frozen=True)
class Plan:
    """How a sweep is cut into chunks."""

    chunks: tuple[Chunk, ...]

    @cached_property
    def work(self) -> float:
        """Nominal operations of the whole sweep."""
        return sum(chunk.work for chunk in self.chunks)

    @cached_property
    def rows(self) -> list[Rows]:
        """The rows of each chunk."""
        return [chunk.rows for chunk in self.chunks]

    @cached_property
    def structures(self) -> list[Any]:
        """The distinct structures, in the order of their first chunks."""
        return list(dict.fromkeys(chunk.structure for chunk in self.chunks))


@dataclass(frozen=True)
class Sweep:
    """Canonical values of every key of a family's schema, and the axes that replace some of
    them.
    """

    base: Mapping[str, Any]
    axes: tuple[Axis, ...] = ()
    family: Family = field(default_factory=lambda: find(DEFAULT))
    sources: Mapping[str, Path] = field(default_factory=dict, compare=False)
    """Folders of other runs that the models need, by the digest that names them in the values."""

    @property
    def schema(self) -> Schema:
        """The keys of the sweep's family."""
        return schema_of(self.family)

    @cached_property
    def settings(self) -> Settings:
        """What the family makes of the values."""
        settings: Settings = self.family.settings(self)
        return settings

    @cached_property
    def plan(self) -> Plan:
        """The chunks: rows of equal structure, by their draws; at most 1000 models and
        `WORK_LIMIT`, or one model.
        """
        chunks: list[Chunk] = []
        for rows in self.settings.groups():
            structure = self.settings.structure(int(rows[0]))
            model_work = work_of(self.family, structure)
            size = max(1, min(MAX_CHUNK_MODELS, int(WORK_LIMIT // model_work)))
            # Models that share their draws stay together.
            together = rows[np.argsort(self.settings.draws(rows), kind="stable")]
            parts = np.array_split(together, math.ceil(len(rows) / size))
            chunks += [Chunk(np.sort(part), structure, len(part) * model_work) for part in parts]
        return Plan(tuple(chunks))

    def task(self, rows: Rows, shared: Shared | None = None) -> Any:
        """The rows of one chunk as arrays for an engine; `shared` are the files that the run keeps
        for its models.
        """
        return self.family.task(self.settings, rows, shared or {})

    @property
    def shape(self) -> tuple[int, ...]:
        """Points of each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def n_models(self) -> int:
        """Rows of the sweep."""
        return math.prod(self.shape)

    @property
    def swept(self) -> tuple[str, ...]:
        """Keys of all axes."""
        return tuple(key for axis in self.axes for key in axis.keys)

    def row(self, i: int) -> dict[str, Any]:
        """Every key of model i."""
        if not 0 <= i < self.n_models:
            raise IndexError(f"model {i} of a sweep of {self.n_models}")
        values = dict(self.base)
        for axis, at in zip(self.axes, np.unravel_index(i, self.shape), strict=True):
            values.update(zip(axis.keys, axis.values[at], strict=True))
        return values

    def values(self, key: str) -> Iterator[Any]:
        """The values that a key takes in the whole sweep, one per point of its axis."""
        axis = self._axis_of(key)
        if axis is None:
            return iter((self.base[key],))
        at = self.axes[axis].keys.index(key)
        return (point[at] for point in self.axes[axis].values)

    def points(self, key: str, rows: Rows | None) -> tuple[tuple[Any, ...], Rows]:
        """The values that a key takes in `rows`, and the index into them of each row."""
        axis = self._axis_of(key)
        if axis is None:
            return (self.base[key],), np.zeros(
                self.n_models if rows is None else len(rows), dtype=np.intp
            )
        if rows is None:
            return tuple(self.values(key)), self._position(axis, None)
        at = self.axes[axis].keys.index(key)
        points = self.axes[axis].values
        # Only the values that occur: a chunk may be a part of an axis of a million points.
        used, index = np.unique(self._position(axis, rows), return_inverse=True)
        return tuple(points[i][at] for i in used.tolist()), index.astype(np.intp)

    def column(self, key: str, rows: Rows | None = None) -> NDArray[Any]:
        """Values of a key in `rows` (default: all): numbers where all are numbers, else objects
        (lists are tuples).
        """
        values, index = self.points(key, rows)
        return array_of(self.schema.keys[key], values)[index]

    def codes(self, keys: Collection[str], rows: Rows | None = None) -> NDArray[np.int64]:
        """One number per row, the same for rows in which all `keys` have the same values."""
        code = np.zeros(self.n_models if rows is None else len(rows), dtype=np.int64)
        for number, axis in enumerate(self.axes):
            at = [k for k, key in enumerate(axis.keys) if key in keys]
            if not at:
                continue
            distinct: dict[tuple[Any, ...], int] = {}
            ids = [
                distinct.setdefault(tuple(point[k] for k in at), len(distinct))
                for point in axis.values
            ]
            code = code * len(distinct) + np.array(ids)[self._position(number, rows)]
        return code

    def _axis_of(self, key: str) -> int | None:
        return next((i for i, axis in enumerate(self.axes) if key in axis.keys), None)

    def _position(self, axis: int, rows: Rows | None) -> Rows:
        """Index of each row's point in an axis."""
        stride = math.prod(self.shape[axis + 1 :])
        every = np.arange(self.n_models, dtype=np.intp) if rows is None else rows
        return every // stride % self.shape[axis]

    def table(self, rows: Rows | None = None) -> DataFrame:
        """One row per model: "model", "row_id" and every key that may be swept, as `columns`."""
        # imported here: expanding and listing sweeps must not wait for it
        from pandas import DataFrame

        return DataFrame(self.columns(rows))

    def columns(self, rows: Rows | None = None) -> dict[str, Any]:
        """The columns of `table`: values as the family fills them in (`Settings.columns`), else as
        they were given.

        A key that was added after the first release of its family is a column only where the plan
        sets or sweeps it: results of older versions keep their digests.
        """
        rows = np.arange(self.n_models) if rows is None else rows
        columns: dict[str, Any] = {
            "model": rows.astype(np.int64),
            "row_id": np.array(self.row_ids(rows), dtype=object),
        }
        filled = self.settings.columns(rows)
        for key in self.schema.axis_keys:
            spec = self.schema.keys[key]
            if spec.later and key not in self.swept and self.base[key] == spec.default:
                continue
            columns[key] = (
                filled[key] if key in filled else table_column(spec, self.column(key, rows))
            )
        return columns

    def faults(self, skip: Collection[str] = ()) -> list[str]:
        """Values that do not fit together: the first fault of each rule, and how many combinations
        it concerns.

        Rules about keys in `skip`, whose values are known to be wrong, and about those that a
        user's own functions take the place of are left out.
        """
        replaced = self.family.replaced
        defaults = self.schema.defaults
        idle = [
            (
                f"{key}: given beside {name}=, which takes its place; allowed: the default, "
                f"{defaults[key]}"
            )
            for key, name in replaced.items()
            if any(value != defaults[key] for value in self.values(key))
        ]
        rules = [
            (keys, rule)
            for keys, rule in rules_of(self.family)
            if not set(keys) & {*skip, *replaced}
        ]
        return idle + [
            fault
            for keys, rule in rules
            if (fault := _first(rule(*values) for values in self.combinations(keys)))
        ]

    def combinations(self, keys: Sequence[str]) -> Iterator[list[Any]]:
        """Every distinct combination of values that `keys` take together."""
        fixed = {key: self.base[key] for key in keys}
        own = [axis for axis in self.axes if not fixed.keys().isdisjoint(axis.keys)]
        pools = [dict.fromkeys(_points(axis, fixed)) for axis in own]
        for points in itertools.product(*pools):
            values = fixed | dict(itertools.chain.from_iterable(points))
            yield [values[key] for key in keys]

    def to_json(self) -> dict[str, Any]:
        """The plan: what decides results, in canonical form.

        Device, threads, memory and name are no part of it.
        """
        defaults = self.schema.defaults
        values = {
            key: value
            for key, value in self.base.items()
            if key not in _NOT_IDENTITY and value != defaults[key]
        }
        axes = [
            {"keys": list(axis.keys), "values": [list(point) for point in axis.values]}
            for axis in self.axes
        ]
        plan = {"numerics_version": NUMERICS_VERSION, "values": values, "axes": axes}
        plan |= {"own": self.family.functions.to_json()} if self.family.functions else {}
        return json.loads(json.dumps(plan))  # type: ignore[no-any-return]  # tuples become lists: equal after a file

    @classmethod
    def from_json(cls, plan: Mapping[str, Any]) -> Sweep:
        """The inverse of `to_json`; keys that are no part of a plan have their defaults.

        Raises `SuperposError` where this program does not know the plan's family.
        """
        values = {key: _frozen(value) for key, value in plan["values"].items()}
        axes = tuple(
            Axis(tuple(axis["keys"]), tuple(map(_frozen, axis["values"]))) for axis in plan["axes"]
        )
        try:
            family = find(values.get("family", DEFAULT))
        except UnknownFamilyError as error:
            raise SuperposError(f"this superpos knows no family {error.args[0]!r}") from error
        family = with_recorded_functions(family, plan)
        return cls({**schema_of(family).defaults, **values}, axes, family)

    @property
    def run_id(self) -> str:
        """12 hex digits of the plan's SHA-256."""
        return _hash(json.dumps(self.to_json(), sort_keys=True))

    def row_ids(self, rows: Rows) -> list[str]:
        """12 hex digits per row, of its own non-default values: the same in every sweep that holds
        the model.
        """
        own = self.family.functions.record if self.family.functions else ""
        defaults = self.schema.defaults
        columns = [[f"superpos {NUMERICS_VERSION}{own}"] * len(rows)]
        for key in sorted(defaults.keys() - _NOT_IDENTITY):
            values, index = self.points(key, rows)
            texts = [
                f";{key}={json.dumps(value)}" if value != defaults[key] else "" for value in values
            ]
            if any(texts):
                columns.append([texts[i] for i in index])
        return [_hash("".join(parts)) for parts in zip(*columns, strict=True)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def work_a_step(family: Family, structure: Structure) -> float:
    """Nominal operations of one training step of one model."""
    return structure.samples_per_step * float(family.work(structure))


def work_of(family: Family, structure: Structure) -> float:
    """Nominal operations to train one model."""
    return structure.steps * work_a_step(family, structure) + 1.0


def _points(axis: Axis, keys: Collection[str]) -> Iterator[tuple[tuple[str, Any], ...]]:
    """What some keys are at each point of an axis."""
    for point in axis.values:
        pairs = zip(axis.keys, point, strict=True)
        yield tuple(pair for pair in pairs if pair[0] in keys)


def _first(found: Iterable[str | None]) -> str | None:
    faults = [fault for fault in found if fault is not None]
    if not faults:
        return None
    return faults[0] + (f" (and {len(faults) - 1:,} more combinations)" if len(faults) > 1 else "")
