"""What a family makes of the values of a sweep: the structure of every row, and the columns that it
fills in.

Made once a sweep (`Sweep.settings`). A family whose models follow from their keys as they stand
takes `Settings` as it is; one that fills values in, or whose structure depends on more, overrides
what differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from superpos.engines.task import Structure
from superpos.family import Sweep
from superpos.plan.columns import Rows, groups_of


class Settings:
    """The settings of a sweep whose structures are `make(**values of the structure keys)`."""

    def __init__(self, sweep: Sweep, make: Callable[..., Structure]) -> None:
        self.sweep = sweep
        self._make = make

    def groups(self) -> list[Rows]:
        """Rows of equal structure, in order of their first row."""
        return groups_of(self.sweep.codes(self.sweep.schema.structure_keys))

    def structure(self, row: int) -> Any:
        """What a model shares with the other models of its chunk."""
        return self._make(**self.structure_values(row))

    def structure_values(self, row: int) -> dict[str, Any]:
        """Values of the structure keys of a model, by the last part of each key."""
        values = self.sweep.row(row)
        return {key.rpartition(".")[2]: values[key] for key in self.sweep.schema.structure_keys}

    def draws(self, rows: Rows) -> NDArray[Any]:
        """A number for each row [M], the same for models that share their random draws."""
        seeds: NDArray[Any] = self.sweep.column("seed", rows)
        return seeds

    def columns(self, rows: Rows) -> dict[str, Any]:
        """Columns of the table that are filled in, in place of the values that were given."""
        return {}
