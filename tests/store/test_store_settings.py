"""One row per setting: best and spread over the seeds, geometries counted."""

import numpy as np
import pandas as pd

from superpos.family import Label
from superpos.store.by_setting import by_setting

SWEPT = ["data.density", "seed"]
LABEL = Label("geometry", "geometries")


def table() -> pd.DataFrame:
    """Two settings, interleaved, three seeds each; the last model has diverged."""
    shape = {"model.n_features": 2, "model.init_std": 0.5}
    columns = {
        "model": [0, 1, 2, 3, 4, 5],
        "data.density": [0.5, 0.1] * 3,
        "data.sparsity": [0.5, 0.9] * 3,
        "seed": [0, 0, 1, 1, 2, 2],
        "status": ["ok"] * 5 + ["diverged"],
        "loss": [3.0, 9.0, 1.0, 8.0, 2.0, 0.0],
        "geometry": ["digon", "a", "pentagon", "b", "digon", None],
    }
    return pd.DataFrame(columns | shape).set_index("model", drop=False)


def test_best_spread_and_geometries_by_hand() -> None:
    found = by_setting(table(), SWEPT, LABEL)
    assert list(found.columns[:3]) == ["data.density", "models", "diverged"]
    assert found["data.density"].tolist() == [0.5, 0.1]
    assert found[["models", "diverged", "best"]].to_numpy().tolist() == [[3, 0, 2], [3, 1, 3]]
    assert found[["loss_best", "loss_median", "loss_worst"]].to_numpy().tolist() == [
        [1, 2, 3],
        [8, 8.5, 9],
    ]
    assert found["geometries"].tolist() == ["digon 2, pentagon 1", "a 1, b 1"]


def test_one_setting_and_one_whose_models_all_diverged() -> None:
    same = table().drop(columns="geometry").assign(**{"data.density": 0.5, "data.sparsity": 0.5})
    assert by_setting(same, ["seed"], LABEL)["models"].tolist() == [6]
    found = by_setting(same.assign(status="diverged"), ["seed"], LABEL)
    assert found["diverged"].tolist() == [6]
    assert found["best"].isna().all()


def test_lists_are_settings_too() -> None:
    lists = [np.array([1.0, 2.0]), np.array([2.0, 1.0])] * 3
    changed = table().assign(
        **{"importance.values": pd.Series(lists, index=range(6)), "data.density": 0.5}
    )
    found = by_setting(changed, ["importance.values", "seed"], LABEL)
    assert found["models"].tolist() == [3, 3]
    assert list(found["importance.values"].iloc[1]) == [2, 1]


def test_every_swept_key_is_a_setting_also_one_that_could_follow_from_another() -> None:
    changed = table().assign(**{"model.init_std": [0.5, 0.5, 0.1, 0.1, 0.1, 0.1]})
    found = by_setting(changed, ["data.density", "model.init_std", "seed"], LABEL)
    assert found[["data.density", "model.init_std", "models"]].to_numpy().tolist() == [
        [0.5, 0.5, 1], [0.1, 0.5, 1], [0.5, 0.1, 2], [0.1, 0.1, 2],
    ]  # fmt: skip
