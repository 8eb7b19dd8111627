"""What patching finds in trained transformers. Values are one per model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch

from superpos.claims.measured import Measured
from superpos.explain import estimates, patching
from superpos.explain.patched import Asked, Patched, patched_of
from superpos.store import Run
from superpos.store.rows import healthy

_PROMPTS: Final = 100


def share(run: Run, part: str, corrupt: str, prompts: int = _PROMPTS) -> Measured:
    """What noising a head loses of all that the corrupt sequence loses."""

    def of(found: Patched) -> torch.Tensor:
        sites = [site for site in found.pairs.sites if site.name == part]
        effect = patching.noising(found.pairs, sites)[0]
        return effect.mean(-1) / found.pairs.total.mean(-1)

    return _each(run, corrupt, prompts, of)


def ratio(
    run: Run,
    edge: str,
    estimate: str,
    steps: int = 20,
    corrupt: str = "keys_swapped",
    prompts: int = _PROMPTS,
) -> Measured:
    """An estimate of an edge's effect over the exact one."""

    def of(found: Patched) -> torch.Tensor:
        sites = [site for site in found.edges if site.name == edge]
        exact = patching.noising(found.pairs, sites)[0].mean(-1)
        return estimates.estimate(found.pairs, estimate, steps, sites)[0].mean(-1) / exact

    return _each(run, corrupt, prompts, of)


def _each(run: Run, corrupt: str, prompts: int, of: Callable[[Patched], torch.Tensor]) -> Measured:
    """One number [1] of each healthy model."""
    asked = Asked(corrupt=corrupt, prompts=prompts)
    values: list[float] = []
    for model in healthy(run.table)["model"]:
        values += of(patched_of(run, [int(model)], asked)).tolist()
    return Measured(np.array(values))
