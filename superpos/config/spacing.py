"""Expands swept values: the `sweep:` block of a config, and the checks of every axis.

    sweep:
      seed: {range: [0, 10]}                     # or linspace, geomspace: [start, stop, count]
      train.lr: {logspace: [-4, -2, 3]}          # powers of ten: [first, last, count]
      model.n_hidden: [2, 5]
      model.output,data.density: [[linear, 1.0], [relu, 0.1]]   # keys zipped into one axis: a list
      of points

Imports the standard library only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from superpos.config.schema import Schema, unknown_key
from superpos.config.wording import show
from superpos.errors import ConfigError

MAX_MODELS = 10_000_000
Axes = dict[tuple[str, ...], tuple[tuple[Any, ...], ...]]
"""{keys: points}; a point holds a value for each key."""

SPACINGS: Final = ("linspace", "geomspace", "logspace")
"""Spacings by a count; numpy has functions of these names."""
_LARGEST = 1e100  # so that no difference or ratio of two numbers overflows
_LARGEST_POWER = 100
# of computed values: the last bits of pow differ between C libraries, and values are hashed
_DIGITS = 12


def tidy(value: float, scale: float) -> float:
    """A computed value without its rounding noise: 12 significant digits, and 0 where it is noise
    beside `scale`.
    """
    return float(f"{value:.{_DIGITS}g}") if abs(value) > scale * 10.0**-_DIGITS else 0.0


def _linspace(start: float, stop: float, count: int) -> list[float]:
    scale = max(abs(start), abs(stop))
    gaps = max(count - 1, 1)
    return [tidy(start + (stop - start) * i / gaps, scale) for i in range(count)]


def _geomspace(start: float, stop: float, count: int) -> list[float]:
    gaps = max(count - 1, 1)
    # products are never noise
    return [tidy(start * (stop / start) ** (i / gaps), 0.0) for i in range(count)]


def range_length(start: float, stop: float, step: float) -> int:
    """Number of values of start, start + step, ... before `stop`."""
    # 1e-9: 0.3 / 0.1 is 3, not 2.9999999999999996
    return max(0, math.ceil((stop - start) / step - 1e-9))


def range_values(start: float, stop: float, step: float) -> list[float]:
    """start, start + step, ... before `stop`; integers where all three are."""
    values = [start + i * step for i in range(range_length(start, stop, step))]
    if all(isinstance(item, int) for item in (start, stop, step)):
        return values
    return [tidy(value, max(abs(start), abs(stop))) for value in values]


def _logspace(start: float, stop: float, count: int) -> list[float]:
    return _geomspace(10.0**start, 10.0**stop, count)


_VALUES: Final[dict[str, Callable[[float, float, int], list[float]]]] = dict(
    zip(SPACINGS, (_linspace, _geomspace, _logspace), strict=True)
)


def spaced(kind: str, numbers: Sequence[Any]) -> list[float]:
    """Values of {kind: numbers}, kind `range` or one of `SPACINGS`; ValueError says what is
    wrong.
    """
    if not all(map(_is_number, numbers)):
        raise ValueError(f"{kind} of {show(numbers)}; allowed: a list of numbers, none above 1e100")
    form = (
        "[stop], [start, stop] or [start, stop, step]"
        if kind == "range"
        else "[start, stop, count]"
    )
    if len(numbers) not in ((1, 2, 3) if kind == "range" else (3,)):
        raise ValueError(f"{kind} of {len(numbers)} numbers; allowed: {form}")
    if kind == "range":
        start, stop = (0, numbers[0]) if len(numbers) == 1 else numbers[:2]
        step = numbers[2] if len(numbers) == 3 else 1
        if abs(step) < 1 / _LARGEST:
            raise ValueError(f"range with step {show(step)}; allowed: any step but 0")
        return _bounded(range_length(start, stop, step), lambda: range_values(start, stop, step))
    start, stop, count = numbers
    if count < 1 or count != int(count):
        raise ValueError(f"{kind} with a count of {show(count)}; allowed: an integer, at least 1")
    if kind == "geomspace" and min(start, stop) < 1 / _LARGEST:
        raise ValueError(
            f"geomspace from {show(start)} to {show(stop)}; allowed: two numbers above 0"
        )
    if kind == "logspace" and max(abs(start), abs(stop)) > _LARGEST_POWER:
        raise ValueError(
            f"logspace from {show(start)} to {show(stop)}; allowed: powers of ten, from -100 to 100"
        )
    return _bounded(int(count), lambda: _VALUES[kind](start, stop, int(count)))


def _bounded(count: int, values: Callable[[], list[float]]) -> list[float]:
    if count > MAX_MODELS:
        raise ValueError(f"{count:,} values; allowed: at most {MAX_MODELS:,}")
    return values()


def _listed(given: Any) -> list[Any]:
    """Values of one axis of a `sweep:` block; ValueError says what is wrong."""
    if isinstance(given, list):
        return given
    # null takes out the spacing of an experiment that is extended, as Hydra adds the new one beside
    # it.
    spacings = (
        [item for item in given.items() if item[1] is not None] if isinstance(given, dict) else []
    )
    if len(spacings) != 1 or spacings[0][0] not in (*SPACINGS, "range"):
        names = ", ".join((*SPACINGS, "range"))
        raise ValueError(f"got {show(given)}; allowed: a list of values, or one of {names}: [...]")
    [(kind, numbers)] = spacings
    if not isinstance(numbers, list):
        raise ValueError(f"{kind} of {show(numbers)}; allowed: a list of numbers")
    return spaced(kind, numbers)


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool) and abs(item) <= _LARGEST


def read_block(schema: Schema, block: Any) -> tuple[Axes, list[str]]:
    """The axes of a `sweep:` block, in its order, and its faults. An axis of null is left out."""
    if not isinstance(block, dict):
        return {}, [f"sweep: got {show(block)}; allowed: KEY: [values] for every swept key"]
    axes: Axes = {}
    faults: list[str] = []
    for name, given in block.items():
        keys = tuple(key.strip() for key in str(name).split(","))
        if given is None:
            continue
        try:
            axes[keys] = check_axis(schema, keys, _points(keys, _listed(given)))
        except ConfigError as error:
            faults += [f"sweep.{fault}" for fault in error.faults]
        except ValueError as fault:
            faults.append(f"sweep.{name}: {fault}")
    return axes, faults


def _points(keys: tuple[str, ...], values: list[Any]) -> list[tuple[Any, ...]]:
    if len(keys) == 1:
        return [(value,) for value in values]
    for value in values:
        if not isinstance(value, list) or len(value) != len(keys):
            raise ValueError(f"got {show(value)}; allowed: points of {len(keys)} values, one a key")
    return [tuple(value) for value in values]


def check_axis(
    schema: Schema, keys: tuple[str, ...], points: Sequence[tuple[Any, ...]]
) -> tuple[tuple[Any, ...], ...]:
    """Canonical points of an axis.

    Raises:
        ConfigError: a key that is unknown or cannot be swept, a wrong value, a repeated point.
    """
    name = ",".join(keys)
    faults = [fault for key in keys if (fault := _key_fault(schema, key))]
    if len(set(keys)) < len(keys):
        faults.append(f"{name}: a key twice in one axis")
    if not points:
        faults.append(f"{name}: no values; allowed: at least one")
    if faults:
        raise ConfigError(faults)
    columns = [
        _canonical_column(schema, key, [point[i] for point in points], faults)
        for i, key in enumerate(keys)
    ]
    checked = tuple(zip(*columns, strict=True)) if not faults else ()
    if len(set(checked)) < len(checked):
        [(twice, _)] = Counter(checked).most_common(1)
        faults.append(f"{name}: {', '.join(map(show, twice))} is given twice")
    if faults:
        raise ConfigError(faults)
    return checked


def _key_fault(schema: Schema, key: str) -> str | None:
    if key not in schema.keys:
        return unknown_key(schema, key, schema.axis_keys)
    return (
        None
        if key in schema.axis_keys
        else f"{key}: cannot be swept; it is the same for a whole run"
    )


def _canonical_column(schema: Schema, key: str, values: list[Any], faults: list[str]) -> list[Any]:
    good = []
    bad = []
    for value in values:
        try:
            good.append(schema.canonical(key, value))
        except ValueError as fault:
            bad.append(str(fault))
    if bad:
        more = f" (and {len(bad) - 1} more of its values)" if len(bad) > 1 else ""
        faults.append(f"{key}: {bad[0]}{more}")
    return good
