"""Published and exact claims about the experiments: each measured on trained models and on a
negative control.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from superpos.claims.claim_files import FULL, QUICK, Claim, Overrides, load_claims
from superpos.claims.measured import STATISTICS, Measured
from superpos.errors import MissingPackageError
from superpos.store import Run

__all__ = ["RUNS", "Claim", "Result", "check", "load_claims"]

RUNS = "verify"
"""Name of the runs that are not a shipped experiment as it is."""
CONTROL_PASSES = "its negative control lies in the band too"
CONTROL_IS_EMPTY = "its negative control cannot be measured"

Train = Callable[[str, Overrides], Run]
"""Called with an experiment and overrides; returns the trained run."""


@dataclass(frozen=True)
class Result:
    """What became of a claim; `measured` is the statistic of the values, NaN where nothing could be
    measured.
    """

    claim: Claim
    verdict: Literal["holds", "fails", "skipped"]
    expected: float | None
    low: float
    high: float
    measured: float = math.nan
    spread: tuple[float, float] | None = None  # lowest and highest value
    trials: int = 0
    control: float = math.nan
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where there is no number or no end of the band."""
        claim = self.claim
        numbers = {
            "expected": self.expected,
            "published": claim.published,
            "low": self.low,
            "high": self.high,
            "measured": self.measured,
            "spread": None if self.spread is None else [_finite(value) for value in self.spread],
            "trials": self.trials,
            "control": self.control,
        }
        text = {"experiment": claim.experiment, "claim": claim.text, "source": claim.source}
        plain = {
            key: _finite(value) if isinstance(value, float) else value
            for key, value in numbers.items()
        }
        return text | plain | {"verdict": self.verdict, "reason": claim.reason, "why": self.why}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def check(claims: Iterable[Claim], train: Train, quick: bool = False) -> Iterator[Result]:
    """The claims in order, each as soon as its runs are trained; `quick` skips those that have no
    quick runs.
    """
    trained = cache(train)
    for claim in claims:
        size = QUICK if quick else FULL
        if size not in claim.run:
            low, high = claim.band.ends(claim.expected)
            yield Result(claim, "skipped", claim.expected, low, high, why="has no quick run")
            continue
        run, control_run = (
            trained(claim.experiment, _with_folders(overrides[size], trained))
            for overrides in (claim.run, claim.control)
        )
        try:
            found = claim.measure(run, **claim.arguments)
            control = claim.measure(control_run, **claim.arguments)
        except MissingPackageError as error:
            low, high = claim.band.ends(claim.expected)
            yield Result(claim, "skipped", claim.expected, low, high, why=str(error))
            continue
        yield _judged(claim, found, control)


def _with_folders(overrides: Overrides, train: Train) -> Overrides:
    """Overrides with the folder of an experiment, trained as it is, where one is
    "KEY=@EXPERIMENT".
    """

    def given(override: str) -> str:
        key, at, experiment = override.partition("=@")
        return f"{key}={train(experiment, ()).path}" if at else override

    return tuple(given(override) for override in overrides)


def _judged(claim: Claim, found: Measured, control: Measured) -> Result:
    """The verdict: the number lies in the band, and the control's does not, and is one unless the
    claim says why not.

    A band relative to what theory computes is that of the run: the control is held against the same
    numbers.
    """
    expected = found.expected if claim.expected is None else claim.expected
    low, high = claim.band.ends(expected)
    measured = _number(found, claim.statistic)
    other = _number(control, claim.statistic)
    if math.isnan(other) and not claim.empty:
        why = CONTROL_IS_EMPTY  # a claim that nothing could have contradicted
    elif low <= other <= high:
        why = CONTROL_PASSES
    else:
        why = "" if low <= measured <= high else "outside the band"
    values = np.asarray(found.values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    return Result(
        claim,
        "fails" if why else "holds",
        expected,
        low,
        high,
        measured,
        (float(finite.min()), float(finite.max())) if len(finite) else None,
        len(values),
        other,
        why,
    )


def _number(found: Measured, statistic: str) -> float:
    values = np.asarray(found.values, dtype=np.float64)
    return STATISTICS[statistic](values) if len(values) else math.nan
