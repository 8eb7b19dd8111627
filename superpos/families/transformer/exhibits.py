"""What there is to show of transformers."""

from __future__ import annotations

from typing import Final

from superpos.family import Exhibits, Late

_HERE = "superpos.families.transformer"

SHOWS: Final = Exhibits(
    bench=Late(f"{_HERE}.bench:bench"),
    words={
        "model.n_layers": "L",
        "model.n_heads": "H",
        "model.d_model": "d",
        "model.d_head": "k",
        "model.n_layers=0": "no layers",
        "model.n_layers=1": "1 layer",
        "model.n_layers=2": "2 layers",
        "model.n_layers=3": "3 layers",
        "model.n_layers=4": "4 layers",
        "model.n_heads=1": "1 head",
        "model.positions=none": "no positions",
        "model.positions=stream": "positions in the stream",
        "model.positions=scores": "positions in q and k",
        "model.positions=relative": "relative positions",
        "model.positions=pointer": "pointers",
        "model.smear=True": "smeared keys",
        "model.smear=False": "",
        "model.direct=True": "",
        "model.direct=False": "no direct path",
        "language.targets=all": "",
        "language.targets=determined": "seen keys alone",
    },
)
