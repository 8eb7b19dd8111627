"""Measures of neurons, on weights worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from memory_run import MemoryRun, make_run
from test_figures_neurons import RELU, UntiedRun, absolute, make_untied
from test_neurons import motif

from superpos.families.tms import theory
from superpos.families.tms.measures import neurons

# 3 features in 2 neurons
SHARED = np.array([[1.0, 0, 0], [0, 0.7, 0.7], [0, 0.7, -0.7], [0, -0.7, 0.7], [0, 0, 0]])
OWN = np.eye(5, 3)
LOSS = {0: 0.3, 1: 0.1, 2: 0.2}


@pytest.fixture
def run() -> MemoryRun:
    """Dense: a neuron a feature, sparse: shared ones; three seeds, the losses of seeds 1 and 2 are
    lower.
    """
    return make_run(
        RELU | {"model.n_features": 5, "model.n_hidden": 3},
        {"data.density": [0.1, 1.0], "seed": [0, 1, 2]},
        lambda row: (
            np.zeros((5, 3)) if row["seed"] == 0 else OWN if row["data.density"] == 1 else SHARED
        ),
        lambda row: LOSS[row["seed"]],
    )


def test_lowest_takes_the_models_of_lowest_loss_at_every_density(run: MemoryRun) -> None:
    everything = neurons.monosemantic(run).values
    np.testing.assert_allclose(np.sort(everything), [0, 0, 1 / 3, 1 / 3, 1, 1])
    np.testing.assert_allclose(neurons.monosemantic(run, lowest=1).values, [1 / 3, 1])
    np.testing.assert_allclose(
        neurons.monosemantic(run, {"data.density": 1}, lowest=2).values, [1, 1]
    )


def test_own_and_shared_neurons(run: MemoryRun) -> None:
    np.testing.assert_allclose(neurons.dedicated(run, lowest=1).values, [1 / 3, 1])
    np.testing.assert_allclose(
        neurons.features_per_shared_neuron(run, {"data.density": 0.1}, 1).values, [3 / 2]
    )
    # no shared neurons
    assert np.isnan(neurons.features_per_shared_neuron(run, {"data.density": 1}).values).all()
    # importance, not strength: the neurons of a model that holds the last features are not
    # dedicated
    late = make_run(RELU | {"model.n_features": 5, "model.n_hidden": 3}, {}, lambda row: OWN[::-1])
    np.testing.assert_allclose(neurons.dedicated(late).values, [1 / 3])
    np.testing.assert_allclose(neurons.monosemantic(late).values, [1])


def test_pairs(run: MemoryRun) -> None:
    np.testing.assert_allclose(neurons.pairs(run, lowest=1).values, [1 / 5, 0])
    codes = [theory.pair_code(5), 0.3 * theory.pair_code(5), np.abs(theory.pair_code(5))]
    base = RELU | {"model.n_features": 10, "model.n_hidden": 5}
    found = neurons.pairs(
        make_run(base, {"seed": [0, 1, 2]}, lambda row: codes[row["seed"]])
    ).values
    np.testing.assert_allclose(found, [1, 0, 0])  # the second is too short to be represented


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("nothing", 0.1 / (31 / 16 / 12)),
        ("dedicated", 0.1 / (3 / 16 / 12)),
        ("absolute_value", None),
    ],
)
def test_loss_ratio(run: MemoryRun, code: Any, expected: float | None) -> None:
    expected = expected or 0.1 / theory.absolute_value_floor(1, 0.5 ** np.arange(5), 3)
    found = neurons.loss_ratio(run, code, {"data.density": 1, "seed": 1})
    assert found.expected == 1
    np.testing.assert_allclose(found.values, [expected])


def test_loss_ratio_to_the_pair_code() -> None:
    base = RELU | {"model.n_features": 10, "model.n_hidden": 5, "importance.decay": 1.0}
    run = make_run(base, {"data.density": [0.1, 0.01]}, lambda row: theory.pair_code(5))
    np.testing.assert_allclose(
        neurons.loss_ratio(run, "pair_code").values, [0.1 / 0.15, 0.1 / 0.0015]
    )


def untied() -> UntiedRun:
    """A motif, inhibited in full only by seed 1."""
    return make_untied(
        {"seed": [0, 1]}, lambda row: motif(inhibition=-4.4 if row["seed"] else -3.0)
    )


def test_two_sided_and_motifs(run: MemoryRun) -> None:
    seven = make_untied({"seed": [0]}, absolute)
    np.testing.assert_allclose(neurons.two_sided(seven, first=7).values, [1])
    np.testing.assert_allclose(neurons.two_sided(seven, first=10).values, [0.7])
    np.testing.assert_allclose(neurons.two_sided(run, first=3).values, 0)
    np.testing.assert_allclose(neurons.motifs(untied()).values, [0, 1])
    np.testing.assert_allclose(neurons.motifs(seven).values, [0])
    np.testing.assert_allclose(neurons.motifs(run).values, 0)


def test_left_interference() -> None:
    np.testing.assert_allclose(neurons.left_interference(untied()).values, [1 / 4, -0.1])
    assert np.isnan(neurons.left_interference(make_untied({"seed": [0]}, absolute)).values).all()


def test_the_trend_of_monosemantic_neurons() -> None:
    shares = {1.0: OWN, 0.3: SHARED, 0.1: np.ones((5, 3))}
    axes = {"data.density": [0.3, 1.0, 0.1], "seed": [0, 1]}
    base = RELU | {"model.n_features": 5, "model.n_hidden": 3}
    falling = make_run(base, axes, lambda row: shares[row["data.density"]])
    np.testing.assert_allclose(neurons.monosemantic_trend(falling).values, [1, 1])
    rising = make_run(
        base, axes, lambda row: shares[{1.0: 0.1, 0.1: 1.0}.get(row["data.density"], 0.3)]
    )
    np.testing.assert_allclose(neurons.monosemantic_trend(rising).values, [-1, -1])
    assert np.isnan(neurons.monosemantic_trend(make_run(base, axes, lambda row: OWN)).values).all()
