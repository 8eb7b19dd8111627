"""Two phases of learning chains in context: first how often states come, then what follows what.

Beside the models are two predictors on the same sequences: who counts states alone, and who has the
shares of what has followed, at their best scale.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from superpos.families.transformer.analysis.markov import plateau, share_loss
from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.figures import formation
from superpos.figures import style
from superpos.figures.points import Run, points
from superpos.store.rows import healthy


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    rows = healthy(run.table)
    if not len(rows) or not (rows["language.kind"] == "markov").all():
        return "needs language.kind=markov"
    return formation.applies(run)


def draw(run: Run) -> Figure:
    """Up to sixteen seeds of every setting, and both predictors."""
    chosen = points(run)
    found = {}
    for point in chosen:
        steps, lines = formation.courses(run, point)
        found[point.label()] = lines
    figure = formation.diagram(steps, found)
    one = task(run, chosen[0].best)
    with style.context():
        axes = figure.axes[0]
        axes.axhline(plateau(one), color=style.INK, linestyle=":", label="states counted alone")
        axes.axhline(
            share_loss(one), color=style.INK, linestyle="--", label="shares of what followed"
        )
        axes.set_ylabel("excess over Bayes, nats")
        axes.legend()
    return figure
