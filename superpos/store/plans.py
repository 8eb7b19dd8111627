"""Whether what a manifest holds as a plan is one: a checksum says that it was not changed, not who
sealed it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any

from superpos.config.schema import schema_of
from superpos.errors import ConfigError
from superpos.family import Family
from superpos.user.functions import Own


def plan_fault(
    plan: Any, n_models: int, columns: Collection[str] | None, family: Family | None
) -> str | None:
    """What is wrong with a plan, in words, or None.

    It must have values by key, axes with as many points as there are models, keys that are
    `columns` of the table (None where no model is finished), and values that its family allows,
    where that is known.
    """
    if not isinstance(plan, Mapping):
        return f"its plan is {plan!r}"
    if not isinstance(plan.get("values"), Mapping):
        return f"its values are {plan.get('values')!r}"
    axes = plan.get("axes")
    if not isinstance(axes, list) or not all(map(_is_axis, axes)):
        return f"its axes are {axes!r}"
    if math.prod(len(axis["values"]) for axis in axes) != n_models:
        return f"its axes do not have {n_models:,} points"
    keys = swept_keys(plan)
    unknown = [key for key in keys if columns is not None and key not in columns]
    if unknown or len(keys) != len(set(keys)):
        return f"its axes are of {', '.join(keys)}"
    if "own" in plan:
        try:
            Own.from_json(plan["own"])
        except ConfigError as error:
            return f"its own functions: {error}"
    return None if family is None else _value_fault(plan["values"], axes, family)


def swept_keys(plan: Mapping[str, Any]) -> list[str]:
    """The keys that a plan varies, in the order of its axes."""
    return [key for axis in plan["axes"] for key in axis["keys"]]


def _value_fault(values: Mapping[str, Any], axes: list[Any], family: Family) -> str | None:
    """The first value that can be none of its key, in words, or None; keys of other versions may be
    anything.
    """
    schema = schema_of(family)
    points = (zip(axis["keys"], point, strict=True) for axis in axes for point in axis["values"])
    for key, value in itertools.chain(values.items(), *points):
        try:
            if key in schema.keys:
                schema.canonical(key, value)
        except ValueError as error:
            return f"{key}: {error}"
    return None


def _is_axis(axis: Any) -> bool:
    """Whether a value is {"keys": [key, ...], "values": [[value of each key], ...]}."""
    if not isinstance(axis, Mapping) or not isinstance(axis.get("keys"), list):
        return False
    keys = axis["keys"]
    values = axis.get("values")
    if not keys or not all(isinstance(key, str) for key in keys) or not isinstance(values, list):
        return False
    return all(isinstance(point, list) and len(point) == len(keys) for point in values)
