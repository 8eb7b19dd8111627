"""`superpos verify`: claims are read, measured on a run and on its negative control, and judged."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import superpos
from superpos.claims import claim_files, find_measure, verdicts
from superpos.claims.claim_files import Claim, load_claims
from superpos.claims.measured import Measured
from superpos.claims.verdicts import Result
from superpos.cli import app
from superpos.compose import experiments
from superpos.compose.experiments import experiment_files, place, shipped_folder
from superpos.errors import ConfigError
from superpos.family import DEFAULT, find, names
from superpos.store import Run

pytestmark = pytest.mark.slow

CLAIMS = load_claims(shipped_folder() / "claims")
SIZE = ["train.steps=20", "train.batch_size=8", "model.n_features=3"]
ENTRY: dict[str, Any] = {
    "claim": "weights are finite",
    "source": "exact theory",
    "measure": {"table.column": {"name": "model.n_features"}},
    "expected": 3,
    "low": 3,
    "high": 3,
    "reason": "they are",
    "control": "other",
}
RUNS = {
    "trained": {"full": SIZE, "quick": SIZE},
    "other": {"full": ["model.n_features=4"], "quick": ["train.steps=0"]},
}


def folder_of(
    tmp_path: Path, *entries: dict[str, Any], name: str = "07_own.yaml", **changes: Any
) -> Path:
    """A folder with one file of claims."""
    folder = tmp_path / "claims"
    folder.mkdir(parents=True)
    content = {
        "experiment": "intro",
        "runs": RUNS,
        "claims": [ENTRY | entry for entry in entries],
    } | changes
    (folder / name).write_text(yaml.safe_dump(content))
    return folder


def claim(**changes: Any) -> Claim:
    """A claim on a measure of which the tests make up the values."""
    values = {
        "row": 0,
        "experiment": "intro",
        "text": "t",
        "source": "s",
        "reason": "r",
        "arguments": {},
    }
    values |= {
        "statistic": "median",
        "expected": None,
        "published": None,
        "band": claim_files.Band(),
        "empty": "",
    }
    values |= {
        "measure": lambda run: Measured(run),
        "run": {"full": ("run",)},
        "control": {"full": ("control",)},
    }
    return Claim(**(values | changes))


def judged(run: Any, control: Any, **changes: Any) -> Result:
    values = {"run": np.array(run, dtype=float), "control": np.array(control, dtype=float)}
    [result] = verdicts.check([claim(**changes)], lambda _name, overrides: values[overrides[0]])
    return result


def test_a_claim_holds_where_the_run_lies_in_the_band_and_the_control_does_not() -> None:
    result = judged([1, 2, 6], [9, 9], band=claim_files.Band(2, 2))
    assert (result.verdict, result.measured, result.spread, result.trials) == (
        "holds",
        2,
        (1, 6),
        3,
    )
    assert (result.control, result.why) == (9, "")


@pytest.mark.parametrize(
    ("run", "control", "why"),
    [
        ([3], [9], "outside the band"),
        ([math.nan], [9], "outside the band"),
        ([], [9], "outside the band"),
        ([2], [2], verdicts.CONTROL_PASSES),
        ([3], [2], verdicts.CONTROL_PASSES),
        ([2], [], verdicts.CONTROL_IS_EMPTY),
        ([2], [math.nan], verdicts.CONTROL_IS_EMPTY),
        ([2], [9, math.nan], verdicts.CONTROL_IS_EMPTY),
        ([3], [], verdicts.CONTROL_IS_EMPTY),
    ],
)
def test_a_claim_fails(run: list[float], control: list[float], why: str) -> None:
    result = judged(run, control, band=claim_files.Band(1, 2.5))
    assert (result.verdict, result.why) == ("fails", why)


@pytest.mark.parametrize("nothing", [[], [math.nan]])
def test_a_control_may_lack_what_a_claim_is_about(nothing: list[float]) -> None:
    band = claim_files.Band(1, 3)
    assert judged([2], nothing, band=band, empty="there are none").verdict == "holds"
    assert judged([2], [2], band=band, empty="there are none").why == verdicts.CONTROL_PASSES


def test_a_control_beyond_all_numbers_is_outside() -> None:
    assert judged([2], [math.inf], band=claim_files.Band(1, 3)).verdict == "holds"


def test_a_relative_band_is_about_what_theory_computes() -> None:
    measure = {"measure": lambda run: Measured(run, expected=200.0 if run[0] == 201 else 100.0)}
    result = judged([201], [100], band=claim_files.Band(within=0.01), **measure)
    assert (result.verdict, result.expected, result.low, result.high) == ("holds", 200, 198, 202)
    other = judged([201], [100], band=claim_files.Band(within=0.01), expected=5.0, **measure)
    assert (other.verdict, other.expected) == ("fails", 5)  # what the claim says comes first


@pytest.mark.parametrize(
    ("statistic", "value"), [("best", 1), ("min", 1), ("median", 2), ("mean", 4), ("max", 9)]
)
def test_statistics(statistic: str, value: float) -> None:
    assert judged([2, 9, 1], [0], statistic=statistic).measured == value


def test_a_run_may_stand_on_another_experiment() -> None:
    trained: list[Any] = []

    def train(name: str, overrides: tuple[str, ...]) -> Any:
        trained.append((name, overrides))
        return SimpleNamespace(path=Path("runs", name))

    needs = ("n=1", "a.source=@toys")
    runs = {"run": {"full": needs}, "control": {"full": (*needs, "train.steps=0")}}
    measure = {"measure": lambda run: Measured(np.ones(1))}
    list(verdicts.check([claim(**runs, **measure)], train))
    on_toys = ("n=1", f"a.source={Path('runs', 'toys')}")
    assert trained == [("toys", ()), ("intro", on_toys), ("intro", (*on_toys, "train.steps=0"))]


def test_a_run_is_trained_once_and_a_claim_without_quick_runs_is_skipped() -> None:
    trained: list[Any] = []

    def train(name: str, overrides: tuple[str, ...]) -> Any:
        trained.append((name, overrides))
        return np.ones(1)

    quick = {"run": {"full": ("a",), "quick": ("b",)}, "control": {"full": ("c",), "quick": ("d",)}}
    results = list(
        verdicts.check([claim(**quick), claim(**quick), claim(text="u")], train, quick=True)
    )
    assert trained == [("intro", ("b",)), ("intro", ("d",))]
    assert [result.verdict for result in results] == ["fails", "fails", "skipped"]
    assert math.isnan(results[-1].measured)


def test_json_holds_plain_numbers() -> None:
    found = json.loads(
        json.dumps(
            judged([1, math.nan], [9], band=claim_files.Band(high=2), statistic="best").to_json()
        )
    )
    assert {
        "low": None,
        "high": 2,
        "measured": None,
        "spread": [1, 1],
        "trials": 2,
        "control": 9,
    }.items() <= found.items()
    assert set(found) >= {
        "experiment",
        "claim",
        "source",
        "expected",
        "low",
        "high",
        "measured",
        "verdict",
    }


def test_claims_of_a_file(tmp_path: Path) -> None:
    [first, second] = load_claims(
        folder_of(tmp_path, {}, {"claim": "slow", "quick": False, "control": "other"})
    )
    assert (first.row, first.experiment, first.text, first.expected) == (
        7,
        "intro",
        "weights are finite",
        3,
    )
    assert first.run == {"full": tuple(SIZE), "quick": tuple(SIZE)}
    assert set(second.run) == set(second.control) == {"full"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": None, "basis": "x"}, ["basis is unknown"]),
        ({"control": "trained"}, ["control is the run itself"]),
        ({"run": "big"}, ["there is no run 'big'"]),
        ({"statistic": "mode"}, ["statistic 'mode'", "median"]),
        ({"within": 0.1}, ["needs a band"]),
        ({"measure": {"table.columns": {}}}, ["there is no function 'columns'; there are column"]),
        ({"measure": {"tables.column": {}}}, ["there is no module 'tables'"]),
        (
            {"measure": {"table.column": {"name": "loss", "colour": 1}}},
            ["measure table.column", "colour"],
        ),
        ({"measure": "table.column"}, ["module.function"]),
    ],
)
def test_faults_of_a_claim(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_claims(folder_of(tmp_path, changes, {"claim": "good"}))
    [fault] = caught.value.faults
    assert all(word in fault for word in ["07_own.yaml: weights are finite", *words])


def test_faults_of_a_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"claim": "twice"}, {"claim": "twice"}, name="own.yaml")
    (folder / "own.yaml").rename(folder / "01_own.yaml")
    (folder / "own.yaml").write_text("[]")
    (folder / "02_own.yaml").write_text("claims: []")
    with pytest.raises(ConfigError) as caught:
        load_claims(folder)
    named, keys, twice = caught.value.faults
    assert named.startswith("02_own.yaml: a file of claims holds claims, experiment, runs")
    assert keys.startswith("own.yaml: the name of a file")
    assert twice == "intro: 'twice' is claimed twice"


def test_a_file_of_an_unknown_family(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_claims(folder_of(tmp_path, {}, family="tsm"))
    allowed = ", ".join(names())
    assert caught.value.faults == [
        f"07_own.yaml: family: there is no 'tsm'; did you mean tms? allowed: {allowed}"
    ]


def test_claims_of_several_folders_follow_each_other(tmp_path: Path) -> None:
    first = folder_of(tmp_path / "a", {})
    second = folder_of(tmp_path / "b", {}, name="01_other.yaml", experiment="geometry")
    assert [claim.experiment for claim in load_claims(first, second)] == ["intro", "geometry"]
    with pytest.raises(ConfigError, match="intro: 'weights are finite' is claimed twice"):
        load_claims(first, first)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of claims in place of the shipped ones: one holds, one fails, one is for the full
    size only.
    """
    wrong = {"claim": "fails", "low": 7, "high": 8, "published": 7.5}
    folder = folder_of(tmp_path, {}, wrong, {"claim": "slow", "quick": False})
    monkeypatch.setattr(experiments, "claims_folders", lambda: [folder])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_verify_prints_a_block_a_claim_and_fails(own: Path) -> None:
    done = CliRunner().invoke(app, ["verify", "--quick", "--quiet"])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "7. intro"
    assert lines[1] == "  holds   weights are finite [exact theory]"
    assert lines[2].strip() == "measured 3 (3 to 3, 100 trials), expected 3, allowed from 3 to 3"
    assert (
        lines[4].strip()
        == "measured 3 (3 to 3, 100 trials), expected 3, published 7.5, allowed from 7 to 8"
    )
    assert lines[5].strip() == "outside the band: they are"
    assert lines[-1] == "3 claims: 1 holds, 1 fails, 1 skipped"
    assert (own / "outputs" / verdicts.RUNS).is_dir()
    assert not (own / "outputs" / "intro").exists()  # the experiment's own `latest` is not touched


def test_verify_as_json(own: Path) -> None:
    done = CliRunner().invoke(
        app, ["verify", "intro", "--quick", "--quiet", "--json", "--out", "elsewhere"]
    )
    assert done.exit_code == 1
    assert [found["verdict"] for found in json.loads(done.stdout)] == ["holds", "fails", "skipped"]
    assert (own / "elsewhere" / verdicts.RUNS).is_dir()


def test_verify_of_an_unknown_experiment(own: Path) -> None:
    done = CliRunner().invoke(app, ["verify", "intor"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "EXPERIMENT: there is no 'intor'; did you mean intro?" in done.stderr
    assert not (own / "outputs").exists()


# --- the shipped claims ---------------------------------------------------------------------------


def test_the_shipped_claims_cover_every_experiment_of_the_paper() -> None:
    assert {claim.row for claim in CLAIMS} == {
        *range(13),
        *range(14, 17),
        *range(21, 36),
        *range(41, 48),
        *range(50, 53),
        *range(57, 63),
        *range(64, 69),
        *range(70, 76),
    }
    assert len(CLAIMS) >= 60
    assert sum("quick" in claim.run for claim in CLAIMS) >= 25
    files = experiment_files()
    assert {claim.experiment: place(files[claim.experiment]) for claim in CLAIMS} == {
        claim.experiment: claim.row for claim in CLAIMS
    }


def test_no_measure_draws() -> None:
    """To import what draws takes longer than to measure."""
    folder = shipped_folder() / "claims"
    script = (
        "import sys; from pathlib import Path; from superpos.claims.claim_files import "
        "load_claims\n"
        f"load_claims(Path({str(folder)!r})); print('matplotlib' in sys.modules)"
    )
    root = str(Path(superpos.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


def test_every_measure_is_used() -> None:
    used = {claim.measure for claim in CLAIMS}
    families = (DEFAULT, "sae", "circuit", "transformer")
    assert used == {
        measure for name in families for measure in find_measure.every(find(name)).values()
    }


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("controls")
    return lambda name, overrides: superpos.train([f"experiment={name}", *overrides], out=folder)


# To score all autoencoders of a full control takes minutes; `superpos verify` does.
SMALL = [claim for claim in CLAIMS if claim.row < 21 or "quick" in claim.control]
UNTRAINED = [
    claim for claim in SMALL if "train.steps=0" in claim.control.get("quick", claim.control["full"])
]


@pytest.mark.parametrize("claim", UNTRAINED, ids=lambda claim: f"{claim.experiment}: {claim.text}")
def test_an_untrained_model_fails_the_claim(claim: Claim, trained: Any) -> None:
    run: Run = trained(claim.experiment, claim.control.get("quick", claim.control["full"]))
    found = claim.measure(run, **claim.arguments)
    low, high = claim.band.ends(found.expected if claim.expected is None else claim.expected)
    [result] = verdicts.check([claim], lambda *_: run, quick="quick" in claim.run)
    assert math.isnan(result.control) == bool(claim.empty)
    assert not low <= result.control <= high
