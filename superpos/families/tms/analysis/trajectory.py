"""One model along its training: its loss at every snapshot, the jumps of its features, the plateaus
of its loss.

TMS, "Superposition and learning dynamics". Snapshots are equally spaced over training. A change is
judged over a window, `WINDOW` of the training, centred on a snapshot.
Shapes: S snapshots, F features, H hidden, J jumps, P plateaus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import metrics
from superpos.families.tms.exact_loss import exact_loss, has_exact_loss
from superpos.families.tms.structure import Task
from superpos.maths.types import Floats

Indices = NDArray[np.intp]
Params = Mapping[str, NDArray[np.floating[Any]]]

WINDOW: Final = 0.05
JUMP: Final = 0.1  # of D_i; noise of training moves it by about .01
SHORT: Final = 0.1  # length of a feature whose direction is still, or again, that of noise
FLAT: Final = 0.02  # of the whole fall of the loss
SAMPLES: Final = 4096
_CELLS: Final = 2**24  # numbers in one batch of activations; 64 MiB


class Jumps(NamedTuple):
    """Moves of single features from one dimensionality to another, by feature and time; a feature
    may jump twice.
    """

    feature: Indices  # [J]
    at: Indices  # [J] snapshot about which D_i changes most
    size: Floats  # [J] that change, over a window; negative where D_i falls


def window_change(values: Floats) -> Floats:
    """Change of values[S, ...] over the window about each snapshot; the window is cut off at both
    ends of training.
    """
    last = len(values) - 1
    half = max(1, round(WINDOW / 2 * last))
    at = np.arange(len(values))
    change: Floats = values[np.minimum(at + half, last)] - values[np.maximum(at - half, 0)]
    return change


def dimensionality(W: NDArray[np.floating[Any]]) -> Floats:
    """D_i [S, F] of W[S, F, H]; NaN while a feature is shorter than `SHORT`."""
    return np.where(metrics.feature_norms(W) >= SHORT, metrics.dimensionality(W), np.nan)


def jumps(dimensionality: Floats) -> Jumps:
    """The jumps in D_i [S, F]: stretches in which it moves one way by at least `JUMP` within a
    window.
    """
    change = np.nan_to_num(window_change(dimensionality)).T  # [F, S]
    way = np.where(np.abs(change) >= JUMP, np.sign(change), 0)
    found = []
    for feature, (own, ways) in enumerate(zip(change, way, strict=True)):
        for first, end in _stretches(ways):
            at = first + int(np.abs(own[first:end]).argmax())
            found.append((feature, at, own[at]))
    table = np.array(found, dtype=np.float64).reshape(-1, 3)
    return Jumps(table[:, 0].astype(np.intp), table[:, 1].astype(np.intp), table[:, 2])


def plateaus(loss: Floats) -> Indices:
    """First and last snapshot [P, 2] of every plateau of the loss [S].

    It is a stretch at least a window long in which the loss changes by at most `FLAT` of its whole
    fall in a window.
    """
    fall = loss[0] - np.nanmin(loss) if np.isfinite(loss[0]) else np.nan
    flat = np.abs(window_change(loss)) <= FLAT * fall
    found = [
        (first, end - 1)
        for first, end in _stretches(flat)
        if end - 1 - first >= WINDOW * (len(loss) - 1)
    ]
    return np.array(found, dtype=np.intp).reshape(-1, 2)


def coincidence(at: Indices, loss: Floats) -> float:
    """Chance that the loss [S] falls faster at one of the snapshots `at` than at any other
    snapshot; NaN without `at`.

    The area under the curve of a test that finds jumps by the fall of the loss: 1/2 for jumps at
    random times.
    """
    fall = -window_change(loss)
    if not len(at):
        return np.nan
    slower = fall < fall[at][:, None]
    equal = fall == fall[at][:, None]
    return float((slower + equal / 2).mean())


def _stretches(values: NDArray[Any]) -> list[tuple[int, int]]:
    """First and one past the last index of every stretch of equal values other than 0."""
    edges = np.flatnonzero(np.diff(values)) + 1
    pairs = zip([0, *edges.tolist()], [*edges.tolist(), len(values)], strict=True)
    return [(first, end) for first, end in pairs if values[first]]


# --- the loss at every snapshot -------------------------------------------------------------------


def losses(task: Task, params: Params) -> Floats:
    """L [S] of the one model of a task with the weights {"W": [S, F, H], ...} of each of its
    snapshots.

    Exact where that is possible (`has_exact_loss`); else on the same inputs for every snapshot (a
    finite data set: its points), so that the differences between snapshots carry little noise.
    """
    structure = task.structure
    if not has_exact_loss(structure):
        return _sampled(task, params)
    return exact_loss(task, params)


def _sampled(task: Task, params: Params) -> Floats:
    import torch  # slow to import, and exact losses do without

    from superpos.families.tms import model
    from superpos.families.tms.data import inputs
    from superpos.families.tms.purposes import Purpose

    fixed = task.structure.n_points is not None
    # [1, B, F]
    x = inputs.batch(task, 0) if fixed else inputs.sample(task, Purpose.EVALUATE, 0, range(SAMPLES))
    at_once = max(1, _CELLS // x.numel())
    parts = []
    for start in range(0, len(params["b"]), at_once):
        some = {
            name: torch.from_numpy(value[start : start + at_once]).float()
            for name, value in params.items()
        }
        parts.append(model.losses(task, some, x).double().mean(dim=1).numpy())
    return np.concatenate(parts)
