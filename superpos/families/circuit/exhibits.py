"""What there is to show of circuits."""

from __future__ import annotations

from typing import Final

from superpos.families.circuit.explorer import EXPLORER
from superpos.family import Exhibits, Figure

_HERE: Final = "superpos.families.circuit"

SHOWS: Final = Exhibits(
    figures={
        "patching_grid": Figure(
            "what patching finds: precision and recall in gates, shares of heads in prompts",
            f"{_HERE}.figures.patching_grid",
        ),
        "estimate_error": Figure(
            "estimates of an edge by gradients over its exact effect, against sharpness",
            f"{_HERE}.figures.estimate_error",
        ),
        "illusion": Figure(
            "directions that exchange an input perfectly, by their cosine with the part that "
            "carries it",
            f"{_HERE}.figures.illusion",
        ),
        "attention_effect": Figure(
            "tokens that matter beside those that attention names, and attention that could be "
            "other",
            f"{_HERE}.figures.attention_effect",
        ),
    },
    measures=f"{_HERE}.measures",
    explorer=EXPLORER,
    words={"circuit.beta": "β", "circuit.rho": "ρ", "circuit.distractors": "unread parts"},
)
