"""Gains, codes and asymmetric motifs of neurons: weights made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from superpos.families.tms import neurons, theory

Floats = NDArray[np.float64]
SCALES = st.lists(st.floats(0.1, 10), min_size=4, max_size=4)


def motif(inhibition: float = -4.0) -> tuple[Floats, Floats]:
    """The paper's sketch: a neuron with input weights 2, -1/2 and output weights 1/2, 2, and one
    that inhibits.

    Features 0 and 1, neurons 0 and 1; the rest gives the other sign of feature 0 a neuron of its
    own.
    """
    W1, W2 = np.zeros((3, 4)), np.zeros((3, 4))
    W1[[0, 1], 0], W2[[0, 1], 0] = (2, -0.5), (0.5, 2)
    W1[0, 1], W2[1, 1] = 1, inhibition
    W1[0, 2], W2[0, 2] = -1, 1
    return W1, W2


def test_the_sketch_of_the_paper_is_found() -> None:
    assert neurons.asymmetric_motifs(*motif()) == [
        neurons.Motif(
            neuron=0,
            inhibitor=1,
            loud=0,
            quiet=1,
            input_ratio=4,
            output_ratio=4,
            interference=4,
            net=0,
            total=0,
        )
    ]


def test_what_is_almost_a_motif_is_none() -> None:
    assert neurons.asymmetric_motifs(*motif(inhibition=-3.9)) == []
    assert [found.net for found in neurons.asymmetric_neurons(*motif(inhibition=-3.9))] == [
        pytest.approx(0.1)
    ]
    W1, W2 = motif()
    W1[0, 1] = -1  # the second neuron fires for the other sign of feature 0
    assert neurons.asymmetric_motifs(W1, W2) == []
    W1, W2 = motif()
    W1[0, 0] = W1[1, 0] = 1  # equal input weights
    assert neurons.asymmetric_neurons(W1, W2) == []
    W1, W2 = motif()
    W2[1, 0] = 0.4  # output weights in the same direction as input weights
    assert neurons.asymmetric_neurons(W1, W2) == []
    # nobody to inhibit
    assert neurons.asymmetric_neurons(*(weights[:, :1] for weights in motif())) == []


def test_two_inhibitors_do_together_what_the_total_says() -> None:
    W1, W2 = motif(inhibition=-3)
    W1[0, 3], W2[1, 3] = 0.5, -2.4
    [found] = neurons.asymmetric_neurons(W1, W2)
    assert (found.inhibitor, found.net, found.total) == (1, 1, pytest.approx(-0.2))


@given(SCALES)
def test_the_scale_of_a_neuron_changes_nothing(scales: list[float]) -> None:
    W1, W2 = motif(inhibition=-5)
    c = np.array(scales)
    [expected], [found] = (
        neurons.asymmetric_motifs(W1, W2),
        neurons.asymmetric_motifs(W1 * c, W2 / c),
    )
    assert found == pytest.approx(expected)
    np.testing.assert_array_equal(neurons.two_sided(W1 * c, W2 / c), neurons.two_sided(W1, W2))


def test_random_weights_have_no_motif_and_hold_nothing() -> None:
    rng = np.random.default_rng(0)
    W1, W2 = rng.normal(scale=np.sqrt(2 / 140), size=(2, 100, 40))
    assert not neurons.held(W1, W2).any()
    assert neurons.asymmetric_neurons(W1, W2) == []


def test_the_absolute_value_has_two_neurons_a_feature_one_a_sign() -> None:
    W1, W2 = np.hstack([np.eye(3), -np.eye(3)]), np.hstack([np.eye(3), np.eye(3)])
    assert neurons.two_sided(W1, W2).all()
    assert (neurons.gains(W1, W2).sum(axis=-1) == 2).all()
    assert neurons.two_sided(np.abs(W1), W2).sum() == 0  # both for x > 0
    W1[0, 3] = 0
    assert neurons.two_sided(W1, W2).tolist() == [False, True, True]
    assert neurons.two_sided(np.full((1, 2), np.nan), np.ones((1, 2))).tolist() == [False]


def test_code_sizes() -> None:
    W = [[1, 0.1, -3], [0.7, 0.6, 0.5], [0.7, 0.7, -0.7], [-1, -1, 0]]
    assert neurons.code_sizes(np.array(W)).tolist() == [1, 3, 2, 0]
    assert (neurons.code_sizes(theory.pair_code(5)) == 2).all()
    assert neurons.code_sizes(np.full((1, 2), np.inf)).tolist() == [0]
