"""A user's own functions are tried on a few models before anything is written."""

from __future__ import annotations

from superpos.plan.sweep import Sweep
from superpos.training.sources import needed


def try_functions(sweep: Sweep, here: bool = True) -> None:
    """Try the functions of a sweep on a few models of every structure; on the CPU where `here` is
    not who trains.

    Raises `ConfigError` where one cannot be used; says why.
    """
    family = sweep.family
    if family.functions is None or family.try_functions is None:
        return
    device = "cuda" if here and sweep.base["engine.device"] == "cuda" else "cpu"
    first_rows = {chunk.structure: chunk.rows[:1] for chunk in sweep.plan.chunks}
    shared = needed(sweep)
    for rows in first_rows.values():
        family.try_functions(family, sweep.task(rows, shared), device)
