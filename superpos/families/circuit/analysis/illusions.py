"""Directions across the parts of an illusion that exchange its input perfectly.

Shapes: S starts of a search, d parts beside the input.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import torch

from superpos.explain import circuits, subspaces
from superpos.families.circuit.analysis.made import made_of
from superpos.maths.types import Floats
from superpos.store import Run
from superpos.store.rows import healthy

STARTS: Final = 300
PERFECT: Final = 1e-6
"""An interchange is perfect where the output is wrong by less, in units of what the input does."""


class Aligned(NamedTuple):
    """What searches for a direction come to in one circuit."""

    pairs: int
    """Pairs of a part that varies and is not read, and one that is read and does not vary."""
    cosine: Floats
    """[S], size of the cosine with the part that carries the input; of perfect ones."""
    textbook: float
    """What an interchange along the half of the first pair moves; NaN without pairs."""


@lru_cache(maxsize=8)
def aligned(run: Run) -> tuple[Aligned, ...]:
    """The searches of every illusion of a run, by pairs; one circuit of each number of them."""
    table = healthy(run.table)
    table = table[table["circuit.kind"] == "illusion"].drop_duplicates("circuit.distractors")
    rows = table.sort_values("circuit.distractors")
    return tuple(_aligned(run, int(model)) for model in rows["model"])


def _aligned(run: Run, model: int) -> Aligned:
    structure, params = made_of(run, [model])
    wires = structure.wires
    x = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    _, nodes = circuits.forward(wires, params, x)
    w1 = np.array([float(nodes[gate][0, 1] - nodes[gate][0, 0]) for gate in wires.gates])
    w2 = params["readout"][0, -len(wires.gates) :].numpy()
    v = subspaces.aligned(w1, w2, STARTS)
    exact = np.abs(subspaces.moved(v, w1, w2) - 1) < PERFECT
    textbook = np.nan
    if structure.distractors:
        half = np.zeros(len(w1))
        half[1:3] = np.sqrt(0.5)
        textbook = float(subspaces.moved(half, w1, w2))
    return Aligned(structure.distractors, np.abs(v[exact, 0]), textbook)
