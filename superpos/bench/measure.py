"""All sides train the same models for the same steps and reach the same loss; then their steps are timed, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.bench import machine
from superpos.bench.sides import EAGER, ONE_SEED, SIDES, EngineSide, MissingError, Side
from superpos.families.tms.bench.cases import RUN_STEPS, Case

PART_STEPS: Final = 16
COMPARED_STEPS: Final = 3 * PART_STEPS  # the first part compiles, the last one says how long a step takes
EVALUATION_SAMPLES: Final = 2**14
BLOCKS: Final = 3  # stretches of each side in a run, in turn
STRETCH_SECONDS: Final = 0.3  # one call of an engine in real training


class Row(NamedTuple):
    """One side of one case."""

    case: Case
    side: str
    engine: str | None  # "fused" or "reference", where the side is an engine
    ms: list[float]  # a step of all models, in milliseconds: one number a run, the median of its blocks
    loss: float | None  # mean over the models after COMPARED_STEPS steps; None with one seed for all
    z: float | None  # its distance from the eager loop's, model by model, in standard errors

    @property
    def ns(self) -> float:
        """Nanoseconds for a sample of a model, median over the runs."""
        return 1e6 * median(self.ms) / self.case.samples

    @property
    def gflops(self) -> float:
        """Billion operations a second, 10nm a sample, whether they are done or skipped."""
        return 10 * self.case.n_features * self.case.n_hidden / self.ns

    def to_json(self) -> dict[str, Any]:
        """Flat: the fields of the case, then those of the row."""
        return self.case._asdict() | {field: getattr(self, field) for field in self._fields[1:]}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Row:
        """The inverse of `to_json`."""
        case = Case(**{field: row[field] for field in Case._fields})
        return cls(case, **{field: row[field] for field in cls._fields[1:]})


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
    def from_json(cls, report: Mapping[str, Any]) -> Report:
        """The inverse of `to_json`."""
        return cls(**{**report, "rows": [Row.from_json(row) for row in report["rows"]]})


class _Racer:
    """A side of a case: it has trained COMPARED_STEPS steps, and can be timed."""

    def __init__(self, name: str, side: Side) -> None:
        self.name, self.side = name, side
        seconds = [_seconds(lambda: side.advance(PART_STEPS)) for _ in range(COMPARED_STEPS // PART_STEPS)]
        self.params = {key: value.copy() for key, value in side.params().items()}
        self.steps = min(max(1, round(STRETCH_SECONDS * PART_STEPS / seconds[-1])), RUN_STEPS)
        self.ms: list[float] = []
        self.stretch_ms()  # JAX compiles a scan of this length

    def stretch_ms(self) -> float:
        """Milliseconds a step."""
        return 1e3 * _seconds(lambda: self.side.advance(self.steps)) / self.steps


class _Race:
    """All sides of a case."""

    def __init__(self, case: Case, sides: Mapping[str, Side], device: str) -> None:
        self.case, self.racers = case, [_Racer(name, side) for name, side in sides.items()]
        self.losses = _losses(case, self.racers, device)

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
        loss, eager = self.losses.get(racer.name), self.losses.get(EAGER)
        z = None if loss is None or eager is None or racer.name == EAGER else standard_errors(loss - eager)
        return Row(self.case, racer.name, engine, racer.ms, None if loss is None else float(loss.mean()), z)


def run(
    cases: Iterable[Case],
    sides: Callable[[Case], Iterable[str]],
    repeat: int = 1,
    device: str = "cpu",
    note: Callable[[str], object] = lambda _: None,
) -> Report:
    """Time these sides of every case `repeat` times; a run goes through all cases, so that runs are minutes apart."""
    facts, peak, skipped, races = machine.facts(device), 0.0, dict[str, str](), list[_Race]()
    for case in cases:
        note(f"{case.label}: training")
        races.append(_Race(case, _start(case, sides(case), device, skipped), device))
    for number in range(repeat):
        for race in races:
            note(f"{race.case.label}: run {number + 1} of {repeat}")
            peak = max(peak, machine.peak_gflops(device))  # other work on the machine can only lower it
            race.run()
    return Report(facts, peak, skipped, [row for race in races for row in race.rows()])


def _start(case: Case, names: Iterable[str], device: str, skipped: dict[str, str]) -> dict[str, Side]:
    """The sides by name; those that cannot train here are left out and join `skipped`."""
    started = {}
    for name in names:
        try:
            if name not in skipped:
                started[name] = SIDES[name](case.task(), device)
        except MissingError as error:
            skipped[name] = str(error)
    return started


def standard_errors(differences: NDArray[np.float64]) -> float | None:
    """How far the mean [M] is from zero, in its standard errors; None for a single model."""
    if len(differences) < 2:
        return None
    return float(differences.mean() / max(differences.std(ddof=1) / len(differences) ** 0.5, 1e-300))


def _losses(case: Case, racers: list[_Racer], device: str) -> dict[str, NDArray[np.float64]]:
    """Loss of every model [M] of every side with seeds of its own, all on the same samples."""
    judge = EngineSide(case.task(), device)
    own = [racer for racer in racers if racer.name != ONE_SEED]
    return {racer.name: judge.engine.evaluate(judge.task, racer.params, EVALUATION_SAMPLES)[0] for racer in own}


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
