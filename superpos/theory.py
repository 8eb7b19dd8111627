"""Exact theory of the toy models: expected losses, minima, phases, energy levels (docs/science.md)."""

from superpos.families.tms.theory import *  # noqa: F403
from superpos.families.tms.theory import __all__ as __all__
