"""Scores that need more than the table: baselines, codes of sparse coding.

Shapes: K models, S SAEs of a setting, G features, m latents, N samples.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos import store
from superpos.families.sae import metrics
from superpos.families.sae.analysis import baselines
from superpos.families.sae.analysis.sparse_coding import fista
from superpos.families.sae.analysis.worlds import decoders, features, samples, stored, world
from superpos.families.sae.structure import World
from superpos.figures.points import Run
from superpos.maths.types import Floats

_INPUTS: Final = 2**14
_CODED: Final = 4096


@lru_cache(maxsize=64)
def _baseline(run: store.Run, name: str, model: int, n_latents: int) -> float:
    A = features(run, model)
    D = baselines.learned(name, samples(run, model, _INPUTS).activations, n_latents)
    C = metrics.cosines(A, D, np.ones(len(D), dtype=np.bool_))
    return float(metrics.mmcs(C, world(run, model).scored))


def baseline_mmcs(run: Run, name: str, models: NDArray[np.intp]) -> Floats:
    """MMCS [K] of a baseline with as many directions as each model has latents, in its world."""
    sizes = run.table["sae.latents"].loc[models.tolist()]
    pairs = zip(models.tolist(), sizes.tolist(), strict=True)
    return np.array([_baseline(stored(run), name, model, int(size)) for model, size in pairs])


class Coded(NamedTuple):
    """How well codes of one decoder tell which features are active, and what they leave."""

    f1: float
    """Mean over the features that count, each with its nearest latent."""
    fvu: float


def sparse_coded(run: Run, model: int, penalty: float) -> Coded:
    """The score of FISTA's codes with a model's decoder, the optimum that an encoder approaches."""
    drawn = samples(run, model, _CODED)
    D = decoders(run, np.array([model]))[0]
    x = drawn.activations - np.asarray(run.weights(model)["b_d"], np.float64)
    return _score(drawn.codes, world(run, model), D, fista(x, D, penalty), x)


def _score(codes: Floats, truth: World, D: Floats, code: Floats, x: Floats) -> Coded:
    A = np.asarray(truth.features, np.float64)
    latent = metrics.best(metrics.all_cosines(A, D)).latent
    fires = code[:, latent] > 0
    active = codes > 0
    found = metrics.detection((fires & active).sum(0), fires.sum(0), active.sum(0))
    errors = np.square(x - code @ D).sum()
    unexplained = metrics.fvu(errors, np.square(x).sum(), x.sum(axis=0), len(x))
    return Coded(float(np.nanmean(found.f1[truth.scored])), float(unexplained))
