"""What training costs. Imports nothing that takes long: plans and progress go by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from superpos.families.tms.structure import Structure


def work(structure: Structure) -> float:
    """Nominal operations of a training step of one model, for one sample: 10nm in products, 60n in
    draws and loss.
    """
    n = structure.n_features
    return 10.0 * n * structure.n_hidden + 60.0 * n
