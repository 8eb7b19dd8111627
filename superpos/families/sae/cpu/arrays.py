"""What the compiled loop is called with: numbers, arrays, and addresses of memory.

Shapes: M models, T steps of a call, B samples, d dimensions, m latents, P prefixes. Rows over
dimensions are R floats long, d filled up with zeros to whole vectors; m' and B' are m and B filled
up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

L1 = 0
TOPK = 1
BATCHTOPK = 2
JUMPRELU = 3
ABOVE = 4  # the kind of batchtopk in evaluation: z above one floor for all
FLOAT, DOUBLE = 4, 8  # bytes
ZERO = np.float32(0)
ONE = np.float32(1)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Layout(NamedTuple):
    """Where the parameters of a model begin in its numbers: E [m, R] at 0, or D in its place where
    they are tied.

    Both moments of E follow on E, those of D on D; those of b_e, theta and b_d follow on all three.
    """

    row: int  # R
    decoder: int
    b_e: int
    theta: int
    b_d: int
    vectors: int  # of b_e, theta and b_d together
    size: int  # N


class Shape(NamedTuple):
    """What the compiled loop must know of a structure; plain integers."""

    dims: int  # d
    latents: int  # m
    parts: int  # vectors of a row
    pitch: int  # vectors from the row of a sample to the next
    samples: int  # B, at most, of a batch
    plane: int  # floats of the errors of a prefix
    capacity: int  # cells of a latent that there is room for
    kind: int  # of the above
    prefixes: int  # P
    bias: int  # whether there is a b_d
    tied: int
    frozen: int  # whether D stays as it is
    coupled: int  # whether weight decay is part of the gradient (Adam), or apart from it (AdamW)
    loss_every: int
    at: Layout


class Batches(NamedTuple):
    """Inputs of some steps, as both halves of the work want them."""

    lanes: F32  # [T, blocks, R, STRIDE] blocks of samples, side by side
    rows: F32  # [T, B', pitch]


class Models(NamedTuple):
    """What differs between the models and does not change."""

    penalty: F32  # [M, T] half of λ at each step
    keep: I64  # [M, T] of topk the k of a sample, of batchtopk the cells of a batch
    reach: F32  # [M] half the width of the kernel of jumprelu
    weights: F32  # [M, P] of the prefixes
    cuts: I64  # [P] latents of each prefix
    rate: F32  # [M, T] of the optimiser
    decay: F32  # [M]
    memory: np.float32  # of the moving average of batchtopk's threshold
    forgotten: np.float32  # what is left of 1
    factor: np.float32  # B times that from half the summed loss to the training loss


class Trained(NamedTuple):
    """What training changes.

    A model's numbers lie in two places, of which `turn` says where the present ones are: a step
    writes the other place, so that a model whose step is not finite keeps what it was.
    """

    numbers: F32  # [M, 2, N] parameters and moments: see `Layout`
    turn: I64  # [M]
    diverged_at: I64  # [M]
    history: F32  # [M, records]
    threshold: F32  # [M] of batchtopk, see `upkeep.extra_state`
    idle: I32  # [M, m] steps since a latent fired
    moments: F64  # [M, 2] sum l and sum l^2 of an evaluation


class Room(NamedTuple):
    """Addresses of intermediate results of one step of one model; the threads of a crew share them.

    The compiled loops see no array, so that they count no references: see `call.Memory`.
    """

    start: int  # [m'] of the pre-activations
    z: int  # [rows, STRIDE] pre-activations: of a group for each thread, or of all for all blocks
    floors: int  # [blocks, LANES]
    floor: int  # [1] of the batch, where this is chosen from
    sample: int  # [m, capacity] int32, of the cells
    value: int  # [m, capacity] z of the cells, then codes
    cells: int  # [m] int32, how many a latent has
    chosen: int  # [m * capacity] values in one row; only where the batch is chosen from
    lowest: int  # [m] smallest code, where the batch is chosen from
    errors: int  # [P, B', pitch]
    losses: int  # [shares of a row] float64
    squares: int  # [B'] errors of each sample, in an evaluation
    grads: int  # [threads, 2, R] of the rows of one latent
    grad: int  # [m' + m' + R] of b_e, theta and b_d
    sums: int  # [m, SUMS] see `cells.latent_gradients`
    check: int  # [1 + threads] 0 where parameters are finite, else NaN; first b_e, theta and b_d


class Now(NamedTuple):
    """One step of one model, or one batch that it is scored on: numbers, addresses of memory."""

    model: int
    at: int  # number of the batch in the call
    step: int
    batch: int  # samples
    lanes: int  # inputs, side by side
    x: int  # inputs, row by row
    old: int  # the model's numbers
    new: int  # where those after the step go
    out: int  # where gradients go instead, or 0
    floor: np.float32  # above which latents are active, but those of jumprelu
    half: np.float32  # of lambda
    reach: np.float32  # half the width of the kernel of jumprelu
    cuts: int  # int64 [P]
    weights: int  # [P] of the prefixes
    scoring: bool


class Crew(NamedTuple):
    """The threads that share the steps of a model."""

    thread: int
    threads: int
    barrier: I64  # [2] see `barrier.wait`
