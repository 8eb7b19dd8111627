"""Features on a circle: the measures and the figure on weights that follow the circle, and on those
that do not.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from memory_run import MemoryRun, make_run, texts

from superpos.families.tms import theory
from superpos.families.tms.analysis import circle as analysis
from superpos.families.tms.data.circle import covariance
from superpos.families.tms.figures import circle as figure
from superpos.families.tms.measures import circle
from superpos.family import find
from superpos.store import Run
from superpos.store.later_keys import with_later_keys

BASE: dict[str, Any] = {
    "model.n_features": 8,
    "model.n_hidden": 3,
    "data.density": 1.0,
    "data.correlation": "circle",
    "data.set_size": 8,
    "data.values": "one",
}


def along(row: dict[str, Any]) -> np.ndarray:
    """The circle itself in two dimensions, with weight decay; without it opposite pairs of
    features.
    """
    if row["train.weight_decay"]:
        return np.pad(theory.polygon(8), ((0, 0), (0, 1)))
    return np.repeat(np.eye(4)[:, :3] + np.eye(4)[:, 3:], 2, axis=0) * np.tile([1, -1], 4)[:, None]


def run_of(**changes: Any) -> MemoryRun:
    base = BASE | {key.replace("__", "."): value for key, value in changes.items()}
    run = make_run(base, {"train.weight_decay": [0.0, 2.0]}, along)
    run.table = with_later_keys(run.table, find("tms"))  # as the table of a run in a folder
    return run


def test_measures_of_the_circle_and_of_opposite_pairs() -> None:
    run = cast("Run", run_of())
    pairs, around = circle.follows_covariance(run).values
    assert around == pytest.approx(1, abs=0.02)  # cosines against a covariance that is nearly one
    assert abs(pairs) < 0.5
    assert circle.in_order(run, {"train.weight_decay": 2}).values.tolist() == [1]
    assert circle.in_order(run, {"train.weight_decay": 0}).values[0] < 0.8
    np.testing.assert_allclose(circle.most_opposite(run).values, [-1, -1])


def test_orders_by_hand() -> None:
    shuffled = theory.polygon(8)[[0, 3, 6, 1, 4, 7, 2, 5]]
    assert analysis.in_order(shuffled) == 0
    swapped = theory.polygon(8)[[1, 0, 2, 3, 4, 5, 6, 7]]
    # around go 1 0 2 ... 7 1: the steps 0 to 2 and 7 to 1 are no neighbours
    assert analysis.in_order(swapped) == 6 / 8
    square = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert analysis.most_opposite(square) == pytest.approx((0 + 0 + np.sqrt(0.5)) / 3)
    assert analysis.follows_covariance(np.ones((8, 2)), 10.0) == 0


def test_the_figure_has_both_decays_and_all_pairs() -> None:
    run = run_of()
    assert figure.applies(cast("Run", run)) is None
    drawn = figure.draw(cast("Run", run))
    assert "weight decay 0" in texts(drawn)
    assert "weight decay 2" in texts(drawn)
    theirs = np.asarray(drawn.axes[-1].lines[0].get_xdata())
    np.testing.assert_allclose(np.sort(theirs), np.sort(analysis.off_diagonal(covariance(8, 10.0))))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__correlation": "correlated"}, "data.correlation=circle"),
        ({"data__values": "uniform"}, "data.values=one"),
        ({"data__set_size": 4}, "one set of all features"),
    ],
)
def test_other_runs_have_no_such_figure(changes: dict[str, Any], words: str) -> None:
    assert words in str(figure.applies(cast("Run", run_of(**changes))))
