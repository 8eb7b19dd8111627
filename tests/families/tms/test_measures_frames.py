"""Represented shares, tight frames and interference weights: measures and figures on weights made
by hand.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from memory_run import MemoryRun, make_run, texts

from superpos.families.tms import theory
from superpos.families.tms.analysis import interference as weights
from superpos.families.tms.analysis import represented
from superpos.families.tms.analysis.points import points
from superpos.families.tms.figures import emergent_phases, interference_weights, scaling
from superpos.families.tms.measures import frames, interference
from superpos.maths.polygon import polygon
from superpos.store import Run

N = 16


def represented_by(row: dict[str, Any]) -> int:
    """All features from a width of 8 E on, else half of them."""
    return N if row["model.n_hidden"] >= 8 * N * row["data.density"] else N // 2


def widths_run() -> MemoryRun:
    """E = 1 and 2 at four widths, loss E below and E^2 / m above; those represented lie in a
    polygon.
    """

    def W(row: dict[str, Any]) -> np.ndarray:
        found = np.zeros((N, row["model.n_hidden"]))
        count = represented_by(row)
        found[:count, :2] = polygon(count)
        found[count:, 0] = 0.05
        return found

    def loss(row: dict[str, Any]) -> float:
        active = N * row["data.density"]
        return active if represented_by(row) < N else active**2 / row["model.n_hidden"]

    axes = {"data.density": [1 / N, 2 / N], "model.n_hidden": [2, 4, 8, 16], "seed": [0, 1]}
    made = make_run({"model.n_features": N}, axes, W, loss)
    made.table["n_represented"] = [represented_by(row) for row in made.table.to_dict("records")]
    return made


def test_shares_norms_and_frames() -> None:
    run = cast("Run", widths_run())
    where = {"model.n_hidden": 2}
    assert frames.represented_share(run, where).values.tolist() == [0.5] * 4
    assert frames.half_way(run).values.max() == 0
    # A polygon is a tight frame of two dimensions; in two it is on the bound, in four far above it.
    np.testing.assert_allclose(frames.welch_ratio(run, where).values, 1, rtol=1e-12)
    bound = theory.welch_bound(8, 2) / theory.welch_bound(8, 4)
    np.testing.assert_allclose(
        frames.welch_ratio(run, {"model.n_hidden": 4}).values, bound, rtol=1e-12
    )
    # no more features than dimensions
    assert np.isnan(frames.welch_ratio(run, {"model.n_hidden": 16}).values).all()


def test_norms_between_are_half_way() -> None:
    run = make_run(
        {"model.n_features": 4}, {"seed": [0]}, lambda _: np.diag([1.0, 0.3, 0.2, 0.05])[:, :2] + 0
    )
    assert frames.half_way(cast("Run", run)).values.tolist() == [0.25]


def test_the_critical_width_and_the_exponents() -> None:
    run = cast("Run", widths_run())
    # The share passes .95 nine tenths of the way from 4 to 8 (E = 1), and from 8 to 16 (E = 2), in
    # ln m.
    at = np.array([4, 8]) * 2**0.9 / (np.array([1, 2]) * np.log(N / np.array([1, 2])))
    np.testing.assert_allclose(frames.critical_width(run, [1, 2]).values, at)
    np.testing.assert_allclose(frames.critical_width(run, [2]).values, at[1:])
    np.testing.assert_allclose(frames.activity_exponent(run, "least").values, [1, 1])
    np.testing.assert_allclose(frames.activity_exponent(run, "greatest").values, [2, 2])


def test_a_share_that_is_never_or_always_reached_has_no_critical_width() -> None:
    curve = represented.Curve(N, 1.0, np.array([2.0, 4.0]), np.array([0.1, 0.5]), np.ones(2))
    assert np.isnan(curve.critical)
    assert np.isnan(curve._replace(share=np.array([0.96, 1.0])).critical)


def test_the_figure_of_widths_has_a_curve_for_each_activity() -> None:
    run = widths_run()
    assert emergent_phases.applies(run) is None
    figure = emergent_phases.draw(run)
    assert "E = 1" in texts(figure)
    assert "E = 2" in texts(figure)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.5, 0.5, 1, 1])
    few = make_run(
        {},
        {"model.n_hidden": [2, 3]},
        lambda row: np.ones((row["model.n_features"], row["model.n_hidden"])),
    )
    assert "needs 3 widths" in str(emergent_phases.applies(few))


def test_costs_by_hand() -> None:
    # U = [[1, -1], [-1, 1]], b = 0, one sample (1/2, 1/4): outputs 1/4 and 0, targets 1/2 and 1/4.
    W, X = np.array([[1.0], [-1.0]]), np.array([[0.5, 0.25]])
    found = weights.costs(W, np.zeros(2), X, np.array([1.0, 3.0]))
    # Output 0 without U_00: 0 instead of 1/4, 1/4 - 1/16; without U_01: 1/2, 0 - 1/16. Output 1
    # counts three times: without U_10 it is 1/4, 0 - 1/16; without U_11 it stays 0.
    np.testing.assert_allclose(found, [[3 / 16, -1 / 16], [-3 / 16, 0]])


def test_costs_are_differences_of_losses() -> None:
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(5, 3)), 0.1 * rng.normal(size=5)
    X = np.where(rng.random((200, 5)) < 0.4, rng.random((200, 5)), 0)
    U = W @ W.T
    without = U.copy()
    without[1, 3] = 0
    losses = [
        ((X - np.maximum(X @ each.T + b, 0)) ** 2).sum(axis=1).mean() for each in (without, U)
    ]
    np.testing.assert_allclose(
        weights.costs(W, b, X, np.ones(5))[1, 3], losses[0] - losses[1], rtol=1e-10
    )


def frames_run(turned: bool) -> MemoryRun:
    """Two seeds of 24 features in three dimensions: the same rows, or in another order."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(24, 3))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    order = rng.permutation(24)
    base = {"model.n_features": 24, "model.n_hidden": 3, "data.density": 0.2}
    return make_run(base, {"seed": [0, 1]}, lambda row: W[order] if turned and row["seed"] else W)


def test_seeds_that_agree_and_seeds_that_do_not() -> None:
    same, other = cast("Run", frames_run(turned=False)), cast("Run", frames_run(turned=True))
    np.testing.assert_allclose(interference.agreement(same).values, [1])
    assert interference.agreement(other).values[0] < 0.3
    np.testing.assert_allclose(interference.spread_of_own(same).values, 0, atol=1e-12)
    assert interference.size_of_others(same).values.min() > 1  # not a tight frame


def test_the_greatest_cost_is_that_of_the_weight_that_matters() -> None:
    run = frames_run(turned=False)
    (point,) = points(run)
    cost = weights.costs(run.W[0], run.b[0], weights.samples(point), np.ones(24))
    found = interference.greatest_cost(cast("Run", run)).values
    np.testing.assert_allclose(found, weights.off_diagonal(cost).max())
    share = interference.share_that_hurts(cast("Run", run)).values
    np.testing.assert_allclose(share, (weights.off_diagonal(cost) < 0).mean())


def test_the_figure_of_weights_needs_two_seeds_and_draws_them_all() -> None:
    run = frames_run(turned=True)
    assert interference_weights.applies(run) is None
    figure = interference_weights.draw(run)
    assert sum(len(line.get_xdata()) for line in figure.axes[1].lines) == 24 * 24
    size = {"model.n_features": 24, "model.n_hidden": 3}
    alone = make_run(size, {"seed": [0]}, lambda _: run.W[0])
    assert "needs 2 seeds" in str(interference_weights.applies(alone))
    several = make_run(size, {"data.density": [0.1, 0.2], "seed": [0, 1]}, lambda _: run.W[0])
    assert "needs a sweep of seeds alone" in str(interference_weights.applies(several))
    few = make_run(
        {"model.n_features": 6, "model.n_hidden": 3}, {"seed": [0, 1]}, lambda _: run.W[0][:6]
    )
    assert "needs 20 to 512 features, found 6" in str(interference_weights.applies(few))


@pytest.mark.parametrize("key", ["model.tied", "data.n_points"])
def test_other_models_have_no_such_figures(key: str) -> None:
    other = {"model.tied": {"model.tied": False}, "data.n_points": {"data.n_points": 10}}[key]
    run = make_run(
        {"model.n_features": 6, "model.n_hidden": 3, **other},
        {"seed": [0, 1]},
        lambda _: np.ones((6, 3)),
    )
    assert key in str(emergent_phases.applies(run))
    assert key in str(interference_weights.applies(run))


def scaling_run(power: float, **changes: Any) -> MemoryRun:
    """Orthogonal features in three widths, whose losses fall with a power of the width; half as
    fast with random b.
    """

    def loss(row: dict[str, Any]) -> float:
        return float(row["model.n_hidden"] ** (-power / (1 + row["model.bias_std"])))

    base = {"model.n_features": 12, "data.density": 0.1} | changes
    axes: dict[str, Any] = {"model.bias_std": [0, 1], "model.n_hidden": [3, 4, 6], "seed": [0, 1]}
    return make_run(
        base, axes, lambda row: np.tile(np.eye(row["model.n_hidden"]), (12, 1))[:12], loss
    )


def test_exponents_of_the_width() -> None:
    run = cast("Run", scaling_run(1.5))
    np.testing.assert_allclose(frames.width_exponent(run, {"model.bias_std": 0}).values, [1.5, 1.5])
    np.testing.assert_allclose(
        frames.width_exponent(run, {"model.bias_std": 1}).values, [0.75, 0.75]
    )


def test_the_figure_of_scaling_has_a_curve_a_start() -> None:
    run = cast("Run", scaling_run(1.5))
    assert scaling.applies(run) is None
    drawn = texts(scaling.draw(run))
    assert "L ~ 1/m^1.50" in drawn
    assert "L ~ 1/m^0.75" in drawn
    one = make_run(
        {"model.n_features": 12},
        {"model.n_hidden": [3, 4, 6]},
        lambda row: np.eye(12, row["model.n_hidden"]),
    )
    assert "two values of model.bias_std" in str(scaling.applies(cast("Run", one)))
    assert "model.output=relu" in str(
        scaling.applies(cast("Run", scaling_run(1, **{"model.output": "linear"})))
    )
