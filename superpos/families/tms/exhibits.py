"""What there is to show of toy models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from superpos.families.tms import explorer
from superpos.family import Exhibits, Figure, Functions, Late

_HERE: Final = "superpos.families.tms"


def _figure(module: str, description: str, *, movie: bool = False) -> Figure:
    return Figure(description, f"{_HERE}.figures.{module}", movie)


_FIGURES: Final[Mapping[str, Figure]] = {
    "features": _figure("features", "feature directions as arrows, one panel a density (m = 2)"),
    "superposition": _figure("superposition", "WᵀW, b and feature norms coloured by interference"),
    "phase_diagram": _figure(
        "phase_diagram", "phases of the last feature: trained, candidate theory, exact minimum"
    ),
    "geometry": _figure("d_star", "dimensions per feature D* against sparsity"),
    "dimensionality": _figure(
        "dimensionality",
        "dimensionality D_i of every feature against sparsity, with the polytopes' fractions",
    ),
    "feature_graph": _figure(
        "feature_graph",
        "graphs of the represented features: their polytopes, where each shows best",
    ),
    "sets": _figure("sets", "correlated and anticorrelated sets: arrows, WᵀW, geometries found"),
    "pca": _figure("pca", "correlated sets that collapse as they get denser (m = 2)"),
    "vulnerability": _figure(
        "vulnerability", "adversarial vulnerability and features per dimension against sparsity"
    ),
    "neurons": _figure(
        "neurons", "weights of every neuron of a ReLU hidden layer, stacked and as a heat map"
    ),
    "motif": _figure("motif", "the asymmetric superposition motif: two neurons and their weights"),
    "energy_levels": _figure(
        "energy_levels",
        "loss against one perturbed feature: models on the exact curves of their shapes (m = 2)",
    ),
    "energy_ladder": _figure(
        "energy_ladder",
        "one feature at a time (m = 2): losses along training and at the end on the exact levels",
    ),
    "emergent_phases": _figure(
        "emergent_phases",
        "share of represented features and loss against the width, a curve for each activity",
    ),
    "interference_weights": _figure(
        "interference_weights",
        "entries of WᵀW by what they are worth, and of two seeds against each other",
    ),
    "incidental": _figure(
        "incidental",
        "neurons that features share by chance, against their number (more neurons than features)",
    ),
    "compressed": _figure(
        "compressed",
        "max(x, 0) by fewer neurons than features: what comes out, by the power of the loss",
    ),
    "double_descent": _figure(
        "double_descent",
        "test loss, dimensionality of points and features, norms against the size of the data set",
    ),
    "scaling": _figure(
        "scaling",
        "loss and spread of directions against the width, by how the biases start (model.bias_std)",
    ),
    "circle": _figure(
        "circle", "features on a circle: WᵀW, and its entries against their covariance"
    ),
    "polytopes": _figure("polytopes", "the polytopes of models with three hidden dimensions"),
    "dynamics": _figure(
        "dynamics",
        "D_i of every feature and the loss along training, with the jumps (needs snapshots)",
    ),
    "explanation_grades": Figure(
        "grades of explanation methods against the density, a panel a question (after superpos "
        "explain)",
        "superpos.explain.figures.explanation_grades",
    ),
    "contamination": _figure(
        "contamination", "what a patch along one feature carries of the others, on its exact line"
    ),
    "collateral": _figure(
        "collateral",
        "what patches do to the output that is meant, and to all others, against the density",
    ),
    "forest_importances": _figure(
        "forest_importances",
        "what random forests call important of what is not, by density (scikit-learn)",
    ),
    "training_movie": _figure(
        "training_movie",
        "training as a GIF: directions and loss (m = 2 or 3; needs snapshots); only with --figure",
        movie=True,
    ),
}

_OF_WEIGHTS: Final = frozenset(
    {
        "features",
        "superposition",
        "geometry",
        "dimensionality",
        "feature_graph",
        "neurons",
        "motif",
        "polytopes",
    }
)
"""Figures that need nothing but the parameters: whatever data and target they were trained on."""

SHOWS: Final = Exhibits(
    figures=_FIGURES,
    measures=f"{_HERE}.measures",
    explorer=explorer.EXPLORER,
    bench=Late(f"{_HERE}.bench:bench"),
    words={
        "data.density": "1 − S",
        "model.n_features": "n",
        "model.n_hidden": "m",
        "model.output=relu": "ReLU output",
        "model.output=linear": "linear output",
        "importance.last": "r",
    },
    ordered_by="data.density",
)


def shows_with(functions: Functions) -> Exhibits:
    """What there is to show of models with a user's own functions, and why not the other
    figures.
    """
    others = f"needs superpos's own model, data and target, found {functions}"
    parameters = ""
    if functions.has_params:
        parameters = f"needs the parameters of superpos's own model, found those of {functions}"
    figures = {
        name: replace(figure, barred=parameters if name in _OF_WEIGHTS else others)
        for name, figure in SHOWS.figures.items()
    }
    return replace(
        SHOWS, figures=figures, explorer=explorer.own_functions_explorer(functions.has_params)
    )
