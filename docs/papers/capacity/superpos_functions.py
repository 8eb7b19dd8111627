"""Polysemanticity and capacity (Scherlis et al. 2022): a quadratic model with one output.

It is to learn y = x₁² + r x₂² of two features through one dimension, as y' = ‖Wᵀx‖² + c. Features
are signed: uniform on [-1, 1] with probability p, else 0, which has the kurtosis 9 / (5 p).
"""

import numpy as np


def quadratic(params, x):
    """y' [M, B, 1] of x [M, B, n]."""
    h = x @ params["W"]
    return h.pow(2).sum(-1, keepdim=True) + params["c"][:, None]


def error(out, target, params):
    return (out - target).pow(2).sum(-1)


def _learned(x, r):
    return x[..., :1].pow(2) + r * x[..., 1:].pow(2)


def weak(x):
    return _learned(x, 0.1)


def middle(x):
    return _learned(x, 0.3)


def strong(x):
    return _learned(x, 0.7)


RATIOS = {"weak": 0.1, "middle": 0.3, "strong": 0.7}


def best(run, density):
    """Of a density the weights [n, m] of the model of lowest loss."""
    rows = run.table[np.isclose(run.table["data.density"], density)]
    return run.weights(int(rows["loss"].astype(float).idxmin()))["W"].astype(float)


def capacity(W):
    """C_i = G_ii² / Σ_j G_ij² of both features, of weights [n, m]."""
    G = W @ W.T
    return np.diag(G) ** 2 / (G**2).sum(axis=1)
