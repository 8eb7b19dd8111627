"""The table of docs/explain.md: python tests/explain_table.py RUN, a run of
experiment=explain_density.
"""

import sys
import time

import numpy as np

import superpos
from superpos.explain.keys import METHODS
from superpos.explain.methods import attribute
from superpos.explain.runs import Asked, inputs_of, known_models
from superpos.store import Run

DENSITIES = (1, 0.35, 0.2, 0.07)
QUESTIONS = ("drop", "sets")


def main(path: str) -> None:
    """Print it."""
    run = superpos.load(path)
    found = run.explain(question=QUESTIONS)
    density = run.table.loc[found["model"], "data.density"].to_numpy(dtype=float)
    columns = [f"{question}, p = {p:g}" for question in QUESTIONS for p in DENSITIES]
    sys.stdout.write(
        f"| method | {' | '.join(columns)} | missed, p = 0.07 | CPU s for 1,000 models |\n"
    )
    sys.stdout.write("|---" * (len(columns) + 3) + "|\n")
    for method in [name for name in METHODS if name in set(found["method"])]:
        cells = []
        for question in QUESTIONS:
            for p in DENSITIES:
                here = (
                    found["method"].eq(method)
                    & found["question"].eq(question)
                    & np.isclose(density, p)
                )
                cells.append(f"{found.loc[here, 'grade'].mean():.2f}")
        here = found["method"].eq(method) & found["question"].eq("drop") & np.isclose(density, 0.07)
        cells += [f"{found.loc[here, 'missed'].mean():.2f}", f"{seconds(run, method):.2g}"]
        sys.stdout.write(f"| `{method}` | {' | '.join(cells)} |\n")


def seconds(run: Run, method: str) -> float:
    """CPU seconds that a method takes for 1,000 models at 64 inputs."""
    known = known_models(run, [int(model) for model in run.folder.rows[0][:50]])
    options = Asked.of({}).options
    x = inputs_of(known, options)
    began = time.process_time()
    attribute(method, known, x, options)
    return (time.process_time() - began) * 1000 / len(known)


if __name__ == "__main__":
    main(*sys.argv[1:])
