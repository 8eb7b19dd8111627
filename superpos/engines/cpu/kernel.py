"""The compiled training loop: one call trains a group of models that share their draws, on one thread.

Shapes: G models of the group, F features, H hidden, P parameters of a model (flat, in the order of
`Structure.param_shapes`). The derivation of the gradients and the memory layout stand in `engines/README.md`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.engines.cpu import lanes
from superpos.engines.cpu.cache import compiled

LANES, WIDTH = lanes.LANES, lanes.WIDTH
ADAM, ADAMW, SGD = 0, 1, 2
BETA1, BETA2, EPS = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
REST1, REST2 = np.float32(1 - 0.9), np.float32(1 - 0.999)
ONE = np.float32(1)
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
    """Addresses of one thread's lane blocks; a row is a feature, a set or a hidden unit, `lanes.STRIDE` floats apart."""

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


class Addresses(NamedTuple):
    """Where the arrays of a `Group` start."""

    low: int
    span: int
    shift: int
    scale: int
    offset: int
    importance: int


class Rates(NamedTuple):
    """Hyperparameters of the optimiser."""

    lr: F32  # [G, steps of this call]
    weight_decay: F32  # [G]
    factor: F32  # [G]; from the gradient of half the summed loss to that of the training loss


class Work(NamedTuple):
    """Sums and intermediate results of one step."""

    transposed: F32  # [G, H * F] weights of the decoder, hidden unit by hidden unit
    grad: F32  # [G, P]
    bias_sums: F32  # [G, F * WIDTH]
    loss: F64  # [G]
    proposed: F32  # [3, P] parameters and moments after a step, until they are known to be finite


class Trained(NamedTuple):
    """What training changes: rows of the state."""

    theta: F32  # [G, P]
    first: F32  # [G, P]
    second: F32  # [G, P]
    diverged_at: NDArray[np.int64]  # [G]
    history: F32  # [G, records]


@compiled
def transpose_decoders(shape: Shape, theta: F32, transposed: F32) -> None:
    """transposed[:, k, i] = W2[:, i, k]."""
    n, m = shape.n_features, shape.n_hidden
    start = 0 if shape.tied else n * m
    for model in range(len(theta)):
        for i in range(n):
            for k in range(m):
                transposed[model, k * n + i] = theta[model, start + i * m + k]


@compiled
def draw_block(shape: Shape, s: Buffers, stream: Stream, step: int, sample: int) -> None:
    """The draws of one block, shared by all models of the group."""
    lanes.draw((s.u, shape.n_features, sample, step, stream.purpose, stream.key_low, stream.key_high))
    if shape.sets:
        lanes.draw((s.switch, shape.sets, sample, step, stream.set_purpose, stream.key_low, stream.key_high))


@compiled
def forward(shape: Shape, s: Buffers, group: Addresses, at: int, w1: int, w2_transposed: int, bias: int) -> None:
    """x, h = W1^T x and o = W2 h + b for one block of the model whose features start `at` bytes on; o lands in s.g."""
    n, m = shape.n_features, shape.n_hidden
    set_size = n // shape.sets if shape.sets else 1
    low, span, shift = group.low + at, group.span + at, group.shift + at
    lanes.fill((s.u, s.switch, s.x, low, span, shift, group.scale + at, group.offset + at, n, set_size))
    if shape.absolute:
        lanes.magnitude((s.x, s.y, n))
    lanes.contract((s.h, w1, s.x, s.zeros, m, n))
    if shape.relu_hidden:
        lanes.rectify((s.h, m))
    lanes.contract((s.g, w2_transposed, s.h, bias, n, m))


@compiled
def backward(shape: Shape, s: Buffers, w2: int, dw1: int, dw2: int) -> None:
    """Add one block's gradients of the weights, from the outputs' gradient in s.g."""
    n, m = shape.n_features, shape.n_hidden
    lanes.contract((s.dh, w2, s.g, s.zeros, m, n))
    if shape.relu_hidden:
        lanes.gate((s.dh, s.h, m))
    if shape.tied:
        lanes.outer_pair((dw1, s.g, s.h, s.x, s.dh, n, m))
    else:
        lanes.outer((dw1, s.x, s.dh, n, m))
        lanes.outer((dw2, s.g, s.h, n, m))


@compiled
def addresses(group: Group) -> Addresses:
    """Where the group's arrays start; the caller keeps them alive."""
    return Addresses(
        group.low.ctypes.data,
        group.span.ctypes.data,
        group.shift.ctypes.data,
        group.scale.ctypes.data,
        group.offset.ctypes.data,
        group.importance.ctypes.data,
    )


@compiled
def gradients(shape: Shape, s: Buffers, group: Addresses, stream: Stream, step: int, theta: F32, work: Work) -> None:
    """Fill work.loss with the batch's loss and work.grad with the gradient of half of it, both summed over the batch.

    The factor 2 / batch is left to the caller: it belongs to the optimiser step, not to every sample.
    """
    models, n = len(theta), shape.n_features
    weight = n * shape.n_hidden * FLOAT
    params, to_w2 = theta.shape[1] * FLOAT, 0 if shape.tied else weight
    to_bias = to_w2 + weight
    work.grad[:] = 0
    work.loss[:] = 0
    work.bias_sums[:] = 0
    transpose_decoders(shape, theta, work.transposed)
    thetas, grads, losses = theta.ctypes.data, work.grad.ctypes.data, work.loss.ctypes.data
    transposed, sums = work.transposed.ctypes.data, work.bias_sums.ctypes.data
    for sample in range(0, shape.samples, LANES):
        draw_block(shape, s, stream, step, sample)
        for model in range(models):
            w, dw, at = thetas + model * params, grads + model * params, model * n * FLOAT
            forward(shape, s, group, at, w, transposed + model * weight, w + to_bias)
            lanes.residual(
                (s.g, s.y, group.importance + at, sums + at * WIDTH, losses + model * DOUBLE, n,
                 shape.samples - sample, shape.relu_output)
            )
            backward(shape, s, w + to_w2, dw, dw + to_w2)
    for model in range(models):
        lanes.fold((sums + model * n * FLOAT * WIDTH, grads + model * params + to_bias, n))


@compiled
def propose(
    optimizer: int, lr: Any, rate: Any, bias2: Any, decay: Any, factor: Any, theta: F32, first: F32, second: F32,
    grad: F32, new: F32,
) -> bool:
    """Write parameters and moments after a step to new[3, P]; true iff every parameter is finite.

    As `optim.update`, operation by operation; `rate` is lr / (1 - beta1^t), `bias2` is sqrt(1 - beta2^t).
    """
    keep = ONE - lr * decay if optimizer == ADAMW else ONE
    coupled = np.float32(0) if optimizer == ADAMW else decay
    finite = True
    for j in range(len(theta)):
        g = factor * grad[j] + coupled * theta[j]
        if optimizer == SGD:
            new[0, j], new[1, j], new[2, j] = theta[j] - lr * g, first[j], second[j]
        else:
            new[1, j] = BETA1 * first[j] + REST1 * g
            new[2, j] = BETA2 * second[j] + REST2 * (g * g)
            new[0, j] = keep * theta[j] - rate * (new[1, j] / (np.sqrt(new[2, j]) / bias2 + EPS))
        finite &= np.isfinite(new[0, j])
    return finite


@compiled
def update(shape: Shape, rates: Rates, step: int, start: int, state: Trained, work: Work) -> None:
    """The optimiser's step for every model that has not diverged; one that does now keeps its last finite state."""
    bias1 = 1.0 - 0.9 ** (step + 1)
    bias2 = np.float32(np.sqrt(1.0 - 0.999 ** (step + 1)))
    for model in range(len(state.theta)):
        if state.diverged_at[model] >= 0:
            continue
        mean = np.float32(work.loss[model] / shape.samples)
        if shape.loss_every and step % shape.loss_every == 0:
            state.history[model, step // shape.loss_every] = mean
        theta, first, second = state.theta[model], state.first[model], state.second[model]
        lr = rates.lr[model, step - start]
        finite = propose(
            shape.optimizer, lr, np.float32(np.float64(lr) / bias1), bias2, rates.weight_decay[model], rates.factor[model],
            theta, first, second, work.grad[model], work.proposed,
        )
        if finite and np.isfinite(mean):
            theta[:], first[:], second[:] = work.proposed[0], work.proposed[1], work.proposed[2]
        else:
            state.diverged_at[model] = step


@compiled
def train(
    shape: Shape, s: Buffers, group: Group, stream: Stream, rates: Rates, start: int, stop: int, state: Trained, work: Work
) -> None:
    """Train the G models from step `start` to `stop`."""
    at = addresses(group)
    for step in range(start, stop):
        gradients(shape, s, at, stream, step, state.theta, work)
        update(shape, rates, step, start, state, work)


@compiled
def gradients_once(shape: Shape, s: Buffers, group: Group, stream: Stream, step: int, theta: F32, work: Work) -> None:
    """`gradients` for a caller in Python."""
    gradients(shape, s, addresses(group), stream, step, theta, work)


@compiled
def evaluate(shape: Shape, s: Buffers, group: Group, stream: Stream, theta: F32, transposed: F32, moments: F64) -> None:
    """Add sum l and sum l^2 over `shape.samples` samples to moments [G, 2], l = sum_i I_i (x' - target)^2."""
    n, where = shape.n_features, addresses(group)
    weight = n * shape.n_hidden * FLOAT
    to_bias = weight if shape.tied else 2 * weight
    transpose_decoders(shape, theta, transposed)
    thetas, wt, sums = theta.ctypes.data, transposed.ctypes.data, moments.ctypes.data
    for sample in range(0, shape.samples, LANES):
        draw_block(shape, s, stream, 0, sample)
        for model in range(len(theta)):
            w, at = thetas + model * theta.shape[1] * FLOAT, model * n * FLOAT
            forward(shape, s, where, at, w, wt + model * weight, w + to_bias)
            lanes.score(
                (s.g, s.y, where.importance + at, sums + model * 2 * DOUBLE, n, shape.samples - sample,
                 shape.relu_output)
            )
