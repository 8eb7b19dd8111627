"""What training costs. Imports nothing that takes long: plans and progress go by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from superpos.families.sae.structure import Structure


def work(structure: Structure) -> float:
    """Nominal operations of a training step of one model, for one sample.

    10 md in products, 2 Gd in the activations and 60 G in draws.
    """
    s = structure
    return s.n_dims * (10.0 * s.latents + 2.0 * s.n_features) + 60.0 * s.n_features
