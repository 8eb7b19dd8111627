"""Forests: what importances say where the truth is known, and what is said without scikit-learn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import superpos
from superpos import explain
from superpos.claims import claim_files, verdicts
from superpos.claims.claim_files import Claim
from superpos.claims.measured import Measured
from superpos.errors import ConfigError, MissingPackageError
from superpos.explain import forests, truth
from superpos.families.tms.analysis.forest_importances import shares_of_others
from superpos.families.tms.figures import forest_importances
from superpos.families.tms.measures import explanations
from superpos.figures import registry
from superpos.store import Run

pytestmark = pytest.mark.slow

needs = pytest.mark.skipif(not forests.installed(), reason="needs scikit-learn, the extra forests")
DENSITIES = [0.05, 0.2, 1.0]
IDENTITY = np.eye(3)[None]
ZERO = np.zeros((1, 3))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    words = [
        "model.n_features=3",
        "model.n_hidden=3",
        f"data.density={DENSITIES}",
        "seed=0,1",
        "name=forests",
    ]
    return superpos.train(
        [*words, "train.steps=20", "engine.threads=1"], out=tmp_path_factory.mktemp("outputs")
    )


@needs
def test_without_noise_the_one_input_that_is_read_has_all_of_it() -> None:
    x = truth.data(np.array([DENSITIES]), samples=200)
    for importance in (explain.forest_impurity, explain.forest_permutation):
        found = importance(IDENTITY, ZERO, x, trees=10)[0]
        share = found / found.sum(axis=-1, keepdims=True)
        assert np.diag(share).min() > 0.97, importance.__name__


@needs
def test_impurity_prefers_inputs_of_many_values_and_held_out_permutation_does_not() -> None:
    """Strobl et al. 2007: 2, 4, 10 and 20 values, and a continuous input; none says anything of the
    noise.
    """
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, values, (1, 1200)) / values for values in (2, 4, 10, 20)]
    x = np.stack([*columns, rng.random((1, 1200))], axis=-1)
    read = np.zeros((1, 5, 5))
    # so small that the noise, which is a multiple of it, is all there is to see
    read[0, 0, 0] = 1e-9
    G = explain.of_products(read)
    impurity = explain.forest_impurity(G, np.ones((1, 5)), x, noise=1000.0)[0, 0]
    assert (np.diff(impurity) > 0).all()
    assert impurity[-1] > 4 * impurity[0]
    held_out = explain.forest_permutation(G, np.ones((1, 5)), x, noise=1000.0)[0, 0]
    assert np.abs(held_out).max() < 0.1


@needs
def test_outputs_that_do_not_move_have_no_importance() -> None:
    x = truth.data(np.array([DENSITIES]), samples=40)
    assert (explain.forest_impurity(IDENTITY, ZERO - 5, x) == 0).all()
    with pytest.raises(ValueError, match="x: got 3 rows; allowed: 4 or more"):
        explain.forest_impurity(IDENTITY, ZERO, x[:, :3])


def test_shares_are_means_over_the_outputs_of_others() -> None:
    importance = np.array([[[4, 4, 0], [1, 8, 1], [0, 0, 0]]], dtype=float)
    assert shares_of_others(importance).tolist() == [[0.1, 0.5, 0.05]]


@needs
def test_forests_are_graded_by_name(run: Run) -> None:
    found = run.explain(["forest_impurity", "forest_permutation"], question="global")
    assert found.groupby("method")["grade"].size().to_dict() == {
        "forest_impurity": 2,
        "forest_permutation": 2,
    }
    held_out = found["method"] == "forest_permutation"
    assert (found["grade"][held_out] > 0.5).all()
    with pytest.raises(ConfigError, match="forest_impurity: says nothing of single inputs"):
        run.explain("forest_impurity", question="sets")


@needs
def test_measures_and_the_figure_show_the_bias(run: Run) -> None:
    assert (explanations.forest_bias(run, "impurity").values > 5).all()
    truth_share = explanations.forest_share(run, "truth").values
    assert (explanations.forest_share(run, "impurity").values > truth_share + 0.1).all()
    figure = registry.draw(run, "forest_importances")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0.05", "0.2", "1"]
    heights = [bar.get_height() for bar in figure.axes[0].patches[:3]]
    assert heights[2] > 5 * heights[0]


def test_the_figure_needs_different_densities(tmp_path: Path) -> None:
    equal = superpos.train(["data.density=0.1,0.2", "train.steps=0", "name=equal"], out=tmp_path)
    assert str(forest_importances.applies(equal)).startswith(
        "needs features of different densities"
    )


def test_without_scikit_learn_the_message_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forests, "installed", lambda: False)
    with pytest.raises(MissingPackageError, match=r"pip install 'superpos\[forests\]'"):
        explain.forest_impurity(IDENTITY, ZERO, np.zeros((4, 3)))
    before = sorted(run.path.rglob("*"))
    words = r"explain.method=forest_impurity: needs scikit-learn: pip install 'superpos\[forests\]'"
    with pytest.raises(ConfigError, match=words):
        run.explain("forest_impurity", question="structure")
    assert sorted(run.path.rglob("*")) == before
    assert registry.reasons(run)["forest_importances"] == forests.MISSING
    assert "forest_impurity" not in set(run.explain(question="structure", inputs=4)["method"])


def test_a_claim_that_needs_a_package_is_skipped_and_says_so() -> None:
    def measure(run: object) -> Measured:
        raise MissingPackageError("forests: needs scikit-learn")

    claim = Claim(
        row=45,
        experiment="importance_trees",
        text="t",
        source="s",
        reason="r",
        measure=measure,
        arguments={},
        statistic="mean",
        expected=None,
        published=None,
        band=claim_files.Band(1, 2),
        run={"full": ("a",)},
        control={"full": ("b",)},
        empty="",
    )
    [result] = verdicts.check([claim], lambda name, overrides: overrides)
    assert (result.verdict, result.why) == ("skipped", "forests: needs scikit-learn")


def test_scikit_learn_is_loaded_by_nothing_else() -> None:
    modules = "superpos.explain.runs, superpos.families.tms.measures.explanations"
    script = f"import sys, {modules}; print('sklearn' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@needs
def test_a_forest_of_a_sum_is_asked_on_rows_that_it_has_not_seen() -> None:
    """All of R² is that of the one input that is read: shuffled, it falls by about 2."""
    rng = np.random.default_rng(0)
    x = rng.random((400, 3))
    found = forests.permutation_of_forest(x, x[:, 1])
    assert found[1] == pytest.approx(2, abs=0.3)
    assert np.abs(found[[0, 2]]).max() < 0.02


@needs
def test_inputs_that_add_alike_are_alike_to_the_model_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Identity weights, the first two inputs nearly always together."""
    tree = "data.tree=[{p:0.5,children:[0.98],alone:0.02}]"
    words = ["model.n_features=4", "model.n_hidden=4", "data.correlation=tree", tree]
    made = superpos.train(
        [*words, "data.density=0.5", "train.steps=0", "engine.threads=1"], out=tmp_path
    )
    exact = {"W": np.eye(4, dtype=np.float32), "b": np.zeros(4, dtype=np.float32)}
    monkeypatch.setattr(type(made), "weights", lambda *_: exact)
    itself = explanations.pair_importance(made, of="model").values
    assert itself == pytest.approx([1], abs=0.06)  # 2 Var(x) each
    of_forest = explanations.pair_importance(made).values
    assert of_forest.shape == (1,)
    assert of_forest[0] > 0
