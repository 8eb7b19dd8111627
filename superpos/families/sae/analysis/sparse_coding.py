"""Sparse coding: the codes that an encoder in one pass can only approach, and dictionaries of them.

Shapes: N inputs x[N, d], m latents, decoder D[m, d] of unit rows, codes f[N, m] ≥ 0. The objective
is that of an L1 autoencoder, ‖x − f D‖² + λ Σ f.
"""

from __future__ import annotations

import numpy as np

from superpos.maths.dimensionality import directions
from superpos.maths.types import Floats


def fista(x: Floats, D: Floats, penalty: float, iterations: int = 200) -> Floats:
    """Codes f[N, m] of least objective, as far as that many steps go (Beck and Teboulle 2009)."""
    gram = D @ D.T
    step = 0.5 / np.linalg.eigvalsh(gram)[-1]
    drive = 2 * x @ D.T - penalty
    code = np.zeros_like(drive)
    ahead = code
    momentum = 1.0
    for _ in range(iterations):
        moved = np.maximum(ahead + step * (drive - 2 * ahead @ gram), 0.0)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - code)
        code = moved
        momentum = following
    return code


def learn_dictionary(
    x: Floats,
    n_latents: int,
    penalty: float,
    rng: np.random.Generator,
    batch: int = 512,
    iterations: int = 40,
) -> Floats:
    """D[m, d] of sparse coding in one pass over the inputs (Mairal et al. 2009, online).

    It starts from inputs. Codes of a batch are FISTA's, the dictionary is the best for averages of
    all codes so far, row by row.
    """
    D = directions(x[rng.choice(len(x), n_latents, replace=False)])
    squares = 1e-6 * np.eye(n_latents)
    products = 1e-6 * D
    for start in range(0, len(x) - batch + 1, batch):
        inputs = x[start : start + batch]
        code = fista(inputs, D, penalty, iterations)
        keep = 1 - batch / (start + batch)  # the first codes are forgotten as later ones come
        squares = keep * squares + code.T @ code
        products = keep * products + code.T @ inputs
        for j in range(n_latents):
            towards = D[j] + (products[j] - squares[j] @ D) / squares[j, j]
            D[j] = directions(towards)
    return D
