"""What training costs. Imports nothing that takes long: plans and progress go by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from superpos.families.transformer.structure import Structure


def work(structure: Structure) -> float:
    """Nominal operations of a training step of one model, for one sequence.

    Forward and backward: 24 dk in the products of a head and 12 kT in its attention, 12 dV in
    embedding and logits, 60 in draws, for each position.
    """
    s = structure
    heads = s.n_layers * s.n_heads
    position = (
        12.0 * s.d_model * s.vocabulary + heads * (24.0 * s.d_model + 12.0 * s.context) * s.d_head
    )
    return s.context * (position + 60.0)
