"""What figures and claims of circuits show, on runs whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

import superpos
from superpos.families.circuit.analysis.answers import METHODS
from superpos.families.circuit.figures import estimate_error, patching_grid
from superpos.families.circuit.measures import patching
from superpos.figures import registry
from superpos.store import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Run:
    overrides = ["family=circuit", "circuit.kind=and,or,add,backup,random_gates", "seed=0,1"]
    return superpos.train(overrides, out=tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Run:
    overrides = [
        "family=circuit",
        "circuit.kind=induction_k,induction_q",
        "circuit.beta=0.5,4,20",
        "circuit.distractors=1",
    ]
    return superpos.train(overrides, out=tmp_path_factory.mktemp("prompts"))


def test_recall_and_precision_of_gates(gates: Run) -> None:
    of = {method: patching.grade(gates, "recall", method).values for method in METHODS}
    third = 2 / 3
    assert of["noising"][:8].tolist() == pytest.approx([1, 1, third, third, 1, 1, 0.5, 0.5])
    assert of["denoising"][:8].tolist() == pytest.approx([third, third, 1, 1, 1, 1, 0.5, 0.5])
    assert of["both"][:6].tolist() == [1] * 6
    assert of["Shapley"][:8].tolist() == [1] * 8
    assert of["gradient at corrupt"][:2].tolist() == [0, 0]
    assert (patching.grade(gates, "precision", "both").values == 1).all()
    nothing = patching.grade(gates, "nothing", "denoising").values
    assert nothing[:4].tolist() == pytest.approx([1 / 3, 1 / 3, 0, 0])
    assert patching.grade(gates, "precision", "zero").values[8:].max() < 0.7


def test_shares_of_parts(gates: Run) -> None:
    backups = slice(6, 8)
    assert patching.share(gates, "g0", direction="noising").values[backups].tolist() == [0.5, 0.5]
    shapley = patching.share(gates, "g1", direction="shapley").values[backups]
    assert shapley.tolist() == pytest.approx([0.125] * 2)
    assert np.isnan(patching.share(gates, "x1").values[backups]).all()  # there is no such part


def test_measures_of_prompts(prompts: Run) -> None:
    sharp = [2, 5]
    asked = {"corrupt": "query", "prompts": 10}
    recall = patching.found_heads(prompts, **asked).values
    assert recall[sharp].tolist() == pytest.approx([2 / 3, 1])
    unread = patching.greatest_share(prompts, ["0.2", "1.2"], **asked).values
    assert unread.max() < 1e-9
    assert patching.greatest_share(prompts, ["1.0"], **asked).values.min() > 0.5
    eap = patching.ratio(prompts, "gradient_clean", prompts=6).values
    assert eap[[0, 3]].tolist() == pytest.approx([1, 1], abs=0.02)
    assert np.abs(eap[sharp]).max() < 1e-3
    straight = patching.ratio(prompts, "ig_activations", prompts=6).values
    assert straight.tolist() == pytest.approx([1] * 6, abs=0.01)


def test_gates_have_no_edges_to_compose(gates: Run) -> None:
    assert np.isnan(patching.ratio(gates, "gradient_clean").values).all()


def test_the_grid_of_gates(gates: Run) -> None:
    recall, precision = patching_grid.gather(gates)
    assert recall.columns == ["and", "or", "add", "backup", "random\ngates"]
    assert recall.rows == list(METHODS)
    of_and = dict(zip(recall.rows, recall.cells[:, 0], strict=True))
    assert of_and["denoising"] == pytest.approx(2 / 3)
    assert of_and["gradient at corrupt"] == 0
    row = precision.rows.index("gradient at corrupt")
    assert np.isnan(precision.cells[row, 0])  # nothing found, nothing to be right about
    panels = patching_grid.draw(gates).axes
    assert [axes.get_title() for axes in panels] == ["recall", "precision"]
    written = {text.get_text() for text in panels[0].texts}
    assert {"0.67", "1.00", "0.00"} <= written


def test_the_grid_of_prompts(prompts: Run) -> None:
    k, q = patching_grid.gather(prompts)
    assert k.columns[:3] == ["0.0\nprevious", "0.1\nweak", "0.2\nunread"]
    assert q.columns[3] == "1.0\npointer"
    assert (k.cells.shape, q.cells.shape) == ((15, 6), (15, 6))
    by_row = dict(zip(k.rows, k.cells[:, 0], strict=True))
    assert by_row["query"] == pytest.approx(0, abs=0.01)
    assert by_row["key"] > 0.2


def test_lines_of_estimates(prompts: Run) -> None:
    found = estimate_error.gather(prompts)
    assert list(found) == ["induction_k", "induction_q"]
    betas, ratios = found["induction_q"]
    assert betas.tolist() == [0.5, 4, 20]
    assert ratios["EAP at clean"].tolist() == pytest.approx([1, 0.54, 0], abs=0.05)
    assert ratios["IG over activations, 20 steps"].tolist() == pytest.approx([1] * 3, abs=0.01)
    first, second = estimate_error.diagram(found).axes
    assert (first.get_title(), second.get_title()) == ("induction_k", "induction_q")
    assert first.lines[1].get_ydata()[0] == pytest.approx(1, abs=0.02)


def test_which_runs_have_figures(gates: Run, prompts: Run) -> None:
    assert registry.reasons(gates)["patching_grid"] is None
    assert registry.reasons(prompts)["estimate_error"] is None
    reason = registry.reasons(gates)["estimate_error"]
    assert reason == "needs induction circuits of at least 3 values of circuit.beta"
