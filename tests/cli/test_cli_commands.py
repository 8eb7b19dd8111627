"""What commands share: short help, the version, the keys that they take, another place to write
to.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.others import as_another_user
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.config.schema import schema_of
from superpos.family import DEFAULT, find


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("command", "place"), [("plot", "DIR"), ("report", "FILE.html")])
def test_a_colleagues_run_is_drawn_elsewhere(open_folder: Path, command: str, place: str) -> None:
    run = superpos.train(
        ["train.steps=5", "record.loss_every=1", "engine.threads=1"], out=open_folder / "theirs"
    )
    own = open_folder / "own"
    own.mkdir()
    # root may import what another may not read
    CliRunner().invoke(app, [command, str(run.path), "--to", str(own)])
    own.chmod(0o777)
    for path in own.iterdir():
        path.unlink()
    with as_another_user():
        refused = CliRunner().invoke(app, [command, str(run.path)])
        done = CliRunner().invoke(app, [command, str(run.path), "--to", str(own)])
    assert refused.exit_code == 2
    assert "Permission denied" in refused.stderr
    assert refused.stderr.strip().endswith(f"; --to {place} writes elsewhere")
    assert done.exit_code == 0, done.stderr
    assert all(Path(line).is_file() for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "command", [[], *([name] for name in ("train", "plot", "list", "keys", "verify", "diff"))]
)
def test_help_has_a_short_name(command: list[str]) -> None:
    short, long = (
        CliRunner().invoke(app, [*command, option], prog_name="superpos")
        for option in ("-h", "--help")
    )
    assert short.exit_code == 0
    assert short.stdout == long.stdout
    assert "-h, --help" in short.stdout


def test_the_version() -> None:
    done = CliRunner().invoke(app, ["--version"], prog_name="superpos")
    assert (done.exit_code, done.stdout) == (0, f"superpos {superpos.__version__}\n")


def test_keys_are_listed_with_what_they_may_be() -> None:
    schema = schema_of(find(DEFAULT))
    listed = json.loads(CliRunner().invoke(app, ["keys", "--json"]).stdout)
    assert [item["key"] for item in listed] == list(schema.keys)
    assert {item["key"] for item in listed if item["swept"]} == set(schema.axis_keys)
    [lr] = json.loads(CliRunner().invoke(app, ["keys", "train.lr", "--json"]).stdout)[:1]
    assert (lr["default"], lr["low"], lr["high"], lr["meaning"]) == (
        0.001,
        0.0,
        1e30,
        "learning rate",
    )
    text = CliRunner().invoke(app, ["keys", "train."]).stdout.splitlines()
    assert text[0].split(maxsplit=2) == ["key", "default", "meaning: what is allowed"]
    assert [line.split()[0] for line in text[1:]] == [
        key for key in schema.keys if key.startswith("train.")
    ]


def test_keys_of_other_families() -> None:
    """Those of the first family that has some of that name, or of the one that is named."""
    [first, *_] = json.loads(CliRunner().invoke(app, ["keys", "sae", "--json"]).stdout)
    assert first["key"].startswith("sae.")
    of_sae = json.loads(CliRunner().invoke(app, ["keys", "--family", "sae", "--json"]).stdout)
    assert {item["key"] for item in of_sae} == set(schema_of(find("sae")).keys)
    for arguments, words in (
        (["sead"], "no key begins with 'sead'"),
        (["--family", "x"], "there is no 'x'"),
    ):
        done = CliRunner().invoke(app, ["keys", *arguments], prog_name="superpos")
        assert (done.exit_code, words in done.stderr) == (2, True)
