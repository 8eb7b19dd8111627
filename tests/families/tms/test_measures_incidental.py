"""Neurons that features share by chance: counts, measures and the figure on weights that are made
by hand.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from memory_run import MemoryRun, make_run, texts

from superpos.families.tms.analysis import incidental as analysis
from superpos.families.tms.figures import incidental as figure
from superpos.families.tms.measures import incidental
from superpos.family import find
from superpos.store import Run
from superpos.store.later_keys import with_later_keys

BASE: dict[str, Any] = {
    "model.n_features": 4,
    "model.bias": "none",
    "data.values": "one",
    "data.density": 1.0,
    "data.correlation": "anticorrelated",
    "data.set_size": 4,
}


def weights(row: dict[str, Any]) -> np.ndarray:
    """Features 0 and 1 share neuron 0 with opposite signs, 2 has neuron 1, 3 has two neurons; of m
    in all.
    """
    W = np.zeros((4, row["model.n_hidden"]))
    W[0, 0], W[1, 0], W[2, 1], W[3, 2], W[3, 3] = 1, -0.9, -1.1, 0.85, 0.85
    return W


def run_of(**changes: Any) -> MemoryRun:
    base = BASE | {key.replace("__", "."): value for key, value in changes.items()}
    run = make_run(base, {"model.n_hidden": [8, 16]}, weights)
    run.table = with_later_keys(run.table, find("tms"))  # as the table of a run in a folder
    return run


def test_counts_by_hand() -> None:
    W = weights({"model.n_hidden": 8})
    assert analysis.shared(W).tolist() == [True, *[False] * 7]
    assert analysis.in_the_limit(4, 8) == 0.5
    run = cast("Run", run_of())
    found = incidental.shared_neurons(run, {"model.n_hidden": 8})
    assert (found.values.tolist(), found.expected) == (
        [1],
        pytest.approx(float(analysis.by_chance(4, 8))),
    )
    assert incidental.winners(run).values.tolist() == [0.75, 0.75]
    assert incidental.opposite(cast("Run", run_of())).values.tolist() == [1, 1]
    assert incidental.opposite(run, {"model.n_hidden": 8}).values.tolist() == [1]


def test_neurons_of_one_sign_and_none_at_all() -> None:
    same = make_run(BASE, {"model.n_hidden": [8, 16]}, lambda row: np.abs(weights(row)))
    assert incidental.opposite(cast("Run", same)).values.tolist() == [0, 0]
    nothing = make_run(BASE, {"model.n_hidden": [8, 16]}, lambda row: 0.7 * weights(row))
    assert incidental.shared_neurons(cast("Run", nothing)).values.tolist() == [0, 0]
    assert np.isnan(incidental.opposite(cast("Run", nothing)).values).all()


def test_chance_is_what_a_lottery_gives() -> None:
    """Each feature takes one of m neurons and one of two signs; how many neurons have both, in
    20,000 lotteries.
    """
    random, n, m = np.random.default_rng(0), 64, 128
    signed = np.zeros((20_000, 2 * m), dtype=bool)
    np.put_along_axis(signed, random.integers(0, 2 * m, (20_000, n)), True, axis=1)
    both = (signed[:, :m] & signed[:, m:]).sum(axis=1)
    assert abs(both.mean() - analysis.by_chance(n, m)) < 0.02 * both.mean()
    np.testing.assert_allclose(
        analysis.by_chance(n, 10**6), analysis.in_the_limit(n, 10**6), rtol=1e-4
    )
    assert analysis.by_chance(n, m) < 0.8 * analysis.in_the_limit(n, m)


def test_the_figure_has_a_group_a_width_and_the_line() -> None:
    run = run_of()
    assert figure.applies(run) is None
    drawn = figure.draw(run)
    assert "m = 8" in texts(drawn)
    line = drawn.axes[0].lines[-1]
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    np.testing.assert_allclose(y, 16 / (4 * x))
    assert "by chance" in texts(drawn)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__bias": "learned"}, "model.bias=none"),
        ({"data__values": "uniform"}, "data.values=one"),
        ({"data__set_size": 2}, "one set of all features"),
    ],
)
def test_other_runs_have_no_such_figure(changes: dict[str, Any], words: str) -> None:
    assert words in str(figure.applies(run_of(**changes)))


def test_one_width_is_not_enough() -> None:
    alone = make_run(BASE, {"model.n_hidden": [8]}, weights)
    assert "needs 2 widths" in str(figure.applies(alone))
