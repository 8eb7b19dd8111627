"""Claims about experiments, read from `configs/claims/*.yaml`: data with a source, a band and a
negative control.

A file holds the claims of one experiment; its name begins with the row of the experiment, in the
order of the paper; in a user's own folder it may do without.
`family` is the kind of its models (without it, the default one), whose measures the claims name.
`runs` names the sweeps that are measured: overrides on top of the experiment, at full size and,
where it is cheap enough, a quick one. An override "KEY=@EXPERIMENT" names the run folder of another
experiment, which is trained first.
A claim names a measure (module.function) with its arguments, the statistic that makes one number of
its values, the expected number and the band in which the number must lie, with the reason for the
band, and a run that must fall outside of it. Where a claim is about something that its control
lacks, such as pentagons, `empty` says so: a control in which nothing can be measured is a fault
without it.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from superpos.claims import find_measure
from superpos.claims.measured import STATISTICS, Measured
from superpos.config.wording import did_you_mean, show
from superpos.errors import ConfigError
from superpos.family import DEFAULT, Family
from superpos.family import find as find_family
from superpos.family import names as family_names

FULL = "full"
QUICK = "quick"

_FILE = re.compile(r"(\d\d)_\w+\.yaml")
_FILE_KEYS = {"experiment", "runs", "claims"}
_NEEDED = {"claim", "source", "measure", "reason", "control"}
_OPTIONAL = {"statistic", "expected", "published", "low", "high", "within", "run", "quick", "empty"}

Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """Where a number must lie, both ends inside; `within` is relative to the expected number."""

    low: float = -math.inf
    high: float = math.inf
    within: float | None = None

    def ends(self, expected: float | None) -> tuple[float, float]:
        """The band in numbers."""
        if self.within is None or expected is None:
            return self.low, self.high
        reach = self.within * abs(expected)
        return expected - reach, expected + reach


@dataclass(frozen=True)
class Claim:
    """One statement about an experiment, and how it is checked."""

    # of the experiment, in the order of the paper; None where the name of its file has none
    row: int | None
    experiment: str
    text: str
    source: str
    reason: str
    measure: Callable[..., Measured]
    arguments: Mapping[str, Any]
    statistic: str
    expected: float | None
    published: float | None
    band: Band
    run: Mapping[str, Overrides]  # full and, unless the claim is skipped there, quick
    control: Mapping[str, Overrides]
    empty: str  # why its control has nothing to measure; "" where it has


def load_claims(*folders: Path, own: Path | None = None) -> list[Claim]:
    """All claims of some folders, those of each in the order of its paper; then those of a user's
    own folder.

    The files measures/*.py of the latter are run.

    Raises:
        ConfigError: everything that is wrong with the files.
    """
    found: list[Claim] = []
    faults: list[str] = []
    measures = find_measure.NONE if own is None else find_measure.own_modules(own)
    every = [*folders, *([] if own is None else [own / "claims"])]
    for path in (path for folder in every for path in sorted(folder.glob("[!.]*.yaml"))):
        try:
            found += _read(path, measures, needs_row=path.parent in folders)
        except ConfigError as error:
            faults += [f"{path.name}: {fault}" for fault in error.faults]
    texts = [(claim.experiment, claim.text) for claim in found]
    faults += [f"{experiment}: {text!r} is claimed twice" for experiment, text in _repeated(texts)]
    if faults:
        raise ConfigError(faults)
    return found


def _repeated(items: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted({item for item in items if items.count(item) > 1})


def _read(path: Path, measures: find_measure.Own, needs_row: bool) -> list[Claim]:
    named = _FILE.fullmatch(path.name)
    if needs_row and not named:
        raise ConfigError("the name of a file of claims is its row in two digits, _ and a word")
    row = int(named[1]) if named else None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeError) as error:
        raise ConfigError(f"cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or set(content) - {"family"} != _FILE_KEYS:
        raise ConfigError(
            f"a file of claims holds {', '.join(sorted(_FILE_KEYS))}, and family where it is not "
            f"{DEFAULT}"
        )
    family = _family(content.get("family", DEFAULT))
    if not _are_runs(content["runs"]) or not isinstance(content["claims"], list):
        raise ConfigError(
            "runs: and claims: of a file are {NAME: {full: [OVERRIDE, ...]}} and a list of claims"
        )
    runs = {name: {size: tuple(run[size]) for size in run} for name, run in content["runs"].items()}
    faults = [
        f"runs.{name}: holds {', '.join(run)}; allowed: {FULL} and {QUICK}"
        for name, run in runs.items()
        if FULL not in run or set(run) - {FULL, QUICK}
    ]
    found = []
    for entry in content["claims"]:
        wrong = _faults(entry, runs, family, measures)
        if wrong:
            text = entry.get("claim", "?") if isinstance(entry, dict) else "?"
            faults += [f"{text}: {fault}" for fault in wrong]
        else:
            [measure] = entry["measure"]
            chosen = find_measure.find(family, measure, measures)
            found.append(_claim(row, content["experiment"], entry, runs, chosen))
    if faults:
        raise ConfigError(faults)
    return found


def _are_runs(runs: Any) -> bool:
    """Whether a value is {name: {size: list of overrides}}."""
    if not isinstance(runs, dict) or not all(isinstance(run, dict) for run in runs.values()):
        return False
    lists = [overrides for run in runs.values() for overrides in run.values()]
    return all(
        isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists
    )


def _family(name: Any) -> Family:
    """The family of a name. ConfigError: there is none."""
    if name not in family_names():
        raise ConfigError(
            f"family: there is no {show(name)}; {did_you_mean(str(name), family_names())}"
        )
    return find_family(name)


def _faults(
    entry: Any, runs: Mapping[str, Any], family: Family, own: find_measure.Own
) -> list[str]:
    """What is wrong with one claim as it is written."""
    if not isinstance(entry, dict):
        return [f"got {show(entry)}; allowed: keys with values"]
    faults = [f"{key} is missing" for key in sorted(_NEEDED - set(entry))]
    faults += [f"{key} is unknown" for key in sorted(set(entry) - _NEEDED - _OPTIONAL)]
    if faults:
        return faults
    run = entry.get("run", "trained")
    control = entry["control"]
    faults += [f"there is no run {name!r}" for name in (run, control) if name not in runs]
    if run == control:
        faults.append("control is the run itself")
    if entry.get("statistic", "median") not in STATISTICS:
        faults.append(f"statistic {show(entry['statistic'])}; allowed: {', '.join(STATISTICS)}")
    if ("within" in entry) == ("low" in entry or "high" in entry):
        faults.append("needs a band: either within, or low or high or both")
    return faults + _measure_faults(entry["measure"], family, own)


def _measure_faults(measure: Any, family: Family, own: find_measure.Own) -> list[str]:
    if not isinstance(measure, dict) or len(measure) != 1:
        return ["measure is one module.function with its arguments"]
    [(name, arguments)] = measure.items()
    try:
        inspect.signature(find_measure.find(family, name, own)).bind(None, **(arguments or {}))
    except (KeyError, TypeError) as error:
        return [f"measure {name}: {error.args[0]}"]
    return []


def _claim(
    row: int | None,
    experiment: str,
    entry: dict[str, Any],
    runs: Mapping[str, Mapping[str, Overrides]],
    measure: find_measure.Measure,
) -> Claim:
    [arguments] = entry["measure"].values()
    run = runs[entry.get("run", "trained")]
    control = runs[entry["control"]]
    if not (entry.get("quick", True) and QUICK in run and QUICK in control):
        run = {FULL: run[FULL]}
        control = {FULL: control[FULL]}
    ends = {key: float(entry[key]) for key in ("low", "high", "within") if key in entry}
    expected = entry.get("expected")
    published = entry.get("published")
    return Claim(
        row=row,
        experiment=experiment,
        text=entry["claim"],
        source=entry["source"],
        reason=entry["reason"],
        measure=measure,
        arguments=arguments or {},
        statistic=entry.get("statistic", "median"),
        expected=None if expected is None else float(expected),
        published=None if published is None else float(published),
        band=Band(**ends),
        run=run,
        control=control,
        empty=entry.get("empty", ""),
    )
