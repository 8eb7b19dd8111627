"""What a run has from its family: views, columns of settings, formats; and a run whose family
nobody knows.
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from superpos.cli import app
from superpos.config.schema import key
from superpos.errors import SuperposError
from superpos.family import Family, Label, UnknownFamilyError
from superpos.store import Run, RunFolder, load
from superpos.store import run as module


@dataclass(frozen=True)
class Keys:
    """The keys of the family; all but the first were added later."""

    size: int = key("int", 1, "a size")
    shift: float = key("number", 0.5, "a shift", later=True)
    limit: int | None = key("int", None, "a limit", null="none", later=True)
    weights: tuple[float, ...] = key("list", (1.0, 2.0), "weights", later=True)
    shape: str = key("choice", "round", "a shape", choices=("round", "flat"), later=True)
    given: float = key("number", 0.0, "what the plan sets", later=True)


def unused(*_: Any) -> Any:
    raise AssertionError("a run that is read trains nothing")


def scaled(run: Run, model: int, factor: float = 1.0) -> float:
    """A view: the sum of a model's weights times a factor."""
    return factor * float(run.weights(model)["W"].sum())


def mean_bias(run: Run, models: Any) -> float:
    """A column of settings."""
    return float(run.tensor("b", models).mean())


FAMILY = Family(
    name="toy",
    keys={"toy": Keys},
    rules=(),
    settings=unused,
    task=unused,
    work=unused,
    init=unused,
    batch=unused,
    sample=unused,
    forward=unused,
    losses=unused,
    loss="whatever",
    setting_columns={"bias": mean_bias},
    views={"scaled": scaled},
    exporters={
        "text": lambda run, model: f"{model}: {run.weights(model)['b'].tolist()}".encode(),
        "files": lambda run, model: {
            "number.txt": str(model).encode(),
            "b.bin": run.weights(model)["b"].tobytes(),
        },
    },
)


def found(name: str) -> Family:
    if name == "toy":
        return FAMILY
    raise UnknownFamilyError(name)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """This program knows the one family."""
    monkeypatch.setattr(module, "find", found)


def run_of(tmp_path: Path, family: str = "toy", label: Any = ("kind", "kinds")) -> Run:
    """Two settings of two seeds; the last model diverged."""
    plan = {
        "values": {},
        "axes": [
            {"keys": ["toy.size"], "values": [[1], [2]]},
            {"keys": ["seed"], "values": [[0], [1]]},
        ],
    }
    facts = {"plan": plan, "chunks": [range(4)], "engine": "e", "family": family, "label": label}
    folder = RunFolder.open(tmp_path, "demo", "0123456789ab", facts)
    table = pd.DataFrame(
        {
            "model": range(4),
            "toy.size": [1, 1, 2, 2],
            "toy.given": 7.0,
            "seed": [0, 1, 0, 1],
            "status": ["ok", "ok", "ok", "diverged"],
            "loss": [2.0, 1.0, 3.0, 0.0],
            "kind": ["round", "flat", "flat", "flat"],
        }
    )
    weights = np.arange(4, dtype=np.float32)[:, None, None] + np.zeros((4, 3, 2), dtype=np.float32)
    folder.publish(0, {"W": weights, "b": weights[:, :, 0]}, table)
    return load(folder.path)


def test_the_family_of_a_run(tmp_path: Path) -> None:
    assert run_of(tmp_path).family is FAMILY
    assert run_of(tmp_path).label == Label("kind", "kinds")
    assert run_of(tmp_path / "none", label=None).label is None


def test_views_of_a_family_are_methods_of_its_runs(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert run.scaled(1) == 6.0
    assert run.scaled(2, factor=0.5) == 6.0
    assert "scaled" in dir(run)
    assert {"weights", "table"} < set(dir(run))


def test_what_is_no_view_is_an_attribute_error_that_says_what_there_is(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    with pytest.raises(
        AttributeError, match="no 'features'; it is for runs of family=sae; its family adds scaled"
    ):
        run.features(3)
    assert not hasattr(run, "_repr_latex_")


def test_a_run_is_copied_and_pickled_as_before(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    for other in (copy.copy(run), copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert other.scaled(1) == 6.0


def test_the_error_of_a_property_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> Family:
        raise AttributeError("the family's module is broken")

    monkeypatch.setattr(module, "find", broken)
    with pytest.raises(AttributeError, match="the family's module is broken"):
        _ = run_of(tmp_path).family


def test_settings_have_the_columns_of_the_family_and_count_its_label(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    found = run.by_setting()
    assert list(found.columns)[-2:] == ["bias", "kinds"]
    assert found["bias"].tolist() == [0.5, 2.0]  # the diverged model takes no part
    assert found["kinds"].tolist() == ["flat 1, round 1", "flat 1"]
    run.table["status"] = ["ok", "ok", "diverged", "diverged"]
    assert run.by_setting()["bias"].isna().tolist() == [False, True]
    assert "kinds" not in run_of(tmp_path / "none", label=None).by_setting()


def test_keys_that_were_added_later_have_their_defaults(tmp_path: Path) -> None:
    table = run_of(tmp_path).table
    assert table["toy.given"].tolist() == [7.0] * 4
    assert table["toy.shift"].tolist() == [0.5] * 4
    assert table["toy.limit"].dtype == pd.Int64Dtype()
    assert table["toy.limit"].isna().all()
    assert [cell.tolist() for cell in table["toy.weights"]] == [[1.0, 2.0]] * 4
    assert table["toy.shape"].tolist() == ["round"] * 4
    assert "train.steps" not in table  # is none of the later ones: such a run would be damaged
    assert "toy.shift" not in run_of(tmp_path / "unknown", family="alien").table


def test_keys_that_were_added_later_change_no_digest(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert (
        run.digest() == run.folder.digest() == run_of(tmp_path / "unknown", family="alien").digest()
    )


def test_status_counts_by_the_label_of_the_family(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    told = CliRunner().invoke(app, ["status", str(run.path)])
    assert told.exit_code == 0
    assert "found   flat (2), round (1)" in told.stdout
    assert "flat 1, round 1" in told.stdout
    bare = run_of(tmp_path / "none", label=None)
    assert "flat" not in CliRunner().invoke(app, ["status", str(bare.path)]).stdout


def test_a_model_is_exported_in_a_format_of_its_family(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    path = run.export("text", 2, tmp_path / "new" / "model.txt")
    assert path.read_text() == "2: [2.0, 2.0, 2.0]"
    with pytest.raises(
        SuperposError, match="'csv' is no format of the family 'toy'; allowed: text, files"
    ):
        run.export("csv", 2, tmp_path / "model.csv")
    folder = run.export("files", 1, tmp_path / "folder")
    assert {path.name for path in folder.iterdir()} == {"number.txt", "b.bin"}
    assert (folder / "number.txt").read_text() == "1"


def test_a_run_of_an_unknown_family_loads(tmp_path: Path) -> None:
    run = run_of(tmp_path, family="alien")
    assert run.family is None
    assert run.table["loss"].tolist() == [2.0, 1.0, 3.0, 0.0]
    assert run.weights(1)["W"].shape == (3, 2)
    assert run.tensor("b").shape == (4, 3)
    assert [len(part) for part in run.history(0)] == [0, 0]
    assert run.snapshots(0)[1] == {}
    assert run.digest() == run_of(tmp_path / "known").digest()
    assert run.by_setting()["kinds"].tolist() == ["flat 1, round 1", "flat 1"]
    assert CliRunner().invoke(app, ["status", str(run.path)]).exit_code == 0
    assert "weights" in dir(run)


def test_what_needs_an_unknown_family_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path, family="alien")
    with pytest.raises(AttributeError, match="a run of the unknown family 'alien' has no 'scaled'"):
        run.scaled(0)
    with pytest.raises(
        SuperposError, match="is a run of the family 'alien', which this program does not know"
    ):
        run.export("text", 0, tmp_path / "x")
    for command in ("plot", "report"):
        told = CliRunner().invoke(app, [command, str(run.path)])
        assert told.exit_code == 2
        assert "is a run of the family 'alien', which this program does not know" in told.output
