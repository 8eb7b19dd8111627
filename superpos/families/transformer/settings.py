"""What the keys of transformers mean: sizes that follow from the kind of language, and the task of
a chunk.

Shapes: M models.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.families.transformer.data.tables import tables
from superpos.families.transformer.keys import CONTEXT, PLANTED_P, TOKENS
from superpos.families.transformer.structure import Structure, Task
from superpos.family import Shared
from superpos.plan import settings
from superpos.plan.columns import Rows, array_of, table_column
from superpos.plan.sweep import Sweep

_BY_KIND = {"tokens": TOKENS, "context": CONTEXT, "planted_p": PLANTED_P}
"""Keys language.* that follow from the kind where they are not given."""


class Settings(settings.Settings):
    """Structures, and columns with the sizes that were used."""

    sweep: Sweep

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep, Structure)

    def structure_values(self, row: int) -> dict[str, Any]:
        """Values of the fields of a model's structure."""
        values = super().structure_values(row)
        filled = {
            name: defaults.get(values["kind"], getattr(Structure, name))
            for name, defaults in _BY_KIND.items()
            if values[name] is None
        }
        return values | filled

    def draws(self, rows: Rows) -> NDArray[Any]:
        """A number for each row, the same for models that see the same sequences."""
        return self.sweep.codes(("seed", "language.seed", "language.concentration"), rows)

    def columns(self, rows: Rows) -> dict[str, Any]:
        """The columns that are filled in; a key that means nothing to a kind of language has no
        value.
        """
        kinds = self.sweep.column("language.kind", rows)
        filled = {}
        for name, defaults in _BY_KIND.items():
            key = f"language.{name}"
            given = self.sweep.column(key, rows)
            values = [
                defaults.get(kind) if value is None else value
                for value, kind in zip(given.tolist(), kinds, strict=True)
            ]
            spec = self.sweep.schema.keys[key]
            filled[key] = table_column(spec, array_of(spec, values))
        return filled


def task(made: Settings, rows: Rows, _: Shared) -> Task:
    """The rows of one chunk as arrays for an engine."""
    column = partial(made.sweep.column, rows=rows)
    structure = made.structure(int(rows[0]))
    seed = column("seed").astype(np.uint64)
    own = [
        model if given is None else given
        for given, model in zip(column("language.seed"), seed, strict=True)
    ]
    key = np.array([int(value) for value in own], dtype=np.uint64)
    pairs = list(zip(key.tolist(), column("language.concentration").tolist(), strict=True))
    languages = list(dict.fromkeys(pairs))
    return Task(
        structure,
        seed=seed,
        lr=column("train.lr"),
        weight_decay=column("train.weight_decay"),
        language=np.array([languages.index(pair) for pair in pairs], dtype=np.intp),
        init_std=column("model.init_std").astype(np.float64),
        tables=tables(structure, languages),
    )
