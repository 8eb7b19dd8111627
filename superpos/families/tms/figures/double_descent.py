"""Test loss, dimensionality of points and features, and norms against the size of the data set
(Henighan et al.).
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.tms import theory
from superpos.families.tms.analysis import double_descent
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy

_DOT = {"linestyle": "", "marker": ".", "markeredgewidth": 0}


def double_descent_figure(
    sizes: Floats, losses: Floats, norms: Floats, dimensions: list[tuple[Floats, Floats]]
) -> Figure:
    """Models by the size of their data set: losses and norms [M], and dimensionalities of points
    and of features.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.4)
        loss, dimension, norm = figure.subplots(1, 3)
        loss.plot(sizes, losses, color=style.CYCLE[0], markersize=6, **_DOT)
        loss.set(yscale="log", ylabel="test loss")
        for size, (points, features) in zip(sizes, dimensions, strict=True):
            for values, colour, shift in (
                (points, style.CYCLE[1], 0.94),
                (features, style.CYCLE[0], 1.06),
            ):
                dimension.plot(
                    np.full(len(values), shift * size),
                    values,
                    color=colour,
                    markersize=3,
                    alpha=0.4,
                    **_DOT,
                )
        dimension.plot([], [], color=style.CYCLE[1], label="points", **_DOT)
        dimension.plot([], [], color=style.CYCLE[0], label="features", **_DOT)
        line = np.geomspace(max(sizes.min(), 2), sizes.max())
        dimension.plot(line, 2 / line, color=style.FAINT, linewidth=0.8, label="2/T", zorder=0)
        dimension.set(ylabel="dimensionality", ylim=(0, None))
        dimension.legend(loc="upper center")
        norm.plot(sizes, norms, color=style.CYCLE[0], markersize=6, **_DOT)
        polygon = theory.data_polygon_norms(line).W
        norm.plot(line, polygon, color=style.FAINT, linewidth=0.8, label="T-gon", zorder=0)
        norm.set(yscale="log", ylabel="‖W‖")
        norm.legend(loc="upper right")
        for axes in (loss, dimension, norm):
            _sizes(axes)
        for axes in (loss, norm):
            style.plain_log_numbers(axes.yaxis)
    return figure


def _sizes(axes: Axes) -> None:
    axes.set(xscale="log", xlabel="data points T")
    style.plain_log_numbers(axes.xaxis)


def applies(run: Run) -> str | None:
    """Why the run is no sweep of data sets in two dimensions; None when it is."""
    dimensions = healthy(run.table)["model.n_hidden"]
    if (dimensions != 2).any():  # the curves are those of two dimensions
        return "needs model.n_hidden=2 in every model"
    return double_descent.reason(run)


def draw(run: Run) -> Figure:
    """All models of the run."""
    table = healthy(run.table).sort_values(double_descent.N_POINTS, kind="stable")
    models = [int(model) for model in table["model"]]
    sizes = table[double_descent.N_POINTS].to_numpy(np.float64)
    norms = np.array([double_descent.norm(run, model) for model in models])
    dimensions = [
        (
            double_descent.point_dimensionality(run, model),
            double_descent.feature_dimensionality(run, model),
        )
        for model in models
    ]
    return double_descent_figure(sizes, table["loss"].to_numpy(np.float64), norms, dimensions)
