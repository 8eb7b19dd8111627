"""Figures and measures of transformers, on small runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import superpos
from superpos.claims.find_measure import find as find_measure
from superpos.families.transformer.analysis import tables
from superpos.families.transformer.analysis.markov import plateau, share_loss
from superpos.families.transformer.analysis.models import language, task
from superpos.families.transformer.counts import SEQUENCES, asked
from superpos.families.transformer.figures import circuit_map, formation
from superpos.families.transformer.theory.laws import counts
from superpos.family import find
from superpos.figures import registry
from superpos.store import Run

SMALL = ["family=transformer", "model.d_head=4", "train.batch_size=4", "train.steps=12"]
FAMILY = find("transformer")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of each kind that a figure needs, barely trained."""
    out = tmp_path_factory.mktemp("runs")
    overrides = {
        "chain": [
            "language.kind=chain",
            "language.tokens=5",
            "model.n_layers=0",
            "model.d_model=2,8",
            "seed=0,1",
        ],
        "pairs": [
            "model.d_model=8",
            "language.context=8",
            "record.snapshots=3",
            "model.n_layers=1,2",
        ],
        "markov": [
            "language.kind=markov",
            "model.d_model=8",
            "language.context=12",
            "record.snapshots=3",
        ],
        "conditional": [
            "language.kind=conditional",
            "language.tokens=5",
            "language.context=6",
            "model.d_model=8",
            "model.n_layers=1",
            "model.direct=true,false",
            "model.positions=none",
        ],
        "triggers": [
            "language.kind=triggers",
            "language.tokens=6",
            "language.triggers=2",
            "language.context=10",
            "model.d_model=8",
            "record.snapshots=3",
        ],
        "source": [
            "language.kind=source",
            "language.tokens=6",
            "language.sources=3",
            "language.planted=9",
            "language.pool=4",
            "language.context=10",
            "model.d_model=8",
            "model.n_layers=1",
            "model.n_heads=1,2",
            "model.positions=none",
        ],
    }
    return {
        name: superpos.train([*SMALL, *own, f"name={name}"], out=out)
        for name, own in overrides.items()
    }


SHOWN = {
    "chain": {"bigram_table"},
    "pairs": {"formation"},
    "markov": {"formation", "markov_phases"},
    "source": {"heads_needed", "skip_trigrams", "bugs"},
    "conditional": {"heads_needed"},
    "triggers": {"formation", "triggers"},
}


@pytest.mark.parametrize("name", SHOWN)
def test_runs_show_what_they_can(name: str, runs: dict[str, Run]) -> None:
    reasons = registry.reasons(runs[name])
    own = {figure for figure in FAMILY.shows.figures if reasons[figure] is None}
    assert own == SHOWN[name]
    for figure in own:
        drawn = registry.draw(runs[name], figure)
        assert drawn.axes


def test_courses_are_those_of_the_table(runs: dict[str, Run]) -> None:
    """The last snapshot is the model itself, measured on fewer sequences."""
    run = runs["pairs"]
    from superpos.figures.points import points

    steps, lines = formation.courses(run, points(run)[0])
    assert steps.tolist() == [0, 6, 12]
    np.testing.assert_allclose(lines[:, -1], run.table["excess"][:1], atol=0.1)


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_the_circuit_map_shows_every_class() -> None:
    rows = table(
        circuit=["induction", "shifted", "shifted"],
        composition_v=[-0.1, 0.1, 0.2],
        ov_positivity=[0.9, -0.8, -0.9],
        path_q=[0.0, 0.0, 0.0],
        path_k=[2.0, 2.0, 3.0],
        path_v=[0.0, 1.5, 2.0],
        path_logits=[0.0, 0.0, 0.0],
    )
    figure = circuit_map.diagram(rows)
    places = figure.axes[0]
    labels = places.get_legend_handles_labels()[1]
    assert labels == ["induction (1)", "shifted (2)"]
    offsets = [np.asarray(points.get_offsets()).tolist() for points in places.collections]
    assert offsets == [[[-0.1, 0.9]], [[0.1, -0.8], [0.2, -0.9]]]


class TableRun:
    """A run that is a table."""

    def __init__(self, **columns: Any) -> None:
        models = len(next(iter(columns.values())))
        self.table = table(
            model=range(models), status=["ok"] * models, loss=[1.0] * models, **columns
        )


def test_circuits_are_measured_over_solved_models() -> None:
    run = TableRun(
        solved=[True, True, False],
        excess=[0.01, 0.05, 1.5],
        circuit=["induction", "shifted", "none"],
        path_k=[2.0, 3.0, 0.1],
        path_q=[0.0, 0.2, 0.0],
    )

    def values(name: str, **arguments: Any) -> list[float]:
        return find_measure(FAMILY, f"circuits.{name}")(run, **arguments).values.tolist()

    assert values("solved") == [1, 1, 0]
    assert values("share", circuit="shifted") == [0, 1]
    assert values("solved_column", column="path_k") == [2, 3]
    assert values("below", column="path_q", bound=0.05) == [1, 0]
    assert values("of_class", column="path_k", circuit="shifted") == [3]


def test_measures_of_bigrams(runs: dict[str, Run]) -> None:
    run = runs["chain"]
    assert find_measure(FAMILY, "bigrams.optimum")(run, d=4, languages=1).values[0] < 1e-12
    best = find_measure(FAMILY, "bigrams.optimum")(run, d=2, languages=2).values
    found = find_measure(FAMILY, "bigrams.over_optimum")(run, where={"model.d_model": 2}).values
    np.testing.assert_allclose(found, run.table["excess"][:2] / best)
    elsewhere = find_measure(FAMILY, "bigrams.elsewhere")(run).values
    assert elsewhere.shape == (4,)
    assert (elsewhere > 0.05).all()


def test_markov_models_are_held_against_two_predictors(runs: dict[str, Run]) -> None:
    """Shares of what followed, at the best of many scales; a predictor of nothing is the scale
    0.
    """
    run = runs["markov"]
    one = task(run, 0)
    given = asked(one, 0, SEQUENCES)
    follows, _ = counts(one.structure, given.tokens)
    shares = follows / np.maximum(follows.sum(-1, keepdims=True), 1)
    at = {
        scale: given.excess(torch.from_numpy(scale * shares)[None])
        for scale in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
    }
    best = share_loss(one)
    assert at[0.0] > min(at.values()) >= best > 0.9 * min(at.values())
    excess = run.table["excess"].to_numpy()
    over = find_measure(FAMILY, "markov.over_shares")(run).values
    np.testing.assert_allclose(over, excess / best)
    above = find_measure(FAMILY, "markov.above_plateau")(run).values
    np.testing.assert_allclose(above, excess - plateau(one))


def test_one_layer_is_held_against_the_best_additive_table(runs: dict[str, Run]) -> None:
    run = runs["source"]
    one = task(run, 0)
    best = tables.added(one.structure, language(one))
    assert 0 < best.excess < best.bigrams
    over = find_measure(FAMILY, "tables.over_additive")(run).values
    np.testing.assert_allclose(over, run.table["excess"] / best.excess)
    bugs = find_measure(FAMILY, "tables.bugs_over_additive")(run).values
    np.testing.assert_allclose(bugs, (run.table["bug_ratio"] - 1) / (best.bug_ratio - 1))
    read = [
        find_measure(FAMILY, "tables.read")(run, what=what).values
        for what in ("precision", "naive", "bugs")
    ]
    np.testing.assert_allclose(read[0], run.table["planted_precision"])
    assert all(np.isfinite(values).all() for values in read)
