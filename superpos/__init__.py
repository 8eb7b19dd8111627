"""superpos: train toy models of superposition, thousands at once, and draw the figures of the papers.

run = superpos.train(["experiment=intro", "train.steps=2000"])
run = superpos.load("outputs/intro/latest")
run.table, run.weights(3), run.tensor("W"), run.history(3)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from superpos.errors import ConfigError

if TYPE_CHECKING:
    from superpos.store import Run

__all__ = ["load", "train"]


def load(path: str | Path) -> Run:
    """The results in a run folder, such as "outputs/intro/latest". Raises `SuperposError` where there are none."""
    from superpos import store  # imported here: `superpos --help` must not wait for pandas

    return store.load(path)


def train(
    overrides: Sequence[str] = (),
    *,
    out: str | Path = "outputs",
    config_dir: str | Path | None = None,
    shard: tuple[int, int] | None = None,
    fresh: bool = False,
) -> Run:
    """Train what `superpos train OVERRIDES` trains, and return its run; what is finished is not trained again.

    Raises `ConfigError` for bad overrides, `SuperposError` for a folder that cannot be used.
    """
    from superpos.config.compose import compose
    from superpos.finished import finished

    if isinstance(overrides, str):
        raise ConfigError(f"overrides: got the string {overrides!r}; allowed: a list of strings, one an override")
    sweep = compose(list(overrides), None if config_dir is None else Path(config_dir)).sweep
    folder = None if fresh else finished(sweep, Path(out), shard)
    if folder is None:
        from superpos import runner  # with the engines, which a finished run does not need

        command = ["superpos.train", *overrides]
        folder = runner.train(sweep, out=Path(out), command=command, shard=shard, fresh=fresh)
    return load(folder)
