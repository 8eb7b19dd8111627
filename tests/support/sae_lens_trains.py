"""Trains small autoencoders as the benchmark does: python sae_lens_trains.py.

Prints, as JSON, the mean loss by kind and side: of the loop, of SAELens, and before training. It
needs SAELens and superpos.
"""

from __future__ import annotations

import json
import sys

from superpos.bench.sides import EngineSide, sides_of
from superpos.families.sae import FAMILY
from superpos.families.sae.bench import LOOP, SAE_LENS, bench
from superpos.families.sae.bench.cases import Case

STEPS = 200


def losses(kind: str) -> dict[str, float]:
    """What the sides reach with autoencoders of a kind."""
    case = Case(8, 12, models=8, active=1.5, kind=kind, batch_size=64)
    judge = EngineSide(FAMILY, case.task(), "cpu")
    makers = sides_of(FAMILY, bench().baselines, bench().together)
    found = {"start": judge.params()}
    for name in (LOOP, SAE_LENS):
        side = makers[name](case.task(), "cpu")
        side.advance(STEPS)
        found[name] = side.params()
    return {
        name: float(judge.engine.evaluate(judge.task, params, 4096)[0].mean())
        for name, params in found.items()
    }


if __name__ == "__main__":
    json.dump({kind: losses(kind) for kind in ("l1", "topk", "batchtopk", "jumprelu")}, sys.stdout)
