"""Speed of the engines beside other ways of training the same models.

`superpos bench`, or `python -m` this package. `cases` says what a family's benchmark consists of,
`sides` who trains (an engine, and the family's baselines that are installed), `measure` lets all
sides train the same models and times them, `table` prints what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from superpos.errors import ConfigError
from superpos.family import DEFAULT, find


def main(
    shapes: Sequence[str],
    repeat: int,
    scaling: bool,
    device: str,
    as_json: bool,
    note: Callable[[str], object],
    family: str = DEFAULT,
) -> str:
    """Measure the speed of the engines beside other ways of training, as far as installed.

    Raises `ConfigError` for what cannot be measured.
    """
    from superpos.bench import cases, machine, measure, table  # torch takes a second to load

    if repeat < 1:
        raise ConfigError(f"--repeat: got {repeat}; allowed: 1 or more")
    bench = cases.bench_of(family)
    machine.require(device)
    known = bench.scaling if scaling else bench.cases.get(device, ())
    if not known:
        asked = "--scaling" if scaling else f"--device {device}"
        raise ConfigError(f"--family: {family} has no cases for {asked}")
    chosen = cases.chosen(known, shapes)
    sides = bench.for_scaling if scaling else bench.for_table
    report = measure.run(find(family), bench, chosen, sides, repeat, device, note)
    return (
        json.dumps(report.to_json(), indent=1)
        if as_json
        else table.markdown(report, bench.standard)
    )
