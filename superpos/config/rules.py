"""Which values fit together.

Each rule names its keys, so that a sweep checks a rule once for every combination of those keys'
values and not once for every model. Imports the standard library only.
"""

from __future__ import annotations

from functools import partial

from superpos.family import Family, Rule

Rules = tuple[tuple[tuple[str, ...], Rule], ...]


def _warmup(default: int, warmup_steps: int, steps: int) -> str | None:
    """A warm-up that somebody asked for fits into training; a family's own is cut where that
    ends.
    """
    if warmup_steps > steps and warmup_steps != default:
        return f"train.warmup_steps: {warmup_steps} is more than train.steps={steps}"
    return None


def rules_of(family: Family) -> Rules:
    """The rules of a family, its own first, then that between keys that every family has."""
    default = family.defaults.get("train.warmup_steps", 0)
    return (*family.rules, (("train.warmup_steps", "train.steps"), partial(_warmup, default)))
