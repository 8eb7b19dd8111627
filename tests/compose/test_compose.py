"""From overrides and YAML to a sweep: Hydra's grammar, experiments, axes that replace each other, a
user's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from tms import DEFAULTS

import superpos.compose.compose as compose_module
from superpos.compose.compose import Composed, compose, experiments
from superpos.compose.experiments import (
    description,
    experiment_files,
    shipped_files,
    shipped_folder,
)
from superpos.errors import ConfigError

pytestmark = pytest.mark.slow


def faults_of(*overrides: str, config_dir: Path | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose(overrides, config_dir)
    return caught.value.faults


def axis_keys(composed: Composed) -> list[str]:
    return [",".join(axis.keys) for axis in composed.sweep.axes]


def user_folder(tmp_path: Path, text: str | bytes, name: str = "mine") -> Path:
    """A folder with one experiment; its path is hard to quote on purpose."""
    folder = tmp_path / "it's my, [configs]"
    (folder / "experiment").mkdir(parents=True)
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "experiment" / f"{name}.yaml").write_bytes(data)
    return folder


def test_no_overrides_are_the_introduction() -> None:
    found = compose([])
    assert (found.experiment, found.sweep.base["name"]) == ("intro", "intro")
    assert found.sweep.run_id == compose(["experiment=intro"]).sweep.run_id


def test_overrides_without_an_experiment_are_one_model() -> None:
    found = compose(["model.n_hidden=3", "train.steps=1e3"])
    assert (found.experiment, found.sweep.n_models, found.sweep.base["name"]) == (None, 1, "custom")
    expected = DEFAULTS | {"model.n_hidden": 3, "train.steps": 1000, "data.sparsity": 0.9}
    assert found.sweep.row(0) == expected


@pytest.mark.parametrize(
    ("override", "key", "values"),
    [
        ("model.n_hidden=2,5", "model.n_hidden", [2, 5]),
        ("seed=range(0,3)", "seed", [0, 1, 2]),
        ("seed=range(3)", "seed", [0, 1, 2]),
        ("data.sparsity=choice(0,0.9)", "data.sparsity", [0.0, 0.9]),
        (
            "data.sparsity=range(0,0.8,0.1)",
            "data.sparsity",
            [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        ),
        ("seed=sort(3,1,2)", "seed", [1, 2, 3]),
        ("train.steps=1e3,2e3", "train.steps", [1000, 2000]),
        ("model.output='relu',\"linear\"", "model.output", ["relu", "linear"]),
        (
            "data.density=[0.1,0.2,0.3,0.4,0.5],[1,1,1,1,1]",
            "data.density",
            [(0.1, 0.2, 0.3, 0.4, 0.5), (1.0,) * 5],
        ),
        ("data.n_points=null,10", "data.n_points", [None, 10]),
    ],
)
def test_hydra_grammar_of_sweeps(override: str, key: str, values: list[Any]) -> None:
    found = compose([override])
    assert found.sweep.column(key).tolist() == values


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("data.sparsity=[0.9,0.99,0,0,0]", "data.sparsity", (0.9, 0.99, 0.0, 0.0, 0.0)),
        ("importance.values=[1,2,3,4,5]", "importance.values", (1.0, 2.0, 3.0, 4.0, 5.0)),
        ("name=007", "name", "007"),
        ("name=7", "name", "7"),
        ("seed=18446744073709551615", "seed", 2**64 - 1),
        ("seed=${model.n_features}", "seed", 5),
        ("seed=choice(4)", "seed", 4),  # an axis of one point is a value
    ],
)
def test_single_values(override: str, key: str, value: Any) -> None:
    found = compose([override]).sweep
    assert (found.base[key], found.n_models) == (value, 1)


def test_equal_sweeps_have_one_id() -> None:
    ids = {
        compose([text]).sweep.run_id
        for text in ("seed=range(0,3)", "seed=0,1,2", "seed=choice(0,1.0,2)")
    }
    assert len(ids) == 1
    # 0.9 is the default
    assert compose(["data.sparsity=0.9"]).sweep.run_id == compose(["seed=0"]).sweep.run_id


def test_an_override_takes_the_place_of_an_axis() -> None:
    plain = compose(["experiment=phase_change"])
    assert axis_keys(plain) == ["importance.last", "data.density", "seed"]
    fixed = compose(["experiment=phase_change", "data.density=0.5"])
    assert axis_keys(fixed) == ["importance.last", "seed"]
    assert fixed.sweep.base["data.density"] == 0.5
    swept = compose(["experiment=phase_change", "data.density=0.5,0.25"])
    assert axis_keys(swept) == axis_keys(plain)
    assert swept.sweep.n_models == 50 * 2 * 10
    assert fixed.notices == swept.notices == []


def test_sparsity_takes_the_place_of_density() -> None:
    swept = compose(["experiment=phase_change", "data.sparsity=0.5,0.25"])
    assert axis_keys(swept) == ["importance.last", "data.sparsity", "seed"]
    fixed = compose(["experiment=pentagon", "data.sparsity=0.5"]).sweep
    assert (fixed.base["data.sparsity"], fixed.base["data.density"]) == (0.5, None)


def test_an_override_takes_the_place_of_a_whole_zipped_axis() -> None:
    found = compose(["experiment=superposition", "data.sparsity=0.5,0.6"])
    assert axis_keys(found) == ["data.sparsity", "seed"]
    assert found.notices == [
        "the override of data.sparsity takes the place of the whole axis model.output,data.density"
    ]
    assert found.sweep.base["model.output"] == "relu"
    both = compose(["experiment=superposition", "model.output=linear,relu", "data.density=1,0.1"])
    assert axis_keys(both) == ["model.output", "data.density", "seed"]


def test_seeds_are_the_fastest_axis() -> None:
    assert axis_keys(compose(["seed=0,1", "model.n_hidden=2,3"])) == ["model.n_hidden", "seed"]
    assert axis_keys(compose(["experiment=phase_change", "train.lr=0.1,0.2"]))[-2:] == [
        "train.lr",
        "seed",
    ]


def test_name() -> None:
    assert compose(["experiment=intro", "name=other"]).sweep.base["name"] == "other"
    assert compose(["experiment=intro", "name=custom"]).sweep.base["name"] == "custom"


def test_all_faults_at_once() -> None:
    found = faults_of(
        "model.n_hiden=3",
        "seed=-1",
        "train.lr=nan,0.1",
        "sweep.seed=1",
        "+a=1",
        "data.density=0.5",
        "data.last=3",
    )
    assert found == [
        "model.n_hiden: unknown key; did you mean model.n_hidden?",
        "train.lr: got nan; allowed: a number, 0 to 1e+30",
        (
            "sweep.seed=1: sweep is for YAML files; on the command line give a key its values: "
            "KEY=V1,V2"
        ),
        "+a=1: + and ~ are refused; every key has a default: write a=VALUE",
        "seed: got -1; allowed: an integer, 0 to 2^64 - 1",
        "data.last: 3 times density 0.5 is 1.5; allowed: a density of at most 1",
    ]


def test_a_wrong_value_is_not_reported_twice() -> None:
    [fault] = faults_of("data.density=2", "data.last=0.5")
    assert fault.startswith("data.density: got 2")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["experiment=a,b"], "one experiment a run"),
        (["experiment=phase_chnge"], "did you mean phase_change?"),
        (["experiment=null"], "there is no 'null'"),
        (["train.lr=interval(0,1)"], "interval() has no fixed values"),
        (["seed=shuffle(1,2)"], "shuffle() would give every run another order"),
        (["seed=shuffle(range(3))"], "shuffle()"),
        (["seed=glob(*)"], "glob() chooses configs"),
        (["seed=range(0,1000000000000)"], "1,000,000,000,000 values; allowed: at most 10,000,000"),
        (
            ["seed=range(0,10000)", "train.lr=range(0,10000)"],
            "100,000,000 models; allowed: at most 10,000,000",
        ),
        (["seed=range(3,0)"], "seed: no values"),
        (["seed=1,1"], "seed: 1 is given twice"),
        (["seed=1", "seed=2"], "seed is given twice"),
        (["data.sparsity=0.1", "data.density=0.2"], "same quantity"),
        (["data.sparsity=0.1,0.2", "data.density=0.2"], "(and 1 more combinations)"),
        (["model=3"], "model: a group of keys; allowed: model.n_features, "),
        (["seed@x=1"], "seed@x: unknown key; did you mean seed?"),
        (["engine.threads=1,2"], "engine.threads: cannot be swept"),
        (["hydra.run.dir=x"], "hydra.run.dir: unknown key"),
        (["intro"], "intro: not KEY=VALUE; did you mean experiment=intro?"),
        (["seed=range(0,3"], "not Hydra's grammar"),
        (["seed=1,"], "seed=1,: not Hydra's grammar: mismatched input at the end; allowed: "),
        (["name=größe"], "a character that must stand in quotes (KEY='VALUE')"),
        (["name='abc"], "or a quote that is not closed"),
        (["seed=${nope}"], "'nope' not found"),
        (["~seed"], "+ and ~ are refused"),
    ],
)
def test_refused_overrides(overrides: list[str], words: str) -> None:
    [fault] = faults_of(*overrides)
    assert words in fault
    assert "\n" not in fault


@pytest.mark.parametrize("name", sorted(experiment_files()))
def test_shipped_experiments(name: str) -> None:
    sweep = compose([f"experiment={name}"]).sweep
    assert len(description(experiment_files()[name])) > 20
    assert sweep.base["name"] == name
    assert sweep.faults() == []
    assert [key for axis in sweep.axes[:-1] for key in axis.keys if key == "seed"] == []
    if name != "sae_toy_models":  # which needs the run of another experiment
        chunk = sweep.plan.rows[0]
        made = sweep.family.shared(sweep.settings, {})
        files = {name: make() for name, make in made.items()}
        assert len(sweep.task(chunk, files)) == len(chunk)


def test_every_experiment_is_listed_in_the_order_of_the_paper(tmp_path: Path) -> None:
    own = tmp_path / "experiment" / "a_first_name.yaml"
    own.parent.mkdir()
    own.write_text("# Mine\nseed: 1\n")
    infos = experiments(tmp_path)
    assert {info.name for info in infos} == set(experiment_files(tmp_path))
    places = [int(info.description.partition(".")[0]) for info in infos[:-1]]
    assert places == sorted(places)
    toys = {*range(13), *range(14, 17), *range(71, 76)}
    explained = {*range(41, 48), *range(50, 53)}
    circuits = {*range(57, 63), *range(64, 69), 70}
    assert set(places) == {*toys, *range(21, 36), *explained, *circuits}
    assert infos[-1].name == "a_first_name"


def test_densities_of_the_introduction_are_the_notebooks() -> None:
    sweep = compose([]).sweep
    np.testing.assert_allclose(
        sweep.column("data.density")[::10], 20.0 ** -np.linspace(0, 1, 10), rtol=1e-11
    )
    assert (sweep.shape, sweep.row(0)["importance.decay"]) == ((10, 10), 0.9)


def test_phase_change_is_the_papers() -> None:
    found = compose(["experiment=phase_change"]).sweep
    assert found.n_models == 50 * 50 * 10
    assert found.row(0)["importance.last"] == 0.1
    assert (found.row(24_999)["importance.last"], found.row(24_999)["data.density"]) == (10.0, 0.01)


def test_a_users_folder(tmp_path: Path) -> None:
    text = (
        "# My sweep\nmodel: {n_hidden: 1e1}\ndata: {density: 1e-2}\nsweep: {seed: {range: [4]}}\n"
    )
    folder = user_folder(tmp_path, text)
    found = compose(["experiment=mine", "train.steps=5"], folder).sweep
    assert found.n_models == 4
    row = found.row(3)
    assert [row[key] for key in ("model.n_hidden", "data.density", "seed", "name")] == [
        10,
        0.01,
        3,
        "mine",
    ]
    [info] = [info for info in experiments(folder) if info.name == "mine"]
    assert info.description == "My sweep"
    assert "intro" in experiment_files(folder)


def test_a_users_experiment_extends_a_shipped_one(tmp_path: Path) -> None:
    text = (
        "defaults: [phase_change, _self_]\nname: fewer\nsweep:\n  seed: null\n"
        "  data.density: {geomspace: null, linspace: [0.5, 1, 2]}\n"
    )
    found = compose(["experiment=mine"], user_folder(tmp_path, text))
    assert axis_keys(found) == ["importance.last", "data.density"]
    assert (found.sweep.n_models, found.sweep.base["name"]) == (50 * 2, "fewer")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "model: {n_hiden: 3}\nmodl: 3\n",
            ["model.n_hiden: unknown key; did you mean model.n_hidden?", "modl: unknown"],
        ),
        ("model: 3\ntrain: [1]\n", ["model: got 3; allowed: a group of keys", "train: got [1]"]),
        ("seed: abc\ndata: {sparsity: 1}\n", ["data.sparsity: got 1", "seed: got 'abc'"]),
        ("seed: 3\nsweep: {seed: [1, 2]}\n", ["seed: given as a value (3) and in sweep"]),
        (
            "sweep: {seed: [1, 2], 'seed,data.last': [[1, 1], [2, 0.5]]}\n",
            ["sweep.seed: in more than one axis"],
        ),
        ("sweep: 3\n", ["sweep: got 3"]),
        ("sweep: {sed: [1]}\n", ["sweep.sed: unknown key; did you mean seed?"]),
        ("model: {n_hidden: 3\n", ["expected ',' or '}'"]),
        ("seed: 1\nseed: 2\n", ["duplicate key seed"]),
        ("- 1\n", ["holds a list"]),
        ("3\n", ["Invalid loaded object type"]),
        ("seed: !!python/object:os.system x\n", ["could not determine a constructor"]),
        ("seed: ${nope}\n", ["'nope' not found"]),
        ("defaults: [phase_change, _self_]\nsweep: {seed: [1]}\n", ["must keep the form"]),
        ("defaults: [nothing]\n", ["Could not load 'experiment/nothing'"]),
        ("defaults: 3\n", ["defaults must be a list"]),
        ("defaults: [mine]\n", ["lead back to itself"]),
        ("name: ../x\n", ["name: got '../x'"]),
        ("experiment: intro\n", ["experiment: unknown key"]),
        (b"\xff\xfe\x00", ["utf-8"]),
    ],
)
def test_faulty_files(tmp_path: Path, text: str | bytes, words: list[str]) -> None:
    found = faults_of("experiment=mine", config_dir=user_folder(tmp_path, text))
    assert len(found) == len(words)
    assert all(
        word in fault and "\n" not in fault for word, fault in zip(words, found, strict=True)
    )


def test_a_list_of_experiments_says_which_is_faulty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        experiments(user_folder(tmp_path, "seed: x\nmodel: {n_hiden: 3}\n"))
    assert len(caught.value.faults) == 2
    assert all(fault.startswith("experiment mine: ") for fault in caught.value.faults)
    with pytest.raises(ConfigError, match=r"^experiment mine: [^:]*: holds a list"):
        experiments(user_folder(tmp_path / "list", "- 1\n"))


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    assert "is not a folder" in faults_of(config_dir=tmp_path / "missing")[0]
    assert "holds no experiments" in faults_of(config_dir=tmp_path)[0]


def test_a_name_that_is_taken_or_unusable(tmp_path: Path) -> None:
    assert "rename it" in faults_of(config_dir=user_folder(tmp_path / "a", "", name="intro"))[0]
    assert "cannot be used" in faults_of(config_dir=user_folder(tmp_path / "b", "", name="a b"))[0]


def test_one_compose_for_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(name: str, overrides: list[str]) -> Any:
        calls.append(name)
        return hydra_compose(name, overrides)

    monkeypatch.setattr(compose_module, "hydra_compose", counted)
    found = compose(["experiment=phase_change_3_2", "train.lr=0.001,0.01,0.1,1"])
    assert found.sweep.n_models == 240_000
    assert calls == ["base"]


@pytest.mark.parametrize("name", [None, *experiment_files()])
def test_what_hydra_is_not_asked_is_what_it_would_say(name: str | None) -> None:
    given = [f"experiment@_global_={name}"] if name else []
    with initialize_config_dir(str(shipped_folder()), version_base="1.3"):
        composed = hydra_compose("base", given)
    found = compose_module.without_hydra(shipped_files(), name)
    if found is None:  # it extends another
        assert "\ndefaults:" in experiment_files()[str(name)].read_text()
        return
    assert OmegaConf.to_container(found) == OmegaConf.to_container(composed)
    assert list(found) == list(composed)


def test_the_callers_own_hydra_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("x: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        compose(["experiment=phase_change_3_2", "seed=1"])
        assert hydra_compose("own").x == 1
    assert not GlobalHydra.instance().is_initialized()


def test_a_value_of_the_experiment_can_be_swept() -> None:
    found = compose(["experiment=pentagon", "data.density=0.05,0.1"]).sweep
    assert [axis.keys for axis in found.axes] == [("data.density",), ("seed",)]
    assert found.base["data.density"] is None
