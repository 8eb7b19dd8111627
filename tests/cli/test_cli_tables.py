"""Tables on terminals of several widths and in pipes, and what `train` says at its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT, SUPPORT
from terminals import OnTerminal
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.terminal.tables import Column, Table, fields, plain

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|9[0-7])[0-9;]*m")
NOTE = "one two three four five six seven eight nine ten eleven twelve"
TABLE = Table(
    [
        Column("#"),
        Column("name"),
        Column("models", right=True),
        Column("spare", spare=True),
        Column("note"),
    ],
    [
        ("1", "intro", "100", "s", NOTE),
        ("1", "a_longer_name", "25,000", "", "short"),
        ("2", "end", "7", "s", ""),
    ],
    note=True,
    grouped=True,
)


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="superpos")


def on_terminal(code: str, columns: int, cwd: Path | None = None, **changes: str) -> str:
    """What Python shows on a terminal, with escape codes."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}:{SUPPORT}",
        "TERM": "xterm",
        **changes,
    }
    with OnTerminal([sys.executable, "-c", code], columns, environment, cwd) as terminal:
        return terminal.read()


def shown(columns: int, **changes: str) -> str:
    return on_terminal(
        "from test_cli_tables import TABLE; from superpos.terminal.tables import show; show(TABLE)",
        columns,
        **changes,
    )


def test_plain_is_one_line_a_row_with_nothing_left_out() -> None:
    assert plain(TABLE).splitlines() == [
        "#  name           models  spare  note",
        f"1  intro             100  s      {NOTE}",
        "1  a_longer_name  25,000  -      short",
        "2  end                 7  s      -",
    ]


def test_a_wide_terminal() -> None:
    lines = [line.rstrip() for line in ESCAPES.sub("", shown(120)).splitlines()]
    assert lines[0] == "#  name           models  spare  note"
    assert set(lines[1]) == {"─"}
    assert lines[2:] == [
        f"1  intro             100  s      {NOTE}",
        "   a_longer_name  25,000         short",
        "2  end                 7  s",
    ]


def test_a_narrow_terminal_has_the_notes_below() -> None:
    lines = [line.rstrip() for line in ESCAPES.sub("", shown(60)).splitlines()]
    assert lines[2:] == [
        "1  intro             100  s",
        "    one two three four five six seven eight nine ten eleven",
        "    twelve",
        "   a_longer_name  25,000",
        "    short",
        "2  end                 7  s",
    ]


def test_a_very_narrow_terminal_leaves_out_what_is_spare_and_says_so() -> None:
    lines = [line.rstrip() for line in ESCAPES.sub("", shown(26)).splitlines()]
    assert lines[0].split() == ["#", "name", "models"]
    assert " ".join(lines[-3:]).endswith("no room for spare: a wider terminal or --json has them")


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    assert max(map(len, ESCAPES.sub("", shown(columns)).splitlines())) <= columns


STATE = "from superpos.terminal.tables import *; show(Table([Column('state')], [['corrupt']]))"


def test_colours_only_where_they_are_wanted() -> None:
    assert COLOUR.search(on_terminal(STATE, 80))
    assert not COLOUR.search(on_terminal(STATE, 80, NO_COLOR="1"))
    assert "\x1b" not in on_terminal(STATE, 80, TERM="dumb")


def test_fields_are_broken_between_words_on_a_terminal_alone() -> None:
    pairs = [
        ("run", "/a/path/that/is/much/longer/than/the/line"),
        ("found", "pentagon 12, two digons 3"),
    ]
    assert fields(pairs).splitlines() == [f"run    {pairs[0][1]}", f"found  {pairs[1][1]}"]
    code = (
        "from superpos.terminal.tables import fields; import sys; "
        f"sys.stdout.write(fields({pairs!r}))"
    )
    assert on_terminal(code, 24).splitlines() == [
        f"run    {pairs[0][1]}",
        "found  pentagon 12, two",
        "       digons 3",
    ]


TINY = [
    "train.steps=5",
    "train.batch_size=8",
    "model.n_features=3",
    "engine.backend=reference",
    "record.loss_every=0",
]


def test_train_says_what_it_found_and_what_to_run_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("train", *TINY, "seed=range(0,4)", "train.lr=0.001,1e20")
    folder = done.stdout.splitlines()[-1]
    run = superpos.load(folder)
    told = dict(
        line.split(maxsplit=1)
        for line in done.stderr.splitlines()
        if not line.startswith(("engine", " "))
    )
    assert told["trained"].startswith("8 models in ")
    found = run.by_setting()  # the second learning rate diverges, so that one setting has a result
    settings = f"train.lr=0.001, seed={run.table['seed'][found['best'][0]]}"
    best = f"{found['loss_best'][0]:.4g} at best: model {found['best'][0]}"
    assert told["loss"] == f"{best}, {settings}"
    counts = [int(count) for count in re.findall(r"\((\d+)\)", told["found"])]
    assert sum(counts) == (run.table["status"] == "ok").sum()
    numbers = ", ".join(map(str, run.table.index[run.table["status"] == "diverged"]))
    assert told["diverged"].startswith(f"{4 if numbers else 0} models ({numbers})")
    assert told["next"] == f"superpos plot {folder}"
    assert f"superpos report {folder}" in done.stderr
    assert (
        cli("train", *TINY, "seed=range(0,4)", "train.lr=0.001,1e20", "--fresh", "--quiet").stderr
        == ""
    )


def test_train_of_a_shard_says_what_is_missing(tmp_path: Path) -> None:
    sweep = [*TINY, "model.n_hidden=1,2", "--out", str(tmp_path)]
    first = cli("train", *sweep, "--shard", "0/2")
    assert "\nmissing  1 of 2 models\n" in first.stderr
    assert f"\nnext     superpos status {first.stdout}" in first.stderr
    second = cli("train", *sweep)
    assert "trained  1 model in " in second.stderr
    assert "; 1 were done before\n" in second.stderr
    assert "missing" not in second.stderr


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_status_fits_the_terminal(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli("train", *TINY, "seed=0,1", "train.lr=0.001,0.002", "model.n_hidden=1,2", "--quiet")
    code = "import sys; sys.argv = ['superpos', 'status']; from superpos.cli import main; main()"
    lines = ESCAPES.sub("", on_terminal(code, columns, cwd=tmp_path)).splitlines()
    # stay whole, to be copied
    assert {line.split()[0] for line in lines if len(line) > columns} <= {"run", "digest"}
    titles = ["train.lr", "model.n_hidden"] if columns == 120 else ["lr", "n_hidden"]
    assert any(line.split()[:2] == titles for line in lines)


PROGRESS = """
from types import SimpleNamespace as State
from superpos.terminal.progress import reporter
with reporter(False) as show:
    for done in range(3):
        steps = dict(steps_done=100 * done, steps_total=300)
        work = dict(work_done=100.0 * done, work_total=300.0)
        show(State(models_done=done, models_total=25_000, message="a message", **steps, **work))
"""


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_progress_stays_in_its_line(columns: int) -> None:
    lines = re.split("[\r\n]", ESCAPES.sub("", on_terminal(PROGRESS, columns)))
    assert any("2 of 25,000 models" in line for line in lines)
    assert max(map(len, lines)) <= columns


def test_progress_is_redrawn_only_where_a_terminal_can() -> None:
    assert "\x1b[2K" in on_terminal(PROGRESS, 80)
    assert on_terminal(PROGRESS, 80, TERM="dumb") == "a message\n"


def test_what_cannot_be_shown_is_a_question_mark(tmp_path: Path) -> None:
    (tmp_path / "phaseØ" / "run").mkdir(parents=True)
    (tmp_path / "phaseØ" / "run" / "manifest.json").write_text("{}")
    command = [sys.executable, "-m", "superpos", "list", "--runs", "--out", "."]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[1].split()[0] == "phase?"
    assert done.returncode == 0
