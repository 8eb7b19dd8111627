"""Vulnerability to adversarial examples, as the figure `vulnerability` has it; one value per
seed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from superpos.claims.measured import Measured
from superpos.families.tms.analysis import vulnerability
from superpos.families.tms.analysis.vulnerability import Vulnerability
from superpos.store import Run


def _seeds(run: Run) -> Iterator[Vulnerability]:
    """The models of one seed after the other."""
    found = vulnerability.measure(run)
    seeds = run.table["seed"].reindex(found.models).to_numpy()
    for seed in np.unique(seeds):
        yield found.take(seeds == seed)


def dense(run: Run) -> Measured:
    """(L' − L)/λ² of the dense model: exactly 1 for m orthonormal features and outputs that no ReLU
    cuts off.
    """
    return Measured(
        np.array([found.rise[found.density == 1].mean() for found in _seeds(run)]), expected=1.0
    )


def increase(run: Run) -> Measured:
    """Vulnerability of the sparsest model relative to the dense one."""
    return Measured(np.array([found.relative[found.density.argmin()] for found in _seeds(run)]))


def tracking(run: Run) -> Measured:
    """Rank correlation of vulnerability with features per dimension; NaN where one of them never
    changes.
    """
    return Measured(np.array([vulnerability.rank_correlation(found) for found in _seeds(run)]))
