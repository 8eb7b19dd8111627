"""Ids of runs and rows, and the cut into chunks, are what they were: a run folder is found again by
its id.

`ids.json` was written by the version before families; a change of it is a change of every user's
folders.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import numpy as np
import pytest
from places import TESTS

from superpos.compose.compose import compose
from superpos.compose.experiments import experiment_files
from superpos.plan.sweep import Sweep

KEPT = json.loads((TESTS / "ids.json").read_text())
EVERY = 100_000  # of larger sweeps only some rows are looked at
STRIDE = 97


def facts(sweep: Sweep) -> dict[str, Any]:
    rows = np.arange(sweep.n_models)
    ids = sweep.row_ids(rows if len(rows) <= EVERY else rows[::STRIDE])
    cut = b" ".join(chunk.rows.astype(np.int64).tobytes() for chunk in sweep.plan.chunks)
    return {
        "run": sweep.run_id,
        "models": sweep.n_models,
        "chunks": len(sweep.plan.chunks),
        "rows": hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16],
        "cut": hashlib.sha256(cut).hexdigest()[:16],
    }


@pytest.mark.parametrize("name", KEPT)
def test_ids_and_chunks_are_what_they_were(name: str) -> None:
    overrides = [f"experiment={name}"] if re.fullmatch(r"\w+", name) else name.split()
    assert facts(compose(overrides).sweep) == KEPT[name]


def test_every_shipped_experiment_is_kept() -> None:
    assert set(experiment_files()) <= set(KEPT)


def test_the_default_family_is_no_part_of_an_id() -> None:
    assert compose(["family=tms", "seed=3"]).sweep == compose(["seed=3"]).sweep
    assert "family" not in compose(["seed=3"]).sweep.to_json()["values"]
