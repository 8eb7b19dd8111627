"""What a user meant by an override that cannot be read: the message names a form that can be."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import auto
from typer.testing import CliRunner

import superpos
from superpos import family
from superpos.cli import app
from superpos.compose.compose import compose
from superpos.compose.forms import unclosed
from superpos.errors import ConfigError

pytestmark = pytest.mark.slow

PYTHONS = (
    "TypeError",
    "ValueError",
    "Exception",
    "Union[",
    "Sweep",
    "args[",
    "<class",
    "Traceback",
    "EQUAL",
)


def faults(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    return caught.value.faults


MEANT: dict[str, list[str | list[str]]] = {
    "seed=3": [
        *[
            "seed = 3",
            "seed =3",
            " seed=3",
            "seed : 3",
            "seed:3",
            "seed: 3",
            "seed==3",
            "seed:=3",
            "seed 3",
        ],
        *[
            "--seed=3",
            "-seed=3",
            "--seed 3",
            "seed=3;",
            "seed=3,",
            "seed='3",
            'seed="3',
            "seed='3'",
        ],
        *["+seed=3", "++seed=3", "~seed=3"],
        *[["seed", "=", "3"], ["seed", "3"], ["seed=", "3"], ["seed", "=3"], ["seed:", "3"]],
        *[["--seed", "3"], ["-seed", "3"]],
    ],
    "seed=range(0,10)": [
        *["seed=0:10", "seed=0..10", "seed=range(0,10", "seed=choice(range(0,10))"],
        *["seed=range([0,10])", "seed={range:[0,10]}"],
    ],
    "seed=range(0,10,2)": ["seed=0:10:2"],
    "seed=range(3)": ["seed=choice(range(3))", "seed=range 3"],
    "seed=0,1,2": [
        *["seed=[0,1,2]", "seed=(0,1,2)", "seed={0,1,2}", "seed=0 1 2", "seed=0;1;2", "seed=0|1|2"],
        *["seed=[0,1,2", "seed=0,1,2]", "seed=(0 1 2)"],
        ["seed=0", "seed=1", "seed=2"],
    ],
    "seed=choice(0,1,2)": ["seed=choice(0,1,2"],
    "seed=10": ["seed=010"],
    "seed=31": ["seed=0x1F"],
    "model.n_hidden=3": ["--n-hidden=3", ["n_hidden", "3"]],
    "model.tied=true": ["model.tied=yes"],
    "model.tied=false": ["model.tied=Off"],
    "data.n_points=null": ["data.n_points=None"],
    "train.lr=geomspace(0.01,1,5)": [
        "train.lr=np.geomspace(0.01,1,5)",
        "train.lr={geomspace:[0.01,1,5]}",
    ],
    "train.lr=linspace(0.1,1,5)": ["train.lr=linspace([0.1,1,5])"],
    "train.lr=0.1,0.2": ["train.lr=[0.1,0.2]"],
    "experiment=intro": [
        *["experiment = intro", "--experiment=intro", "experiment:intro", "intro"],
        *[["experiment", "intro"], ["experiment", "=", "intro"]],
    ],
}


@pytest.mark.parametrize(
    ("words", "form"), [(words, form) for form, all_words in MEANT.items() for words in all_words]
)
def test_the_right_form_is_named(words: str | list[str], form: str) -> None:
    [fault] = faults(*([words] if isinstance(words, str) else words))
    assert fault.endswith(f"did you mean {form}?")
    assert "\n" not in fault
    assert not [word for word in PYTHONS if word in fault]
    compose([form])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed=choice(0,range(3))", "got choice(0,range(3)); allowed: choice(V1,V2)"),
        (
            "seed=range(a)",
            "got range(a); allowed: range(STOP), range(START,STOP) or range(START,STOP,STEP)",
        ),
        ("seed=range()", "got range(); allowed: range(STOP)"),
        ("seed=range(1,2,3,4)", "allowed: range(STOP)"),
        ("seed=choice()", "got choice(); allowed: choice(V1,V2)"),
        ("seed=int(x)", "got int(x); allowed: int(VALUE)"),
        ("seed=sort(a,[1])", "got sort(a,[1]); allowed: sort(V1,V2)"),
        ("seed=ranqe(3)", "Unknown function 'ranqe'; did you mean range? allowed: range, "),
        ("seed=Range(0,10)", "Unknown function 'Range'; did you mean range?"),
        ("seed=json_str(1)", "Unknown function 'json_str'; allowed: range, linspace, "),
        (
            "train.lr=linspace(0,1)",
            "train.lr: linspace of 2 numbers; allowed: [start, stop, count]",
        ),
        (
            "train.lr=geomspace(0,1,3)",
            "train.lr: geomspace from 0 to 1; allowed: two numbers above 0",
        ),
        ("train.lr=logspace(-1e3,0,3)", "allowed: powers of ten, from -100 to 100"),
        ("train.lr=linspace(start=0,stop=1,count=3)", "allowed: linspace(START,STOP,COUNT)"),
        ("seed", "seed: not KEY=VALUE; write seed=VALUE"),
        ("=3", "=3: not KEY=VALUE"),
        ("", "'': not KEY=VALUE"),
        ("größe=3", "größe=3: not Hydra's grammar: 'größe' is no key"),
        ("a b=3", "'a b' is no key"),
        ("seed=range(0,(3)", "a bracket ( without its other half"),
        ("seed=3]]", "a bracket ] without its other half"),
    ],
)
def test_other_messages_are_for_people(text: str, words: str) -> None:
    [fault] = faults(text)
    assert words in fault
    assert not [word for word in PYTHONS if word in fault]


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="seed=0123,:;()[]{}'\"~+-| .ranghoic\\$@", max_size=24))
def test_whatever_is_typed_is_one_message_or_a_sweep(text: str) -> None:
    try:
        compose(["name=x", text])
    except ConfigError as error:
        for fault in error.faults:
            assert not [word for word in PYTHONS if word in fault]
            meant = re.search(r"did you mean (\S+=\S+)\?$", fault)
            if meant and not meant[1].startswith("name="):
                compose([meant[1]])


@pytest.mark.parametrize(
    ("text", "bracket"),
    [
        ("range(3)", None),
        ("range(3", "("),
        ("[0,1}", "}"),
        ("{[", "{"),
        ("'('", None),
        ("'\\'('", None),
        ("x)", ")"),
    ],
)
def test_brackets_that_do_not_match(text: str, bracket: str | None) -> None:
    assert unclosed(text) == bracket


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "3"], "No such option: --seed; write seed=3"),
        (["--seed=3"], "No such option: --seed; write seed=3"),
        (["-seed", "3"], "write seed=3"),
        (["--set", "seed=3"], "write seed=3"),
        (["--n_hidden", "3", "seed=1"], "write model.n_hidden=3"),
        (["--experiment", "intro"], "write experiment=intro"),
        (
            ["-m", "seed=1,2"],
            "No such option: -m; all models of a sweep are trained as it is; leave it out",
        ),
        (["--multirun"], "leave it out"),
        (["--cfg", "job"], "`superpos config` prints what is composed"),
        (["--config-name=intro"], "experiment=NAME"),
        (["--sead", "3"], "No such option"),
    ],
)
@pytest.mark.parametrize("command", ["train", "config", "submit"])
def test_options_that_were_meant_as_overrides(
    command: str, arguments: list[str], words: str
) -> None:
    done = CliRunner().invoke(app, [command, *arguments], prog_name="superpos")
    assert done.exit_code == 2
    assert words in done.stderr


def test_values_of_options_are_left_alone(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["config", "--out", "--seed=3", "seed=4", "--json"], prog_name="superpos"
    )
    assert done.exit_code == 0
    assert '"seed": 4' in done.stdout


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("n", "model.n_features"),
        ("m", "model.n_hidden"),
        ("d_hidden", "model.n_hidden"),
        ("S", "data.sparsity"),
        ("p", "data.density"),
        ("feature_probability", "data.density"),
        ("n_instances", "seed"),
    ],
)
def test_names_of_papers_and_their_code_lead_to_keys(name: str, key: str) -> None:
    assert faults(f"{name}=3") == [f"{name}: unknown key; did you mean {key}?"]


def test_a_key_of_another_kind_of_models_is_told_apart_from_a_typo() -> None:
    superpos.register(auto.FAMILY)
    try:
        key = next(key for key in auto.FAMILY.keys if key not in ("train", "record", "model"))
        name = next(iter(vars(auto.FAMILY.keys[key])["__dataclass_fields__"]))
        [fault] = faults(f"{key}.{name}=1")
        assert fault == f"{key}.{name}: a key of another kind of models; it needs family=auto"
        [fault] = faults(f"{key}.{name}x=1")
        assert (
            fault
            == f"{key}.{name}x: unknown key; did you mean {key}.{name}? {key}.* needs family=auto"
        )
    finally:
        family.forget("auto")
    [fault] = faults("model.n_hiden=3")
    assert fault == "model.n_hiden: unknown key; did you mean model.n_hidden?"


@pytest.mark.parametrize(
    ("spacing", "others"),
    [
        (
            "geomspace(0.001,1,4)",
            ["logspace(-3,0,4)", "0.001,0.01,0.1,1", "sort(logspace(0,-3,4))"],
        ),
        ("linspace(0,1,5)", ["0,0.25,0.5,0.75,1", "range(0,1.1,0.25)"]),
        ("linspace(0.3,0.3,1)", ["0.3"]),
    ],
)
def test_spacings_are_the_values_that_they_stand_for(
    tmp_path: Path, spacing: str, others: list[str]
) -> None:
    ids = {compose([f"train.lr={text}"]).sweep.run_id for text in (spacing, *others)}
    kind, _, numbers = spacing.removesuffix(")").partition("(")
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        f"name: custom\nsweep: {{train.lr: {{{kind}: [{numbers}]}}}}\n"
    )
    assert ids == {compose(["experiment=mine"], tmp_path).sweep.run_id}


def test_threads_compose_side_by_side(tmp_path: Path) -> None:
    """Hydra is one for a process, and so is its parser."""

    def composed(seed: int) -> int:
        return int(compose([f"seed={seed}", "experiment=pentagon"]).sweep.base["seed"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(composed, range(48))) == list(range(48))


def test_threads_train_side_by_side(tmp_path: Path) -> None:
    def trained(seed: int) -> int:
        words = [f"seed={seed}", "train.steps=20", "engine.threads=1", "model.n_features=3"]
        return int(superpos.train(words, out=tmp_path).table["seed"].iloc[0])

    seeds = [seed % 6 for seed in range(12)]  # some twice
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(trained, seeds)) == seeds


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--out", "--dry-run"],
        ["train", "seed=1", "--shard", "--fresh"],
        ["submit", "--partition", "--print"],
        ["report", "--to", "--help"],
        ["export", "RUN", "--to", "--models=best"],
        ["list", "--config-dir", "--json"],
    ],
)
def test_an_option_is_not_the_value_of_another(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--out --dry-run` would train, into a folder of that name."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert f"Option '{command[-2]}' requires an argument" in result.output
    assert [*tmp_path.iterdir()] == []


def test_a_folder_may_begin_with_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "--dry-run", "--out", "-x"])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["train", "--dry-run", "--out=--fresh"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("steps", "write train.steps=VALUE"),
        ("seed", "write seed=VALUE"),
        ("train", "write train.KEY=VALUE"),
        ("data", "write data.KEY=VALUE"),
    ],
)
def test_a_key_without_a_value_is_told_whole(word: str, meant: str) -> None:
    [fault] = faults(word)
    assert meant in fault
    assert "experiment" not in fault
