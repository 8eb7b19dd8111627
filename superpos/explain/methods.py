"""Methods by name, as they are asked of models whose data are known.

Shapes: M models, B inputs, n features, k outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from superpos.explain import attributions, forests, values
from superpos.explain.keys import FORESTS
from superpos.explain.layers import Layers
from superpos.explain.lime import lime
from superpos.explain.truth import data
from superpos.maths.types import Floats

ABOUT_MODELS: Final = ("permutation_importance", "sobol_total", *FORESTS)
"""Methods that say one number of an input for all data: [M, k, n]."""
ROWS: Final = 100
"""Rows of a background that is sampled, as many as shap keeps."""
SAMPLES: Final = 500
"""Pairs of orders of Shapley values that are sampled."""


@dataclass(frozen=True)
class Known:
    """Models of one shape, and the law of their data."""

    layers: Layers
    density: Floats  # [M, n]
    set_size: int

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Known:
        """What `Family.one_layer` gives."""
        layers = Layers.of(facts["weights"], facts["b"], facts["hidden"], facts["output"])
        return cls(layers, np.asarray(facts["density"], dtype=np.float64), int(facts["set_size"]))

    def __len__(self) -> int:
        """M."""
        return len(self.layers)

    def __getitem__(self, models: slice) -> Known:
        """Some of the models."""
        return Known(self.layers[models], self.density[models], self.set_size)

    @property
    def arguments(self) -> tuple[Any, Floats]:
        """Weights and biases as functions of `superpos.explain` take them."""
        return (self.layers.W1, self.layers.W2), self.layers.b

    @property
    def activations(self) -> dict[str, Any]:
        """The keywords that go with them."""
        return {"hidden": self.layers.hidden, "output": self.layers.output}


@dataclass(frozen=True)
class Attributed:
    """What a method says."""

    values: Floats  # [M, B, k, n], or [M, k, n] of a method about models
    error: Floats | None = None  # of the same shape: standard errors where it was sampled


Options = Mapping[str, Any]
"""Values of the explain.* keys by dotted name."""


def attribute(method: str, known: Known, x: Floats, options: Options) -> Attributed:
    """What a method says of every output at inputs x [M, B, n].

    Raises `ValueError` as the functions do.
    """
    return _METHODS[method](known, x, options)


def is_exact(known: Known, options: Options) -> bool:
    """Whether Shapley values of these models are computed, and not sampled."""
    n = known.layers.n_inputs
    integrated = options["explain.background"] == "data"
    return n <= (values.MAX_INTEGRATED if integrated else values.MAX_FEATURES) and not (
        integrated and not known.layers.is_affine
    )


def background(known: Known, options: Options) -> dict[str, Any]:
    """Where features that are taken away come from, as a keyword of the functions."""
    choice = options["explain.background"]
    if choice == "mean":
        return {"baseline": known.density[:, None] / 2}
    if choice == "rows":
        return {"background": data(known.density, ROWS, known.set_size, seed=1)}
    return {"density": known.density} if choice == "data" else {}


def _call(function: Callable[..., Floats], known: Known, x: Floats, **keywords: Any) -> Attributed:
    return Attributed(function(*known.arguments, x, **keywords, **known.activations))


def _gradient(known: Known, x: Floats, options: Options) -> Attributed:
    return _call(attributions.gradient, known, x)


def _gradient_times_input(known: Known, x: Floats, options: Options) -> Attributed:
    return _call(attributions.gradient_times_input, known, x)


def _integrated_gradients(known: Known, x: Floats, options: Options) -> Attributed:
    return _call(attributions.integrated_gradients, known, x, **background(known, options))


def _occlusion(known: Known, x: Floats, options: Options) -> Attributed:
    given = background(known, options)
    if "density" in given:
        return _resample_effect(known, x, options)
    if "background" not in given:
        return _call(attributions.occlusion, known, x, **given)
    rows = given["background"]
    found = [
        _call(attributions.occlusion, known, x, baseline=rows[:, [row]]).values
        for row in range(ROWS)
    ]
    return Attributed(np.mean(found, axis=0))


def _resample_effect(known: Known, x: Floats, options: Options) -> Attributed:
    return _call(attributions.resample_effect, known, x, density=known.density)


def _shapley(known: Known, x: Floats, options: Options) -> Attributed:
    if options["explain.value"] == "conditional":
        return _conditional_shapley(known, x, options)
    given = background(known, options)
    if is_exact(known, options):
        return _call(values.shapley, known, x, **given)
    W, b = known.arguments
    sampled = values.shapley_sampled(W, b, x, samples=SAMPLES, **given, **known.activations)
    return Attributed(sampled.values, sampled.error)


def _conditional_shapley(known: Known, x: Floats, options: Options) -> Attributed:
    return _call(
        values.conditional_shapley, known, x, density=known.density, set_size=known.set_size
    )


def _banzhaf(known: Known, x: Floats, options: Options) -> Attributed:
    return _call(values.banzhaf, known, x, **background(known, options))


def _lime(known: Known, x: Floats, options: Options) -> Attributed:
    chosen = {name: options[f"explain.lime_{name}"] for name in ("width", "samples", "ridge")}
    seed = None if known.layers.is_affine else 0
    return _call(lime, known, x, density=known.density, seed=seed, **chosen)


def _permutation_importance(known: Known, x: Floats, options: Options) -> Attributed:
    rows = data(known.density, set_size=known.set_size, seed=2)
    return _call(attributions.permutation_importance, known, rows)


def _sobol_total(known: Known, x: Floats, options: Options) -> Attributed:
    rows = data(known.density, set_size=known.set_size, seed=3)
    return _call(attributions.sobol_total, known, rows, density=known.density)


def _forest_impurity(known: Known, x: Floats, options: Options) -> Attributed:
    return _call(
        forests.forest_impurity, known, data(known.density, set_size=known.set_size, seed=5)
    )


def _forest_permutation(known: Known, x: Floats, options: Options) -> Attributed:
    return _call(
        forests.forest_permutation, known, data(known.density, set_size=known.set_size, seed=5)
    )


def _random(known: Known, x: Floats, options: Options) -> Attributed:
    shape = (*x.shape[:2], known.layers.n_outputs, x.shape[2])
    return Attributed(np.random.default_rng(4).standard_normal(shape) * (x != 0)[:, :, None])


_METHODS: Final[Mapping[str, Callable[[Known, Floats, Options], Attributed]]] = {
    "gradient": _gradient,
    "gradient_times_input": _gradient_times_input,
    "integrated_gradients": _integrated_gradients,
    "occlusion": _occlusion,
    "resample_effect": _resample_effect,
    "shapley": _shapley,
    "conditional_shapley": _conditional_shapley,
    "banzhaf": _banzhaf,
    "lime": _lime,
    "permutation_importance": _permutation_importance,
    "sobol_total": _sobol_total,
    "forest_impurity": _forest_impurity,
    "forest_permutation": _forest_permutation,
    "random": _random,
}
