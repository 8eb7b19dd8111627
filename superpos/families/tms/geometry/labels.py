"""Labels of models: the shapes that their features form, in words.

Components span orthogonal spaces, so a model is the tegum product of their polytopes (Elhage et al.
2022, *Toy Models of Superposition*, "The geometry of superposition"). A square or an octahedron is
itself such a product, of digons: labels say "2 digons" and "3 digons" also where a little noise
joins them.

Shapes: M models, F features (n), H hidden (m).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.geometry.graph import TAU, TAUS, components
from superpos.families.tms.geometry.polytopes import DEDICATED, by_size
from superpos.families.tms.metrics import Weights
from superpos.maths.types import Floats

NOT_FINITE: Final = "not finite"
_PLURALS: Final = {"tetrahedron": "tetrahedra", "icosahedron": "icosahedra"}
_DIGONS: Final = {"square": 2, "octahedron": 3}  # how many digons these shapes are


def _phrase(name: str, count: int) -> str:
    """`count` shapes in words: "digon", "2 digons", "1 dedicated", "2 × 5/3"."""
    if name == DEDICATED:
        return f"{count} {name}"
    if count == 1:
        return name
    if "/" in name:
        return f"{count} × {name}"
    plural = f"{name[:-2]}ices" if name.endswith("simplex") else _PLURALS.get(name, f"{name}s")
    return f"{count} {plural}"


def _label(kinds: Sequence[tuple[int, str]], counts: Sequence[int]) -> str:
    """A label from the number of components of each (size, name), and that of the features in
    none.
    """
    *present, n_missing = counts
    parts = [_phrase(name, count) for (_, name), count in zip(kinds, present, strict=True) if count]
    return " + ".join(parts + [f"{n_missing} not represented"] * (n_missing > 0))


def _counts(W: Floats, labels: NDArray[np.int64]) -> dict[tuple[int, str], NDArray[np.intp]]:
    """How many components of each (size, name) each model [M] has, the largest first; a square is
    two digons.
    """
    found: dict[tuple[int, str], NDArray[np.intp]] = {}
    for same in by_size(W, labels):
        for name in set(same.name.tolist()):
            digons = _DIGONS.get(name, 0)
            kind = (2, "digon") if digons else (same.features.shape[1], name)
            count = np.bincount(same.model[same.name == name], minlength=len(W)) * max(digons, 1)
            found[kind] = found.get(kind, 0) + count
    return {kind: found[kind] for kind in sorted(found, key=lambda kind: (-kind[0], kind[1]))}


def describe(W: Weights, tau: float = TAU) -> NDArray[np.object_]:
    """A label [M] for the shapes that the features of each model W[M, F, H] form.

    "pentagon", "2 digons + 1 dedicated", "digon + 3 not represented"; the largest component first.
    A square counts as 2 digons, an octahedron as 3. Weights that are not finite give "not finite".
    """
    finite = np.asarray(np.isfinite(W).all(axis=(-2, -1)))
    W64 = np.where(finite[:, None, None], W, 0.0).astype(np.float64)
    labels = components(W64, tau)
    counts = _counts(W64, labels)
    table = np.stack([*counts.values(), (labels < 0).sum(axis=1)], axis=1)  # [M, kinds + 1]
    distinct, which = np.unique(table, axis=0, return_inverse=True)  # of many models few differ
    named = np.array([_label(list(counts), row) for row in distinct.tolist()], dtype=object)
    return np.where(finite, named[which.reshape(-1)], NOT_FINITE)


def stable(W: Weights) -> NDArray[np.bool_]:
    """Whether each model [M] of W[M, F, H] has the same label for every τ of `TAUS` (0.05 to
    0.2).
    """
    labels = [describe(W, tau) for tau in TAUS]
    return np.array([len(set(own)) == 1 for own in zip(*labels, strict=True)], dtype=np.bool_)
