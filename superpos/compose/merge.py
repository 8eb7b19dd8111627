"""What a config file and the overrides say, put together into one sweep. Pure functions; no Hydra here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from superpos.config.schema import DEFAULT_SPARSITY, DEFAULTS, GROUPS, KEYS, canonical
from superpos.config.spacing import MAX_MODELS, Axes, read_block
from superpos.config.wording import show, unknown
from superpos.errors import ConfigError
from superpos.plan.sweep import Axis, Sweep
from superpos.user.functions import Own

_TWIN = {"data.sparsity": "data.density", "data.density": "data.sparsity"}


@dataclass
class Given:
    """What the overrides say."""

    experiment: str | None = None
    lines: list[str] = field(default_factory=list)  # of single values, for Hydra
    axes: Axes = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def merge(
    tree: dict[str, Any], given: Given, experiment: str | None, own: Own | None = None
) -> tuple[Sweep, list[str]]:
    """The checked sweep of a composed config (`tree`) and the overrides, and notices for the user.

    Raises:
        ConfigError: with every fault, those of `given` first.
    """
    faults = list(given.faults)
    block, block_faults = read_block(tree.pop("sweep"))
    values, bad = _check_values(tree, faults)
    axes, notices = _replace_axes(block, given)
    faults += block_faults
    faults += [
        f"{key}: given as a value ({show(values[key])}) and in sweep; give one of the two"
        for key in _swept(axes)
        if values[key] != DEFAULTS[key] and key not in given.keys
    ]
    values |= {key: DEFAULTS[key] for key in _swept(given.axes)}  # in place of what the experiment sets
    for key in given.keys & _TWIN.keys():
        if _TWIN[key] not in given.keys:
            values[_TWIN[key]] = None
    if values["name"] == DEFAULTS["name"] and "name" not in given.keys:
        values["name"] = experiment or values["name"]
    sweep = replace(_build(values, axes), own=own)
    faults += _sweep_faults(axes, sweep, bad)
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return sweep, notices


def _check_values(tree: dict[str, Any], faults: list[str]) -> tuple[dict[str, Any], set[str]]:
    """Canonical value of every key (the default where it is wrong), and the keys whose values are wrong."""
    values, bad = dict(DEFAULTS), set()
    for key, value in _leaves(tree):
        if key in GROUPS:
            faults.append(f"{key}: got {show(value)}; allowed: a group of keys")
        elif key not in KEYS:
            faults.append(unknown(key, KEYS))
        else:
            try:
                values[key] = canonical(key, value)
            except ValueError as fault:
                faults.append(f"{key}: {fault}")
                bad.add(key)
    return values, bad


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        key = f"{prefix}{name}"
        inside = isinstance(value, dict) and key not in KEYS
        found += _leaves(value, f"{key}.") if inside and value else [(key, value)]
    return found


def _replace_axes(block: Axes, given: Given) -> tuple[Axes, list[str]]:
    """The experiment's axes with overridden keys replaced in place, then new axes; seeds are the fastest."""
    taken = given.keys | {_TWIN[key] for key in given.keys if key in _TWIN}
    left, axes, notices = dict(given.axes), {}, []
    for keys, points in block.items():
        hit = [key for key in keys if key in taken]
        if not hit:
            axes[keys] = points
            continue
        if len(keys) > 1:
            notices.append(
                f"the override of {_cause(hit[0], given)} takes the place of the whole axis {','.join(keys)}"
            )
        for key in hit:
            new = (_cause(key, given),)
            axes |= {new: left.pop(new)} if new in left else {}
    axes |= left
    return dict(sorted(axes.items(), key=lambda item: item[0] == ("seed",))), notices


def _cause(key: str, given: Given) -> str:
    return key if key in given.keys else _TWIN[key]


def _swept(axes: Axes) -> list[str]:
    return [key for keys in axes for key in keys]


def _build(values: dict[str, Any], axes: Axes) -> Sweep:
    """The sweep in canonical form: an axis of one point is a value, and one of sparsity and density is given."""
    base = dict(values)
    for keys, points in axes.items():
        if len(points) == 1:
            base |= dict(zip(keys, points[0], strict=True))
    kept = tuple(Axis(keys, points) for keys, points in axes.items() if len(points) > 1)
    if base["data.sparsity"] is None and base["data.density"] is None and not _TWIN.keys() & set(_swept(axes)):
        base["data.sparsity"] = DEFAULT_SPARSITY
    return Sweep(base, kept)


def _sweep_faults(axes: Axes, sweep: Sweep, bad: set[str]) -> list[str]:
    swept = _swept(axes)
    hint = "take the extended experiment's axis out with null, or give one"
    twice = [f"sweep.{key}: in more than one axis; {hint}" for key in dict.fromkeys(swept) if swept.count(key) > 1]
    if twice:
        return twice
    if sweep.n_models > MAX_MODELS:
        return [f"sweep: {sweep.n_models:,} models; allowed: at most {MAX_MODELS:,}"]
    return sweep.faults(skip=bad)
