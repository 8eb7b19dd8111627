"""What the page of `superpos report` shows of toy models."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from superpos.family import Explorer, Late

EXPLORER: Final = Explorer(
    scripts=(f"{__name__}:attributions.js", f"{__name__}:panels.js"),
    parts=Late(f"{__name__}.parts:parts"),
    layers=Late(f"{__name__}.theory:layers"),
    constants=Late(f"{__name__}.constants:constants"),
)


def own_functions_explorer(has_params: bool) -> Explorer:
    """The explorer of models that a user's functions make: theory knows nothing of them.

    Where the parameters are the user's, too, W may mean anything: it has no features to show.
    """
    known = replace(EXPLORER, layers=None)
    return replace(known, parts=None) if has_params else known
