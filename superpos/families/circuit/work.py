"""What circuits cost. Imports nothing that takes long: plans and progress go by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from superpos.families.circuit.structure import Structure


def work(structure: Structure) -> float:
    """Nominal operations of one model, for one sample: two for each parameter."""
    return 2.0 * structure.n_params
