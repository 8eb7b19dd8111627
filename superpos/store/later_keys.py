"""Columns of keys that were added after the first release of a family.

A run's table holds such a key only where its plan sets or sweeps it, so that new keys leave old
digests as they are. Who reads a table finds the others too: every model has their defaults.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from superpos.config.schema import KeySpec, schema_of
from superpos.family import Family


def with_later_keys(table: pd.DataFrame, family: Family) -> pd.DataFrame:
    """The table with a column of defaults for each later key of a family that it does not hold, at
    its end.
    """
    schema = schema_of(family)
    specs = [schema.keys[key] for key in schema.axis_keys if key not in table]
    missing = {spec.key: _defaults(spec, table.index) for spec in specs if spec.later}
    return table.assign(**missing) if missing else table


def _defaults(spec: KeySpec, index: pd.Index) -> pd.Series:
    """The default of a key in every row, as a table holds it: lists as arrays, integers with gaps
    as integers.
    """
    value: Any = spec.default
    if isinstance(value, tuple):
        return pd.Series([np.array(value) for _ in index], index=index, dtype=object)
    if value is None:
        return pd.Series(None, index=index, dtype="Int64" if spec.kind == "int" else object)
    return pd.Series(value, index=index)
