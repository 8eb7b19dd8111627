"""What there is to show of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from superpos.families.transformer.explorer import EXPLORER
from superpos.family import Exhibits, Figure, Late

_HERE: Final = "superpos.families.transformer"


def _figure(module: str, description: str) -> Figure:
    return Figure(description, f"{_HERE}.figures.{module}")


_FIGURES: Final[Mapping[str, Figure]] = {
    "circuit_map": _figure(
        "circuit_map", "V-composition and copying of every model that looks back, by path costs"
    ),
    "formation": _figure("formation", "when models learn to look back: excess along training"),
    "heads_needed": _figure(
        "heads_needed", "excess of one layer by heads, with the best additive tables"
    ),
    "skip_trigrams": _figure(
        "skip_trigrams", "skip-trigrams: planted, read through the softmax, and by QK × OV"
    ),
    "bugs": _figure(
        "bugs", "bug trigrams: trained, as weights foretell them, in the best additive tables"
    ),
    "orders": _figure("orders", "excess by how many heads a path to the logits may go through"),
    "attention": _figure(
        "attention", "where heads look: by offset, and beside the copy of the token now"
    ),
    "triggers": _figure(
        "triggers", "when what holds everywhere is learned, and what a sequence says of itself"
    ),
    "markov_phases": _figure(
        "markov_phases", "excess over Bayes along training, with the unigram plateau"
    ),
    "bigram_table": _figure(
        "bigram_table", "a bigram table read off weights; excess by size, with the exact optimum"
    ),
}

SHOWS: Final = Exhibits(
    figures=_FIGURES,
    bench=Late(f"{_HERE}.bench:bench"),
    measures=f"{_HERE}.measures",
    explorer=EXPLORER,
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
