"""What correlation makes of latents: mixed where codes are too sparse, hedged where they are few.

Shapes: K models of a setting, G features.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae.analysis.optima import first_correlation, first_cosines, hedged
from superpos.families.sae.analysis.points import EXACT, pair, settings
from superpos.figures import style
from superpos.figures.points import Point, Run

MIN_POINTS: Final = 3


def correlation_figure(run: Run, chosen: list[Point]) -> Figure:
    """Cosines of feature 0 with the latents of the others against correlation, by k."""
    with style.context():
        figure = style.new_figure(style.HALF * 1.2, 2.4)
        axes: Any = figure.subplots()
        for i, k in enumerate(sorted({point.number("sae.k") for point in chosen}, reverse=True)):
            own = sorted((p for p in chosen if p.number("sae.k") == k), key=first_correlation)
            at = [first_correlation(point) for point in own]
            cells = [_firsts(run, point) for point in own]
            colour = style.CYCLE[i % len(style.CYCLE)]
            axes.plot(at, [found.mean() for found in cells], color=colour, label=f"k = {k:g}")
            for x, found in zip(at, cells, strict=True):
                axes.plot(
                    np.full(len(found), x),
                    found,
                    ".",
                    color=colour,
                    markersize=2.5,
                    alpha=0.6,
                )
        axes.axhline(0, color=style.FAINT, zorder=0)
        axes.set(xlabel="correlation ρ with feature 0", ylabel="cosine with feature 0")
        axes.legend()
    return figure


def _firsts(run: Run, point: Point) -> Any:
    return np.concatenate([first_cosines(run, m) for m in point.models.tolist()])


def trees_figure(run: Run, chosen: list[Point]) -> Figure:
    """Cosine of a single latent with the child against the exact one."""
    with style.context():
        figure = style.new_figure(style.HALF, style.HALF * 0.9)
        axes: Any = figure.subplots()
        axes.plot([-1, 1], [-1, 1], color=style.FAINT, zorder=0)
        for point in chosen:
            found = hedged(run, point)
            place = np.full(len(found.cosine), found.exact)
            axes.plot(
                place,
                found.cosine,
                "o",
                color=style.CYCLE[0],
                markersize=3,
                mfc="none",
                mew=0.7,
            )
        axes.set(
            xlabel="exact cosine with the child (PCA)",
            ylabel="cosine of the latent",
            xlim=(-0.8, 1),
            ylim=(-0.8, 1),
        )
    return figure


def _single(chosen: list[Point]) -> list[Point]:
    """Settings with one latent of a parent and its child, whose exact angle is known."""
    single = [point for point in chosen if point.number("sae.latents") == 1]
    return [point for point in single if _has_angle(point) and pair(point) is not None]


def _has_angle(point: Point) -> bool:
    needs = {**EXACT, "world.n_features": 2, "world.magnitude": "one"}
    return all(point.settings[key] == value for key, value in needs.items())


def _correlated(chosen: list[Point]) -> list[Point]:
    """Settings with k, whose feature 0 has one correlation with all others."""
    with_k = [point for point in chosen if np.isfinite(point.number("sae.k"))]
    return [point for point in with_k if np.isfinite(first_correlation(point))]


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    chosen = settings(run)
    if len(_correlated(chosen)) >= MIN_POINTS or len(_single(chosen)) >= MIN_POINTS:
        return None
    return (
        f"needs {MIN_POINTS} or more correlations of feature 0 with all others (world.rho) and k, "
        "or trees of two orthonormal features of size 1 with one latent"
    )


def draw(run: Run) -> Figure:
    """Against the correlation, or against the exact angle."""
    chosen = settings(run)
    correlated = _correlated(chosen)
    if len(correlated) >= MIN_POINTS:
        return correlation_figure(run, correlated)
    return trees_figure(run, _single(chosen))
