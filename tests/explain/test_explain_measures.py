"""Measures and the figure of explanations, on real runs where the answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import superpos
from superpos.errors import SuperposError
from superpos.explain.figures import explanation_grades
from superpos.families.tms.analysis import contamination
from superpos.families.tms.figures import contamination as contamination_figure
from superpos.families.tms.measures import explanations
from superpos.figures import registry
from superpos.store import Run

SHORT = ["train.steps=60", "train.batch_size=64", "engine.threads=1"]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run(outputs: Path) -> Run:
    return superpos.train(
        [*SHORT, "data.density=1,0.1", "seed=range(3)", "name=measures"], out=outputs
    )


@pytest.fixture(scope="module")
def pairs(outputs: Path) -> Run:
    words = [
        "model.n_features=4",
        "model.n_hidden=2",
        "data.correlation=correlated",
        "data.set_size=2",
    ]
    return superpos.train(
        [*SHORT, *words, "data.density=0.2", "seed=range(2)", "name=pairs"], out=outputs
    )


def test_a_grade_is_a_column_of_the_run_s_explanation(run: Run) -> None:
    where = {"data.density": 0.1}
    found = explanations.grade(run, "shapley", "sets", where).values
    whole = run.explain("shapley", question="sets", inputs=explanations.INPUTS).set_index("model")
    assert (
        found.tolist()
        == whole.loc[run.table.query("`data.density` == 0.1")["model"], "grade"].tolist()
    )
    assert explanations.grade(run, "occlusion", "drop", column="missed").values.tolist() == [0] * 6


def test_outputs_that_are_always_on_are_explained_by_gradients(run: Run) -> None:
    assert explanations.with_bias(run, "integrated_gradients", 50.0).values == pytest.approx(
        np.ones(6)
    )
    assert np.isnan(explanations.with_bias(run, "integrated_gradients", -50.0).values).all()


def test_lime_is_parallel_and_shrunk(run: Run) -> None:
    assert explanations.lime_parallel(run, width=1.0).values == pytest.approx(np.ones(6))
    wide, narrow = (explanations.ridge_factor(run, width).values for width in (3.0, 0.25))
    assert (narrow < 0.1).all() and (wide > 0.9).all()


def test_seeds_of_a_digon_agree(outputs: Path) -> None:
    words = [
        "model.n_features=2",
        "model.n_hidden=1",
        "data.density=0.07",
        "train.lr=0.01",
        "train.lr_schedule=cosine",
        "train.steps=2000",
    ]
    run = superpos.train([*words, "seed=range(16)", "engine.threads=1", "name=digon"], out=outputs)
    for part in ("own", "interference"):
        found = explanations.seeds_agree(run, part).values
        assert len(found) >= 1 and found == pytest.approx(np.ones(len(found)), abs=0.01)


def test_partners_get_credit_from_conditional_values_alone_beyond_what_they_do(
    run: Run, pairs: Run
) -> None:
    conditional = explanations.partner_credit(pairs, "conditional").values
    interventional = explanations.partner_credit(pairs, "interventional").values
    assert len(conditional) == 2 and (conditional > interventional).all()


def test_independent_features_have_one_credit(outputs: Path) -> None:
    run = superpos.train(
        [*SHORT, "model.n_features=4", "model.n_hidden=2", "name=alone"], out=outputs
    )
    both = [
        explanations.partner_credit(run, value).values
        for value in ("conditional", "interventional")
    ]
    assert both[0] == pytest.approx(both[1])


def test_importance_of_the_loss_has_no_share_of_other_inputs(run: Run) -> None:
    loss = explanations.importance_share(run, "loss", samples=4000).values
    output = explanations.importance_share(run, "output", samples=4000).values
    assert (loss < output).all()
    by_density = explanations.importance_share(run, "output", samples=4000, by_density=True).values
    means = [output[(run.table["data.density"] == p).to_numpy()].mean() for p in (0.1, 1.0)]
    assert by_density == pytest.approx(means)


def test_a_patch_carries_what_shares_its_direction(run: Run) -> None:
    """The formula holds for any weights of independent features; the scatter is that of 1,500
    pairs.
    """
    found = explanations.contamination(run).values
    assert len(found) > 3 and np.median(found) == pytest.approx(1, abs=0.1)


def test_contamination_is_drawn_feature_by_feature(run: Run) -> None:
    assert contamination_figure.applies(run) == "needs 4 densities at least, found 2"
    figure = contamination_figure.draw(run)
    dots = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == "None"]
    found = contamination.contamination(run)
    shown = (found.exact > 0) & (found.measured > 0)
    assert sum(len(line.get_xdata()) for line in dots) == shown.sum()
    assert sorted(x for line in dots for x in line.get_xdata()) == pytest.approx(
        sorted(found.exact[shown])
    )


def test_the_legend_of_many_densities_names_a_few(run: Run) -> None:
    found = contamination.contamination(run)
    density = np.linspace(0.1, 1, len(found.exact))
    figure = contamination_figure.scatter(found, density)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(density) > len(names) == 8
    assert (names[0], names[-1]) == ("1", "0.1")


def test_the_figure_needs_grades_and_shows_those_that_are_kept(
    run: Run, pairs: Run, outputs: Path
) -> None:
    fresh = superpos.train([*SHORT, "data.density=1,0.2", "name=fresh"], out=outputs)
    assert "superpos explain RUN" in str(explanation_grades.applies(fresh))
    assert "sweep of the density" in str(explanation_grades.applies(pairs))
    with pytest.raises(SuperposError, match="superpos explain RUN"):
        registry.draw(fresh, "explanation_grades")
    fresh.explain(["shapley", "random"], question=["drop", "sets"], inputs=8)
    fresh.explain("shapley", question="drop", background="mean", inputs=8)
    figure = registry.draw(fresh, "explanation_grades")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["shapley", "shapley (mean)", "random"]
    assert [axes.get_title() for axes in figure.axes] == [
        "drop: strongest cause named",
        "sets: R² over all 2ⁿ sets",
    ]


def test_lines_go_through_the_means() -> None:
    table = pd.DataFrame(
        {
            "density": [1.0, 1.0, 0.1],
            "question": "drop",
            "label": "shapley",
            "grade": [0.8, 1.0, 0.5],
        }
    )
    figure = explanation_grades.panels(table)
    [line] = figure.axes[0].get_lines()
    assert line.get_xdata().tolist() == [0.1, 1.0]
    assert line.get_ydata().tolist() == pytest.approx([0.5, 0.9])
