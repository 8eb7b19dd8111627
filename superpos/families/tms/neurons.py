"""What the neurons of a ReLU hidden layer do: features and neurons that serve each other, and the
asymmetric motif.

Shapes: `...` any leading dimensions (models M), F features (n), H neurons (m). Untied: h = relu(x @
W1), y = relu(h @ W2.T + b), both weights [..., F, H]; the weights of a neuron may be scaled by c
and 1/c, so that only products of its input and output weights mean anything. A weight that is not
finite counts as 0.

Sources: TMS is Elhage et al. 2022, *Toy Models of Superposition*.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.maths.types import Floats

Weights = NDArray[np.floating[Any]]

# of abs x_i that a neuron must add to output i to hold feature i; sparse features share neurons
HELD: Final = 0.25
CODE_SHARE: Final = 0.5  # of the feature's largest weight: what counts as one of its neurons
# smallest ratio of the input weights, and of the output weights; the paper's sketch has 4
ASYMMETRY: Final = 2.0


class Motif(NamedTuple):
    """An asymmetric neuron and the neuron that inhibits its interference (TMS, "Computation in
    superposition").

    The neuron holds `loud` with a large input and a small output weight, `quiet` the other way
    round: where x_loud fires it, the output of `quiet` gets `interference` times x_loud. The
    inhibitor fires with it and brings that to `net`, which the ReLU of the output cuts off where it
    is negative.
    """

    neuron: int
    inhibitor: int
    loud: int
    quiet: int
    input_ratio: float  # abs W1[loud] / abs W1[quiet] of the neuron
    output_ratio: float  # W2[quiet] / W2[loud] of the neuron
    interference: float  # of x_loud with the output of `quiet` through the neuron, a unit of x_loud
    net: float  # the same through both neurons
    total: float  # the same through all neurons


def _finite(weights: Weights) -> Floats:
    array = np.asarray(weights, dtype=np.float64)
    return np.where(np.isfinite(array), array, 0.0)


def gains(W1: Weights, W2: Weights) -> Floats:
    """What neuron k adds to output i for a unit of abs x_i, where x_i fires it: abs W1_ik · W2_ik
    [..., F, H].
    """
    result: Floats = np.abs(_finite(W1)) * _finite(W2)
    return result


def held(W1: Weights, W2: Weights) -> NDArray[np.bool_]:
    """Whether neuron k holds feature i, [..., F, H]: its gain is above ¼; 1 gives |x_i| on its side
    by itself.
    """
    mask: NDArray[np.bool_] = gains(W1, W2) > HELD
    return mask


def two_sided(W1: Weights, W2: Weights) -> NDArray[np.bool_]:
    """Whether exactly two neurons hold a feature, [..., F], one where x_i > 0 and one where x_i <
    0.
    """
    holds = held(W1, W2)
    up = (holds & (_finite(W1) > 0)).sum(axis=-1)
    down = (holds & (_finite(W1) < 0)).sum(axis=-1)
    mask: NDArray[np.bool_] = (up == 1) & (down == 1)
    return mask


def code_sizes(W: Weights) -> NDArray[np.int64]:
    """Neurons that a feature active alone fires in a tied model, [..., F]: those with W_ik > ½
    max_k W_ik > 0.

    A feature of a pair of neurons has 2 (TMS, "Superposition in a privileged basis"), one without a
    positive weight 0.
    """
    positive = np.maximum(_finite(W), 0)
    counts: NDArray[np.int64] = (positive > CODE_SHARE * positive.max(axis=-1, keepdims=True)).sum(
        axis=-1
    )
    return counts


def asymmetric_motifs(W1: Weights, W2: Weights) -> list[Motif]:
    """Every asymmetric neuron of one model [F, H] with its strongest inhibitor, the largest
    interference first.

    A neuron is asymmetric in two features that it holds when both ratios of its weights are at
    least 2, in opposite directions. It is a motif when one other neuron that x_loud fires on the
    same side brings the net to 0 or below.
    """
    found = [motif for motif in asymmetric_neurons(W1, W2) if motif.net <= 0]
    return sorted(found, key=lambda motif: -motif.interference)


def asymmetric_neurons(W1: Weights, W2: Weights) -> list[Motif]:
    """Every pair of features that a neuron of one model [F, H] holds asymmetrically, inhibited (net
    <= 0) or not.
    """
    into = _finite(W1)
    out = _finite(W2)
    holds = held(W1, W2)
    found: list[Motif] = []
    if into.shape[-1] < 2:
        return found
    for k in np.flatnonzero(holds.sum(axis=0) >= 2).tolist():
        features = np.flatnonzero(holds[:, k]).tolist()
        for loud in features:
            side = np.sign(into[loud, k])
            for quiet in features:
                ratios = abs(into[loud, k] / into[quiet, k]), out[quiet, k] / out[loud, k]
                if min(ratios) >= ASYMMETRY:
                    # [H], of x_loud with the output of `quiet`
                    effect = np.maximum(side * into[loud], 0) * out[quiet]
                    found.append(_motif(k, loud, quiet, ratios, effect))
    return found


def _motif(k: int, loud: int, quiet: int, ratios: tuple[float, float], effect: Floats) -> Motif:
    others = np.where(np.arange(len(effect)) == k, np.inf, effect)
    inhibitor = int(others.argmin())
    net = float(effect[k] + effect[inhibitor])
    total = float(effect.sum())
    return Motif(
        k, inhibitor, loud, quiet, float(ratios[0]), float(ratios[1]), float(effect[k]), net, total
    )
