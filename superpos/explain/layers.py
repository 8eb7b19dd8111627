"""The models that are explained: one hidden layer, linear or ReLU, and a linear or ReLU output.

    h = act(x W1),    z = h W2ᵀ + b,    f = relu(z) or z.

On a straight line through the inputs such a model is a row of pieces on which z is linear: one
where the hidden layer is linear, else as many as hidden units switch. Everything that integrates
along a line integrates over `pieces`.

Shapes: M models, B inputs x [B, n] or [M, B, n], n features, h hidden units, k outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from superpos.maths.types import Floats

Activation = Literal["relu", "linear"]
Weights: TypeAlias = "ArrayLike | tuple[ArrayLike, ArrayLike]"
"""W [M, n, h] of tied models, or the pair (W1 [M, n, h], W2 [M, k, h])."""


def of_products(G: ArrayLike) -> tuple[Floats, Floats]:
    """Weights of models that are known by G [M, k, n] alone, z_i = Σ_j G_ij x_j + b_i."""
    products = np.asarray(G, dtype=np.float64)
    n = products.shape[-1]
    return np.broadcast_to(np.eye(n), (len(products), n, n)), products


@dataclass(frozen=True)
class Layers:
    """M models of equal shape."""

    W1: Floats  # [M, n, h]
    W2: Floats  # [M, k, h]
    b: Floats  # [M, k]
    hidden: Activation = "linear"
    output: Activation = "relu"

    @classmethod
    def of(
        cls, W: Weights, b: ArrayLike, hidden: Activation = "linear", output: Activation = "relu"
    ) -> Layers:
        """Models of these weights and biases, in double precision.

        Raises `ValueError` where they do not fit.
        """
        pair = W if isinstance(W, tuple) else (W, W)
        W1, W2 = (np.asarray(weights, dtype=np.float64) for weights in pair)
        bias = np.asarray(b, dtype=np.float64)
        for name, value in (("hidden", hidden), ("output", output)):
            if value not in get_args(Activation):
                raise ValueError(
                    f"{name}: got {value!r}; allowed: {', '.join(get_args(Activation))}"
                )
        if (
            W1.ndim != 3
            or W2.ndim != 3
            or W1.shape[::2] != W2.shape[::2]
            or bias.shape != W2.shape[:2]
        ):
            raise ValueError(
                f"W and b: got shapes {W1.shape}, {W2.shape} and {bias.shape}; "
                "allowed: W [M, n, h], or a pair (W1 [M, n, h], W2 [M, k, h]), and b [M, k]"
            )
        return cls(W1, W2, bias, hidden, output)

    def __len__(self) -> int:
        """M."""
        return len(self.b)

    def __getitem__(self, models: slice) -> Layers:
        """Some of the models."""
        return Layers(self.W1[models], self.W2[models], self.b[models], self.hidden, self.output)

    @property
    def n_inputs(self) -> int:
        """n."""
        return int(self.W1.shape[1])

    @property
    def n_outputs(self) -> int:
        """k."""
        return int(self.W2.shape[1])

    @property
    def is_affine(self) -> bool:
        """Whether z is linear in the inputs."""
        return self.hidden == "linear"

    @cached_property
    def products(self) -> Floats:
        """G = W2 W1ᵀ [M, k, n] of models with a linear hidden layer."""
        return self.W2 @ self.W1.mT

    def inputs(self, x: ArrayLike) -> Floats:
        """Inputs as [M, B, n]. Raises `ValueError` for other shapes."""
        values = np.asarray(x, dtype=np.float64)
        shared = values.ndim == 2
        if values.shape[-1:] != (self.n_inputs,) or not (
            shared or values.shape[:-2] == (len(self),)
        ):
            raise ValueError(
                f"x: got shape {values.shape}; allowed: [B, n] or [M, B, n] with n = "
                f"{self.n_inputs}"
            )
        return np.broadcast_to(values, (len(self), *values.shape[-2:]))

    def per_feature(self, density: ArrayLike) -> Floats:
        """Densities [M, n] of a number, one for each model [M], or [M, n].

        Raises `ValueError` for others.
        """
        values = np.asarray(density, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        wanted = (len(self), self.n_inputs)
        if values.ndim > 2 or any(
            have not in (1, want) for have, want in zip(values.shape, wanted, strict=False)
        ):
            raise ValueError(
                f"density: got shape {values.shape}; allowed: a number, [M] or [M, n], here "
                f"{wanted}"
            )
        if not ((values > 0) & (values <= 1)).all():
            raise ValueError("density: allowed: numbers above 0, up to 1")
        return np.broadcast_to(values, wanted)

    def before(self, x: Floats) -> Floats:
        """z [M, B, k] of inputs [M, B, n]."""
        if self.is_affine:
            return x @ self.products.mT + self.b[:, None]
        return np.maximum(x @ self.W1, 0) @ self.W2.mT + self.b[:, None]

    def activate(self, z: Floats) -> Floats:
        """Outputs of any shape."""
        return np.maximum(z, 0) if self.output == "relu" else z

    def __call__(self, x: Floats) -> Floats:
        """Outputs [M, B, k] of inputs [M, B, n]."""
        return self.activate(self.before(x))

    def is_on(self, z: Floats) -> Floats:
        """1 where an output's slope is that of z, 0 where it is off; at the kink it is off, as
        torch has it.
        """
        return (z > 0).astype(np.float64) if self.output == "relu" else np.ones_like(z)

    def slopes(self, x: Floats) -> Floats:
        """dz/dx [M, B, k, n], or [M, 1, k, n] where it is the same everywhere."""
        if self.is_affine:
            return self.products[:, None]
        on = (x @ self.W1 > 0).astype(np.float64)
        return (self.W2[:, None] * on[:, :, None]) @ self.W1.mT[:, None]


class Piece(NamedTuple):
    """A part of a line on which z is linear."""

    length: Floats  # [M, B, 1] or 1: its share of the line
    low: Floats  # [M, B, k], z where it begins
    high: Floats  # [M, B, k], z where it ends
    slopes: Floats  # [M, B or 1, k, n], dz/dx


def pieces(model: Layers, start: Floats, end: Floats) -> Iterator[Piece]:
    """The pieces of the straight lines between inputs [M, B, n], one line for each model and input,
    in order.
    """
    if model.is_affine:
        yield Piece(np.ones((1, 1, 1)), model.before(start), model.before(end), model.slopes(start))
        return
    first, last = start @ model.W1, end @ model.W1  # [M, B, h]
    with np.errstate(divide="ignore", invalid="ignore"):
        switches = np.where((first > 0) != (last > 0), first / (first - last), 1.0)
    times = np.sort(np.clip(switches, 0, 1), axis=-1)
    edge = np.zeros_like(times[..., :1])
    for number in range(times.shape[-1] + 1):
        after = times[..., number : number + 1] if number < times.shape[-1] else np.ones_like(edge)
        low, middle, high = (start + t * (end - start) for t in (edge, (edge + after) / 2, after))
        # Which units are on is read in the middle, where rounding cannot decide it.
        slopes = model.slopes(middle)
        centre = model.before(middle)
        half = [((point - middle)[:, :, None] * slopes).sum(-1) for point in (low, high)]
        yield Piece(after - edge, centre + half[0], centre + half[1], slopes)
        edge = after


def share_on(model: Layers, low: Floats, high: Floats) -> Floats:
    """The share of a piece on which an output is on, [M, B, k]."""
    if model.output == "linear":
        return np.ones_like(low)
    top = np.maximum(low, high)
    bottom = np.minimum(low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = top / (top - bottom)
    return np.where(top <= 0, 0.0, np.where(bottom >= 0, 1.0, part))


def mean_output(model: Layers, low: Floats, high: Floats) -> Floats:
    """The mean output over a piece, [M, B, k]: nothing cancels, however short the way from `low` to
    `high` is.
    """
    if model.output == "linear":
        return (low + high) / 2
    return np.asarray(share_on(model, low, high) * (np.maximum(low, 0) + np.maximum(high, 0)) / 2)


def mean_square(model: Layers, low: Floats, high: Floats) -> Floats:
    """The mean squared output over a piece, [M, B, k]."""
    first = model.activate(low)
    last = model.activate(high)
    return np.asarray(share_on(model, low, high) * (first**2 + first * last + last**2) / 3)
