"""Which values fit together. Each rule names its keys, so that a sweep checks a rule once for every combination of
those keys' values and not once for every model. Imports the standard library only.
"""

from __future__ import annotations

from superpos.family import Family, Rule

Rules = tuple[tuple[tuple[str, ...], Rule], ...]


def _warmup(warmup_steps: int, steps: int) -> str | None:
    if warmup_steps > steps:
        return f"train.warmup_steps: {warmup_steps} is more than train.steps={steps}"
    return None


SHARED: Rules = ((("train.warmup_steps", "train.steps"), _warmup),)
"""Rules between keys that every family has."""


def rules_of(family: Family) -> Rules:
    """The rules of a family, its own first."""
    return (*family.rules, *SHARED)
