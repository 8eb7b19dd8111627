"""Run: results of a run folder as numpy and pandas.

Loading executes nothing that a run folder says.

Shapes: M models, H recorded steps, S snapshots. Models are named by their number in the plan.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import safe_open

from superpos.errors import IncompleteError, SuperposError
from superpos.family import (
    DEFAULT,
    EVERY_RUN,
    Family,
    Label,
    UnknownFamilyError,
    find,
    hint_of_others,
    itself,
)
from superpos.paths import given
from superpos.store import formats, manifest, notes
from superpos.store.by_setting import by_setting
from superpos.store.files import write_file
from superpos.store.find import locate
from superpos.store.folder import RunFolder
from superpos.store.formats import Array
from superpos.store.later_keys import with_later_keys
from superpos.store.notes import Note
from superpos.store.plans import plan_fault, swept_keys
from superpos.store.suffixes import check_folder
from superpos.user.functions import Own, with_recorded_functions

_log = logging.getLogger(__name__)

Rows = Sequence[int] | NDArray[Any] | pd.Series | pd.Index


def load(path: str | Path) -> Run:
    """The run in a run folder, behind a `latest` link, or the latest of a name's folder.

    An unfinished run loads with its finished chunks. Raises `SuperposError` for a path that is no
    run, with the nearest runs, and `IncompleteError` for a damaged manifest.
    """
    return Run(RunFolder.at(locate(given(path))))


class Run:
    """Results of one sweep. Tables are read at once, tensors when they are asked for.

    Beside the methods below a run has `plot`, `report` and `explain`, and those of its family:
    `dir(run)` and the Tab key list all of them, `help(run.plot)` explains one.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.path = folder.path
        self.name: str = folder.manifest["name"]
        self.manifest = folder.manifest
        self.n_models = folder.n_models
        self._whole: dict[int, Path] = {}  # tensor files whose checksum was recomputed
        self._chunk_of = np.full(self.n_models, -1, dtype=np.intp)  # [M]; -1 where not finished
        self._place_of = np.zeros(self.n_models, dtype=np.intp)  # [M]; place inside the chunk
        if not _are_all_models(folder.rows, self.n_models):
            raise manifest.damaged(self.path, "its chunks do not hold every model once")
        self.table = self._read_tables()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {len(self.table):,} of {self.n_models:,} models)"

    @property
    def complete(self) -> bool:
        """Whether every model is finished."""
        return bool((self._chunk_of >= 0).all())

    @cached_property
    def family(self) -> Family | None:
        """The kind of the models, with a user's own functions where they trained it; None for an
        unknown kind.

        Of such functions a run knows the text, which cannot be run.
        """
        known = self._found_family()
        sealed = self.manifest.get("plan")
        if known is None or not isinstance(sealed, Mapping) or "own" not in sealed:
            return known
        return with_recorded_functions(known, self.plan)

    @cached_property
    def plan(self) -> Mapping[str, Any]:
        """What decides the results: values that are not the default, axes, the text of a user's own
        functions.

        Raises `IncompleteError` where the manifest holds none that fits its models.
        """
        sealed: Any = self.manifest.get("plan")
        columns = self.table.columns if len(self.table) else None
        if fault := plan_fault(sealed, self.n_models, columns, self._found_family()):
            raise manifest.damaged(self.path, fault)
        return dict(sealed)

    @property
    def own(self) -> Own | None:
        """What is known of a user's own functions; None where superpos's were trained."""
        return self.family.functions if self.family else None

    def require_family(self) -> Family:
        """`family`.

        Raises `SuperposError` where this program does not know it, or the run's plan is damaged.
        """
        if self.family is None:
            raise SuperposError(
                f"{self.path} is a run of the family {self._family_name!r}, which this program "
                "does not know: "
                "its table and tensors can be read, and nothing else be done with it"
            )
        _ = self.plan
        return self.family

    @property
    def label(self) -> Label | None:
        """The column of text by which models are counted; None where the family has none."""
        if "label" not in self.manifest:  # made when there was one family
            known = self._found_family()
            return known.label if known else None
        names = self.manifest["label"]
        if names is None:
            return None
        if not isinstance(names, list | tuple) or [type(name) for name in names] != [str, str]:
            raise manifest.damaged(self.path, f"its label is {names!r}")
        return Label(*names)

    @property
    def swept(self) -> list[str]:
        """The keys that the sweep varies, in the order of its axes."""
        return swept_keys(self.plan)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A view: a method of every run, or one that the family adds."""
        if hasattr(type(self), name):  # a property that failed: its own error says more
            return object.__getattribute__(self, name)  # type: ignore[no-any-return]
        if name in EVERY_RUN:
            return MethodType(itself(EVERY_RUN[name]), self)
        # asked for by copy, pickle and notebooks, also of a run that is not made yet
        if name.startswith("_"):
            raise AttributeError(f"a run has no {name!r}", name=name, obj=self)
        if self.family is None:
            fault = f"a run of the unknown family {self._family_name!r} has no {name!r}"
            raise AttributeError(fault, name=name, obj=self)
        if name not in self.family.views:
            views = ", ".join(self.family.views) or "nothing"
            where = hint_of_others(name, lambda family: family.views)
            fault = (
                f"a run of the family {self.family.name!r} has no {name!r}; {where}its family adds "
                f"{views}"
            )
            raise AttributeError(fault, name=name, obj=self)
        return MethodType(itself(self.family.views[name]), self)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: the family is found again by its name."""
        return {name: value for name, value in vars(self).items() if name != "family"}

    def __dir__(self) -> list[str]:
        """All names, those of views too."""
        return sorted({*super().__dir__(), *EVERY_RUN, *(self.family.views if self.family else ())})

    @property
    def scores(self) -> list[str]:
        """Columns that the models are judged by beside their loss."""
        return [name for name in (self.family.scores if self.family else ()) if name in self.table]

    def by_setting(self) -> pd.DataFrame:
        """One row per setting, all seeds together: best and spread of the loss, means of the
        scores, how often each label was found.

        See `store.by_setting`.
        """
        if self.table.empty:
            return pd.DataFrame()
        columns = self.family.setting_columns if self.family else {}
        bound = {name: partial(measure, self) for name, measure in columns.items()}
        return by_setting(self.table, self.swept, self.label, self.scores, bound)

    @property
    def notes(self) -> list[Note]:
        """What users noted of the run, the oldest first; see `store.notes`."""
        return notes.read(self.path)

    def note(self, text: str) -> None:
        """Note something of the run, as `superpos note`. Raises `ConfigError`, `SuperposError`."""
        notes.add(self.path, text)

    def export(self, format: str, model: int, to: str | Path) -> Path:
        """Write one model as a file, or a folder of files, that another tool loads; returns its
        path.

        `format` is one of the family's formats. Raises `SuperposError` where it is none of them or
        the file cannot be written, `ConfigError` where a folder is to be called like a table, and
        as `weights`.
        """
        family = self.require_family()
        if format not in family.exporters:
            known = f"allowed: {', '.join(family.exporters)}" if family.exporters else "it has none"
            raise SuperposError(f"{format!r} is no format of the family {family.name!r}; {known}")
        made = family.exporters[format](self, model)
        path = given(to)
        if isinstance(made, bytes):
            return write_file(path, made)
        check_folder(path, format)
        for name, data in made.items():
            write_file(path / name, data)
        return path

    def shared(self, name: str) -> dict[str, Array]:
        """The tensors of a file that the run keeps for all of its models, such as "KEY-DIGEST".

        Raises `IncompleteError` where there is no such file, or a damaged one.
        """
        found = self.folder.shared(name)
        if found is None:
            names = self.folder.shared_states()
            if name in names:
                raise IncompleteError(
                    f"shared file {name!r} of {self.path} is damaged: train again to replace it"
                )
            known = ", ".join(names) or "none"
            raise IncompleteError(f"{self.path} keeps no shared file {name!r}; there is {known}")
        return found

    def weights(self, model: int) -> dict[str, Array]:
        """Tensors of one model by their public names, without the axis of models: {"W": [n, m],
        "b": [n]}.

        Raises `IndexError` for a model that is not in the plan, `IncompleteError` for one that is
        not finished.
        """
        names = [name for name in self.tensor_names(model) if "/" not in name]
        return {name: self._gather(name, [model])[0] for name in names}

    def tensor(self, name: str, rows: Rows | None = None) -> Array:
        """One tensor of several models, [len(rows), ...]; all finished models without `rows`.

        `rows` are model numbers, or a truth value for each row of `table`. Raises `ValueError`
        where the models have tensors of different shapes, `KeyError` where there is no such tensor,
        and as `weights`.
        """
        return self._gather(name, self._models(rows))

    def tensor_names(self, model: int) -> list[str]:
        """Names that `tensor` takes for a model. Raises as `weights`."""
        self._check([model])
        with safe_open(self._tensors(int(self._chunk_of[model])), framework="np") as file:
            return sorted(file.keys())

    def history(self, model: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Steps [H] and training loss [H] of one model, H = 0 where it was not recorded.

        Raises as `weights`.
        """
        if "history/loss" not in self.tensor_names(model):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        return self._steps("history/step", model), self._gather("history/loss", [model])[0].astype(
            np.float32
        )

    def snapshots(self, model: int) -> tuple[NDArray[np.int64], dict[str, Array]]:
        """Finished steps [S] and the weights then, {"W": [S, n, m], ...}; empty without snapshots.

        As `weights`.
        """
        names = [
            name
            for name in self.tensor_names(model)
            if name.startswith("snapshots/") and name != "snapshots/step"
        ]
        if not names:
            return np.zeros(0, dtype=np.int64), {}
        weights = {
            name.removeprefix("snapshots/"): self._gather(name, [model])[0] for name in names
        }
        return self._steps("snapshots/step", model), weights

    def digest(self) -> str:
        """One digest over all results, see `RunFolder.digest`. Raises `IncompleteError`."""
        return self.folder.digest()

    @property
    def _family_name(self) -> str:
        return str(self.manifest.get("family", DEFAULT))

    def _found_family(self) -> Family | None:
        """The kind of the models, without functions of a user's own."""
        try:
            return find(self._family_name)
        except UnknownFamilyError:
            return None

    def _read_tables(self) -> pd.DataFrame:
        """The rows of finished chunks in the order of the models, indexed by model number.

        Of a known family they have all of its keys, see `later_keys`.
        """
        tables = []
        for chunk, rows in enumerate(self.folder.rows):
            if self.folder.state(chunk) == "missing":
                continue
            try:
                table = self.folder.chunk_files.read_table(chunk)
            except IncompleteError as fault:
                _log.warning("left out of %s: %s", self.path, fault)
                continue
            if "model" not in table.column_names or not np.array_equal(
                table["model"].to_numpy(), rows
            ):
                _log.warning(
                    "left out of %s: chunk %d holds other models than its manifest says",
                    self.path,
                    chunk,
                )
                continue
            tables.append(table)
            self._chunk_of[rows] = chunk
            self._place_of[rows] = np.arange(len(rows))
        if not tables:
            return pd.DataFrame({"model": pd.Series(dtype=np.int64)})
        frame = (
            formats.to_frame(tables)
            .sort_values("model")
            .set_index("model", drop=False)
            .rename_axis(None)
        )
        known = self._found_family()
        return frame if known is None else with_later_keys(frame, known)

    @cached_property
    def _finished(self) -> NDArray[np.intp]:
        return np.flatnonzero(self._chunk_of >= 0)

    def _models(self, rows: Rows | None) -> NDArray[np.intp]:
        if rows is None:
            return self._finished
        # of a comparison with gaps
        if isinstance(rows, pd.Series) and rows.dtype == pd.BooleanDtype():
            rows = rows.to_numpy(dtype=np.bool_, na_value=False)
        models = np.asarray(rows)
        if models.dtype == np.bool_:
            if len(models) != len(self._finished):
                raise ValueError(
                    f"{len(models)} truth values for {len(self._finished)} finished models"
                )
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

    def _steps(self, name: str, model: int) -> NDArray[np.int64]:
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
            chunk: _take(
                self._tensors(chunk), name, self._place_of[models[self._chunk_of[models] == chunk]]
            )
            for chunk in chunks.tolist()
        }
        shapes = {part.shape[1:] for part in parts.values()}
        if len(shapes) > 1:
            raise ValueError(
                f"{name} has different shapes {sorted(shapes)}: choose rows of equal shape"
            )
        whole = np.empty(
            (len(models), *shapes.pop()),
            dtype=np.result_type(*(part.dtype for part in parts.values())),
        )
        for chunk, part in parts.items():
            whole[self._chunk_of[models] == chunk] = part
        return whole


def _are_all_models(chunks: Sequence[NDArray[np.intp]], n_models: int) -> bool:
    """Whether every number below `n_models` stands in one chunk, and there is one."""
    seen = np.zeros(n_models, dtype=np.bool_)
    for rows in chunks:
        if len(rows) and (rows.min() < 0 or rows.max() >= n_models):
            return False
        seen[rows] = True
    return n_models > 0 and bool(seen.all())


def _take(path: Path, name: str, places: NDArray[np.intp]) -> Array:
    """Some models of one tensor in a file, reading no more than the stretch that holds them."""
    with safe_open(path, framework="np") as file:
        names = sorted(file.keys())
        if name not in names:
            raise KeyError(f"no tensor {name!r}; there is {', '.join(names)}")
        low = int(places.min())
        high = int(places.max()) + 1
        stretch = file.get_slice(name)
        if 0 in stretch.get_shape():
            return np.asarray(file.get_tensor(name))[places]
        return np.asarray(stretch[low:high])[places - low]
