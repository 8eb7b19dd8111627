"""`superpos explain` and `run.explain`: real runs, graded without training, kept, resumed, refused
in one message.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos import explain, store
from superpos.cli import app
from superpos.errors import ConfigError, SuperposError
from superpos.explain import runs, truth
from superpos.explain.keys import FORESTS
from superpos.store import Run

SMALL = [
    "train.steps=60",
    "train.batch_size=64",
    "model.n_features=5",
    "model.n_hidden=2",
    "engine.threads=1",
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run(outputs: Path) -> Run:
    return superpos.train(
        [*SMALL, "data.density=1,0.1", "seed=range(3)", "name=small"], out=outputs
    )


def superpos_explain(*words: object) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, words)])


def folders(run: Run) -> list[Path]:
    return sorted((run.path / "explain").glob("*")) if (run.path / "explain").exists() else []


def test_grades_are_those_of_the_functions(run: Run) -> None:
    found = run.explain(["shapley", "occlusion"], question=["drop", "sets"], inputs=16)
    assert len(found) == 6 * 2 * 2
    assert (
        found.loc[found["method"].eq("occlusion") & found["question"].eq("drop"), "grade"].tolist()
        == [1] * 6
    )
    W, b = run.tensor("W").astype(float), run.tensor("b").astype(float)
    x = truth.active_inputs(5, 3, 16)
    expected = explain_grades(W, b, x)
    chosen = found["method"].eq("shapley") & found["question"].eq("sets")
    assert found.loc[chosen, "grade"].to_numpy() == pytest.approx(expected)
    assert list(found.loc[chosen, "row_id"]) == list(run.table["row_id"])


def explain_grades(W: Any, b: Any, x: Any) -> Any:
    from superpos.explain import grades

    return grades.grade_sets(truth.sets(W, b, x), explain.shapley(W, b, x)).grade


def test_what_is_there_is_read_and_a_damaged_part_made_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run.explain("lime", question="drop", inputs=8)
    digest = run.digest()
    [folder] = [folder for folder in folders(run) if '["lime"]' in (folder / "facts").read_text()]
    part = folder / "00000.parquet"
    monkeypatch.setattr(runs, "grades_of", None)  # whoever makes something now fails
    assert store.load(run.path).explain("lime", question="drop", inputs=8).equals(first)
    monkeypatch.undo()
    part.write_bytes(part.read_bytes()[:-7])
    assert run.explain("lime", question="drop", inputs=8).equals(first)
    assert run.digest() == digest


def test_interrupted_work_is_taken_up_part_by_part(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = superpos.train(
        [*SMALL[:2], *SMALL[3:], "model.n_features=4,5", "seed=range(2)", "name=parts"], out=outputs
    )
    assert run.folder.n_chunks == 2
    made: list[list[int]] = []
    table = runs.grades_of

    def once(run: Run, models: Any, asked: Any) -> Any:
        if made:
            raise KeyboardInterrupt
        made.append(list(models))
        return table(run, models, asked)

    monkeypatch.setattr(runs, "grades_of", once)
    with pytest.raises(KeyboardInterrupt):
        run.explain("shapley", inputs=4)
    monkeypatch.setattr(
        runs, "grades_of", lambda *given: made.append(list(given[1])) or table(*given)
    )
    whole = run.explain("shapley", inputs=4)
    assert sorted(model for models in made for model in models) == [0, 1, 2, 3]
    assert sorted(whole["model"]) == [0, 1, 2, 3]


def test_some_models_and_the_best_of_each_setting(run: Run) -> None:
    best = run.explain("shapley", models="best", inputs=4)
    losses = run.table.groupby("data.density")["loss"].idxmin()
    assert sorted(best["model"]) == sorted(losses)
    assert run.explain("shapley", models=[4, 1], inputs=4)["model"].tolist() == [1, 4]
    assert run.explain("shapley", models="0:2", inputs=4)["model"].tolist() == [0, 1]


def test_the_command_prints_a_table_and_json(run: Run) -> None:
    done = superpos_explain(
        run.path, "explain.method=shapley,random", "explain.question=drop", "--models=best"
    )
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["data.density", "question", "method"]
    assert len(lines) == 1 + 2 * 2
    as_json = json.loads(
        superpos_explain(run.path, "explain.method=shapley", "--json", "--quiet").stdout
    )
    assert as_json["path"] == str(run.path)
    assert {row["question"] for row in as_json["grades"]} == {"sets"}
    assert all(0 < row["grade"] <= 1 for row in as_json["grades"])


def test_all_methods_answer_all_questions_that_they_have_an_answer_to(run: Run) -> None:
    found = run.explain(question=["drop", "resample", "sets"], inputs=8)
    assert set(found["method"]) == set(runs.METHODS) - {
        "conditional_shapley",
        "permutation_importance",
        "sobol_total",
        *FORESTS,
    }
    about_models = run.explain(question=["global", "structure"], inputs=8)
    assert set(about_models["method"]) == set(runs.METHODS) - {"conditional_shapley", *FORESTS}
    exact = about_models[
        about_models["method"].eq("sobol_total") & about_models["question"].eq("global")
    ]
    assert (exact["grade"] > 0.9).all()  # both are means over draws of the data, of other seeds


@pytest.mark.parametrize("background", ["zero", "mean", "data", "rows"])
def test_backgrounds(run: Run, background: str) -> None:
    found = run.explain(
        ["shapley", "occlusion", "banzhaf"], background=background, inputs=4, models=[0, 5]
    )
    assert np.isfinite(found["grade"]).all()
    assert found["error"].isna().all()


def test_correlated_sets_and_conditional_values(outputs: Path) -> None:
    words = [
        "model.n_features=4",
        "data.correlation=correlated",
        "data.set_size=2",
        "data.density=0.2",
        "name=sets",
    ]
    run = superpos.train([*SMALL[:2], *words, "model.n_hidden=2"], out=outputs)
    conditional = run.explain("shapley", value="conditional", inputs=8)
    assert (
        run.explain("conditional_shapley", inputs=8)["grade"].tolist()
        == conditional["grade"].tolist()
    )
    assert (
        run.explain("shapley", background="data", inputs=8)["grade"].tolist()
        != conditional["grade"].tolist()
    )


def test_conditional_values_of_a_hidden_relu_are_refused(outputs: Path) -> None:
    words = [
        "model.n_features=4",
        "data.correlation=correlated",
        "data.set_size=2",
        "data.density=0.2",
    ]
    relu = ["model.hidden=relu", "model.tied=false", "name=hiddensets"]
    run = superpos.train([*SMALL[:2], *words, "model.n_hidden=2", *relu], out=outputs)
    done = superpos_explain(run.path, "explain.value=conditional", "explain.method=shapley")
    assert done.exit_code == 2 and "needs a linear hidden layer" in done.stderr
    assert not folders(run)


def test_hidden_relus_and_many_features_are_sampled_and_that_is_said(outputs: Path) -> None:
    words = ["model.n_features=13", "model.n_hidden=4", "name=wide"]
    run = superpos.train([*SMALL[:2], *words], out=outputs)
    done = superpos_explain(
        run.path, "explain.method=shapley", "explain.question=drop", "explain.inputs=2"
    )
    assert done.exit_code == 0, done.output
    assert "were sampled" in done.stderr
    hidden = ["model.hidden=relu", "model.tied=false", "name=hidden"]
    relu = superpos.train([*SMALL[:4], *hidden], out=outputs)
    found = relu.explain(question=["drop", "sets"], inputs=4)
    assert np.isfinite(found["grade"]).all() and found["error"].isna().all()
    assert np.isfinite(relu.explain("shapley", background="data", inputs=2)["error"]).all()


def squares(x: Any) -> Any:
    """Data of a user's own."""
    return x**2


REFUSED = [
    (["explain.method=shaply"], "shapley"),
    (["explain.methods=shapley"], "explain.method"),
    (["explain.question=why"], "allowed: drop or resample"),
    (["explain.value=conditional", "explain.method=shapley"], "got independent features"),
    (["explain.method=conditional_shapley"], "got independent features"),
    (
        ["explain.method=permutation_importance", "explain.question=drop"],
        "says nothing of single inputs",
    ),
    (
        ["explain.background=data", "explain.method=integrated_gradients"],
        "takes zero, mean or rows",
    ),
    (["explain.active=9"], "up to the 5 features"),
    (["explain.active=none"], "or data"),
    (["explain.inputs=4,8"], "got several values"),
    (["explain.inputs=0"], "an integer, 1 to 100000"),
    (["explain.method=all,lime"], "got all and 1 more"),
    (["experiment=intro"], "train it first"),
    (["train.steps=3"], "train.steps"),
    (["shapley"], "not KEY=VALUE"),
    (["--models=99"], "models 0 to 5"),
]


@pytest.mark.parametrize(("words", "part"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_cannot_be_asked_is_refused_and_nothing_written(
    run: Run, words: list[str], part: str
) -> None:
    before = folders(run)
    done = superpos_explain(run.path, *words)
    assert done.exit_code == 2, done.output
    assert part in done.stderr
    assert folders(run) == before


def test_models_that_cannot_be_asked_are_refused(outputs: Path) -> None:
    wide = superpos.train(
        [*SMALL[:2], "model.n_features=20", "model.n_hidden=4", "name=twenty"], out=outputs
    )
    for question in ("global", "sets"):
        done = superpos_explain(
            wide.path, f"explain.question={question}", "explain.method=gradient"
        )
        assert done.exit_code == 2 and "got 20 features; allowed: up to 12" in done.stderr
    signed = superpos.train(
        [*SMALL[:2], "data.signed=true", "model.output=linear", "name=signed"], out=outputs
    )
    with pytest.raises(SuperposError, match=r"data\.signed=true"):
        signed.explain("shapley")
    sae = superpos.train(["family=sae", "train.steps=10", "name=sae"], out=outputs)
    with pytest.raises(SuperposError, match="found the family 'sae'"):
        sae.explain("shapley")
    own = superpos.train([*SMALL, "name=own"], data=squares, out=outputs)
    with pytest.raises(SuperposError, match="functions of a user's own"):
        own.explain("shapley")
    for found in (wide, signed, sae, own):
        assert not folders(found)


def test_from_python_a_wrong_key_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"explain\.active"):
        run.explain("shapley", activ=3)
