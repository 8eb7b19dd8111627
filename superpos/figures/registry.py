"""The figures of a run: which there are, which a run can show, drawing them.

Every figure is one module with `applies(run)`, which says in words why a run cannot be drawn (None: it can), and
`draw(run)`. Beside them stand pure drawing functions that take arrays. Nothing here writes a file: `style.render`
gives the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from matplotlib.figure import Figure

from superpos.errors import SuperposError
from superpos.families.tms.figures import (
    d_star,
    dimensionality,
    dynamics,
    energy_levels,
    feature_graph,
    features,
    motif,
    neurons,
    pca,
    phase_diagram,
    polytopes,
    sets,
    superposition,
    training_movie,
    vulnerability,
)
from superpos.figures import loss
from superpos.figures.points import Run
from superpos.figures.style import render

__all__ = ["FIGURES", "Entry", "Run", "available", "draw", "picture", "reasons", "render"]


class Entry(NamedTuple):
    """One figure of the registry."""

    description: str
    applies: Callable[[Run], str | None]  # why the run cannot be drawn; None when it can
    draw: Callable[[Run], Figure]
    animate: Callable[[Run], bytes] | None = None  # the same as a GIF, which takes long: made when asked for by name
    needs: Literal["losses", "weights", "all"] = "all"  # what must be superpos's own where a user's functions trained


FIGURES: Final[Mapping[str, Entry]] = {
    "features": Entry(
        "feature directions as arrows, one panel a density (m = 2)", features.applies, features.draw, needs="weights"
    ),
    "superposition": Entry(
        "WᵀW, b and feature norms coloured by interference", superposition.applies, superposition.draw, needs="weights"
    ),
    "phase_diagram": Entry(
        "phases of the last feature: trained, candidate theory, exact minimum",
        phase_diagram.applies,
        phase_diagram.draw,
    ),
    "geometry": Entry("dimensions per feature D* against sparsity", d_star.applies, d_star.draw, needs="weights"),
    "dimensionality": Entry(
        "dimensionality D_i of every feature against sparsity, with the polytopes' fractions",
        dimensionality.applies,
        dimensionality.draw,
        needs="weights",
    ),
    "feature_graph": Entry(
        "graphs of the represented features: their polytopes, where each shows best",
        feature_graph.applies,
        feature_graph.draw,
        needs="weights",
    ),
    "sets": Entry("correlated and anticorrelated sets: arrows, WᵀW, geometries found", sets.applies, sets.draw),
    "pca": Entry("correlated sets that collapse as they get denser (m = 2)", pca.applies, pca.draw),
    "vulnerability": Entry(
        "adversarial vulnerability and features per dimension against sparsity",
        vulnerability.applies,
        vulnerability.draw,
    ),
    "neurons": Entry(
        "weights of every neuron of a ReLU hidden layer, stacked and as a heat map",
        neurons.applies,
        neurons.draw,
        needs="weights",
    ),
    "motif": Entry(
        "the asymmetric superposition motif: two neurons and their weights", motif.applies, motif.draw, needs="weights"
    ),
    "energy_levels": Entry(
        "loss against one perturbed feature: models on the exact curves of their shapes (m = 2)",
        energy_levels.applies,
        energy_levels.draw,
    ),
    "polytopes": Entry(
        "the polytopes of models with three hidden dimensions", polytopes.applies, polytopes.draw, needs="weights"
    ),
    "dynamics": Entry(
        "D_i of every feature and the loss along training, with the jumps (needs snapshots)",
        dynamics.applies,
        dynamics.draw,
    ),
    "training_movie": Entry(
        "training as a GIF: directions and loss (m = 2 or 3; needs snapshots); only with --figure",
        training_movie.applies,
        training_movie.draw,
        training_movie.animate,
    ),
    "loss": Entry("training loss over steps", loss.applies, loss.draw, needs="losses"),
}


def available(run: Run) -> list[str]:
    """Names of the figures that this run can show, in the order of the registry."""
    return [name for name, reason in reasons(run).items() if reason is None]


def reasons(run: Run) -> dict[str, str | None]:
    """Why each figure cannot show this run, in words that go on from its name: "needs ..."; None where it can."""
    return {name: _reason(run, entry) for name, entry in FIGURES.items()}


def _reason(run: Run, entry: Entry) -> str | None:
    """Why a figure cannot show a run: functions of a user's own, or what the figure itself says."""
    if run.own and entry.needs == "all":
        return f"needs superpos's own model, data and target, found {run.own}"
    if run.own and run.own.has_params and entry.needs == "weights":
        return f"needs the parameters of superpos's own model, found those of {run.own}"
    return entry.applies(run)


def picture(run: Run, name: str, kind: Literal["png", "svg", "pdf"]) -> tuple[str, bytes]:
    """Name and content of a figure's file: of that kind, a movie always a GIF. Raises as `draw`."""
    entry = _entry(run, name)
    if entry.animate is not None:
        return f"{name}.gif", entry.animate(run)
    return f"{name}.{kind}", render(entry.draw(run), kind)


def draw(run: Run, name: str) -> Figure:
    """One figure of a run.

    Raises:
        SuperposError: there is no figure of that name, or the run cannot show it; says why and what it can show.
    """
    return _entry(run, name).draw(run)


def _entry(run: Run, name: str) -> Entry:
    if name not in FIGURES:
        raise SuperposError(f"no figure {name!r}; there are {', '.join(FIGURES)}")
    reason = _reason(run, FIGURES[name])
    if reason is not None:
        others = ", ".join(available(run)) or "none"
        raise SuperposError(f"figure {name!r} {reason}; figures of this run: {others}")
    return FIGURES[name]
