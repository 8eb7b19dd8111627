"""Measures of uniform superposition and adversarial vulnerability, on weights worked out by
hand.
"""

from __future__ import annotations

import numpy as np
import pytest
from memory_run import MemoryRun, make_run
from test_figures_graph import DENSITIES, OF_DENSITY, ONE, UNIFORM, blocks

from superpos.families.tms import theory
from superpos.families.tms.analysis import vulnerability
from superpos.families.tms.geometry.shapes import simplex
from superpos.families.tms.measures import adversarial, uniform


@pytest.fixture
def run() -> MemoryRun:
    """Two seeds; the second one's models are half as long, so that nothing is represented."""
    return make_run(
        UNIFORM,
        {"data.density": DENSITIES, "seed": [0, 1]},
        lambda row: OF_DENSITY[row["data.density"]] * (0.5 if row["seed"] else 1),
    )


def test_distance_of_d_star(run: MemoryRun) -> None:
    found = uniform.distance(run, 0.5, {"seed": 0})  # D* is 1, 1/2, 4/8
    np.testing.assert_allclose(found.values, [0.5, 0, 0], atol=1e-12)
    np.testing.assert_allclose(
        uniform.distance(run, 0.5, {"seed": 1, "data.density": 1}).values, [3.5]
    )


def test_distance_from_the_exact_d_star() -> None:
    # three dimensions of exact digons, s² = 1/(2 D*), and one that the other features share, with a
    # length of 1
    exact = float(theory.d_star(0.3))
    digons = [simplex(1) / np.sqrt(2 * exact)] * 3
    run = make_run(
        UNIFORM, {"data.density": [0.3, 0.05]}, lambda row: blocks(*digons, ONE, n=9, m=4)
    )
    found = uniform.off_theory(run, shared=1).values
    np.testing.assert_allclose(found[0], 0, atol=1e-9)
    assert np.isnan(found[1])  # no polytope is known to be best
    expected = 4 / (3 / exact + 1) / exact - 1
    np.testing.assert_allclose(
        uniform.off_theory(run, shared=0, where={"data.density": 0.3}).values, expected
    )


def test_share_of_the_represented_features_in_a_shape(run: MemoryRun) -> None:
    np.testing.assert_allclose(uniform.share(run, ["digon"], {"seed": 0}).values, [0, 1, 2 / 8])
    np.testing.assert_allclose(
        uniform.share(run, ["digon", "pentagon"], {"seed": 0}).values, [0, 1, 7 / 8]
    )
    np.testing.assert_allclose(uniform.share(run, ["digon"], {"seed": 1}).values, [0, 0, 0])


def line_run(jitter: float) -> MemoryRun:
    """Twelve digons, a second seed with five; lengths of the second partners are off by
    `jitter`.
    """

    def weights(row: dict[str, int]) -> np.ndarray:
        pairs = 12 - 7 * row["seed"]
        partners = (
            np.linspace(1 - jitter, 1 + jitter, pairs)[:, None, None] * simplex(1)[1] * [[1.0]]
        )
        return blocks(
            *(np.concatenate((simplex(1)[:1], partner)) for partner in partners), n=30, m=12
        )

    return make_run({"model.n_features": 30, "model.n_hidden": 12}, {"seed": [0, 1]}, weights)


def test_a_line_needs_ten_features_of_one_seed() -> None:
    # five digons are ten features, so both seeds pass; where the lengths differ D_i are spread over
    # 1/(1 + r²)
    np.testing.assert_array_equal(uniform.line(line_run(0), 1 / 2).values, [1, 1])
    np.testing.assert_array_equal(uniform.line(line_run(0), 2 / 5).values, [0, 0])
    np.testing.assert_array_equal(uniform.line(line_run(0.5), 1 / 2).values, [0, 0])


def test_a_line_as_wide_as_the_jitter_is_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniform, "JITTER", 0.0)  # what stands out before and after proves nothing
    np.testing.assert_array_equal(uniform.line(line_run(0), 1 / 2).values, [0, 0])


def test_components_that_depend_on_the_threshold() -> None:
    W = np.array([[1.0, 0, 0], [0.15, 1, 0], [0, 0, 1]])  # 2, 2 and 3 components
    run = make_run(
        {"model.n_features": 3, "model.n_hidden": 3},
        {"seed": [0, 1]},
        lambda row: W * (1 - row["seed"]),
    )
    np.testing.assert_array_equal(uniform.components_ratio(run).values, [1.5, np.nan])


def adversarial_run(seeds: list[int]) -> MemoryRun:
    """Dedicated features when dense, digons in the sparse models, more of them with every density
    and seed.
    """

    def weights(row: dict[str, float]) -> np.ndarray:
        pairs = DENSITIES.index(row["data.density"]) * 2
        return blocks(*[simplex(1)] * pairs, *[ONE] * (4 - pairs), n=9, m=4)

    run = make_run(UNIFORM, {"data.density": DENSITIES, "seed": seeds}, weights)
    run.b = [np.zeros(9) for _ in run.b]
    return run


def test_adversarial_measures_have_one_value_a_seed() -> None:
    run = adversarial_run([5, 6])
    found = vulnerability.measure(run)
    first = found.take(found.models % 2 == 0)
    for measure in (adversarial.dense, adversarial.increase, adversarial.tracking):
        assert measure(run).values.shape == (2,)
    np.testing.assert_allclose(adversarial.dense(run).values, first.rise[first.density == 1][0])
    np.testing.assert_allclose(adversarial.increase(run).values, first.rise[-1] / first.rise[0])
    np.testing.assert_allclose(
        adversarial.tracking(run).values, vulnerability.rank_correlation(first)
    )
    assert adversarial.dense(run).expected == 1


def test_untrained_controls_have_no_correlation() -> None:
    run = make_run(UNIFORM, {"data.density": DENSITIES}, lambda row: OF_DENSITY[1.0])
    assert np.isnan(adversarial.tracking(run).values).all()
