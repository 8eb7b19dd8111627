"""The papers in folders beside the documents: what they claim holds, their figures are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import ROOT
from typer.testing import CliRunner

from superpos.cli import app

pytestmark = pytest.mark.slow

PAPERS = sorted(path for path in (ROOT / "docs" / "papers").iterdir() if path.is_dir())


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_a_paper_holds_what_it_claims(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ["--config-dir", str(paper)]
    verified = CliRunner().invoke(app, ["verify", *own])
    assert verified.exit_code == 0, verified.output
    assert "0 fails, 0 skipped" in verified.output
    trained = CliRunner().invoke(app, ["train", f"experiment={paper.name}", *own])
    assert trained.exit_code == 0, trained.output
    drawn = CliRunner().invoke(app, ["plot", "--figure", paper.name, *own])
    assert drawn.exit_code == 0, drawn.output
    assert Path(drawn.stdout.strip()).stat().st_size > 10_000
