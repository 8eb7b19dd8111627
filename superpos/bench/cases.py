"""What a kind of model has to be measured by: its cases, and who else can train them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from superpos.bench.sides import ENGINE, ONE_SEED, Maker, one_seed
from superpos.config.wording import did_you_mean
from superpos.errors import ConfigError
from superpos.family import UnknownFamilyError, find, names

PART_STEPS: Final = 16
COMPARED_STEPS: Final = 3 * PART_STEPS
"""Of most cases: the first part compiles, the last one says how long a step takes."""


class Case(Protocol):
    """Models that all sides train: a named tuple of plain values, as a file can hold them."""

    @property
    def shape(self) -> str:
        """What `--case` names, such as "20/5"."""
        ...

    @property
    def label(self) -> str:
        """All that tells a case from another."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """The same as cells of a table, by the heads of their columns."""
        ...

    @property
    def samples(self) -> int:
        """Samples in a step, counted once for each model."""
        ...

    @property
    def flops(self) -> float:
        """Nominal operations in products for one sample of a model, done or skipped."""
        ...

    @property
    def compared_steps(self) -> int:
        """Steps that all sides train before their losses are compared and their steps are timed.

        A multiple of `PART_STEPS`.
        """
        ...

    def task(self) -> Any:
        """The models, as the family's engines train them, for at least `compared_steps` steps."""
        ...

    def _asdict(self) -> dict[str, Any]: ...


class Standard(NamedTuple):
    """The baseline that the losses of all sides are compared with."""

    name: str
    words: str
    """What it is called in a sentence: "the eager loop"."""


@dataclass(frozen=True)
class Bench:
    """The benchmark of a family; see `family.Exhibits.bench`."""

    cases: Mapping[str, Sequence[Case]]
    """Those of the table, by the device that they keep busy: "cpu", "cuda"."""
    baselines: Mapping[str, Maker] = field(default_factory=dict)
    """Who trains the same models beside the engine, in the order of the table's columns."""
    together: Mapping[str, Callable[[Any], Any]] = field(
        default_factory=lambda: {ONE_SEED: one_seed}
    )
    """The engine once more, as "engine, ...", with tasks whose models have their draws in
    common.
    """
    standard: Standard | None = None
    own_rules: Collection[str] = ()
    """Baselines that train by rules of their own: their losses are shown and not compared."""
    scaling: Sequence[Case] = ()
    """Those that show how cost grows."""
    baselines_of_scaling: Callable[[Any], Collection[str]] = lambda _: ()
    """Which baselines are timed with one of these."""

    def for_table(self, _: Case) -> tuple[str, ...]:
        """The sides that are timed with a case of the table: all."""
        return (*self.baselines, ENGINE, *self.together)

    def for_scaling(self, case: Case) -> tuple[str, ...]:
        """The sides that are timed with a case of `scaling`."""
        return (*self.baselines_of_scaling(case), ENGINE)


AnyCase = TypeVar("AnyCase", bound=Case)


def bench_of(name: str) -> Bench:
    """The benchmark of the family of a name. Raises `ConfigError` where there is none."""
    try:
        make = find(name).shows.bench
    except UnknownFamilyError:
        raise ConfigError(
            f"--family: there is no {name!r}; {did_you_mean(name, names())}"
        ) from None
    if make is None:
        raise ConfigError(f"--family: {name} has no benchmark")
    bench: Bench = make()
    return bench


def chosen(cases: Sequence[AnyCase], shapes: Sequence[str]) -> tuple[AnyCase, ...]:
    """The cases of these shapes, such as "20/5" (none: all).

    Raises `ConfigError` for a shape that no case has.
    """
    known = list(dict.fromkeys(case.shape for case in cases))
    wrong = [shape for shape in shapes if shape not in known]
    if wrong:
        faults = [f"--case: there is no {shape!r}; {did_you_mean(shape, known)}" for shape in wrong]
        raise ConfigError(faults)
    return tuple(case for case in cases if not shapes or case.shape in shapes)
