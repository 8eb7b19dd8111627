"""One row a setting of a sweep: what its seeds reached, and how often each geometry was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def by_setting(table: pd.DataFrame, swept: Sequence[str]) -> pd.DataFrame:
    """The models of a table grouped by every swept key but the seed, in the order of their first models.

    Columns: these keys; "models", "diverged"; "best" (number of the model of lowest loss), "loss_best",
    "loss_median", "loss_worst"; "geometries", such as "pentagon 90, 2 digons 9", where models have a geometry.
    Diverged models count in the first two alone.
    """
    keys = [key for key in swept if key != "seed"]
    plain = pd.DataFrame({key: _plain(table[key]) for key in keys}, index=table.index)
    group = plain.groupby(keys, sort=False, dropna=False).ngroup() if keys else pd.Series(0, table.index)
    found = table.groupby(group)[keys].first() if keys else pd.DataFrame(index=pd.RangeIndex(min(len(table), 1)))
    healthy = table["status"] == "ok"
    found["models"] = group.value_counts()
    found["diverged"] = (~healthy).groupby(group).sum()
    loss = table["loss"].astype(float).where(healthy)
    lowest = loss.dropna().groupby(group).idxmin()
    found["best"] = table["model"].loc[lowest].set_axis(lowest.index).astype("Int64")
    for name in ("min", "median", "max"):
        found[{"min": "loss_best", "median": "loss_median", "max": "loss_worst"}[name]] = loss.groupby(group).agg(name)
    if "geometry" in table:
        found["geometries"] = _counts(table["geometry"][healthy], group[healthy])
    return found


def _plain(column: pd.Series) -> pd.Series:
    """The column with tuples in place of arrays and lists, which cannot be compared as a whole."""
    return column.map(_hashable) if column.dtype == object else column


def _hashable(value: Any) -> Any:
    return tuple(np.ravel(value)) if isinstance(value, np.ndarray | list | tuple) else value


def _counts(geometry: pd.Series, group: pd.Series) -> pd.Series:
    """For every group the names with their counts, the most frequent first."""
    counts = geometry.groupby([group, geometry]).size().rename_axis(["group", "name"]).rename("count").reset_index()
    counts = counts.sort_values("count", ascending=False, kind="stable")
    phrase = counts["name"] + " " + counts["count"].astype(str)
    return phrase.groupby(counts["group"]).agg(", ".join)
