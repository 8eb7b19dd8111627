"""Which of both features have capacity, beside the exact optimum."""

import numpy as np
from superpos_functions import RATIOS, best, capacity

from superpos import theory

ALIVE = 0.02
"""Capacity of the second feature above which the dimension is shared."""


def cells(run, target):
    """Capacities of the second feature: trained, and exact, [densities] each."""
    densities = sorted(run.table["data.density"].unique())
    trained = [capacity(best(run, p))[1] for p in densities]
    kurtosis = [9 / (5 * p) for p in densities]
    exact = [theory.capacity_optimum([1, RATIOS[target]], 1, k).capacity[1] for k in kurtosis]
    return np.array(trained), np.array(exact)


def right(run, target):
    """Whether the dimension is shared where the exact optimum shares it, [densities]."""
    trained, exact = cells(run, target)
    return (trained > ALIVE) == (exact > ALIVE)


def gap(run, target):
    """How far the capacity of the second feature is from the exact one, [densities]."""
    trained, exact = cells(run, target)
    return np.abs(trained - exact)


def flat(run):
    """The capacity of the second feature where the kurtosis is at most 3, [densities]."""
    densities = sorted(p for p in run.table["data.density"].unique() if 9 / (5 * p) <= 3 + 1e-9)
    return np.array([capacity(best(run, p))[1] for p in densities])
