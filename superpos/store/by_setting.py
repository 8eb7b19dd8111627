"""One row per setting of a sweep: what its seeds reached, and how often each label was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from superpos.family import Label
from superpos.store.rows import best, healthy, same_setting

Measure = Callable[[NDArray[Any]], float]
"""(model numbers of a setting's healthy models [K], K > 0) -> a number."""


def by_setting(
    table: pd.DataFrame,
    swept: Sequence[str],
    label: Label | None,
    scores: Sequence[str] = (),
    columns: Mapping[str, Measure] = MappingProxyType({}),
) -> pd.DataFrame:
    """The models of a table grouped by every swept key but the seed, in the order of their first
    models.

    Columns: these keys; "models", "diverged"; "best" (number of the model of lowest loss),
    "loss_best", "loss_median", "loss_worst"; the means of `scores`, and `columns`, NaN where no
    model is healthy; and how often each text stands in the column of `label`, under its plural: in
    "geometries" such as "pentagon 90, 2 digons 9", where the table has it. Models that are not
    healthy (see `rows`) count in "models" and "diverged" alone.
    """
    keys = [key for key in swept if key != "seed"]
    setting = same_setting(table, keys)
    found = table.loc[~setting.duplicated(), keys].reset_index(drop=True)
    found["models"] = setting.value_counts()
    found["diverged"] = (table["status"] != "ok").groupby(setting).sum()
    good = healthy(table)
    lowest = best(good, keys)
    found["best"] = lowest["model"].set_axis(setting[lowest.index]).astype("Int64")
    group = setting[good.index]
    loss = good["loss"].astype(float).groupby(group)
    found["loss_best"] = loss.min()
    found["loss_median"] = loss.median()
    found["loss_worst"] = loss.max()
    for name in scores:
        found[name] = good[name].astype(float).groupby(group).mean()
    models = good["model"].groupby(group)
    for name, measure in columns.items():
        numbers = {number: measure(chosen.to_numpy()) for number, chosen in models}
        found[name] = pd.Series(numbers, dtype=float)
    if label and label.column in table:
        found[label.plural] = _counts(good[label.column], group)
    return found


def _counts(names: pd.Series, setting: pd.Series) -> pd.Series:
    """For every setting the names with their counts, the most frequent first."""
    counts = names.groupby([setting, names]).size().rename_axis(["setting", "name"])
    table = counts.rename("count").reset_index()
    table = table.sort_values("count", ascending=False, kind="stable")
    phrase = table["name"] + " " + table["count"].astype(str)
    return phrase.groupby(table["setting"]).agg(", ".join)
