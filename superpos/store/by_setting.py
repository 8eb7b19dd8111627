"""One row per setting of a sweep: what its seeds reached, and how often each geometry was found."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from superpos.store.rows import best, healthy, same_setting


def by_setting(table: pd.DataFrame, swept: Sequence[str]) -> pd.DataFrame:
    """The models of a table grouped by every swept key but the seed, in the order of their first models.

    Columns: these keys; "models", "diverged"; "best" (number of the model of lowest loss), "loss_best",
    "loss_median", "loss_worst"; "geometries", such as "pentagon 90, 2 digons 9", where models have a geometry.
    Models that are not healthy (see `rows`) count in the first two alone.
    """
    keys = [key for key in swept if key != "seed"]
    setting = same_setting(table, keys)
    found = table.loc[~setting.duplicated(), keys].reset_index(drop=True)
    found["models"] = setting.value_counts()
    found["diverged"] = (table["status"] != "ok").groupby(setting).sum()
    good = healthy(table)
    lowest = best(good, keys)
    found["best"] = lowest["model"].set_axis(setting[lowest.index]).astype("Int64")
    loss = good["loss"].astype(float).groupby(setting[good.index])
    found["loss_best"] = loss.min()
    found["loss_median"] = loss.median()
    found["loss_worst"] = loss.max()
    if "geometry" in table:
        found["geometries"] = _counts(good["geometry"], setting[good.index])
    return found


def _counts(names: pd.Series, setting: pd.Series) -> pd.Series:
    """For every setting the names with their counts, the most frequent first."""
    counts = names.groupby([setting, names]).size().rename_axis(["setting", "name"])
    table = counts.rename("count").reset_index()
    table = table.sort_values("count", ascending=False, kind="stable")
    phrase = table["name"] + " " + table["count"].astype(str)
    return phrase.groupby(table["setting"]).agg(", ".join)
