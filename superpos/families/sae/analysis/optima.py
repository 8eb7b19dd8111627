"""Trained autoencoders beside exact optima: shrinkage, thresholds, scaling, mixing, hedging.

Shapes: K models of one setting, G features, m latents.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.sae import metrics, theory
from superpos.families.sae.analysis.points import pair, rho
from superpos.families.sae.analysis.worlds import (
    cosines,
    decoders,
    densities,
    features,
    rates,
    world,
)
from superpos.families.sae.counts import edges_of
from superpos.figures.points import Point, Run
from superpos.maths.types import Floats

FOUND: Final = 0.9
"""Cosine above which a feature is found."""
_COMPOSED: Final = 0.98
"""Cosine with the sum of two features above which a latent is composed: within 11° of it."""


class Shrunk(NamedTuple):
    """Numbers of each model over their exact values, [K] each; 1 where they agree."""

    bias: Floats
    """Mean encoder bias of live latents; of JumpReLU the threshold."""
    l0: Floats
    loss: Floats
    gamma: Floats


def exact_l1(point: Point) -> tuple[theory.Optimum, float]:
    """The exact optimum of a feature, and the number of features, of a setting of L1."""
    n = point.number("world.n_features")
    density = point.number("world.active") / n
    bias = bool(point.settings["sae.decoder_bias"])
    return theory.l1_optimum(density, point.number("sae.l1"), decoder_bias=bias), n


def shrunk(run: Run, point: Point) -> Shrunk:
    """A setting in an orthonormal world of equal features beside its optimum, L1 or JumpReLU."""
    rows = run.table.loc[point.models.tolist()]
    loss, l0 = (rows[name].to_numpy(dtype=np.float64) for name in ("loss", "l0"))
    gamma = rows["gamma"].to_numpy(dtype=np.float64)
    n = point.number("world.n_features")
    if point.settings["sae.kind"] == "jumprelu":
        active = point.number("world.active")
        penalty = point.number("sae.l0")
        theta = float(theory.jumprelu_threshold(penalty, point.number("sae.bandwidth")))
        exact_loss = n * theory.jumprelu_loss(active / n, penalty, theta)
        of_latents = live_values(run, point.models, "theta")
        return Shrunk(of_latents / theta, l0 / (active * (1 - theta)), loss / exact_loss, gamma)
    exact, _ = exact_l1(point)
    bias = live_values(run, point.models, "b_e") / exact.encoder_bias
    return Shrunk(bias, l0 / (n * exact.l0), loss / (n * exact.loss), gamma / exact.gamma)


def live_values(run: Run, models: NDArray[np.intp], name: str) -> Floats:
    """Mean of a tensor [K, m] over the latents that fire."""
    cells = np.asarray(run.tensor(name, models), np.float64)
    return metrics.mean_over(cells, rates(run, models) > 0)


def first_cosines(run: Run, model: int) -> Floats:
    """Cosines of feature 0 with the latents that are nearest to the other features, [G − 1]."""
    C = cosines(run, model)
    nearest = metrics.best(C).latent[1:]
    return np.asarray(C[0, nearest])


def first_correlation(point: Point) -> float:
    """Correlation of feature 0 with every other one; NaN where they have none or differ in it."""
    given = point.settings["world.rho"]
    others = np.unique([] if given is None else rho(given)[1:])
    return float(others[0]) if len(others) == 1 else np.nan


class Hedged(NamedTuple):
    """Cosines with a child or a parent, trained and exact."""

    cosine: Floats
    exact: float


def hedged(run: Run, point: Point) -> Hedged:
    """The child's cosines of the single latents that live, with the sign in which they have the
    parent.

    With a decoder bias a latent may stand for "no parent" just as well, with the opposite sign.
    """
    edge = pair(point)
    assert edge is not None, "figures and claims ask for pairs"
    exact = theory.hedging_cosines(*edge).child
    live = point.models[rates(run, point.models)[:, 0] > 0]
    both = np.array([cosines(run, model)[:2, 0] for model in live.tolist()]).reshape(-1, 2)
    return Hedged(both[:, 1] * np.sign(both[:, 0]), float(exact))


def hedged_parents(run: Run, point: Point) -> Hedged:
    """Mean cosine of parents with their nearest latents, beside that of one latent a tree.

    The trees are equal: parents of children that exclude each other.
    """
    [(p, _, alone, children)] = {
        (p, exclusive, alone, tuple(children))
        for p, exclusive, alone, children in json.loads(str(point.settings["world.tree"]))
    }
    [child] = set(children)
    exact = theory.hedging_cosines(p, child, alone, len(children)).parent
    parents = np.unique(edges_of(world(run, point.best)).parents)
    found = [metrics.mmcs(cosines(run, model)[parents]) for model in point.models.tolist()]
    return Hedged(np.array(found), float(exact))


class Composed(NamedTuple):
    """Autoencoders of two features that come alone and together."""

    loss: Floats  # [K]
    truth: float
    exact: float
    """The loss of the composed code."""
    has_sum: NDArray[np.bool_]  # [K]; whether a live latent points at the sum


def composed(run: Run, point: Point) -> Composed:
    """A setting beside the two exact losses."""
    edge = pair(point)
    assert edge is not None, "figures and claims ask for pairs"
    together = edge.parent * edge.child
    alone = edge.parent - together
    truth, exact = theory.composed_losses(alone, together, point.number("sae.l1"))
    found = []
    for model in point.models.tolist():
        both = features(run, model)[:2].sum(axis=0)
        D = decoders(run, np.array([model]))[0]
        alive = rates(run, np.array([model]))[0] > 0
        C = metrics.cosines(both[None], D, alive)
        found.append(metrics.found(C, _COMPOSED) > 0)
    loss = run.table["loss"].loc[point.models.tolist()].to_numpy(dtype=np.float64)
    return Composed(loss, float(truth), float(exact), np.array(found, dtype=np.bool_))


class Frequencies(NamedTuple):
    """Which features the models of a setting have, by how frequent they are."""

    density: Floats  # [G]
    found: Floats  # [K, G]; 1 or 0
    half: float
    """Density of a line with the fewest features that are missing above it plus found below it."""
    exact_loss: float
    """Loss where the most frequent ones are kept."""


def by_frequency(run: Run, point: Point) -> Frequencies:
    """A setting in a world of independent, orthonormal features."""
    p = densities(run, point.best)
    found = (np.asarray(run.tensor("best_cos", point.models), np.float64) > FOUND).astype(
        np.float64,
    )
    order = np.argsort(-p, kind="stable")
    misses = np.concatenate([[0.0], np.cumsum(1 - found.mean(axis=0)[order])])
    extras = found.mean(axis=0).sum() - np.concatenate(
        [[0.0], np.cumsum(found.mean(axis=0)[order])],
    )
    cut = int(np.argmin(misses + extras))  # the number of features above the line
    half = float(np.sqrt(p[order][max(cut - 1, 0)] * p[order][min(cut, len(p) - 1)]))
    bias = bool(point.settings["sae.decoder_bias"])
    penalty = point.number("sae.l1")
    size = int(point.number("sae.latents"))
    return Frequencies(
        p,
        found,
        half,
        float(theory.scaling_loss(p, size, penalty, decoder_bias=bias)),
    )
