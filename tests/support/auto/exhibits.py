"""What there is to show of autoencoders."""

from __future__ import annotations

from auto.keys import DENSITY
from superpos.family import Exhibits, Explorer, Figure, Late

SHOWS = Exhibits(
    figures={
        "dictionary": Figure(
            "cosines of features and latents of the best models", "auto.figures.dictionary"
        ),
    },
    measures="auto.measures",
    explorer=Explorer(
        scripts=("auto.explorer:panels.js",),
        parts=Late("auto.explorer:parts"),
        layers=Late("auto.explorer:layers"),
        constants=Late("auto.explorer:constants"),
    ),
    bench=Late("auto.bench:bench"),
    words={DENSITY: "p"},
    ordered_by=DENSITY,
)
