"""Levels of families of shapes: their minimum is the global one, branches end, and levels cross
where they should.
"""

from __future__ import annotations

import numpy as np
import pytest

from superpos.families.tms import geometry
from superpos.families.tms.theory import (
    crossing,
    expected_loss,
    family_minimum,
    minimise_loss,
    variance,
)

pytestmark = pytest.mark.slow

LAST_DEDICATED = "1 dedicated + 1 not represented"
OF_THREE = ("digon + 1 dedicated", "triangle", "2 dedicated + 1 not represented")


def importance(n: int, last: np.ndarray) -> np.ndarray:
    """Importance [..., n] of 1, but for the last feature."""
    return np.concatenate([np.ones((*last.shape, n - 1)), last[..., None]], axis=-1)


def test_the_best_family_is_the_minimum() -> None:
    r = np.geomspace(0.1, 10, 5)
    settings = np.full((5, 3), 0.3), importance(3, r)
    found = [family_minimum(family, *settings, 2) for family in OF_THREE]
    levels = np.array([minimum.loss for minimum in found])
    best = minimise_loss(*settings, 2)
    np.testing.assert_allclose(np.nanmin(levels, axis=0), best.loss, rtol=1e-9)
    assert [OF_THREE[k] for k in np.nanargmin(levels, axis=0)] == geometry.describe(best.W).tolist()
    for family, minimum in zip(OF_THREE, found, strict=True):
        exists = np.isfinite(minimum.loss)
        assert exists.any(), family
        assert (geometry.describe(minimum.W[exists]) == family).all()
        np.testing.assert_array_equal(minimum.loss, expected_loss(minimum.W, minimum.b, *settings))


def test_dropping_the_less_important_feature_costs_its_variance() -> None:
    # n = 2, m = 1: the other feature is exact, the dropped one costs r V, and the better placement
    # is taken.
    r = np.array([0.05, 20.0])
    found = family_minimum(LAST_DEDICATED, np.full((2, 2), 0.6), importance(2, r), 1)
    np.testing.assert_allclose(found.loss, np.minimum(r, 1) * variance(0.6), rtol=1e-9)
    assert np.abs(found.W[[0, 1], [1, 0], 0]).max() < 0.01


def test_a_branch_ends_where_its_shape_is_no_minimum() -> None:
    # A digon of features that are nearly always active is worth nothing when one of them hardly
    # counts.
    r = np.geomspace(0.01, 1, 9)
    found = family_minimum("digon", np.full((9, 2), 0.7), importance(2, r), 1)
    exists = np.isfinite(found.loss)
    assert not exists[0]
    assert exists[-1]
    assert (np.diff(exists.astype(int)) >= 0).all()  # one end only
    assert np.isnan(found.W[0]).all()


def test_the_minimum_changes_its_family_at_the_crossing() -> None:
    def settings(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(2, 0.3), importance(2, np.asarray(r))

    families = "digon", LAST_DEDICATED
    r = crossing(*families, settings, 0.15, 0.4, 1)
    levels = [family_minimum(family, *settings(np.array(r)), 1).loss for family in families]
    np.testing.assert_allclose(levels[0], levels[1], rtol=1e-7)
    above, below = geometry.describe(minimise_loss(*settings(r * np.array([1.005, 0.995])), 1).W)
    assert (above, below) == families
    assert np.isnan(crossing(*families, settings, 0.5, 1.0, 1))  # the digon is better throughout


def test_pentagon_and_two_digons_cross_where_the_last_feature_is_sparser() -> None:
    # n = 5, m = 2, p = 0.05 (TMS, "Non-uniform superposition"): equal at 0.269081 of the others'
    # density.
    density = 0.05 * np.array([1, 1, 1, 1, 0.269081153])
    levels = [
        family_minimum(name, density, 1.0, 2).loss
        for name in ("pentagon", "2 digons + 1 not represented")
    ]
    np.testing.assert_allclose(levels[0], levels[1], rtol=1e-8)
    np.testing.assert_allclose(levels[0], 0.006103, rtol=1e-4)


def test_a_family_without_an_ideal_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="no ideal shape is 'hexagon'; there are: 1 dedicated"):
        family_minimum("hexagon", np.full(2, 0.1), 1.0, 1)
