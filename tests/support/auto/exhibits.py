"""What there is to show of autoencoders."""

from __future__ import annotations

from auto.keys import DENSITY
from superpos.family import Exhibits, Explorer, Figure, Late

SHOWS = Exhibits(
    figures={"dictionary": Figure("cosines of the features of the best model with its latents", "auto.figures.dictionary")},
    measures="auto.measures",
    explorer=Explorer(scripts=("auto.explorer:panels.js",), parts=Late("auto.explorer:parts")),
    bench=Late("auto.bench:bench"),
    words={DENSITY: "p"},
)
