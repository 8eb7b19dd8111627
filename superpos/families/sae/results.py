"""What is found in autoencoders: columns of results, tensors of features and latents, columns over seeds, views.

Everything is measured by the rule of inference on the first samples of the evaluation stream, one model at a time, so
that a model's numbers do not depend on those beside it. Shapes: M models, B samples, G features, d dimensions,
m latents, E edges of a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from superpos.engines.task import State
from superpos.families.sae import metrics, upkeep
from superpos.families.sae.model import decode, encode
from superpos.families.sae.structure import Task, World
from superpos.families.sae.theory.chance import chance
from superpos.families.sae.world.synthetic import Synthetic
from superpos.families.sae.world.taken import Taken
from superpos.family import Run
from superpos.maths.activity import Tree
from superpos.maths.types import Floats
from superpos.plan.sweep import Sweep

SAMPLES = 2**14
"""On how many samples; a latent that fires in none of them is dead."""
BLOCK = 2**11
REPRESENTED = 0.5
"""Length above which a direction in another run's hidden layer counts as a feature."""


class Block(NamedTuple):
    """Some samples of a world."""

    samples: range
    x: torch.Tensor  # [B, d]
    active: Floats  # [B, G + 2 E]; features, then parents with their child, then parents without it


class Edges(NamedTuple):
    """Which features of a tree need which."""

    parents: NDArray[np.intp]  # [E]
    children: NDArray[np.intp]  # [E]


@dataclass
class Sums:
    """What is counted of one model, over all samples."""

    together: Floats  # [G + 2 E, m]; samples in which a latent fires and a feature (or edge) is active
    active: Floats  # [G + 2 E]
    fired: Floats  # [m]
    fired_in_training: Floats
    errors: Floats  # Σ ‖x − x̂‖²
    squares: Floats  # Σ ‖x‖²
    products: Floats  # Σ x̂·x
    lengths: Floats  # Σ ‖x̂‖²
    cost: Floats  # of the source's outputs, its hidden layer replaced by x̂
    total: Floats  # [d]; Σ x

    @classmethod
    def zero(cls, rows: int, m: int, d: int) -> Sums:
        """Before the first sample."""
        shapes: list[tuple[int, ...]] = [(rows, m), (rows,), (m,), *[()] * 6, (d,)]
        return cls(*(np.zeros(shape) for shape in shapes))


@dataclass(frozen=True)
class Scores:
    """What is measured of M models: columns [M], and tensors [M, ...] by their public names."""

    columns: dict[str, Floats]
    tensors: dict[str, NDArray[Any]]


def measure(task: Task, state: State, pause: Callable[[], None]) -> dict[str, Floats]:
    """The columns of results, [M]."""
    return scores(task, state, pause).columns


def tensors(task: Task, state: State) -> dict[str, NDArray[Any]]:
    """Public tensors beside the parameters: E, b_d and theta of every kind, and what is measured of features."""
    return upkeep.tensors(task, state) | scores(task, state, lambda: None).tensors


def scores(task: Task, state: State, pause: Callable[[], None]) -> Scores:
    """Measures all models of a task."""
    found: list[Scores] = [_empty()] * len(task)
    for place in np.unique(task.world).tolist():
        world = task.worlds[place]
        blocks = list(_blocks(world))
        costs = _source_costs(world, blocks)
        for i in np.flatnonzero(task.world == place).tolist():
            pause()
            found[i] = _scores(task, state, i, world, blocks, costs)
    return Scores(
        {name: np.concatenate([one.columns[name] for one in found]) for name in found[0].columns},
        {name: np.concatenate([one.tensors[name] for one in found]) for name in found[0].tensors},
    )


def _empty() -> Scores:
    return Scores({}, {})


def _blocks(world: World) -> Iterator[Block]:
    """The samples of a world."""
    edges = edges_of(world)
    for start in range(0, SAMPLES, BLOCK):
        samples = range(start, start + BLOCK)
        active = world.codes(True, 0, samples, "cpu").numpy() > 0
        parents, children = active[:, edges.parents], active[:, edges.children]
        kinds = np.concatenate([active, parents & children, parents & ~children], axis=1)
        yield Block(samples, world.activations(True, 0, samples, "cpu"), kinds.astype(np.float64))


def edges_of(world: World) -> Edges:
    """The edges of a world's tree; none of a world without one."""
    law = world.law if isinstance(world, Synthetic) else None
    parent = law.parent if isinstance(law, Tree) else np.zeros(0, dtype=np.intp)
    children = np.flatnonzero(parent >= 0)
    return Edges(parent[children], children)


def _source_costs(world: World, blocks: list[Block]) -> tuple[Floats, Floats]:
    """Loss of the source's model, with its hidden layer and with the mean of it in its place; NaN without a source."""
    if not isinstance(world, Taken):
        return np.array(np.nan), np.array(np.nan)
    mean = torch.from_numpy(np.mean([block.x.double().numpy().mean(0) for block in blocks], axis=0)).float()
    own = sum(_sum(world.losses(block.samples, None)) for block in blocks)
    of_mean = sum(_sum(world.losses(block.samples, mean.expand(BLOCK, -1))) for block in blocks)
    return np.array(own / SAMPLES), np.array(of_mean / SAMPLES)


def _sum(values: torch.Tensor) -> float:
    """A sum in double precision that does not depend on the number of threads."""
    return float(values.numpy().sum(dtype=np.float64))


def _counted(task: Task, state: State, i: int, world: World, blocks: list[Block]) -> Sums:
    """Sums over all samples of one model."""
    one = task.take(slice(i, i + 1))
    params, extra = (
        {name: torch.from_numpy(value[i : i + 1]) for name, value in group.items()}
        for group in (state.params, state.extra)
    )
    structure = one.structure
    sums = Sums.zero(blocks[0].active.shape[1], structure.latents, structure.n_dims)
    last = max(structure.steps - 1, 0)
    for block in blocks:
        with torch.no_grad():
            f = encode(one, params, block.x[None], extra, None).f
            out = decode(params, f)[0]
            in_training = encode(one, params, block.x[None], extra, last).on
        on = (f[0] > 0).double().numpy()
        x, guess = block.x.double().numpy(), out.double().numpy()
        sums.together += block.active.T @ on
        sums.active += block.active.sum(0)
        sums.fired += on.sum(0)
        sums.fired_in_training += _sum(in_training)
        sums.errors += ((x - guess) ** 2).sum()
        sums.squares += (x**2).sum()
        sums.products += (x * guess).sum()
        sums.lengths += (guess**2).sum()
        sums.total += x.sum(0)
        if isinstance(world, Taken):
            sums.cost += _sum(world.losses(block.samples, out))
    return sums


def _scores(
    task: Task, state: State, i: int, world: World, blocks: list[Block], costs: tuple[Floats, Floats]
) -> Scores:
    sums = _counted(task, state, i, world, blocks)
    structure = task.structure
    features = world.features
    scored = None
    if isinstance(world, Taken):
        scored = np.linalg.norm(features, axis=1) > REPRESENTED
    alive = sums.fired > 0
    C = metrics.cosines(features, state.params["D"][i], alive)
    nearest = metrics.best(C)
    n = len(features)
    own = np.arange(n)
    told = metrics.detection(sums.together[own, nearest.latent], sums.fired[nearest.latent], sums.active[:n])
    edges = edges_of(world)
    own_cost, mean_cost = costs
    columns = {
        "mmcs": metrics.mmcs(C, scored),
        "chance": chance(structure.n_dims, structure.latents),
        "mcc": metrics.mcc(C, alive, scored),
        "found_90": metrics.found(C, 0.9, scored),
        "found_95": metrics.found(C, 0.95, scored),
        "f1": _mean(told.f1, scored),
        "precision": _mean(told.precision, scored),
        "recall": _mean(told.recall, scored),
        "l0": metrics.l0(sums.fired, SAMPLES),
        "l0_train": sums.fired_in_training / SAMPLES,
        "fvu": metrics.fvu(sums.errors, sums.squares, sums.total, SAMPLES),
        "dead": metrics.dead_share(alive),
        "gamma": metrics.gamma(sums.products, sums.lengths),
        "unique": metrics.uniqueness(C, alive, scored),
        "c_dec": metrics.decoder_overlap(state.params["D"][i]),
        "absorption": _absorption(sums, nearest.latent[edges.parents], n),
        "loss_recovered": metrics.loss_recovered(mean_cost, sums.cost / SAMPLES, own_cost),
    }
    tensors: dict[str, NDArray[Any]] = {
        "best_cos": nearest.cosine.astype(np.float32),
        "best_latent": nearest.latent.astype(np.int64),
        "f1": told.f1.astype(np.float32),
        "recall": told.recall.astype(np.float32),
        "rate": (sums.fired / SAMPLES).astype(np.float32),
    }
    return Scores(
        {name: np.atleast_1d(np.asarray(value, dtype=np.float64)) for name, value in columns.items()},
        {name: value[None] for name, value in tensors.items()},
    )


def _mean(values: Floats, scored: NDArray[np.bool_] | None) -> float:
    """Mean of what is known of the features that count; NaN where nothing is."""
    counted = values if scored is None else values[scored]
    known = counted[~np.isnan(counted)]
    return float(known.mean()) if len(known) else np.nan


def _absorption(sums: Sums, latents: NDArray[np.intp], n: int) -> float:
    """Mean absorption gap over the edges [E] of parents whose nearest latents these are; NaN without any."""
    e = len(latents)
    if not e:
        return np.nan
    edge = np.arange(e)
    active, alone = sums.active[n : n + e], sums.active[n + e :]
    fired, fired_alone = sums.together[n + edge, latents], sums.together[n + e + edge, latents]
    return float(metrics.absorption(active - fired, active, alone - fired_alone, alone).mean())


def pw_mcc(run: Run, models: NDArray[np.intp]) -> float:
    """How well the dictionaries of the seeds of a setting agree, PW-MCC; NaN for one of them."""
    return metrics.pairwise_mcc(run.tensor("D", models), run.tensor("rate", models) > 0)


def follows(table: pd.DataFrame) -> Sequence[str]:
    """The number of latents follows from the expansion where that is given, sizes from the source's models."""
    by_expansion = table["sae.expansion"].notna().all()
    by_source = table["sae.model"].notna().all()
    sizes = ("world.n_features", "world.n_dims")
    return (*(("sae.latents",) if by_expansion else ()), *(sizes if by_source else ()))


def task_of(run: Run, model: int) -> Task:
    """One model of a run as it was trained, in the world that its folder keeps."""
    files = {name: run.shared(name) for name in run.folder.shared_states()}
    task: Task = Sweep.from_json(run.manifest["plan"]).task(np.array([model]), files)
    return task


def world_of(run: Run, model: int) -> World:
    """The world of one model of a run, as its folder keeps it."""
    return task_of(run, model).worlds[0]


def features(run: Run, model: int) -> pd.DataFrame:
    """One row per true feature: how often it is active (p), its nearest live latent and what that knows of it.

    Columns: feature, p, best_latent, cosine, f1, recall.
    """
    found = run.weights(model)
    return pd.DataFrame(
        {
            "feature": np.arange(len(found["best_cos"])),
            "p": world_of(run, model).density,
            "best_latent": found["best_latent"],
            "cosine": found["best_cos"],
            "f1": found["f1"],
            "recall": found["recall"],
        }
    )
