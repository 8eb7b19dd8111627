"""The best that a model without layers can do on a chain: a table of logits of rank d.

Softmax takes no notice of a constant in a row, so that rank V - 1 is enough for every law.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from superpos.families.transformer.theory.laws import divergence
from superpos.maths.types import Floats


def least_excess(often: Floats, rows: Floats, d: int, starts: int = 8) -> float:
    """The least excess in nats of logits E U, E [V, d] and U [d, V], over a chain's rows [V, V],
    read so often [V].

    The best of several starts of L-BFGS from small random tables, and of the best approximation of
    rank d to the logarithms of the rows; an upper bound, as the problem is not convex. More
    dimensions than tokens add nothing.
    """
    V = len(rows)
    d = min(d, V)
    joint = often[:, None] * rows
    rng = np.random.default_rng(0)

    def loss(flat: Floats) -> tuple[float, Floats]:
        E = flat[: V * d].reshape(V, d)
        U = flat[V * d :].reshape(d, V)
        log_p = log_softmax(E @ U, axis=-1)
        wrong = often[:, None] * np.exp(log_p) - joint
        return float(-(joint * log_p).sum()), np.concatenate(
            [(wrong @ U.T).ravel(), (E.T @ wrong).ravel()]
        )

    left, sizes, right = np.linalg.svd(_without_constants(np.log(np.maximum(rows, 1e-12))))
    roots = np.sqrt(sizes[:d])
    first = np.concatenate([(left[:, :d] * roots).ravel(), (roots[:, None] * right[:d]).ravel()])
    best = np.inf
    for start in [first, *(rng.normal(size=2 * V * d) / np.sqrt(d) for _ in range(starts - 1))]:
        found = minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": 20_000,
                "maxfun": 40_000,
                "ftol": 1e-16,
                "gtol": 1e-10,
                "maxcor": 30,
            },
        )
        E = found.x[: V * d].reshape(V, d)
        U = found.x[V * d :].reshape(d, V)
        best = min(best, float(often @ divergence(rows, log_softmax(E @ U, axis=-1))))
    return best


def _without_constants(table: Floats) -> Floats:
    return np.asarray(table - table.mean(1, keepdims=True))
