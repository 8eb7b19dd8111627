"""capacity of two features that share one dimension, by kurtosis, on the exact curves"""

import matplotlib.pyplot as plt
import numpy as np
from superpos_functions import RATIOS, best, capacity

from superpos import theory


def applies(run):
    fits = "data.density" in run.swept and "c" in run.weights(0)
    return None if fits else "needs quadratic models of several densities"


def draw(run):
    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    kurtosis = np.geomspace(1.8, 40, 200)
    for r in RATIOS.values():
        exact = [theory.capacity_optimum([1, r], 1, k).capacity[1] for k in kurtosis]
        axes.plot(kurtosis, exact, label=f"exact, r = {r:g}")
    densities = np.sort(run.table["data.density"].unique())
    trained = [capacity(best(run, p))[1] for p in densities]
    axes.plot(9 / (5 * densities), trained, "ko", label="trained, best of the seeds")
    axes.set(xscale="log", xlabel="kurtosis of a feature", ylabel="capacity of the weaker feature")
    ticks = [2, 3, 5, 10, 20, 40]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
