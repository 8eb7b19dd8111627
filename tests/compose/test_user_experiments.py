"""A user's folder of experiments: names and values that a grammar reads as something else, files
that are none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from support.others import as_another_user
from typer.testing import CliRunner

from superpos.cli import app
from superpos.compose.compose import compose, experiments, survey
from superpos.compose.experiments import experiment_files, shipped_files, shipped_folder
from superpos.compose.plain_scalars import ambiguous
from superpos.errors import ConfigError

pytestmark = pytest.mark.slow


def folder_of(tmp_path: Path, **texts: str) -> Path:
    """A folder with an experiment for each name."""
    (tmp_path / "experiment").mkdir()
    for name, text in texts.items():
        (tmp_path / "experiment" / f"{name}.yaml").write_text(text)
    return tmp_path


def faults(folder: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose(overrides, folder)
    return caught.value.faults


# --- values ---------------------------------------------------------------------------------------

VALUES = [
    "0", "7", "-0", "+5", "010", "0o10", "0x10", "0b11", "1_000", "1__0", "08", "1:30",
    "190:20:30", "1:30.5", ".5", "5.", "0.50", "1e3", "1E3", "1e+3", "1.e2", ".5e1", "1_0.5",
    "1e3_0", "1,000", "1 000", "yes", "No", "on", "OFF", "y", "n", "true", "True", "TRUE",
    "tRUE", "null", "Null", "NULL", "nUll", "~", "none", "None", "inf", ".inf", "-.INF", "nan",
    ".NaN", "2024-01-01", "2024-01-01T10:00:00", "12:30:45", "0.1.2", "a:b", "''", "'7'",
    '"010"', "'yes'", "=", "!!int 7",
]  # fmt: skip


def outcome(overrides: list[str], folder: Path | None, key: str) -> object:
    """The value of a key, or the words that refuse it."""
    try:
        return compose(overrides, folder).sweep.base[key]
    except ConfigError as error:
        return error.faults


@pytest.mark.parametrize("key", ["seed", "model.tied", "name"])
def test_a_text_is_one_value_or_is_refused(tmp_path: Path, key: str) -> None:
    """In YAML and on the command line the same text never gives two values."""
    folder = folder_of(tmp_path)
    group, _, leaf = key.rpartition(".")
    for text in VALUES:
        line = f"{group}:\n  {leaf}: {text}\n" if group else f"{leaf}: {text}\n"
        (folder / "experiment" / "mine.yaml").write_text(line)
        in_yaml = outcome(["experiment=mine"], folder, key)
        on_line = outcome([f"{key}={text}"], None, key)
        for found in (in_yaml, on_line):
            assert not isinstance(found, list) or (len(found) == 1 and "\n" not in found[0]), (
                text,
                found,
            )
        if not isinstance(in_yaml, list) and not isinstance(on_line, list):
            assert in_yaml == on_line, text
            assert isinstance(in_yaml, bool) == isinstance(on_line, bool), text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "seed: 010\n",
            "line 1: 010 is 8 in YAML and a text on the command line; write 8, or '010' in quotes",
        ),
        (
            "model:\n  tied: yes\n",
            "line 2: yes is true in YAML and a text on the command line; write true, or 'yes'",
        ),
        ("sweep:\n  seed: [1, 1:30]\n", "line 2: 1:30 is 90 in YAML"),
        ("name: a\nseed: ???\n", "line 2: ??? is no value; write one, or leave it out"),
        ("train: {lr: '???'}\n", "line 1: ??? is no value"),
        ("train: ???\n", "line 1: ??? is no value"),
        ("sweep: {seed: {range: [0, 0x10]}}\n", "line 1: 0x10 is 16 in YAML"),
        ("on: 3\n", "line 1: on is true in YAML"),
        ("seed:\n", "line 1: an empty value; write null"),
        ("seed: ~\n", "line 1: ~ is null in YAML"),
        ("seed: &a 0b1\nname: *a\n", "line 1: 0b1 is 1 in YAML"),
        ("model: {tied: tRUE}\n", "tRUE is a text in YAML and true on the command line"),
        (
            "name: 1.10\n",
            "name: got 1.1; allowed: letters, digits and ._- (1 to 100 of them, not . or ..), in "
            "quotes",
        ),
    ],
)
def test_what_yaml_reads_otherwise_is_named_with_its_line(
    tmp_path: Path, text: str, words: str
) -> None:
    [fault] = faults(folder_of(tmp_path, mine=text), "experiment=mine")
    assert words in fault


def test_extended_experiments_are_read_too(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, base="seed: 1:30\n", mine="defaults: [base, _self_]\ntrain: {lr: .1}\n"
    )
    [fault] = faults(folder, "experiment=mine")
    assert fault.startswith("experiment base: line 1: 1:30 is 90")


def test_shipped_experiments_say_nothing_that_is_ambiguous() -> None:
    assert [fault for name in shipped_files() for fault in ambiguous(name, shipped_files())] == []


# --- names ----------------------------------------------------------------------------------------

NAMES = [
    "1",
    "007",
    "1.0",
    "1.10",
    "1e3",
    "0x10",
    "1_000",
    "null",
    "true",
    "yes",
    "on",
    "nan",
    "inf",
    "12-30",
    "v1.2",
    "_x",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_its_text(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path, **{name: "seed: 7\n"})
    for override in (f"experiment={name}", f"experiment='{name}'"):
        found = compose([override], folder)
        assert (found.experiment, found.sweep.base["name"], found.sweep.base["seed"]) == (
            name,
            name,
            7,
        )


@pytest.mark.parametrize("name", ["1.10", "true", "null", "1e3", "False", "007"])
def test_a_run_is_named_by_a_text(name: str) -> None:
    assert compose([f"name={name}"]).sweep.base["name"] == name


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a,b",
        "a=b",
        "it's",
        'say "x"',
        "größe",
        "-x",
        "--help",
        "a{b}",
        "$x",
        "[1]",
        "_self_",
        "a.yaml",
        "x" * 101,
    ],
)
def test_a_name_that_cannot_be_used_is_named_and_the_others_work(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path, **{name: "seed: 7\n", "mine": "seed: 3\n"})
    assert compose(["experiment=mine"], folder).sweep.base["seed"] == 3
    _, passed_over = survey(folder)
    assert passed_over == [
        (
            f"{folder}/experiment/{name}.yaml has a name that cannot be used; allowed: up to 100 "
            "letters, digits and ._-"
        )
    ]


# --- files ----------------------------------------------------------------------------------------


def clutter(folder: Path) -> dict[str, str]:
    """What systems and editors put beside an experiment; the words for what looks like one."""
    place = folder / "experiment"
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "README.md"):
        (place / name).write_bytes(b"\x00\xff")
    for name in ("._mine.yaml", ".mine.yaml.swp", ".mine.yaml"):
        (place / name).write_bytes(b"\x00\x05\x16\x07\xff\xfe")
    for name in (
        "mine.yaml~",
        "mine.yaml.bak",
        "#mine.yaml#",
        "other.yml",
        "mine.YAML",
        "mine.yaml.txt",
    ):
        (place / name).write_text("seed: [")
    (place / "gone.yaml").symlink_to("nowhere.yaml")
    (place / ".#mine.yaml").symlink_to("user@host.1234")
    (place / "folder.yaml").mkdir()
    os.mkfifo(place / "pipe.yaml")
    (place / "intro.yaml").write_text("seed: 3\n")
    words = dict.fromkeys(
        ("._mine.yaml", ".mine.yaml.swp", ".mine.yaml", ".#mine.yaml"), "is a hidden file"
    )
    suffix = "does not end in .yaml; rename it if it is an experiment"
    words |= dict.fromkeys(
        ("mine.yaml~", "mine.yaml.bak", "#mine.yaml#", "other.yml", "mine.YAML", "mine.yaml.txt"),
        suffix,
    )
    words |= {
        "gone.yaml": "is a link that leads nowhere",
        "folder.yaml": "is no file",
        "pipe.yaml": "is no file",
    }
    return words | {"intro.yaml": "has the name of a shipped experiment; rename it"}


def test_what_is_no_experiment_does_no_harm_and_is_listed(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, mine="seed: 3\n", broken="seed: [\n", wrong="sead: 3\n", binary="\x00"
    )
    words = clutter(folder)
    assert compose(["experiment=mine"], folder).sweep.base["seed"] == 3
    assert {info.name for info in experiments(folder)} == {*shipped_files(), "mine"}
    done = CliRunner().invoke(app, ["list", "--json", "--config-dir", str(folder)])
    assert done.exit_code == 0, done.stderr
    listed = json.loads(done.stdout)
    assert "mine" in [item["name"] for item in listed["experiments"]]
    for name, reason in words.items():
        assert f"{folder}/experiment/{name} {reason}" in listed["passed_over"]
        assert f"superpos: passed over: {folder}/experiment/{name} {reason}" in done.stderr
    assert len(listed["passed_over"]) == len(words) + 3
    for name in ("broken", "wrong", "binary"):
        assert [
            fault for fault in listed["passed_over"] if fault.startswith(f"experiment {name}: ")
        ]


def test_a_file_that_cannot_be_read_does_no_harm(open_folder: Path) -> None:
    folder = folder_of(open_folder, mine="seed: 3\n", secret="seed: 4\n")
    (folder / "experiment" / "secret.yaml").chmod(0)
    with as_another_user():
        assert set(experiment_files(folder)) - set(shipped_files()) == {"mine"}
        assert (
            "secret.yaml cannot be read: permission denied"
            in faults(folder, "experiment=secret")[0]
        )


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("mine.yml", "mine", "mine.yml does not end in .yaml; rename it"),
        ("mine.yaml.txt", "mine", "mine.yaml.txt does not end in .yaml"),
        ("a b.yaml", "'a b'", "a b.yaml has a name that cannot be used"),
    ],
)
def test_an_experiment_that_is_asked_for_says_why_it_is_none(
    tmp_path: Path, name: str, asked: str, words: str
) -> None:
    folder = folder_of(tmp_path, other="seed: 3\n")
    (folder / "experiment" / name).write_text("seed: 4\n")
    [fault] = faults(folder, f"experiment={asked}")
    assert words in fault


def test_an_experiment_of_a_shipped_name_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, mine="seed: 3\n", intro="seed: 4\n")
    assert compose(["experiment=mine"], folder).sweep.base["seed"] == 3
    assert compose(["experiment=pentagon"], folder).experiment == "pentagon"
    for overrides in ([], ["experiment=intro"]):
        assert (
            "intro.yaml has the name of a shipped experiment; rename it"
            in faults(folder, *overrides)[0]
        )


def test_where_all_are_faulty_each_fault_is_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, broken="seed: [\n", wrong="sead: 3\n")
    with pytest.raises(ConfigError) as caught:
        survey(folder)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "experiment broken",
        "experiment wrong",
    ]


def test_shipped_yaml_is_read_by_any_parser() -> None:
    for path in (shipped_folder() / "experiment").glob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict)
