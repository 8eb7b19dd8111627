"""Whether a sweep is trained already.

Imports no engine: a command that has nothing to do returns at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from superpos.plan.columns import Rows
from superpos.plan.shards import Shard, part
from superpos.plan.sweep import Sweep
from superpos.store import RunFolder


def finished(sweep: Sweep, out: Path, shard: Shard | None = None) -> Path | None:
    """The run folder of a sweep where nothing is left to train (of a shard); None where something
    is.

    Every checksum is recomputed. `latest` then points at the run, as after training it, where
    anything can be written. Raises `IncompleteError` where its manifest is damaged, `ConfigError`
    for a shard that is none.
    """
    chunks = sweep.plan.rows
    mine = part(len(chunks), shard)
    folder = RunFolder.find(out, str(sweep.base["name"]), sweep.run_id)
    # Where a folder holds another plan, opening it to train says what differs.
    if folder is None or not _holds(folder, sweep.to_json(), chunks) or not folder.whole(mine):
        return None
    folder.mark_latest()
    return folder.path


def _holds(folder: RunFolder, plan: Mapping[str, Any], chunks: list[Rows]) -> bool:
    """Whether a folder was made for the very plan and chunks."""
    same_plan = folder.manifest.get("plan") == plan and len(folder.rows) == len(chunks)
    return same_plan and all(map(np.array_equal, folder.rows, chunks))
