"""What is found in autoencoders: columns of results, tensors of features and latents, columns over
seeds, views.

Shapes: M models, G features, m latents, E edges of a tree.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from superpos.engines.compiled.threads import on_threads
from superpos.engines.machine import torch_threads
from superpos.engines.task import State
from superpos.families.sae import metrics, upkeep
from superpos.families.sae.analysis import worlds
from superpos.families.sae.counts import Counts, Seen, counted, samples_of, seen
from superpos.families.sae.structure import Task
from superpos.families.sae.theory.chance import chance
from superpos.family import Run
from superpos.maths.types import Floats

_BETWEEN_PAUSES: Final = 2  # models of a thread: less than a second or two


@dataclass(frozen=True)
class Scores:
    """What is measured of M models: columns [M], and tensors [M, ...] by their public names."""

    columns: dict[str, Floats]
    tensors: dict[str, NDArray[Any]]


def measure(task: Task, state: State, pause: Callable[[], None]) -> dict[str, Floats]:
    """The columns of results, [M]."""
    return _scores_of(task, state, pause).columns


def tensors(task: Task, state: State) -> dict[str, NDArray[Any]]:
    """Public tensors beside the parameters: E, b_d and theta of every kind, and what is measured of
    features.
    """
    return upkeep.tensors(task, state) | _scores_of(task, state, lambda: None).tensors


_last: list[tuple[weakref.ref[State], int, Scores]] = []
"""What was measured last, of which state and at which step: columns and tensors are asked for one
after the other.
"""


def _scores_of(task: Task, state: State, pause: Callable[[], None]) -> Scores:
    if _last and _last[0][0]() is state and _last[0][1] == state.step:
        return _last[0][2]
    found = scores(task, state, pause)
    _last[:] = [(weakref.ref(state), state.step, found)]
    return found


def scores(task: Task, state: State, pause: Callable[[], None]) -> Scores:
    """Measures all models of a task; torch's threads take one model each."""
    structure = task.structure
    by_model: dict[int, Scores] = {}
    threads = torch.get_num_threads()
    together = _BETWEEN_PAUSES * threads
    for place in np.unique(task.world).tolist():
        sample = seen(task.worlds[place], samples_of(structure))
        measure_some = partial(_score_models, task, state, sample, by_model)
        models = np.flatnonzero(task.world == place).tolist()
        with torch_threads(1):
            for first in range(0, len(models), together):
                pause()
                on_threads(threads, models[first : first + together], measure_some)
    found = [by_model[i] for i in range(len(task))]
    expected = np.full(len(task), chance(structure.n_dims, structure.latents))
    names = list(found[0].columns)
    names.insert(1, "chance")
    columns = {
        name: np.array([one.columns.get(name, np.nan) for one in found], dtype=np.float64)
        for name in names
    }
    return Scores(
        columns | {"chance": expected},
        {name: np.stack([one.tensors[name] for one in found]) for name in found[0].tensors},
    )


def _score_models(
    task: Task, state: State, sample: Seen, out: dict[int, Scores], models: Iterable[int]
) -> None:
    """Leave the scores of models of one world in `out`."""
    for i in models:
        out[i] = _scored(state.params["D"][i], sample, counted(task, state, i, sample))


def _scored(D: NDArray[np.float32], sample: Seen, counts: Counts) -> Scores:
    """Columns and tensors of one model with decoder D [m, d]."""
    features = sample.world.features
    scored = sample.world.scored
    alive = counts.fired > 0
    C = metrics.cosines(features, D, alive)
    nearest = metrics.best(C)
    n = len(features)
    own = np.arange(n)
    told = metrics.detection(
        counts.together[own, nearest.latent], counts.fired[nearest.latent], sample.active[:n]
    )
    columns = {
        "mmcs": metrics.mmcs(C, scored),
        "mcc": metrics.mcc(C, alive, scored),
        "found_90": metrics.found(C, 0.9, scored),
        "found_95": metrics.found(C, 0.95, scored),
        "f1": _mean(told.f1, scored),
        "precision": _mean(told.precision, scored),
        "recall": _mean(told.recall, scored),
        "l0": metrics.l0(counts.fired, sample.samples),
        "l0_train": counts.l0_train,
        "fvu": metrics.fvu(counts.errors, sample.squares, sample.total, sample.samples),
        "dead": metrics.dead_share(alive),
        "gamma": metrics.gamma(counts.products, counts.lengths),
        "unique": metrics.uniqueness(C, alive, scored),
        "c_dec": metrics.decoder_overlap(D),
        "absorption": _absorption(sample, counts, nearest.latent),
        "loss_recovered": metrics.loss_recovered(sample.mean_cost, counts.cost, sample.own_cost),
    }
    tensors: dict[str, NDArray[Any]] = {
        "best_cos": nearest.cosine.astype(np.float32),
        "best_latent": nearest.latent.astype(np.int64),
        "f1": told.f1.astype(np.float32),
        "recall": told.recall.astype(np.float32),
        "rate": (counts.fired / sample.samples).astype(np.float32),
    }
    return Scores(
        {name: np.asarray(value, dtype=np.float64) for name, value in columns.items()}, tensors
    )


def _mean(values: Floats, scored: NDArray[np.bool_]) -> float:
    """Mean of what is known of the features that count; NaN where nothing is."""
    known = values[scored & ~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def _absorption(sample: Seen, counts: Counts, nearest: NDArray[np.intp]) -> float:
    """Mean absorption gap over the edges of a tree, of the latents nearest to each feature; NaN
    without a tree.
    """
    parents = sample.edges.parents
    e = len(parents)
    if not e:
        return np.nan
    n = len(nearest)
    latents = nearest[parents]
    together = np.arange(n, n + e)
    alone = together + e
    silent = sample.active[together] - counts.together[together, latents]
    silent_alone = sample.active[alone] - counts.together[alone, latents]
    return float(
        metrics.absorption(
            silent, sample.active[together], silent_alone, sample.active[alone]
        ).mean()
    )


def pw_mcc(run: Run, models: NDArray[np.intp]) -> float:
    """How well the dictionaries of the seeds of a setting agree, PW-MCC; NaN for one of them."""
    return metrics.pairwise_mcc(run.tensor("D", models), run.tensor("rate", models) > 0)


def follows(table: pd.DataFrame) -> Sequence[str]:
    """Columns that vary with others alone: latents with an expansion that is given, sizes with a
    source's model.
    """
    found = ["sae.latents"] if table["sae.expansion"].notna().all() else []
    if table["sae.model"].notna().all():
        found += [key for key in ("world.n_features", "world.n_dims") if table[key].nunique() > 1]
    return found


def features(run: Run, model: int) -> pd.DataFrame:
    """One row per true feature: how often it is active (p), its nearest live latent and what that
    knows of it.

    Columns: feature, p, represented, best_latent, cosine, f1, recall. A feature that the model of
    a source does not represent is nowhere in its activations: it counts in no mean of the table.
    Of a synthetic world all are represented.
    """
    found = run.weights(model)
    world = worlds.world(run, model)
    return pd.DataFrame(
        {
            "feature": np.arange(len(found["best_cos"])),
            "p": world.density,
            "represented": world.scored,
            "best_latent": found["best_latent"],
            "cosine": found["best_cos"],
            "f1": found["f1"],
            "recall": found["recall"],
        }
    )
