"""What the compiled loop is called with: numbers, arrays, and addresses of memory.

Shapes: M models, G models of a group, F features, H hidden, P parameters of a model (flat, in the
order of `Structure.param_shapes`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.family import Adam

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


class Shape(NamedTuple):
    """What the compiled loop must know of a structure; plain numbers."""

    n_features: int
    n_hidden: int
    relu_output: int
    relu_hidden: int
    tied: int
    target: int  # fused.IDENTITY, ABS or RELU
    plain: int  # whether features are independent, unsigned and uniform
    sets: int  # number of correlated sets, 0 where features are independent
    members: int  # features in a set
    words: int  # draws of a candidate of the sparse sampler
    tiny: int  # whether `tiny` does a block
    finite: int  # whether every step has the same inputs, of length 1
    sparse: int  # whether only active cells are drawn
    by_cells: int  # whether the encoder runs over active cells only
    # parameters whose gradients are summed lane by lane: all of a tiny model, else the biases
    sum_rows: int
    samples: int
    parts: int  # of a batch, whose gradients are summed one after the other
    part_samples: int  # whole blocks of the dense sampler, whole segments of the sparse one
    optimizer: int
    power: int  # of the errors in what is minimised
    l1: float  # of the weights, before `Rates.factor`
    pull: float  # of rows to length 1, a multiple of the learning rate
    bias: int  # whether b is learned
    decayed: int  # first parameters that weight decay holds
    loss_every: int


class Buffers(NamedTuple):
    """Addresses of one thread's lane blocks; a row is a feature, a set or a hidden unit."""

    u: int  # [F or words, STRIDE] draws of the cells, or of the candidates
    switch: int  # [sets, STRIDE] draws of the sets; `u` itself where features are independent
    x: int  # [F, STRIDE] inputs
    y: int  # [F, STRIDE] targets; `x` itself for the identity
    g: int  # [F, STRIDE] outputs, then their gradient
    h: int  # [H to whole vectors, STRIDE] hidden
    dh: int  # [H to whole vectors, STRIDE] gradient of hidden
    zeros: int  # [H]
    inside: int  # [LANES] -1 where a lane holds a sample, else 0
    hidden: int  # [LANES, H to whole vectors] hidden, or its gradient, one row per lane
    cell: int  # [LANES * F] active cells of a block: feature * LANES + lane
    sample: int  # [CANDIDATES] of the candidates
    column: int  # [CANDIDATES] feature, or set
    value: int  # [CANDIDATES]


class Models(NamedTuple):
    """What differs between the models and does not change: `feature_values.Cells`, importances,
    streams.
    """

    low: I32  # [M, F]
    span: I32  # [M, F]
    shift: I32  # [M, F]
    scale: F32  # [M, F]
    offset: F32  # [M, F]
    importance: F32  # [M, F]
    key: NDArray[np.int64]  # [M, 2] the seed as two words
    rate: F64  # [M] of the gaps
    uniform: NDArray[np.int64]  # [M] whether features are independent and of one density


class Rates(NamedTuple):
    """Hyperparameters of the optimiser."""

    lr: F32  # [M, steps of this call]
    weight_decay: F32  # [M]
    factor: np.float32  # `fused.gradient_factor`
    adam: Adam


class Work(NamedTuple):
    """Sums and intermediate results of one step. P is a multiple of WIDTH: zeros fill the end."""

    transposed: F32  # [G, H * F] weights of the decoder, hidden unit by hidden unit
    grad: F32  # [parts, G, P]
    sums: F32  # [parts, G, sum_rows * WIDTH]
    loss: F64  # [parts, G]
    empty: NDArray[np.int64]  # [parts] samples without an active feature
    empty_loss: F64  # [1] of one of them
    proposed: F32  # [3, P] parameters and moments after a step, until they are known to be finite
    check: F32  # [1] 0 where they are, else NaN


class Trained(NamedTuple):
    """What training changes: rows of the state. P is a multiple of WIDTH: zeros fill the end."""

    theta: F32  # [M, P]
    first: F32  # [M, P]
    second: F32  # [M, P]
    diverged_at: NDArray[np.int64]  # [M]
    history: F32  # [M, records]
    moments: F64  # [M, 2] sum l and sum l^2 of an evaluation


class Crew(NamedTuple):
    """The threads that share the parts of a batch."""

    thread: int
    threads: int
    barrier: NDArray[np.int64]  # [2] see `barrier.wait`
    scan: NDArray[np.int64]  # [4] of this thread: see `kernel.FIRST`


class At(NamedTuple):
    """Where the arrays of a group start: addresses.

    The inner loops see no array, so that they count no references.
    """

    start: int  # first model
    models: int  # G
    params: int  # P
    low: int
    span: int
    shift: int
    scale: int
    offset: int
    importance: int
    theta: int
    moments: int
    transposed: int
    grad: int
    sums: int
    loss: int
    key_low: int
    key_high: int
    rate: int
    uniform: int
