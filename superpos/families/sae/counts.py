"""What is counted of autoencoders on the first samples of the evaluation stream, by the rule of
inference.

One model at a time, so that its numbers do not depend on those beside it. Shapes: B samples, G
features, d dimensions, m latents, E edges of a tree, R = G + 2 E + 1 rows of events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.task import State
from superpos.families.sae.model import decode, encode
from superpos.families.sae.structure import Structure, Task, World
from superpos.families.sae.world.synthetic import Synthetic
from superpos.families.sae.world.taken import Taken
from superpos.maths.activity import Tree
from superpos.maths.types import Floats

FEWEST = 2**14
MOST = 2**17
"""Samples of large models and of small ones. A latent that fires in none of them is dead."""
_WORK = 2e9  # products of a model's counts: a fraction of a second
_BLOCK = 2**13


class Edges(NamedTuple):
    """Which features of a tree need which."""

    parents: NDArray[np.intp]  # [E]
    children: NDArray[np.intp]  # [E]


def edges_of(world: World) -> Edges:
    """The edges of a world's tree; none of a world without one."""
    law = world.law if isinstance(world, Synthetic) else None
    parent = law.parent if isinstance(law, Tree) else np.full(0, -1, dtype=np.intp)
    children = np.flatnonzero(parent >= 0)
    return Edges(parent[children], children)


class _Block(NamedTuple):
    """Some samples of a world."""

    samples: range
    x: torch.Tensor  # [B, d]
    events: torch.Tensor  # [B, R], 0 or 1


@dataclass
class Seen:
    """The samples of a world, and what is counted of them alone."""

    world: World
    samples: int
    edges: Edges
    blocks: list[_Block]
    active: Floats  # [R]; how often each event is
    squares: Floats  # Σ ‖x‖²
    total: Floats  # [d]; Σ x
    own_cost: Floats
    """What the outputs of another run's model cost, Σ over the samples; NaN of a synthetic
    world.
    """
    mean_cost: Floats
    """The same with the mean activation in the place of every one."""


def samples_of(structure: Structure) -> int:
    """On how many samples a model is scored: a power of two that follows from its size alone."""
    products = structure.latents * (structure.n_features + 2 * structure.n_dims)
    fit = 2 ** int(np.log2(_WORK / products))
    return int(np.clip(fit, FEWEST, MOST))


def seen(world: World, samples: int) -> Seen:
    """Draws so many samples of a world.

    Events of a sample: each feature is active [G], each parent is with its child [E], each is
    without any child [E], always.
    """
    edges = edges_of(world)
    blocks = [
        _block(world, edges, range(start, start + _BLOCK)) for start in range(0, samples, _BLOCK)
    ]
    total = np.sum([block.x.double().sum(0).numpy() for block in blocks], axis=0)
    own = of_mean = np.array(np.nan)
    if isinstance(world, Taken):
        mean = torch.from_numpy(total / samples).float().expand(_BLOCK, -1)
        own = _sum([world.losses(block.samples, None) for block in blocks])
        of_mean = _sum([world.losses(block.samples, mean) for block in blocks])
    active = np.asarray(sum(block.events.sum(0).double().numpy() for block in blocks))
    squares = _sum([(block.x**2).sum(-1) for block in blocks])
    return Seen(world, samples, edges, blocks, active, squares, total, own, of_mean)


def _block(world: World, edges: Edges, samples: range) -> _Block:
    codes = world.codes(True, 0, samples, "cpu")
    active = codes > 0
    parents, children = (active[:, torch.from_numpy(ends)] for ends in edges)
    siblings = torch.from_numpy(edges.parents[:, None] == edges.parents).float()  # [E, E]
    alone = parents & ~(children.float() @ siblings > 0)  # a sibling may be absorbed as well
    always = torch.ones_like(active[:, :1])
    events = torch.cat([active, parents & children, alone, always], dim=1)
    return _Block(samples, world.activations(True, 0, samples, "cpu", codes), events.float())


def _sum(values: list[torch.Tensor]) -> Floats:
    """Their sum in double precision, in one order on any number of threads."""
    return np.asarray(torch.cat(values).numpy().sum(dtype=np.float64))


@dataclass
class Counts:
    """What is counted of one model."""

    together: Floats  # [R, m]; samples in which an event is and a latent fires
    l0_train: float = np.nan
    """How many latents fire in a sample by the rule of the end of training, on the first block as
    the batch.
    """
    errors: Floats = field(default_factory=lambda: np.zeros(()))  # Σ ‖x − x̂‖²
    products: Floats = field(default_factory=lambda: np.zeros(()))  # Σ x̂·x
    lengths: Floats = field(default_factory=lambda: np.zeros(()))  # Σ ‖x̂‖²
    cost: Floats = field(default_factory=lambda: np.zeros(()))
    """What the outputs of another run's model cost with x̂ in the place of x."""

    @property
    def fired(self) -> Floats:
        """Samples in which each latent fires, [m]."""
        return np.asarray(self.together[-1])


def counted(task: Task, state: State, i: int, sample: Seen) -> Counts:
    """Counts of model i, whose world's samples these are."""
    one = task.take(slice(i, i + 1))
    params, extra = (
        {name: torch.from_numpy(value[i : i + 1]) for name, value in group.items()}
        for group in (state.params, state.extra)
    )
    structure = one.structure
    found = Counts(np.zeros((len(sample.active), structure.latents)))
    for block in sample.blocks:
        x = block.x
        with torch.no_grad():
            f = encode(one, params, x[None], extra, None).f
            out = decode(params, f)[0]
            if block is sample.blocks[0]:
                found.l0_train = float(
                    encode(one, params, x[None], extra, structure.steps).on.sum(-1).mean()
                )
        found.together += (block.events.T @ (f[0] > 0).float()).numpy()  # whole numbers: exact
        found.errors += _sum([((x - out) ** 2).sum(-1)])
        found.products += _sum([(x * out).sum(-1)])
        found.lengths += _sum([(out**2).sum(-1)])
        if isinstance(sample.world, Taken):
            found.cost += _sum([sample.world.losses(block.samples, out)])
    return found
