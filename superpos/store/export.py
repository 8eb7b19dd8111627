"""A run, or some of its models, as one file of a format that other programs read.

.csv and .parquet hold the table, .md and .tex what people read of it. .npz holds its columns and
every tensor, [M, ...] for M models: what numpy reads without executing anything. Shapes: M models.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from superpos.errors import SuperposError
from superpos.store import formats, text_tables
from superpos.store.rows import best, healthy
from superpos.store.suffixes import OF_TABLES, SUFFIXES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpos.store.run import Run

_FOR_PEOPLE: Final = {".md": text_tables.markdown, ".tex": text_tables.latex}


def content(run: Run, suffix: str, models: Sequence[int] | None = None) -> bytes:
    """The finished models of a run, or some of them, as a file with one of `SUFFIXES`.

    Raises `SuperposError` for another suffix, a run without finished models and models whose
    tensors differ in shape.
    """
    _check(suffix, SUFFIXES)
    table = run.table if models is None else run.table.loc[list(models)]
    if table.empty:
        raise SuperposError(f"{run.path} has no finished models; train it first")
    if suffix != ".npz":
        return _table_bytes(_for_people(run, table) if suffix in _FOR_PEOPLE else table, suffix)
    flat = _flat(table)
    columns = {str(name): _plain(flat[name]) for name in flat.columns}
    tensors = _tensors(run, [int(model) for model in table["model"]])
    return _npz(columns | tensors)


def settings(run: Run, suffix: str) -> bytes:
    """One row per setting, as `Run.by_setting`, as a file with one of `OF_TABLES`.

    Raises `SuperposError` for another suffix and a run without finished models.
    """
    _check(suffix, OF_TABLES)
    table = run.by_setting()
    if table.empty:
        raise SuperposError(f"{run.path} has no finished models; train it first")
    return _table_bytes(table, suffix)


def _check(suffix: str, allowed: Sequence[str]) -> None:
    if suffix not in allowed:
        raise SuperposError(
            f"got {suffix or 'no suffix'!r}; allowed: a file name that ends in {', '.join(allowed)}"
        )


def _table_bytes(table: pd.DataFrame, suffix: str) -> bytes:
    """A table as a file."""
    if suffix == ".parquet":
        return formats.pack_table(table)
    if suffix == ".csv":
        return str(_flat(table).to_csv(index=False, lineterminator="\n")).encode()
    return _FOR_PEOPLE[suffix](table).encode()


def _for_people(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """What differs between models: number, swept keys, seed, results.

    Columns without any value are left out.
    """
    results = [
        name
        for name in table.columns
        if "." not in name and name not in ("model", "row_id", "seed")
    ]
    names = dict.fromkeys(["model", *run.swept, "seed", *results])
    return table[[name for name in names if table[name].notna().any()]]


def chosen(run: Run, words: str) -> list[int]:
    """The finished models that `words` name: "all", "best" (of every setting), or numbers such as
    "0,3,10:20".

    Raises `SuperposError` for anything else, and for models that are not in the run or not
    finished.
    """
    if words == "all":
        return [int(model) for model in run.table["model"]]
    if words == "best":
        found = healthy(run.table)
        settings = [key for key in run.swept if key != "seed"]
        return [] if found.empty else [int(model) for model in best(found, settings)["model"]]
    numbers = [
        number for part in words.split(",") for number in _numbers(part, words, run.n_models)
    ]
    unfinished = sorted(set(numbers) - set(run.table["model"]))
    if unfinished:
        raise SuperposError(f"model {unfinished[0]} of {run.path} is not finished")
    return list(dict.fromkeys(numbers))


def _numbers(part: str, words: str, n_models: int) -> range:
    first, colon, last = part.strip().partition(":")
    bounds = [first, last] if colon else [first]
    if not all(bound.isdecimal() for bound in bounds):
        raise SuperposError(
            f"got {words!r}; allowed: all, best, or numbers of models such as 0,3,10:20"
        )
    stop = int(last) if colon else int(first) + 1
    if not int(first) < stop <= n_models:
        raise SuperposError(
            f"got {part.strip()!r}; allowed: models 0 to {n_models - 1}, the last of a range left "
            "out"
        )
    return range(int(first), stop)


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """The table with lists as JSON, which other programs would read as numpy's text of them."""
    lists = [name for name in table.columns if _holds_lists(table[name])]
    return table.assign(**{name: table[name].map(_text) for name in lists})


def _holds_lists(column: pd.Series) -> bool:
    """Whether cells are lists."""
    if column.dtype != object:
        return False
    return any(isinstance(cell, np.ndarray | list | tuple) for cell in column)


def _text(cell: Any) -> str | None:
    return None if cell is None else json.dumps(np.asarray(cell).tolist())


def _plain(column: pd.Series) -> NDArray[Any]:
    """A column as numbers, truth values or text; a gap is NaN among numbers, and empty text."""
    if column.dtype.kind in "biuf" and not pd.api.types.is_extension_array_dtype(column.dtype):
        return column.to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array(["" if pd.isna(cell) else str(cell) for cell in column], dtype=np.str_)


def _tensors(run: Run, models: list[int]) -> dict[str, NDArray[Any]]:
    names = run.tensor_names(models[0])
    steps = {
        "history/step": run.history(models[0])[0],
        "snapshots/step": run.snapshots(models[0])[0],
    }
    try:
        found = {name: run.tensor(name, models) for name in names if name not in steps}
    except ValueError as error:
        raise SuperposError(f"{error}: --models takes some of them") from error
    return found | {name: steps[name] for name in names if name in steps}


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # names are keywords to numpy's types
    return file.getvalue()
