"""Run: results of a run folder as numpy and pandas. Loading executes nothing.

Shapes: M models, H recorded steps, S snapshots. Models are named by their number in the plan.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import safe_open

from superpos.errors import IncompleteError
from superpos.store import formats
from superpos.store.by_setting import by_setting
from superpos.store.find import locate
from superpos.store.folder import RunFolder
from superpos.store.formats import Array
from superpos.user.functions import Own

_log = logging.getLogger(__name__)

Rows = Sequence[int] | NDArray[Any] | pd.Series | pd.Index


def load(path: str | Path) -> Run:
    """The run in a run folder, behind a `latest` link, or the latest of a name's folder.

    An unfinished run loads with its finished chunks. Raises `SuperposError` for a path that is no run, with the
    nearest runs, and `IncompleteError` for a damaged manifest.
    """
    return Run(RunFolder.at(locate(Path(path))))


class Run:
    """Results of one sweep. Tables are read at once, tensors when they are asked for."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.path = folder.path
        self.name: str = folder.manifest["name"]
        self.manifest = folder.manifest
        self.n_models = folder.n_models
        self._whole: dict[int, Path] = {}  # tensor files whose checksum was recomputed
        self._chunk_of = np.full(self.n_models, -1, dtype=np.intp)  # [M]; -1 where not finished
        self._place_of = np.zeros(self.n_models, dtype=np.intp)  # [M]; place inside the chunk
        self.table = self._read_tables()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {len(self.table):,} of {self.n_models:,} models)"

    @property
    def complete(self) -> bool:
        """Whether every model is finished."""
        return bool((self._chunk_of >= 0).all())

    @cached_property
    def own(self) -> Own | None:
        """What is known of a user's own model, data and target; None where superpos's were trained."""
        plan = self.manifest["plan"]
        return Own.from_json(plan["own"]) if "own" in plan else None

    @property
    def swept(self) -> list[str]:
        """The keys that the sweep varies, in the order of its axes."""
        return [key for axis in self.manifest["plan"]["axes"] for key in axis["keys"]]

    def by_setting(self) -> pd.DataFrame:
        """A row a setting, all seeds together: best and spread of the loss, how often each geometry was found."""
        return by_setting(self.table, self.swept) if len(self.table) else pd.DataFrame()

    def weights(self, model: int) -> dict[str, Array]:
        """Weights of one model by name, without the axis of models: {"W": [n, m], "b": [n]}, or W1, W2, b.

        Raises `IndexError` for a model that is not in the plan, `IncompleteError` for one that is not finished.
        """
        names = [name for name in self._names(model) if "/" not in name]
        return {name: self._gather(name, [model])[0] for name in names}

    def tensor(self, name: str, rows: Rows | None = None) -> Array:
        """One tensor of several models, [len(rows), ...]; all finished models without `rows`.

        `rows` are model numbers, or a truth value for each row of `table`. Raises `ValueError` where the models have
        tensors of different shapes, `KeyError` where there is no such tensor, and as `weights`.
        """
        return self._gather(name, self._models(rows))

    def history(self, model: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Steps [H] and training loss [H] of one model, H = 0 where it was not recorded. Raises as `weights`."""
        if "history/loss" not in self._names(model):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        return self._shared("history/step", model), self._gather("history/loss", [model])[0].astype(np.float32)

    def snapshots(self, model: int) -> tuple[NDArray[np.int64], dict[str, Array]]:
        """Finished steps [S] and the weights then, {"W": [S, n, m], ...}; empty without snapshots. As `weights`."""
        names = [name for name in self._names(model) if name.startswith("snapshots/") and name != "snapshots/step"]
        if not names:
            return np.zeros(0, dtype=np.int64), {}
        weights = {name.removeprefix("snapshots/"): self._gather(name, [model])[0] for name in names}
        return self._shared("snapshots/step", model), weights

    def digest(self) -> str:
        """One digest over all results, see `RunFolder.digest`. Raises `IncompleteError`."""
        return self.folder.digest()

    def _read_tables(self) -> pd.DataFrame:
        """The rows of finished chunks in the order of the models, indexed by model number."""
        tables = []
        for chunk, rows in enumerate(self.folder.rows):
            if self.folder.state(chunk) == "missing":
                continue
            try:
                tables.append(self.folder.chunk_files.read_table(chunk))
            except IncompleteError as fault:
                _log.warning("left out of %s: %s", self.path, fault)
                continue
            self._chunk_of[rows] = chunk
            self._place_of[rows] = np.arange(len(rows))
        if not tables:
            return pd.DataFrame({"model": pd.Series(dtype=np.int64)})
        return formats.to_frame(tables).sort_values("model").set_index("model", drop=False).rename_axis(None)

    @cached_property
    def _finished(self) -> NDArray[np.intp]:
        return np.flatnonzero(self._chunk_of >= 0)

    def _models(self, rows: Rows | None) -> NDArray[np.intp]:
        if rows is None:
            return self._finished
        if isinstance(rows, pd.Series) and rows.dtype == pd.BooleanDtype():  # of a comparison with gaps
            rows = rows.to_numpy(dtype=np.bool_, na_value=False)
        models = np.asarray(rows)
        if models.dtype == np.bool_:
            if len(models) != len(self._finished):
                raise ValueError(f"{len(models)} truth values for {len(self._finished)} finished models")
            return np.asarray(self._finished[models])
        return np.asarray(models.astype(np.intp, casting="same_kind" if models.size else "unsafe"))

    def _check(self, models: Iterable[int]) -> None:
        for model in models:
            if not 0 <= model < self.n_models:
                raise IndexError(f"model {model} is not in this run of {self.n_models} models")
            if self._chunk_of[model] < 0:
                raise IncompleteError(f"model {model} of {self.path} is not finished")

    def _tensors(self, chunk: int) -> Path:
        """The tensors' file of a chunk, its checksum recomputed once."""
        if chunk not in self._whole:
            self._whole[chunk] = self.folder.chunk_files.tensor_path(chunk)
        return self._whole[chunk]

    def _names(self, model: int) -> list[str]:
        self._check([model])
        with safe_open(self._tensors(int(self._chunk_of[model])), framework="np") as file:
            return sorted(file.keys())

    def _shared(self, name: str, model: int) -> NDArray[np.int64]:
        with safe_open(self._tensors(int(self._chunk_of[model])), framework="np") as file:
            return np.asarray(file.get_tensor(name), dtype=np.int64)

    def _gather(self, name: str, rows: Sequence[int] | NDArray[np.intp]) -> Array:
        """Rows of a tensor from whichever chunks hold them."""
        models = np.asarray(rows, dtype=np.intp)
        self._check(models)
        chunks = np.unique(self._chunk_of[models])
        if not len(chunks):
            raise ValueError(f"no models to take {name} of")
        parts = {
            chunk: _take(self._tensors(chunk), name, self._place_of[models[self._chunk_of[models] == chunk]])
            for chunk in chunks.tolist()
        }
        shapes = {part.shape[1:] for part in parts.values()}
        if len(shapes) > 1:
            raise ValueError(f"{name} has different shapes {sorted(shapes)}: choose rows of equal shape")
        whole = np.empty((len(models), *shapes.pop()), dtype=np.result_type(*(part.dtype for part in parts.values())))
        for chunk, part in parts.items():
            whole[self._chunk_of[models] == chunk] = part
        return whole


def _take(path: Path, name: str, places: NDArray[np.intp]) -> Array:
    """Some models of one tensor in a file, reading no more than the stretch that holds them."""
    with safe_open(path, framework="np") as file:
        names = sorted(file.keys())
        if name not in names:
            raise KeyError(f"no tensor {name!r}; there is {', '.join(names)}")
        low, high = int(places.min()), int(places.max()) + 1
        stretch = file.get_slice(name)
        if 0 in stretch.get_shape():
            return np.asarray(file.get_tensor(name))[places]
        return np.asarray(stretch[low:high])[places - low]
