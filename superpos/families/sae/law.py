"""How often the features of a synthetic world are active. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Callable

from superpos.families.sae.keys import DEFAULT_EXPONENT

LOG_RANGE = 1000.0
"""Largest over smallest probability of the log-uniform law."""


def frequencies(
    law: str,
    n_features: int,
    active: float,
    exponent: float | None,
    decay: float,
    last: float | None,
) -> list[float]:
    """p of each feature, the most frequent first, in sum `active`; a law may ask for more than
    1.
    """
    n = n_features
    end = 1 / n if last is None else last
    steepness = DEFAULT_EXPONENT if exponent is None else exponent
    weights: dict[str, Callable[[int], float]] = {
        "constant": lambda g: 1.0,
        "linear": lambda g: 1 - (1 - end) * g / max(n - 1, 1),
        "geometric": lambda g: decay**g,
        "zipf": lambda g: float((g + 1) ** -steepness),
        "loguniform": lambda g: float(LOG_RANGE ** -((g + 0.5) / n)),
    }
    relative = [weights[law](g) for g in range(n)]
    total = sum(relative)
    return [active * weight / total for weight in relative]
