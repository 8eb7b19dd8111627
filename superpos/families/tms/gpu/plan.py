"""Which kernel a structure gets, and with which tiles.

It follows from the structure alone, so a model's bits do too.

*Lanes*, for small models: the weights and the sums of their gradients stay in registers. A sample
is shared by S lanes (threads); each has J pieces, every S-th feature, and all hidden units. Every
tensor is [B, S]: one register a thread. *Tiles*, for the others: matrix products, a batch split
over several programs.
"""

from __future__ import annotations

from typing import NamedTuple

from superpos.families.tms.data.sparse import SEGMENT
from superpos.families.tms.fused import OPTIMIZERS, gradient_factor
from superpos.families.tms.structure import Structure

WARPS = 4
_WEIGHTS = 30  # of a lane: each takes a register, and its gradient's sum another one
_LANES = 8  # at most: with more, the sums over lanes would cost more than the products
# of a block's h at most: 64 samples x 32 hidden units keep within 255 registers, what is more
# spills
_CELLS = 2048
_COLUMNS = 16  # features of a tile
MOST_HIDDEN = 128  # beyond, a block of h would not fit into registers at all
_SPLIT = 128  # samples of a batch that one program takes; of a sparse one, a segment
_PART = 4096  # samples of an evaluation that one program takes
_BLOCK = 1024  # parameters that are updated at once


class Shape(NamedTuple):
    """What a kernel is compiled for; plain numbers."""

    n_features: int
    n_hidden: int
    relu_output: bool
    relu_hidden: bool
    tied: bool
    absolute: bool
    shifted: bool  # whether active values have an offset
    set_size: int  # 0 where features are independent
    sparse: bool
    one_of_a_set: bool  # anticorrelated: the sparse sampler draws one value a set
    optimizer: int
    samples: int
    loss_every: int
    factor: float  # `fused.gradient_factor`
    weights: int  # numbers in the weight matrices of a model
    params: int  # and its biases
    block: int  # parameters that are updated at once, a power of two
    split: int  # samples of a batch that one program takes
    splits: int  # programs that share a batch
    part: int  # samples of an evaluation that one program takes
    lanes: int  # S; 0 where a model is trained by tiles
    pieces: int  # J
    # B; a thread works on four consecutive samples, as one call of Philox gives their draws
    quads: int
    sums: int  # of a lane, for the gradient
    padded_sums: int  # the next power of two, 2 to the `levels`
    levels: int
    rows: int  # samples of a block of tiles
    columns: int  # features of a tile
    padded_hidden: int
    candidates: int  # of the sparse sampler, drawn at once


def shape_of(structure: Structure) -> Shape:
    """The kernel of a structure."""
    n = structure.n_features
    m = structure.n_hidden
    matrices = 1 if structure.tied else 2
    params = n * m * matrices + n
    lanes = lanes_of(structure)
    pieces = -(-n // lanes) if lanes else 0
    sums = pieces * (m * matrices + 1)
    hidden = max(8, _power_of_two(m))
    split = (
        structure.samples_per_step
        if lanes
        else SEGMENT
        if structure.sampler == "sparse"
        else _SPLIT
    )
    return Shape(
        n_features=n,
        n_hidden=m,
        relu_output=structure.output == "relu",
        relu_hidden=structure.hidden == "relu",
        tied=structure.tied,
        absolute=structure.target == "abs",
        shifted=structure.signed or structure.values == "one",
        set_size=0 if structure.correlation == "none" else structure.set_size,
        sparse=structure.sampler == "sparse",
        one_of_a_set=structure.correlation == "anticorrelated",
        optimizer=OPTIMIZERS[structure.optimizer],
        samples=structure.samples_per_step,
        loss_every=structure.loss_every,
        factor=gradient_factor(structure),
        weights=n * m * matrices,
        params=params,
        block=min(_power_of_two(params), _BLOCK),
        split=split,
        splits=-(-structure.samples_per_step // split),
        part=_PART,
        lanes=lanes,
        pieces=pieces,
        quads=32 * WARPS // lanes if lanes else 0,
        sums=sums,
        padded_sums=_power_of_two(sums),
        levels=_power_of_two(sums).bit_length() - 1,
        rows=min(64, max(16, _CELLS // hidden)),
        columns=_COLUMNS,
        padded_hidden=hidden,
        candidates=128 if lanes else 512,
    )


def launch_options(shape: Shape) -> dict[str, int | bool]:
    """Triton's options for its kernels.

    No multiply-add is fused but where a kernel asks for it: data and optimiser round as the
    reference does. The limit on registers lets three programs of a small model share a
    multiprocessor.
    """
    return {"num_warps": WARPS, "maxnreg": 168 if shape.lanes else 255, "enable_fp_fusion": False}


def lanes_of(structure: Structure) -> int:
    """Lanes that share a sample: as few as have registers for all weights; 0 where no number
    does.
    """
    matrices = 1 if structure.tied else 2
    lanes = 1
    while lanes <= _LANES:
        if -(-structure.n_features // lanes) * structure.n_hidden * matrices <= _WEIGHTS:
            return lanes
        lanes *= 2
    return 0


def _power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return 1 << max(count - 1, 0).bit_length()
