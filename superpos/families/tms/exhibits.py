"""What there is to show of toy models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpos.family import Exhibits

if TYPE_CHECKING:
    from superpos.user.functions import Own

SHOWS = Exhibits(measures="superpos.families.tms.measures")


def shows_with(own: Own) -> Exhibits:
    """What there is to show of models with functions of a user's own."""
    return SHOWS
