"""The compiled training loop: one call trains a group of models that share their draws, on one thread.

Shapes: G models of the group, F features, H hidden, P parameters of a model (flat, in the order of
`Structure.param_shapes`). The derivation of the gradients and the memory layout stand in `engines/README.md`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.engines.cpu import draws, losses, products, steps, tiny
from superpos.engines.cpu.cache import compiled
from superpos.engines.cpu.vectors import LANES, WIDTH

ADAM, ADAMW, SGD = 0, 1, 2
ZERO, ONE = np.float32(0), np.float32(1)
CONSTANTS = tuple(np.float32(value) for value in (0.9, 1 - 0.9, 0.999, 1 - 0.999, 1e-8))  # betas, rests, eps
FLOAT, DOUBLE = 4, 8  # bytes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


class Shape(NamedTuple):
    """What a compiled loop must know of a structure; plain integers."""

    n_features: int
    n_hidden: int
    relu_output: int
    relu_hidden: int
    tied: int
    absolute: int
    sets: int  # number of correlated sets, 0 where features are independent
    tiny: int  # whether `tiny.tiny` does a block
    sum_rows: int  # parameters whose gradients are summed lane by lane: all of a tiny model, else the biases
    samples: int
    optimizer: int
    loss_every: int


class Stream(NamedTuple):
    """One random stream: purposes of the cell and the set draws, and the 64-bit seed as two words."""

    purpose: int
    set_purpose: int
    key_low: int
    key_high: int


class Buffers(NamedTuple):
    """Addresses of one thread's lane blocks; a row is a feature, a set or a hidden unit."""

    u: int  # [F, STRIDE] draws of the cells
    switch: int  # [sets, STRIDE] draws of the sets; `u` itself where features are independent
    x: int  # [F, STRIDE] inputs
    y: int  # [F, STRIDE] targets; `x` itself for the identity
    g: int  # [F, STRIDE] outputs, then their gradient
    h: int  # [H, STRIDE] hidden
    dh: int  # [H, STRIDE] gradient of hidden
    zeros: int  # [H]


class Group(NamedTuple):
    """What differs between the G models: `data.Cells` and the importances, one row of F features a model."""

    low: I32
    span: I32
    shift: I32
    scale: F32
    offset: F32
    importance: F32


class Rates(NamedTuple):
    """Hyperparameters of the optimiser."""

    lr: F32  # [G, steps of this call]
    weight_decay: F32  # [G]
    factor: F32  # [G]; from the gradient of half the summed loss to that of the training loss


class Work(NamedTuple):
    """Sums and intermediate results of one step. P is a multiple of WIDTH: zeros fill the end."""

    transposed: F32  # [G, H * F] weights of the decoder, hidden unit by hidden unit
    grad: F32  # [G, P]
    sums: F32  # [G, sum_rows * WIDTH]
    loss: F64  # [G]
    proposed: F32  # [3, P] parameters and moments after a step, until they are known to be finite
    check: F32  # [1] 0 where they are, else NaN


class Trained(NamedTuple):
    """What training changes: rows of the state. P is a multiple of WIDTH: zeros fill the end."""

    theta: F32  # [G, P]
    first: F32  # [G, P]
    second: F32  # [G, P]
    diverged_at: NDArray[np.int64]  # [G]
    history: F32  # [G, records]


class At(NamedTuple):
    """Where the arrays of a group start: addresses. The inner loops see no array, so that they count no references."""

    models: int
    params: int  # P
    low: int
    span: int
    shift: int
    scale: int
    offset: int
    importance: int
    theta: int
    transposed: int
    grad: int
    sums: int
    loss: int


@compiled
def addresses(group: Group, theta: F32, work: Work) -> At:
    """Addresses of arrays that the caller keeps alive."""
    return At(
        theta.shape[0],
        theta.shape[1],
        group.low.ctypes.data,
        group.span.ctypes.data,
        group.shift.ctypes.data,
        group.scale.ctypes.data,
        group.offset.ctypes.data,
        group.importance.ctypes.data,
        theta.ctypes.data,
        work.transposed.ctypes.data,
        work.grad.ctypes.data,
        work.sums.ctypes.data,
        work.loss.ctypes.data,
    )


@compiled
def draw_block(shape: Shape, s: Buffers, stream: Stream, step: int, sample: int) -> None:
    """The draws of one block, shared by all models of the group."""
    draws.draw((s.u, shape.n_features, sample, step, stream.purpose, stream.key_low, stream.key_high))
    if shape.sets:
        draws.draw((s.switch, shape.sets, sample, step, stream.set_purpose, stream.key_low, stream.key_high))


@compiled
def transpose_decoders(shape: Shape, at: At) -> None:
    """transposed[:, k, i] = W2[:, i, k]."""
    n, m = shape.n_features, shape.n_hidden
    start = 0 if shape.tied else n * m * FLOAT
    for model in range(at.models):
        weight = at.theta + model * at.params * FLOAT + start
        steps.transpose((weight, at.transposed + model * n * m * FLOAT, n, m))


@compiled
def forward(shape: Shape, s: Buffers, at: At, model: int) -> None:
    """x, h = W1^T x and o = W2 h + b for one block of one model; o lands in s.g."""
    n, m = shape.n_features, shape.n_hidden
    f = model * n * FLOAT
    w1 = at.theta + model * at.params * FLOAT
    bias = w1 + n * m * FLOAT * (1 if shape.tied else 2)
    set_size = n // shape.sets if shape.sets else 1
    draws.fill((s.u, s.switch, s.x, at.low + f, at.span + f, at.shift + f, at.scale + f, at.offset + f, n, set_size))
    if shape.absolute:
        losses.magnitude((s.x, s.y, n))
    products.contract((s.h, w1, s.x, s.zeros, m, n))
    if shape.relu_hidden:
        losses.rectify((s.h, m))
    products.contract((s.g, at.transposed + m * f, s.h, bias, n, m))


@compiled
def backward(shape: Shape, s: Buffers, at: At, model: int) -> None:
    """Add one block's gradients of the weights, from the outputs' gradient in s.g."""
    n, m = shape.n_features, shape.n_hidden
    w2 = at.theta + model * at.params * FLOAT + (0 if shape.tied else n * m * FLOAT)
    dw1 = at.grad + model * at.params * FLOAT
    products.contract((s.dh, w2, s.g, s.zeros, m, n))
    if shape.relu_hidden:
        losses.gate((s.dh, s.h, m))
    if shape.tied:
        products.outer_pair((dw1, s.g, s.h, s.x, s.dh, n, m))
    else:
        products.outer((dw1, s.x, s.dh, n, m))
        products.outer((dw1 + n * m * FLOAT, s.g, s.h, n, m))


@compiled
def block_gradients(shape: Shape, s: Buffers, at: At, model: int, left: int) -> None:
    """Add one block's losses and gradients of one model; `left` samples are left in the batch."""
    n = shape.n_features
    f = model * n * FLOAT
    importance, loss = at.importance + f, at.loss + model * DOUBLE
    sums = at.sums + model * shape.sum_rows * WIDTH * FLOAT
    if shape.tiny:
        theta = at.theta + model * at.params * FLOAT
        tiny.tiny(
            (s.u, at.low + f, at.scale + f, importance, theta, sums, loss, left, shape.relu_output, n, shape.n_hidden)
        )
    else:
        forward(shape, s, at, model)
        losses.residual((s.g, s.y, importance, sums, loss, n, left, shape.relu_output))
        backward(shape, s, at, model)


@compiled
def gradients(shape: Shape, s: Buffers, at: At, stream: Stream, step: int) -> None:
    """Sum the batch's losses into at.loss and the gradient of half of them into at.grad.

    The factor 2 / batch is left to the optimiser's step: it does not belong to every sample.
    """
    steps.clear((at.grad, at.models * at.params))
    steps.clear((at.sums, at.models * shape.sum_rows * WIDTH))
    transpose_decoders(shape, at)
    for sample in range(0, shape.samples, LANES):
        draw_block(shape, s, stream, step, sample)
        for model in range(at.models):
            block_gradients(shape, s, at, model, shape.samples - sample)
    weights = 0 if shape.tiny else shape.n_features * shape.n_hidden * (1 if shape.tied else 2)
    for model in range(at.models):
        grad = at.grad + (model * at.params + weights) * FLOAT
        losses.fold((at.sums + model * shape.sum_rows * WIDTH * FLOAT, grad, shape.sum_rows))


@compiled
def update(shape: Shape, rates: Rates, step: int, start: int, state: Trained, work: Work) -> None:
    """The optimiser's step for every model that has not diverged; one that does now keeps its last finite state."""
    count, row = state.theta.shape[1], state.theta.shape[1] * FLOAT
    theta, first, second = state.theta.ctypes.data, state.first.ctypes.data, state.second.ctypes.data
    grad, new, check = work.grad.ctypes.data, work.proposed.ctypes.data, work.check.ctypes.data
    bias1 = 1.0 - 0.9 ** (step + 1)
    bias2 = np.sqrt(1.0 - 0.999 ** (step + 1))
    for g in range(len(work.loss)):
        if state.diverged_at[g] >= 0:
            continue
        mean = np.float32(work.loss[g] / shape.samples)
        if shape.loss_every and step % shape.loss_every == 0:
            state.history[g, step // shape.loss_every] = mean
        at = g * row
        where = (theta + at, first + at, second + at, grad + at, new, check, count, rates.factor[g])
        lr, decay = rates.lr[g, step - start], rates.weight_decay[g]
        if shape.optimizer == SGD:
            steps.step_sgd((*where, decay, lr))
        elif shape.optimizer == ADAM:
            steps.step_adam((*where, decay, ONE, lr / bias1, bias2, *CONSTANTS))
        else:
            steps.step_adam((*where, ZERO, ONE - lr * decay, lr / bias1, bias2, *CONSTANTS))
        if np.isfinite(work.check[0]) and np.isfinite(mean):
            steps.copy((new, theta + at, count))
            steps.copy((new + row, first + at, count))
            steps.copy((new + 2 * row, second + at, count))
        else:
            state.diverged_at[g] = step


@compiled
def train(
    shape: Shape,
    s: Buffers,
    group: Group,
    stream: Stream,
    rates: Rates,
    start: int,
    stop: int,
    state: Trained,
    work: Work,
) -> None:
    """Train the G models from step `start` to `stop`."""
    at = addresses(group, state.theta, work)
    for step in range(start, stop):
        work.loss[:] = 0
        gradients(shape, s, at, stream, step)
        update(shape, rates, step, start, state, work)


@compiled
def gradients_once(shape: Shape, s: Buffers, group: Group, stream: Stream, step: int, theta: F32, work: Work) -> None:
    """`gradients` for a caller in Python."""
    work.loss[:] = 0
    gradients(shape, s, addresses(group, theta, work), stream, step)


@compiled
def evaluate(shape: Shape, s: Buffers, group: Group, stream: Stream, theta: F32, work: Work, moments: F64) -> None:
    """Add sum l and sum l^2 over `shape.samples` samples to moments [G, 2], l = sum_i I_i (x' - target)^2."""
    n, at, sums = shape.n_features, addresses(group, theta, work), moments.ctypes.data
    transpose_decoders(shape, at)
    for sample in range(0, shape.samples, LANES):
        draw_block(shape, s, stream, 0, sample)
        for model in range(at.models):
            forward(shape, s, at, model)
            importance, left = at.importance + model * n * FLOAT, shape.samples - sample
            losses.score((s.g, s.y, importance, sums + model * 2 * DOUBLE, n, left, shape.relu_output))
