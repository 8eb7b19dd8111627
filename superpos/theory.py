"""Exact theory of the toy models: expected losses, minima, phases, energy levels (docs/science.md,
Exact theory).

`theory.minimise_loss(0.05, np.ones(5), n_hidden=2).loss` is the smallest
loss of five features of density 0.05 in two dimensions.
"""

from superpos.families.tms.theory import *  # noqa: F403 - its names stand there, once
from superpos.families.tms.theory import __all__ as __all__
