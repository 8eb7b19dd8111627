"""What training costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auto.structure import Structure


def work(structure: Structure) -> float:
    """Nominal operations of a training step of one model, for one sample."""
    return 60.0 * structure.n_features + structure.n_inputs * (
        2.0 * structure.n_features + 12.0 * structure.n_latents
    )
