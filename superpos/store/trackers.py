"""Models as runs of tools that track experiments: TensorBoard's event files, W&B's offline runs.

Each has the recorded losses over training, and its row of the table: keys as hyperparameters,
results as final values. Nothing leaves this machine: `wandb sync` is for the user to call.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from superpos.errors import SuperposError
from superpos.store.files import beside_folder, explained
from superpos.store.suffixes import check_folder

if TYPE_CHECKING:
    from superpos.store.run import Run

CURVE: Final = "train/loss"
"""What both tools call the recorded losses."""


@dataclass(frozen=True)
class Tracker:
    """A tool that shows many runs side by side."""

    write: Callable[[Run, Sequence[int], Path], None]
    """(run, model numbers, folder): writes one run of the tool per model into an empty folder."""
    most: int
    """Models at most, each of which the tool treats as a training run of its own."""


@dataclass(frozen=True)
class _Model:
    """What is told of a model; gaps and numbers that are none are left out."""

    number: int
    keys: dict[str, Any]
    """By dotted name: numbers, truth values, texts, lists of numbers."""
    results: dict[str, Any]
    """Columns of results: numbers, truth values, texts."""
    steps: list[int]
    losses: list[float]

    @property
    def name(self) -> str:
        return f"model-{self.number:05d}"


def export(run: Run, tool: str, models: Sequence[int], to: Path) -> Path:
    """Write models as runs of one of `TRACKERS` into the new folder `to`; returns it.

    Raises `ConfigError` for a name that ends like a table's; `SuperposError` where the tool is not
    installed, for no models and for more than it can show, where `to` is there already and where it
    cannot be written; then nothing is left behind.
    """
    check_folder(to, tool)
    most = TRACKERS[tool].most
    if not models:
        raise SuperposError(f"{run.path} has no such finished models; train it first")
    if len(models) > most:
        allowed = f"{most:,} at most: --models=best, or some of them"
        raise SuperposError(f"--as={tool}: got {len(models):,} models; allowed: {allowed}")
    found = find_spec(tool)
    # W&B leaves folders of its own name, which count as packages
    if found is None or found.origin is None:
        raise SuperposError(f"--as={tool}: needs a package: pip install 'superpos[{tool}]'")
    if os.path.lexists(to) and not (to.is_dir() and not any(to.iterdir())):
        raise SuperposError(
            f"cannot write {to}: it is there already; remove it, or give another --to"
        )
    with explained("write", to):
        to.parent.mkdir(parents=True, exist_ok=True)
        with beside_folder(to) as folder:
            TRACKERS[tool].write(run, models, folder)
    return to


def _model(run: Run, number: int) -> _Model:
    cells = {str(name): _plain(run.table.at[number, name]) for name in run.table.columns}
    known = {name: cell for name, cell in cells.items() if cell is not None}
    keys = {name: cell for name, cell in known.items() if "." in name or name == "seed"}
    results = {name: cell for name, cell in known.items() if name not in keys and name != "model"}
    steps, losses = run.history(number)
    return _Model(number, keys, results, steps.tolist(), losses.tolist())


def _plain(cell: Any) -> Any:
    """A cell as plain Python; None for a gap and for what is no number."""
    value = cell.tolist() if isinstance(cell, np.ndarray | np.generic) else cell
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, bool | int | str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tensorboard(run: Run, models: Sequence[int], folder: Path) -> None:
    """One folder of event files per model: scalars, and what the plugin for hyperparameters
    reads.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    now = time.time()
    for model in (_model(run, number) for number in models):
        # Its metrics are numbers: results in words stand among the hyperparameters, where models
        # are chosen by them.
        words = {name: value for name, value in model.results.items() if not _is_number(value)}
        metrics = {name: value for name, value in model.results.items() if _is_number(value)}
        told = {
            name: json.dumps(value) if isinstance(value, list) else value
            for name, value in model.keys.items()
        }
        writer = EventFileWriter(str(folder / model.name))
        writer.add_event(
            Event(
                wall_time=now,
                summary=hparams_pb(told | words, trial_id=model.name, start_time_secs=now),
            )
        )
        last = int(model.keys["train.steps"])
        scalars = [
            (CURVE, step, loss) for step, loss in zip(model.steps, model.losses, strict=True)
        ]
        scalars += [(f"final/{name}", last, float(value)) for name, value in metrics.items()]
        for tag, step, value in scalars:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.add_event(Event(wall_time=now, step=step, summary=summary))
        writer.close()


def _wandb(run: Run, models: Sequence[int], folder: Path) -> None:
    """One offline run per model; without git, code, and what W&B measures of the machine."""
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # of its own errors, to its makers
    import wandb

    quiet = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        disable_job_creation=True,
        x_disable_stats=True,
        x_disable_meta=True,
    )
    run_id = str(run.manifest["run_id"])
    for model in (_model(run, number) for number in models):
        told = wandb.init(
            mode="offline",
            dir=str(folder),
            project="superpos",
            group=f"{run.name}-{run_id}",
            name=model.name,
            id=f"{run_id}-{model.number}",  # a second upload goes to the same place
            config=model.keys,
            settings=quiet,
            reinit="create_new",
        )
        for step, loss in zip(model.steps, model.losses, strict=True):
            told.log({CURVE: loss}, step=step)
        told.summary.update(model.results)
        told.finish()
    wandb.teardown()


TRACKERS: Final = {
    "tensorboard": Tracker(_tensorboard, 1000),
    "wandb": Tracker(_wandb, 200),
}
