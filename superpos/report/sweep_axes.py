"""The axes of a sweep as the page draws them, and the overrides that train one of its models
alone.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np

from superpos.store.plans import swept_keys
from superpos.units import number

Scale = Literal["linear", "log", "ordinal"]

SEED: Final = "seed"
# greatest spread of the steps of an axis, as a share of their mean: 1, 0.3, 0.1, 0.03 pass
_EVEN: Final = 0.35
_MIN_VALUES: Final = 3  # two values are evenly spaced on every scale


def scale_of(values: Sequence[Any]) -> Scale:
    """On which scale the values of an axis are evenly spaced; "ordinal" where they are no numbers,
    or on none.
    """
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return "ordinal"
    numbers = np.array(values, dtype=np.float64)
    if len(numbers) < _MIN_VALUES or _uneven(numbers) <= _EVEN:
        return "linear" if len(np.unique(numbers)) == len(numbers) else "ordinal"
    return "log" if (numbers > 0).all() and _uneven(np.log(numbers)) <= _EVEN else "ordinal"


def _uneven(numbers: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Spread of the steps as a share of their mean; infinite where the order changes."""
    steps = np.diff(numbers)
    if not ((steps > 0).all() or (steps < 0).all()):
        return float("inf")
    return float(np.std(steps) / abs(np.mean(steps)))


def axes(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The axes of a plan, in its order: keys, values, a text for each point, the scale, whether it
    is that of seeds.
    """
    return [_axis(axis["keys"], axis["values"]) for axis in plan["axes"]]


def _axis(keys: list[str], values: list[list[Any]]) -> dict[str, Any]:
    single = [point[0] for point in values]
    scale = scale_of(single) if len(keys) == 1 else "ordinal"
    return {
        "keys": keys,
        "values": [[safe(value) for value in point] for point in values],
        "texts": [", ".join(map(short, point)) for point in values],
        "scale": scale,
        "seeds": keys == [SEED],
        "overrides": [" ".join(map(override, keys, point)) for point in values],
    }


def short(value: Any) -> str:
    """A value as a label: numbers with four digits."""
    if isinstance(value, list):
        return f"[{', '.join(map(short, value))}]" if len(value) <= 4 else f"list of {len(value)}"
    return number(value) if isinstance(value, float) else written(value)


def written(value: Any) -> str:
    """A value as the command line has it, without quotes of the shell."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def override(key: str, value: Any) -> str:
    """One override for the shell."""
    return shlex.quote(f"{key}={written(value)}")


def fixed_overrides(plan: Mapping[str, Any], name: str) -> str:
    """What every command begins with: the settings that are not swept and not the default."""
    swept = set(swept_keys(plan))
    kept = [
        override(key, value) for key, value in sorted(plan["values"].items()) if key not in swept
    ]
    # without any override, intro is trained
    seed = [] if SEED in swept | plan["values"].keys() else [f"{SEED}=0"]
    return " ".join(["superpos train", override("name", name), *kept, *seed])


def safe(value: Any) -> Any:
    """Whole numbers that JavaScript cannot hold, large seeds, become text."""
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value
