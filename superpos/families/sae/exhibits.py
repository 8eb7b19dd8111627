"""What there is to show of sparse autoencoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from superpos.families.sae.explorer import EXPLORER
from superpos.family import Exhibits, Figure, Late

_HERE: Final = "superpos.families.sae"


def _figure(module: str, description: str) -> Figure:
    return Figure(description, f"{_HERE}.figures.{module}")


_FIGURES: Final[Mapping[str, Figure]] = {
    "mmcs_map": _figure(
        "maps",
        "MMCS, dead latents, L0 and FVU over penalty and number of latents",
    ),
    "cosines": _figure(
        "cosines",
        "cosines of features and latents, in the order in which they match",
    ),
    "arrows": _figure("arrows", "features and latents as arrows, in two or three dimensions"),
    "curves": _figure("curves", "scores against the number that the sweep varies"),
    "bars": _figure("bars", "MMCS of every setting, with chance beside it"),
    "baselines": _figure(
        "baselines",
        "kinds of autoencoders beside PCA, ICA, NMF, k-means and sparse coding (slow)",
    ),
    "shrinkage": _figure("shrinkage", "biases, thresholds, L0 and loss on their exact curves"),
    "frequency": _figure(
        "frequency",
        "which features are found, by frequency; loss on the exact line",
    ),
    "mixing": _figure("mixing", "latents that mix correlated features, beside the exact angle"),
    "absorption": _figure("absorption", "parents that are silent, and what children have of them"),
    "recovered": _figure("recovered", "loss recovered against features found"),
    "composed": _figure("composed", "losses beside those of the truth and of a latent of the sum"),
}

SHOWS: Final = Exhibits(
    figures=_FIGURES,
    measures=f"{_HERE}.measures",
    explorer=EXPLORER,
    bench=Late(f"{_HERE}.bench:bench"),
    words={
        "sae.l1": "λ",
        "sae.l0": "λ of L0",
        "sae.k": "k",
        "sae.latents": "m",
        "sae.bandwidth": "ε",
        "sae.kind=l1": "L1",
        "sae.kind=topk": "TopK",
        "sae.kind=batchtopk": "BatchTopK",
        "sae.kind=jumprelu": "JumpReLU",
        "sae.kind=gated": "Gated",
        "sae.tied=True": "tied",
        "sae.tied=False": "",
        "sae.decoder_bias=True": "with b_d",
        "sae.decoder_bias=False": "without b_d",
        "sae.prefixes": "Matryoshka",
        "sae.frozen=none": "",
        "sae.frozen=decoder": "frozen decoder",
        "sae.start=random": "random start",
        "sae.start=truth": "start at the truth",
        "sae.start=truth+noise": "start near the truth",
        "sae.expansion": "m/G",
        "sae.restart_every=0": "",
        "sae.restart_every": "restarts every",
        "sae.aux_k=0": "",
        "sae.aux_k": "AuxK",
        "sae.anneal_k=0.0": "",
        "sae.anneal_k": "k annealed from ×",
        "world.magnitude=one": "size 1",
        "world.magnitude=normal": "varying size",
        "world.n_features": "G",
        "world.n_dims": "d",
        "world.active": "K",
        "world.exactly": "K",
        "world.exponent": "s",
        "world.sigma": "σ",
    },
)
