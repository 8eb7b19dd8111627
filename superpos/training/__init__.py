"""From a sweep to a finished run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from superpos.plan.sweep import Sweep


def resolved(sweep: Sweep) -> Sweep:
    """The sweep with the digests of other runs that it names; see `sources.resolve`, which takes
    long to import.
    """
    if not sweep.family.sources:
        return sweep
    from superpos.training.sources import resolve

    return resolve(sweep)
