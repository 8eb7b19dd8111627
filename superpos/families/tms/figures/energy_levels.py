"""Loss against one perturbed feature: trained models on the exact loss curves of the shapes they
form.

Two shapes whose curves cross change places as the best one: a first-order transition (TMS, "The
geometry of superposition", non-uniform features).

Shapes: M models, P values of the perturbed factor, F features (n), H hidden (m = 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from superpos.families.tms import geometry
from superpos.families.tms.analysis.energy_levels import (
    Crossing,
    Models,
    Perturbed,
    crossings,
    exact_levels,
    frequent,
    levels_reason,
    trained,
)
from superpos.families.tms.analysis.phases import edges
from superpos.families.tms.analysis.points import points
from superpos.figures import style
from superpos.figures.points import Run, short
from superpos.maths.types import Floats

OTHER: Final = "other"
DRAWN: Final = 9  # drawings of best models along the axis

# relative density where the paper sees the change, for n = 5, m = 2, p = 0.05
PUBLISHED: Final = 1 / 2.5
_WORDS: Final = {
    "density": ("sparser", "denser"),
    "importance": ("less important", "more important"),
}


KEY: Final = "lines: exact minimum of each shape\ndots: the best model full, all pale"
CAPTION: Final = (
    "Top: best models, the last feature ringed. Models of one seed share their random draws across "
    "the sweep."
)


def coloured(label: Sequence[str]) -> dict[str, str]:
    """Colours of the labels that get one, the most frequent first; grey for all others, under
    `OTHER`.
    """
    return dict(zip(frequent(label), style.CYCLE, strict=False)) | {OTHER: style.GREY}


def _losses(
    axes: Axes,
    models: Models,
    factor: Floats,
    curves: Mapping[str, Floats],
    colours: Mapping[str, str],
) -> None:
    """Every model as a pale dot, the best of each factor as a full one, on the exact curves."""
    shown = np.array([name if name in colours else OTHER for name in models.label])
    best = models.best()
    for name, colour in colours.items():
        own = shown == name
        if not own.any():
            continue
        axes.plot(
            models.factor[own], models.loss[own], ".", color=colour, alpha=0.3, markersize=4, mew=0
        )
        top = best[own[best]]
        axes.plot(models.factor[top], models.loss[top], "o", color=colour, markersize=3.4, zorder=4)
        if name in curves:
            axes.plot(factor, curves[name], color=colour, linewidth=1, zorder=3)
        axes.plot([], [], "o", color=colour, markersize=3.4, label=f"{name} ({own.sum():,} models)")
    axes.set(xscale="log", yscale="log", ylabel="loss (exact)")
    style.plain_log_numbers(axes.yaxis)
    axes.legend(loc="lower right", handletextpad=0.2, title=KEY, title_fontsize=7, alignment="left")


def _shares(axes: Axes, models: Models, colours: Mapping[str, str]) -> None:
    """Share of the models of every factor that have each shape, stacked."""
    factor, column = np.unique(models.factor, return_inverse=True)
    names = list(colours)
    row = np.array(
        [names.index(name) if name in colours else len(names) - 1 for name in models.label]
    )
    count = np.zeros((len(names), len(factor)))
    np.add.at(count, (row, column), 1)
    share = count / count.sum(axis=0)
    base = np.cumsum(share, axis=0) - share
    ends = edges(factor)
    for height, bottom, name in zip(share, base, names, strict=True):
        axes.bar(
            ends[:-1], height, np.diff(ends), bottom, align="edge", color=colours[name], linewidth=0
        )
    axes.set(ylim=(0, 1), ylabel="share of\nmodels", yticks=[0, 0.5, 1])


def _drawings(axes: Axes, models: Models, colours: Mapping[str, str]) -> None:
    """The best models of some factors as arrows, over their place on the axis; a ring marks the
    perturbed feature.
    """
    best = models.best()
    low, high = np.log(axes.get_xlim())
    wanted = np.log(np.geomspace(models.factor.min(), models.factor.max(), min(DRAWN, len(best))))
    picked = np.unique(np.abs(np.log(models.factor[best]) - wanted[:, None]).argmin(axis=1))
    width = 0.95 / DRAWN
    for i in best[picked]:
        place = (np.log(models.factor[i]) - low) / (high - low)
        inset = axes.inset_axes((place - width / 2, 0.0, width, 1.0))
        # the perturbed feature, or the next, to the right
        W = geometry.align(models.W[i][::-1][None])[0][::-1]
        colour = colours.get(str(models.label[i]), colours[OTHER])
        inset.add_patch(Circle((0, 0), 1, fill=False, edgecolor=style.FAINT, linewidth=0.7))
        for x, y in W:
            inset.plot([0, x], [0, y], color=colour, linewidth=1)
        inset.plot(*W.T, "o", color=colour, markersize=2.6)
        inset.plot(
            *W[-1], "o", markersize=6, markerfacecolor="none", markeredgecolor=style.INK, mew=0.7
        )
        inset.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
        inset.set_axis_off()
    axes.set_axis_off()


def _mark(
    axes: Axes, factor: float, text: str, colour: str, side: Literal["left", "right"], dashes: str
) -> None:
    """An upright line at a factor, with its meaning beside its upper end."""
    axes.axvline(factor, color=colour, linewidth=0.8, linestyle=dashes, zorder=1)
    axes.annotate(
        text, (factor, 0.99), (4 if side == "right" else -4, 0), xycoords=("data", "axes fraction"),
        textcoords="offset "
        "points", fontsize=7, color=colour, va="top", ha="left" if side == "right" else "right",
    )  # fmt: skip


def words(what: str, factor: float) -> str:
    """A factor in words: "2.5 times sparser"."""
    less, more = _WORDS[what]
    return f"{short(1 / factor)} times {less}" if factor < 1 else f"{short(factor)} times {more}"


def energy_levels(
    models: Models,
    factor: Floats,
    curves: Mapping[str, Floats],
    changes: Sequence[Crossing],
    what: str,
    published: float | None = None,
) -> Figure:
    """Drawings of best models, their loss on the exact curves [P] by label, and how often each
    shape comes.

    `changes` of the exact curves are marked, and the published one where there is one; `what`:
    "density" or "importance".
    """
    with style.context():
        colours = coloured(models.label.tolist())
        figure = style.new_figure(style.FULL, 4.3)
        drawn, losses, shares = figure.subplots(3, 1, sharex=True, height_ratios=[0.8, 3, 0.7])
        _losses(losses, models, factor, curves, colours)
        for change in changes:
            _mark(
                losses,
                change.factor,
                f"exact crossing:\n{words(what, change.factor)}",
                style.INK,
                "left",
                "-",
            )
        if published is not None:
            _mark(
                losses,
                published,
                f"published: about\n{words(what, published)}",
                style.GREY,
                "right",
                "--",
            )
        _shares(shares, models, colours)
        spread = models.factor.max() / models.factor.min()
        shares.set_xlim(models.factor.min() / spread**0.05, models.factor.max() * spread**0.05)
        _drawings(drawn, models, colours)
        style.plain_log_numbers(shares.xaxis)
        shares.set_xlabel(f"{what} of the last feature relative to the others")
        figure.align_ylabels([losses, shares])
        figure.supxlabel(CAPTION, fontsize=7, x=0.01, ha="left")
    return figure


def applies(run: Run) -> str | None:
    """Why the run is no sweep of one perturbed feature; None when it is."""
    return levels_reason(run)


def draw(run: Run) -> Figure:
    """All models of the run, with the exact curves of their shapes."""
    key, perturbed, factor, curves = exact_levels(run)
    models = trained(run, points(run), key, perturbed)
    published = PUBLISHED if perturbed == Perturbed(5, 2, 0.05, "density") else None
    return energy_levels(
        models, factor, curves, crossings(perturbed, factor, curves), perturbed.what, published
    )
