"""What a config file and the overrides say, put together into one sweep.

Pure functions; no Hydra here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from superpos.compose.overrides import Given
from superpos.config.schema import Schema, schema_of, unknown_key
from superpos.config.spacing import MAX_MODELS, Axes, read_block
from superpos.config.wording import show
from superpos.errors import ConfigError
from superpos.family import Family
from superpos.plan.sweep import Axis, Sweep


def merge(
    tree: dict[str, Any], given: Given, experiment: str | None, family: Family
) -> tuple[Sweep, list[str]]:
    """The checked sweep of a composed config (`tree`) and the overrides, and notices for the user.

    Raises:
        ConfigError: with every fault, those of `given` first.
    """
    faults = list(given.faults)
    schema = schema_of(family)
    defaults = schema.defaults
    block, block_faults = read_block(schema, tree.pop("sweep"))
    values, bad = _check_values(schema, tree, faults, given.hints)
    axes, notices = _replace_axes(block, given, family.instead)
    faults += block_faults
    faults += [
        f"{key}: given as a value ({show(values[key])}) and in sweep; give one of the two"
        for key in _swept(axes)
        if values[key] != defaults[key] and key not in given.keys
    ]
    # in place of what the experiment sets
    values |= {key: defaults[key] for key in _swept(given.axes)}
    for key in given.keys & family.instead.keys():
        if family.instead[key] not in given.keys:
            values[family.instead[key]] = None
    if values["name"] == defaults["name"] and "name" not in given.keys:
        values["name"] = experiment or values["name"]
    sweep = _build(values, axes, family)
    faults += _sweep_faults(axes, sweep, bad)
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return sweep, notices


def _check_values(
    schema: Schema, tree: dict[str, Any], faults: list[str], hints: Mapping[str, str]
) -> tuple[dict[str, Any], set[str]]:
    """Canonical value of every key (the default where it is wrong), and the keys whose values are
    wrong.
    """
    values = dict(schema.defaults)
    bad = set()
    for key, value in _leaves(schema, tree):
        if key in schema.groups:
            faults.append(f"{key}: got {show(value)}; allowed: a group of keys")
        elif key not in schema.keys:
            faults.append(unknown_key(schema, key, schema.keys))
        else:
            try:
                values[key] = schema.canonical(key, value)
            except ValueError as fault:
                faults.append(f"{key}: {fault}{hints.get(key, '')}")
                bad.add(key)
    return values, bad


def _leaves(schema: Schema, tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        key = f"{prefix}{name}"
        inside = isinstance(value, dict) and key not in schema.keys
        found += _leaves(schema, value, f"{key}.") if inside and value else [(key, value)]
    return found


def _replace_axes(block: Axes, given: Given, instead: Mapping[str, str]) -> tuple[Axes, list[str]]:
    """The experiment's axes with overridden keys replaced in place, then new axes; seeds are the
    fastest.
    """
    taken = given.keys | {instead[key] for key in given.keys if key in instead}
    left = dict(given.axes)
    axes = {}
    notices = []
    for keys, points in block.items():
        hit = [key for key in keys if key in taken]
        if not hit:
            axes[keys] = points
            continue
        if len(keys) > 1:
            notices.append(
                f"the override of {_cause(hit[0], given, instead)} takes the place of the whole "
                f"axis {','.join(keys)}"
            )
        for key in hit:
            new = (_cause(key, given, instead),)
            axes |= {new: left.pop(new)} if new in left else {}
    axes |= left
    return dict(sorted(axes.items(), key=lambda item: item[0] == ("seed",))), notices


def _cause(key: str, given: Given, instead: Mapping[str, str]) -> str:
    """The overridden key that takes the place of this one: itself, or the one that says the
    same.
    """
    return key if key in given.keys else instead[key]


def _swept(axes: Axes) -> list[str]:
    return [key for keys in axes for key in keys]


def _build(values: dict[str, Any], axes: Axes, family: Family) -> Sweep:
    """The sweep in canonical form: an axis of one point is a value, and one of two keys that say
    the same is given.
    """
    base = dict(values)
    for keys, points in axes.items():
        if len(points) == 1:
            base |= dict(zip(keys, points[0], strict=True))
    kept = tuple(Axis(keys, points) for keys, points in axes.items() if len(points) > 1)
    for key, value in family.unsaid.items():
        pair = (key, family.instead[key])
        if all(base[name] is None and name not in _swept(axes) for name in pair):
            base[key] = value
    return Sweep(base, kept, family)


def _sweep_faults(axes: Axes, sweep: Sweep, bad: set[str]) -> list[str]:
    swept = _swept(axes)
    hint = "take the extended experiment's axis out with null, or give one"
    twice = [
        f"sweep.{key}: in more than one axis; {hint}"
        for key in dict.fromkeys(swept)
        if swept.count(key) > 1
    ]
    if twice:
        return twice
    if sweep.n_models > MAX_MODELS:
        return [f"sweep: {sweep.n_models:,} models; allowed: at most {MAX_MODELS:,}"]
    return sweep.faults(skip=bad)
