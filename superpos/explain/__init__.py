"""Explanation methods, exact for models whose mechanism is known, and their grades against it.

    from superpos import explain
    explain.shapley(W, b, x)    # W [M, n, m], b [M, n], x [B, n] -> [M, B, n outputs, n inputs]

Every function takes many models at once, in double precision. Weights are W [M, n, m] of tied
models, a pair (W1 [M, n, h], W2 [M, k, h]) of others, or `of_products(G)`; `hidden="relu"` is for
models with a ReLU hidden layer.
"""

from superpos.explain.attributions import (
    gradient,
    gradient_times_input,
    integrated_gradients,
    occlusion,
    permutation_importance,
    resample_effect,
    sobol_total,
)
from superpos.explain.forests import forest_impurity, forest_permutation
from superpos.explain.layers import of_products
from superpos.explain.lime import lime, lime_coefficients, lime_ridge_factor
from superpos.explain.values import (
    Estimate,
    banzhaf,
    conditional_shapley,
    shapley,
    shapley_sampled,
    value_table,
)

__all__ = [
    "Estimate",
    "banzhaf",
    "conditional_shapley",
    "forest_impurity",
    "forest_permutation",
    "gradient",
    "gradient_times_input",
    "integrated_gradients",
    "lime",
    "lime_coefficients",
    "lime_ridge_factor",
    "occlusion",
    "of_products",
    "permutation_importance",
    "resample_effect",
    "shapley",
    "shapley_sampled",
    "sobol_total",
    "value_table",
]
