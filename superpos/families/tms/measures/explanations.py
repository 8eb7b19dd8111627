"""How right explanations of toy models are, and how they fail.

Grades that a claim names are made first, and kept.

Shapes: K models, n features.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np

from superpos import explain
from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.explain import grades, truth
from superpos.explain.methods import Known
from superpos.explain.runs import explain as explained
from superpos.explain.runs import known_models
from superpos.families.tms.analysis.contamination import contamination as patched
from superpos.families.tms.analysis.forest_importances import (
    Method,
    importances,
    pair_over_others,
    shares_of_others,
)
from superpos.maths.types import Floats
from superpos.store import Run
from superpos.store.rows import best, same_setting

Where = Mapping[str, Any] | None

INPUTS: Final = 40
"""Inputs at which a model is explained; each has three active features."""
_AT_ONCE: Final = 20
"""Models that are explained together."""
NEAR_BEST: Final = 1.01
"""Seeds up to this many times the lowest loss of their setting have learned the same."""


def grade(
    run: Run,
    method: str,
    question: str,
    where: Where = None,
    column: Literal["grade", "missed", "signs"] = "grade",
    background: str = "zero",
) -> Measured:
    """A column of the grades of one method on one question, one value per model."""
    found = explained(run, method, question=question, background=background, inputs=INPUTS)
    chosen = select.where(run, where)["model"]
    return Measured(found.set_index("model")[column].reindex(chosen).to_numpy(dtype=np.float64))


def with_bias(run: Run, method: str, bias: float, where: Where = None) -> Measured:
    """How often the strongest drop is named after every bias of a model was set to a number, one
    value per model.
    """
    found = []
    for known in _known(run, where):
        n = known.layers.n_inputs
        x = truth.active_inputs(n, min(3, n), INPUTS)
        W, b = known.arguments
        changed = np.full_like(b, bias)
        drop = truth.effects(W, changed, x, "drop", density=known.density, **known.activations)
        values = getattr(explain, method)(W, changed, x, **known.activations)
        found.append(grades.grade_causes(drop, values).grade)
    return Measured(np.concatenate(found))


def ridge_factor(run: Run, width: float, where: Where = None) -> Measured:
    """The factor by which the ridge of LIME shrinks every coefficient, the mean over inputs; one
    value per model.
    """
    found = []
    for known in _known(run, where):
        n = known.layers.n_inputs
        p = known.density[:, None]
        scaled = (truth.active_inputs(n, min(3, n), INPUTS) - p / 2) / np.sqrt(p / 3 - p**2 / 4)
        distance = np.sqrt((scaled**2).sum(-1))
        found.append(explain.lime_ridge_factor(n, distance, width=width).mean(axis=1))
    return Measured(np.concatenate(found))


def lime_parallel(run: Run, width: float, where: Where = None) -> Measured:
    """Smallest cosine of LIME's coefficients with the row of weights of their output; one value per
    model.
    """
    found = []
    for known in _known(run, where):
        n = known.layers.n_inputs
        W, b = known.arguments
        x = truth.active_inputs(n, min(3, n), INPUTS)
        options: dict[str, Any] = {"density": known.density, "width": width, "ridge": 0.0}
        seed = None if known.layers.is_affine else 0
        values = explain.lime_coefficients(W, b, x, seed=seed, **options, **known.activations)
        rows = known.layers.products[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = (values * rows).sum(-1) / np.sqrt((values**2).sum(-1) * (rows**2).sum(-1))
        found.append(np.nanmin(np.abs(cosine), axis=(1, 2)))
    return Measured(np.concatenate(found))


def seeds_agree(run: Run, part: Literal["own", "interference"], where: Where = None) -> Measured:
    """Cosine between pairs of equally good seeds of the true effects of inputs: on their own
    output, or on others.

    One value per pair of models whose loss is within a hundredth of the best of their setting.
    """
    rows = select.where(run, where)
    settings = [key for key in run.swept if key != "seed"]
    number = same_setting(rows, settings)
    lowest = best(rows, settings)["loss"].astype(float)
    limit = number.map(dict(zip(number[lowest.index], lowest, strict=True))) * NEAR_BEST
    good = rows[rows["loss"].astype(float) <= limit]
    found = []
    for _, group in good.groupby(number[good.index]):
        models = group["model"].tolist()
        effects = _effects(run, models)
        own = np.eye(effects.shape[-1], dtype=bool)
        flat = effects[..., own if part == "own" else ~own].reshape(len(models), -1)
        for one, other in combinations(flat, 2):
            size = np.linalg.norm(one) * np.linalg.norm(other)
            found.append(float(one @ other / size) if size > 0 else np.nan)
    return Measured(np.array(found))


def partner_credit(
    run: Run, value: Literal["interventional", "conditional"], where: Where = None
) -> Measured:
    """Credit of the partner of a pair of correlated features over a feature's own credit, for
    outputs that move.

    Mean of absolute Shapley values over inputs whose pair is on, one value per model. Of
    independent features the conditional value is the interventional one.
    """
    found = []
    for known in _known(run, where):
        n = known.layers.n_inputs
        W, b = known.arguments
        x = truth.active_inputs(n, 2, INPUTS, set_size=2)
        options: dict[str, Any] = {"density": known.density, **known.activations}
        if value == "conditional" and known.set_size == 2:
            values = explain.conditional_shapley(W, b, x, set_size=2, **options)
        else:
            values = explain.shapley(W, b, x, **options)
        on = (x > 0)[None, :, :, None]
        size = np.abs(values) * on
        feature = np.arange(n)
        own, partner = (size[:, :, feature, other].sum(axis=1) for other in (feature, feature ^ 1))
        found.append(partner.sum(axis=1) / own.sum(axis=1))
    return Measured(np.concatenate(found))


def importance_share(
    run: Run,
    of: Literal["loss", "output"],
    where: Where = None,
    samples: int = 20_000,
    by_density: bool = False,
) -> Measured:
    """Share of permutation importance that falls on inputs other than an output's own; one value
    per model.

    With `by_density` one mean per density.
    """
    rows = select.where(run, where)
    found = []
    for known in _known(run, where):
        W, b = known.arguments
        x = truth.data(known.density, samples, known.set_size)
        values = np.abs(explain.permutation_importance(W, b, x, of=of, **known.activations))
        own = np.trace(values, axis1=1, axis2=2)
        found.append(1 - own / values.sum(axis=(1, 2)))
    shares = np.concatenate(found)
    if not by_density:
        return Measured(shares)
    order = [model for models in _chunks(run, where) for model in models]
    density = rows.set_index("model").loc[order, "data.density"].to_numpy(dtype=np.float64)
    return Measured(np.array([shares[density == p].mean() for p in np.unique(density)]))


def forest_share(run: Run, method: Method, where: Where = None) -> Measured:
    """Share of a forest's importance that falls on inputs other than an output's own; one value per
    model.

    Forests are fitted to outputs with as much noise. Needs scikit-learn.
    """
    found = [importances(run, models, method) for models in _chunks(run, where)]
    return Measured(
        np.concatenate(
            [1 - np.trace(one, axis1=1, axis2=2) / one.sum(axis=(1, 2)) for one in found]
        )
    )


def forest_bias(run: Run, method: Method, where: Where = None) -> Measured:
    """The share of the densest input in a forest's importance for outputs of others, over that of
    the sparsest.

    Of equal densities they are the last and the first input; one value per model.
    """
    found = []
    for models in _chunks(run, where):
        shares = shares_of_others(importances(run, models, method))
        density = known_models(run, models).density
        order = density.argsort(axis=1, kind="stable")
        ends = np.take_along_axis(shares, order[:, [-1, 0]], axis=1)
        found.append(ends[:, 0] / ends[:, 1])
    return Measured(np.concatenate(found))


def _chunks(run: Run, where: Where) -> list[list[int]]:
    """The chosen models, those of one shape and few enough to be explained at once."""
    chosen = set(select.where(run, where)["model"])
    found = []
    for rows in run.folder.rows:
        here = [int(row) for row in rows if row in chosen]
        found += [here[start : start + _AT_ONCE] for start in range(0, len(here), _AT_ONCE)]
    return found


def _known(run: Run, where: Where) -> list[Known]:
    return [known_models(run, models) for models in _chunks(run, where)]


def _effects(run: Run, models: list[int]) -> Floats:
    """What dropping each input does, [K, inputs, n, n], of models of one setting, which may stand
    in several chunks.
    """
    parts = [[int(row) for row in rows if row in set(models)] for rows in run.folder.rows]
    found = []
    for part in filter(None, parts):
        known = known_models(run, part)
        n = known.layers.n_inputs
        W, b = known.arguments
        x = truth.active_inputs(n, min(3, n), INPUTS)
        found.append(truth.effects(W, b, x, "drop", density=known.density, **known.activations))
    return np.concatenate(found)


def contamination(run: Run, where: Where = None) -> Measured:
    """Error of a patch along a feature's direction over its signal, in units of 1/D_i − 1; one
    value per feature.

    Features that share no direction, where both are 0, are left out.
    """
    found = patched(run, set(select.where(run, where)["model"]))
    shared = found.exact > 1e-3
    return Measured(found.measured[shared] / found.exact[shared])


def pair_importance(
    run: Run, of: Literal["forest", "model"] = "forest", where: Where = None
) -> Measured:
    """Permutation importance of the first two inputs for the sum of a model's outputs over that of
    the others, which add as much: of a forest that is fitted to the sum, or of the model itself;
    one value per model.
    """
    models = select.where(run, where)["model"].tolist()
    return Measured(np.array([pair_over_others(run, model, of) for model in models]))
