"""Keys of `superpos explain` and of `run.explain`: what is asked of a finished run, of which
nothing is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from superpos.config.schema import Schema, key, schema_of_group
from superpos.explain.truth import QUESTIONS

METHODS: Final = (
    "gradient",
    "gradient_times_input",
    "integrated_gradients",
    "occlusion",
    "resample_effect",
    "shapley",
    "conditional_shapley",
    "banzhaf",
    "lime",
    "permutation_importance",
    "sobol_total",
    "forest_impurity",
    "forest_permutation",
    "random",
)
"""Methods that can be graded: public functions of `superpos.explain` by their names, and random
numbers.
"""
FORESTS: Final = ("forest_impurity", "forest_permutation")
"""Methods that need scikit-learn and take seconds a model: by name alone."""
ALL: Final = "all"
SEVERAL: Final = ("explain.method", "explain.question")
"""Keys that take several values."""


def _active(value: object) -> object:
    """A number of features, or "data"."""
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return value if whole or value == "data" else None


@dataclass(frozen=True)
class ExplainConfig:
    """Which explanations are graded, against what."""

    method: str = key("choice", ALL, "methods that are graded", choices=(ALL, *METHODS))
    question: str = key("choice", "sets", "what is asked", choices=tuple(QUESTIONS))
    background: str = key(
        "choice",
        "zero",
        "where features that are taken away come from",
        choices=("zero", "mean", "data", "rows"),
    )
    value: str = key(
        "choice",
        "interventional",
        "what Shapley values condition on",
        choices=("interventional", "conditional"),
    )
    active: int | str = key(
        "value",
        3,
        "features that are on in each test input",
        parse=_active,
        words="an integer, at least 1, or data (drawn as the model's data)",
    )
    inputs: int = key("int", 64, "test inputs", low=1, high=100_000)
    lime_width: float | None = key(
        "number", None, "width of LIME's kernel", low=1e-6, high=1e6, null=".75 √n"
    )
    lime_samples: int = key("int", 5000, "samples of LIME", low=2, high=10**9)
    lime_ridge: float = key("number", 1.0, "ridge of LIME", low=0, high=1e9)


@cache
def schema() -> Schema:
    """The keys as a schema of their own."""
    return schema_of_group("explain", ExplainConfig)
