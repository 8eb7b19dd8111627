"""What patches of the hidden layer do to outputs, beside the change of one input that they stand
for.

A patch is meant to exchange feature i of an input x for that of another, x'. Three ways, from
coarse to true:

    neuron     the hidden unit on which W_i is largest takes its value on x'
    direction  the part of h along W_i does: h + Ŵ_i Ŵ_iᵀ(h' − h)
    input      x_i itself does: h + (x_i' − x_i) W_i

and ablations of hidden units, which are set to 0, to their mean, or to their value on another
input.

Shapes: M models of one setting, B pairs, n features, m hidden units.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from superpos.explain.methods import Known
from superpos.explain.runs import known_models
from superpos.explain.truth import data
from superpos.families.tms.analysis.contamination import PAIRS, PRESENT
from superpos.maths import dimensionality
from superpos.maths.types import Floats
from superpos.store import Run

Patch = Literal["neuron", "direction", "input"]
PATCHES: Final[tuple[Patch, ...]] = get_args(Patch)
Ablation = Literal["zero", "mean", "resample"]
_AT_ONCE: Final = 20
"""Models that are patched together."""


class Moved(NamedTuple):
    """What one kind of patch does in each model, over represented features, [M]."""

    models: NDArray[np.intp]
    """Their numbers."""
    on_target: Floats
    """R² of output i against what exchanging x_i does to it."""
    others: Floats
    """Power by which all other outputs move, over that by which output i should."""


def moved(run: Run, models: Collection[int], patch: Patch) -> Moved:
    """Some models, chunk by chunk, which have one hidden layer of linear units."""
    found = [_moved(block, known_models(run, block), patch) for block in _blocks(run, models)]
    return Moved(*(np.concatenate(values) for values in zip(*found, strict=True)))


def _moved(models: list[int], known: Known, patch: Patch) -> Moved:
    layers = known.layers
    n = layers.n_inputs
    clean, other = (data(known.density, PAIRS, known.set_size, seed) for seed in (0, 1))
    h = clean @ layers.W1
    there = other @ layers.W1
    before = layers.activate(h @ layers.W2.mT + layers.b[:, None])
    unit = dimensionality.directions(layers.W1)
    wanted, missed, others = (np.zeros((len(layers), n)) for _ in range(3))
    for i in range(n):
        row = layers.W1[:, None, i]
        meant = h + (other - clean)[:, :, i, None] * row
        if patch == "input":
            patched = meant
        elif patch == "direction":
            along = ((there - h) * unit[:, None, i]).sum(-1, keepdims=True)
            patched = h + along * unit[:, None, i]
        else:
            largest = np.abs(row).argmax(-1)[..., None] == np.arange(h.shape[-1])
            patched = np.where(largest, there, h)
        after, right = (
            layers.activate(one @ layers.W2.mT + layers.b[:, None]) for one in (patched, meant)
        )
        wanted[:, i] = ((right - before)[..., i] ** 2).sum(-1)
        missed[:, i] = ((after - right)[..., i] ** 2).sum(-1)
        change = ((after - before) ** 2).sum(1)
        others[:, i] = change.sum(-1) - change[:, i]
    represented = dimensionality.feature_norms(layers.W1) > PRESENT
    return Moved(
        np.array(models),
        1 - _ratio(missed, wanted, represented),
        _ratio(others, wanted, represented),
    )


def _ratio(power: Floats, wanted: Floats, there: NDArray[np.bool_]) -> Floats:
    """Sums over the features that are represented and whose output should move, [M]; NaN where none
    should.
    """
    counted = there & (wanted > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((power * counted).sum(-1) / (wanted * counted).sum(-1))


def ablated(run: Run, models: Collection[int], ablation: Ablation) -> Floats:
    """Mean power [M] by which outputs move when one hidden unit is ablated, summed over units and
    outputs.
    """
    return np.concatenate(
        [_ablated(known_models(run, block), ablation) for block in _blocks(run, models)]
    )


def _ablated(known: Known, ablation: Ablation) -> Floats:
    layers = known.layers
    clean, other = (data(known.density, PAIRS, known.set_size, seed) for seed in (0, 1))
    h = clean @ layers.W1
    before = layers.activate(h @ layers.W2.mT + layers.b[:, None])
    values = {
        "zero": 0 * h,
        "mean": h.mean(axis=1, keepdims=True) + 0 * h,
        "resample": other @ layers.W1,
    }[ablation]
    total = np.zeros(len(layers))
    for k in range(h.shape[-1]):
        here = np.where(np.arange(h.shape[-1]) == k, values, h)
        after = layers.activate(here @ layers.W2.mT + layers.b[:, None])
        total += ((after - before) ** 2).sum(-1).mean(-1)
    return total


def _blocks(run: Run, models: Collection[int]) -> Iterator[list[int]]:
    """The models, those of one chunk and few enough together."""
    for rows in run.folder.rows:
        here = [int(row) for row in rows if row in models]
        for start in range(0, len(here), _AT_ONCE):
            yield here[start : start + _AT_ONCE]
