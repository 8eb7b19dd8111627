"""Neurons of a ReLU hidden layer: features per neuron, neurons per feature, loss of known codes,
motifs.

Losses are sampled, so that seeds of one optimum are ranked by noise: `lowest` takes that many
models of lowest loss at every density instead of the best. Shapes: F features (n), H neurons (m), K
models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import metrics, neurons, theory
from superpos.maths.types import Floats
from superpos.store import Run

Code = Literal["nothing", "dedicated", "absolute_value", "pair_code"]
_LOSS_OF: Final = {
    "nothing": lambda density, importance, _: theory.dedicated_floor(density, importance, 0),
    "dedicated": theory.dedicated_floor,
    "absolute_value": theory.absolute_value_floor,
    "pair_code": theory.pair_code_loss,
}


def monosemantic(
    run: Run, where: Mapping[str, Any] | None = None, lowest: int | None = None
) -> Measured:
    """Share of each model's neurons that have one feature (`metrics.neuron_monosemanticity`)."""
    return Measured(
        (metrics.neuron_monosemanticity(_input_weights(run, _rows(run, where, lowest))) == 1).mean(
            axis=-1
        )
    )


def monosemantic_trend(run: Run, where: Mapping[str, Any] | None = None) -> Measured:
    """Rank correlation of density and share of monosemantic neurons over each seed's densities; NaN
    for one share.
    """
    rows = select.where(run, where)
    shares = rows.assign(
        share=(metrics.neuron_monosemanticity(_input_weights(run, rows)) == 1).mean(axis=-1)
    )
    return Measured(
        np.array([_rank_correlation(seed) for _, seed in shares.groupby("seed", sort=False)])
    )


def _rank_correlation(rows: pd.DataFrame) -> float:
    density = rows["data.density"].astype(np.float64).rank()
    share = rows["share"].rank()
    return float(density.corr(share)) if share.nunique() > 1 else np.nan


def dedicated(
    run: Run, where: Mapping[str, Any] | None = None, lowest: int | None = None
) -> Measured:
    """Share of each model's m most important features with a monosemantic neuron of their own.

    Features must stand in order of importance.
    """
    W = _input_weights(run, _rows(run, where, lowest))
    return Measured(_own_neuron(W)[:, : W.shape[-1]].mean(axis=-1))


def features_per_shared_neuron(
    run: Run, where: Mapping[str, Any] | None = None, lowest: int | None = None
) -> Measured:
    """Represented features without a neuron of their own, over polysemantic neurons; NaN without
    such neurons.
    """
    W = _input_weights(run, _rows(run, where, lowest))
    features = (metrics.represented(W) & ~_own_neuron(W)).sum(axis=-1).astype(np.float64)
    shared = (metrics.neuron_monosemanticity(W) > 1).sum(axis=-1)
    return Measured(np.divide(features, shared, out=np.full(len(W), np.nan), where=shared > 0))


def pairs(run: Run, where: Mapping[str, Any] | None = None, lowest: int | None = None) -> Measured:
    """Share of each tied model's features that are represented and fire a pair of neurons
    (`neurons.code_sizes`).
    """
    W = _input_weights(run, _rows(run, where, lowest))
    return Measured((metrics.represented(W) & (neurons.code_sizes(W) == 2)).mean(axis=-1))


def two_sided(
    run: Run, first: int, where: Mapping[str, Any] | None = None, lowest: int | None = None
) -> Measured:
    """Share of the first features that have exactly two neurons, one per sign
    (`neurons.two_sided`); 0 if tied.
    """
    rows = _rows(run, where, lowest)
    found = [neurons.two_sided(*weights)[:first].mean() for weights in _untied(run, rows)]
    return Measured(np.array(found, dtype=np.float64))


def loss_ratio(
    run: Run, code: Code, where: Mapping[str, Any] | None = None, lowest: int | None = None
) -> Measured:
    """Loss of each model over that of a code (`theory.floors`) for its density and importance;
    expected to be 1.
    """
    rows = _rows(run, where, lowest)
    density, decay = (
        rows[key].to_numpy(dtype=np.float64) for key in ("data.density", "importance.decay")
    )
    sizes = rows[["model.n_features", "model.n_hidden"]].to_numpy(dtype=np.intp)
    known = [
        _LOSS_OF[code](p, d ** np.arange(n), m)
        for p, d, (n, m) in zip(density, decay, sizes, strict=True)
    ]
    return Measured(rows["loss"].to_numpy(dtype=np.float64) / np.array(known), 1.0)


def motifs(run: Run, where: Mapping[str, Any] | None = None, lowest: int | None = None) -> Measured:
    """Number of asymmetric motifs of each model (`neurons.asymmetric_motifs`); 0 for tied
    models.
    """
    rows = _rows(run, where, lowest)
    found = [len(neurons.asymmetric_motifs(*weights)) for weights in _untied(run, rows)]
    return Measured(np.array(found, dtype=np.float64))


def left_interference(
    run: Run, where: Mapping[str, Any] | None = None, lowest: int | None = None
) -> Measured:
    """Interference of every asymmetric neuron that the other neurons leave, as a share of its own.

    One value an asymmetric neuron; NaN where there is none.
    """
    rows = _rows(run, where, lowest)
    found = [
        motif.total / motif.interference
        for weights in _untied(run, rows)
        for motif in neurons.asymmetric_neurons(*weights)
    ]
    return Measured(np.array(found or [np.nan]))


def _rows(run: Run, where: Mapping[str, Any] | None, lowest: int | None) -> pd.DataFrame:
    """Rows that `where` selects, of these the `lowest` models of lowest loss at every density."""
    rows = select.where(run, where).sort_values("loss")
    return rows if lowest is None else rows.groupby("data.density", sort=False).head(lowest)


def _input_weights(run: Run, rows: pd.DataFrame) -> Floats:
    """W or W1 [K, F, H]."""
    return run.tensor("W" if rows["model.tied"].all() else "W1", rows["model"]).astype(np.float64)


def _untied(run: Run, rows: pd.DataFrame) -> list[tuple[Floats, Floats]]:
    """W1 and W2 of each model, [F, H] each; a tied model has W twice."""
    names = ("W", "W") if rows["model.tied"].all() else ("W1", "W2")
    first, second = (run.tensor(name, rows["model"]).astype(np.float64) for name in names)
    return list(zip(first, second, strict=True))


def _own_neuron(W: Floats) -> NDArray[np.bool_]:
    """Whether each feature [K, F] is the one feature of a neuron."""
    alone = metrics.neuron_monosemanticity(W)[:, None, :] == 1
    top = np.abs(W) == np.abs(W).max(axis=-2, keepdims=True)
    mask: NDArray[np.bool_] = (alone & top).any(axis=-1)
    return mask
