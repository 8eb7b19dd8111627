"""What the page holds of transformers: weights, along training as well, sequences of their
language, and how training went.

Attention, tables and composition scores are computed in the page, from the weights.
Shapes: M models, S snapshots, B sequences, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from superpos.families.transformer.analysis.formation import Formation, formation
from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.analysis.reading import token_names
from superpos.families.transformer.counts import asked
from superpos.maths.types import Floats
from superpos.report.pack import codes, half
from superpos.report.parts import (
    Arrays,
    Coded,
    Models,
    Part,
    history,
    sized,
    snapshots,
    weights,
)
from superpos.store import Run

SEQUENCES: Final = 4
"""Sequences of a model's language that a reader can choose among."""


def parts(run: Run, models: Models) -> Iterator[Part]:
    """The parts of models whose tensors have equal shapes."""
    yield weights(run, models)
    yield sized("sequences", models, lambda rows: _sequences(run, rows))
    yield from history(run, models)
    steps, tensors = run.snapshots(int(models[0]))
    if tensors:
        yield sized("formation", models, lambda rows: _formation(run, rows))._replace(steps=steps)
        yield from snapshots(run, models)


def _sequences(run: Run, rows: Models) -> Arrays:
    """The first sequences of the evaluation stream [M, B, T + 1], and which answers the language is
    about [M, B, T].
    """
    found = [asked(task(run, int(row)), 0, SEQUENCES) for row in rows]
    names = token_names(task(run, int(rows[0])).structure)
    names += [str(token) for token in range(len(names), _vocabulary(run, int(rows[0])))]
    tokens = np.stack([given.tokens for given in found]).astype(codes(len(names)))
    where = np.stack([given.where for given in found]).astype(np.uint8)
    return {"tokens": Coded(tokens, names), "asked": where}


def _vocabulary(run: Run, model: int) -> int:
    vocabulary: int = task(run, model).structure.vocabulary
    return vocabulary


def _formation(run: Run, rows: Models) -> Arrays:
    """Excess and scores along training, [M, S]."""
    found = [formation(run, int(row)) for row in rows]
    return {name: half(_column(found, name)) for name in Formation._fields if name != "steps"}


def _column(found: list[Formation], name: str) -> Floats:
    return np.stack([getattr(one, name) for one in found])
