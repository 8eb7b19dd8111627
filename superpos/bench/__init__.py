"""Speed of the engines beside other ways of training the same models: `superpos bench`, or `python -m` this package.

`cases` says which models are trained, `sides` who trains them (an engine, and the baselines that are installed),
`measure` lets all sides train the same models and times them, `table` prints what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable


def main(
    shapes: list[str], repeat: int, scaling: bool, device: str, as_json: bool, note: Callable[[str], object]
) -> str:
    """Measure the speed of the engines beside the notebook's loop, torch.compile and JAX, as far as installed.

    Raises `ConfigError` for what cannot be measured.
    """
    from superpos.bench import machine, measure, sides, table
    from superpos.errors import ConfigError
    from superpos.families.tms.bench import cases

    if repeat < 1:
        raise ConfigError(f"--repeat: got {repeat}; allowed: 1 or more")
    machine.require(device)
    chosen = cases.chosen(cases.SCALING if scaling else cases.TABLES[device], shapes)
    report = measure.run(chosen, sides.for_scaling if scaling else sides.for_table, repeat, device, note)
    return json.dumps(report.to_json(), indent=1) if as_json else table.markdown(report)
