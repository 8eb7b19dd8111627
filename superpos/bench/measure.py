"""All sides train the same models for the same steps and reach the same loss; then their steps are
timed, in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.bench import machine
from superpos.bench.cases import PART_STEPS, Bench, Case
from superpos.bench.sides import (
    EngineSide,
    Maker,
    MissingError,
    Side,
    has_draws_of_its_own,
    sides_of,
)
from superpos.family import Family

EVALUATION_SAMPLES: Final = 2**14
BLOCKS: Final = 3  # stretches of each side in a run, in turn
STRETCH_SECONDS: Final = 0.3  # one call of an engine in real training


class Row(NamedTuple):
    """One side of one case."""

    case: Case
    side: str
    engine: str | None  # "fused" or "reference", where the side is an engine
    # a step of all models, in milliseconds: one number a run, the median of its blocks
    ms: list[float]
    # mean over the models after the case's `compared_steps`; None where models share their draws
    loss: float | None
    z: float | None  # its distance from the standard's, model by model, in standard errors

    @property
    def ns(self) -> float:
        """Nanoseconds for a sample of a model, median over the runs."""
        return 1e6 * median(self.ms) / self.case.samples

    @property
    def gflops(self) -> float:
        """Billion operations a second, whether they are done or skipped."""
        return self.case.flops / self.ns

    def to_json(self) -> dict[str, Any]:
        """Flat: the fields of the case, then those of the row."""
        return self.case._asdict() | {field: getattr(self, field) for field in self._fields[1:]}

    @classmethod
    def from_json(cls, row: Mapping[str, Any], case: Callable[..., Case]) -> Row:
        """The inverse of `to_json`, for the family's type of case."""
        own = {field: row[field] for field in cls._fields[1:]}
        return cls(
            case(**{field: value for field, value in row.items() if field not in own}), **own
        )


class Report(NamedTuple):
    """What was measured, and on what."""

    machine: dict[str, str]
    peak_gflops: float  # best square matrix product in float32
    skipped: dict[str, str]  # sides that could not be timed, and why
    rows: list[Row]

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return self._asdict() | {"rows": [row.to_json() for row in self.rows]}

    @classmethod
    def from_json(cls, report: Mapping[str, Any], case: Callable[..., Case]) -> Report:
        """The inverse of `to_json`, for the family's type of case."""
        return cls(**{**report, "rows": [Row.from_json(row, case) for row in report["rows"]]})


class _Racer:
    """A side of a case: it has trained the steps that are compared, and can be timed."""

    def __init__(self, name: str, side: Side, compared_steps: int, most_steps: int) -> None:
        self.name, self.side = name, side
        parts = range(compared_steps // PART_STEPS)
        seconds = [_seconds(lambda: side.advance(PART_STEPS)) for _ in parts]
        self.params = {key: value.copy() for key, value in side.params().items()}
        self.steps = min(max(1, round(STRETCH_SECONDS * PART_STEPS / seconds[-1])), most_steps)
        self.ms: list[float] = []
        self.stretch_ms()  # JAX compiles a scan of this length

    def stretch_ms(self) -> float:
        """Milliseconds a step."""
        return 1e3 * _seconds(lambda: self.side.advance(self.steps)) / self.steps


class _Race:
    """All sides of a case."""

    def __init__(
        self, case: Case, sides: Mapping[str, Side], judge: EngineSide, bench: Bench
    ) -> None:
        steps = judge.task.structure.steps
        self.case = case
        self.standard = bench.standard.name if bench.standard else None
        self.not_compared = {self.standard, *bench.own_rules}
        self.racers = [
            _Racer(name, side, case.compared_steps, steps) for name, side in sides.items()
        ]
        self.losses = _losses(judge, self.racers)

    def run(self) -> None:
        """Time every side once more."""
        blocks = [[racer.stretch_ms() for racer in self.racers] for _ in range(BLOCKS)]
        for racer, times in zip(self.racers, zip(*blocks, strict=True), strict=True):
            racer.ms.append(median(times))

    def rows(self) -> list[Row]:
        """What was measured until now."""
        return [self._row(racer) for racer in self.racers]

    def _row(self, racer: _Racer) -> Row:
        engine = racer.side.engine.name if isinstance(racer.side, EngineSide) else None
        loss = self.losses.get(racer.name)
        if loss is None:
            return Row(self.case, racer.name, engine, racer.ms, None, None)
        compared = None if racer.name in self.not_compared else self.losses.get(self.standard or "")
        z = None if compared is None else standard_errors(loss - compared)
        return Row(self.case, racer.name, engine, racer.ms, float(loss.mean()), z)


def run(
    family: Family,
    bench: Bench,
    cases: Iterable[Case],
    sides: Callable[[Case], Iterable[str]],
    repeat: int = 1,
    device: str = "cpu",
    note: Callable[[str], object] = lambda _: None,
) -> Report:
    """Time these sides of every case `repeat` times; a run goes through all cases, so that runs are
    minutes apart.
    """
    facts = machine.facts(device)
    peak = 0.0
    skipped = dict[str, str]()
    races = list[_Race]()
    makers = sides_of(family, bench.baselines, bench.together)
    for case in cases:
        note(f"{case.label}: training")
        started = _start(case, {name: makers[name] for name in sides(case)}, device, skipped)
        races.append(_Race(case, started, EngineSide(family, case.task(), device), bench))
    for number in range(repeat):
        for race in races:
            note(f"{race.case.label}: run {number + 1} of {repeat}")
            # other work on the machine can only lower it
            peak = max(peak, machine.peak_gflops(device))
            race.run()
    return Report(facts, peak, skipped, [row for race in races for row in race.rows()])


def _start(
    case: Case, makers: Mapping[str, Maker], device: str, skipped: dict[str, str]
) -> dict[str, Side]:
    """The sides by name; those that cannot train here are left out and join `skipped`."""
    started = {}
    for name, make in makers.items():
        try:
            if name not in skipped:
                started[name] = make(case.task(), device)
        except MissingError as error:
            skipped[name] = str(error)
    return started


def standard_errors(differences: NDArray[np.float64]) -> float | None:
    """How far the mean [M] is from zero, in its standard errors; None for a single model."""
    if len(differences) < 2:
        return None
    return float(
        differences.mean() / max(differences.std(ddof=1) / len(differences) ** 0.5, 1e-300)
    )


def _losses(judge: EngineSide, racers: list[_Racer]) -> dict[str, NDArray[np.float64]]:
    """Loss of every model [M] of every side with draws of its own, all on the same samples."""
    own = [racer for racer in racers if has_draws_of_its_own(racer.name)]
    return {
        racer.name: judge.engine.evaluate(judge.task, racer.params, EVALUATION_SAMPLES)[0]
        for racer in own
    }


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
