"""What there is to show of toy models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from superpos.families.tms import explorer
from superpos.family import Exhibits, Late

if TYPE_CHECKING:
    from superpos.user.functions import Own

SHOWS = Exhibits(
    measures="superpos.families.tms.measures",
    explorer=explorer.EXPLORER,
    bench=Late("superpos.families.tms.bench:bench"),
)


def shows_with(own: Own) -> Exhibits:
    """What there is to show of models with functions of a user's own."""
    return replace(SHOWS, explorer=explorer.of_own_functions(own.has_params))
