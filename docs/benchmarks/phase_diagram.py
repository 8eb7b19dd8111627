"""Time the same phase diagram by superpos and by what one would use without it, each in a process
of its own.

    python docs/benchmarks/phase_diagram.py --repeat 3 > docs/benchmarks/phase_diagram.json
    python docs/benchmarks/page.py

Two features in one dimension, 32 importances x 32 densities x 10 seeds, trained alike. What is
timed is the whole process: imports, compilation, training and the weights on disk. Of every cell
the seed of the lowest exact loss counts; its phase is compared with that of the exact minimum, in
the cells that are clear of a boundary.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELLS = 32
SEEDS = 10
STEPS = 1500
BATCH = 256
LR = 0.01
WEIGHT_DECAY = 0.01
N, M = 2, 1
IMPORTANCE = np.geomspace(0.1, 10, CELLS)
DENSITY = np.geomspace(1, 0.01, CELLS)
SETTINGS = [
    "experiment=phase_change_quick",
    f"seed=range({SEEDS})",
    f"train.steps={STEPS}",
    f"train.batch_size={BATCH}",
    f"train.lr={LR}",
    "train.lr_schedule=constant",
    f"train.weight_decay={WEIGHT_DECAY}",
]

Weights = dict[str, NDArray[Any]]
"""W [R, P, K, n, m] and b [R, P, K, n] of R importances, P densities and K seeds."""


def by_superpos(folder: Path) -> Weights:
    """`superpos train`, in the order of the grid."""
    command = [
        sys.executable,
        "-m",
        "superpos",
        "train",
        *SETTINGS,
        "--out",
        str(folder),
        "--quiet",
    ]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    import superpos

    run = superpos.load(told.stdout.splitlines()[-1])
    table = run.table
    order = np.lexsort((table["seed"], -table["data.density"], table["importance.last"]))
    return {name: gridded(run.tensor(name)[order]) for name in ("W", "b")}


def by_eager_loop(_: Path) -> Weights:
    """The published notebook's loop, all models stacked."""
    from superpos.families.tms.bench.eager import EagerSide

    return _by_side(EagerSide)


def by_jax(_: Path) -> Weights:
    """`jit(scan)`, as an expert writes it for a CPU."""
    from superpos.families.tms.bench.jit_scan import jax_side

    return _by_side(jax_side)


def _by_side(make: Callable[[Any, str], Any]) -> Weights:
    from superpos.families.tms.bench.cases import Case

    importance, density, _ = (
        axis.ravel() for axis in np.meshgrid(IMPORTANCE, DENSITY, range(SEEDS), indexing="ij")
    )
    models = len(importance)
    plain = Case(N, M, models, batch_size=BATCH).task()
    task = replace(
        plain,
        sparsity=np.repeat(1 - density[:, None], N, axis=1),
        importance=np.stack([np.ones(models), importance], axis=1),
        lr=np.full(models, LR),
        weight_decay=np.full(models, WEIGHT_DECAY),
    )
    side = make(task, "cpu")
    side.advance(STEPS)
    return {name: gridded(value) for name, value in side.params().items()}


def by_model_grid(_: Path) -> Weights:
    """occhio's ModelGrid: every model an object, stacked by `torch.func`; models of a density share
    their draws.
    """
    import torch
    from occhio.autoencoder import TiedLinearRelu
    from occhio.distributions.sparse import SparseUniform
    from occhio.model_grid import Axis, ModelGrid
    from occhio.toy_model import ToyModel

    def create_model(params: dict[str, Any]) -> ToyModel:
        generator = torch.Generator().manual_seed(int(params["Seed"]))
        return ToyModel(
            distribution=SparseUniform(N, params["Density"], generator=generator),
            ae=TiedLinearRelu(N, M, generator=generator),
            importances=params["Relative Importance"] ** torch.arange(N),
        )

    axes = [
        Axis("Relative Importance", torch.as_tensor(IMPORTANCE, dtype=torch.float32)),
        Axis("Density", torch.as_tensor(DENSITY, dtype=torch.float32)),
        Axis("Seed", range(SEEDS)),
    ]
    grid = ModelGrid(create_model, axes)
    grid.fit(STEPS, batch_size=BATCH, learning_rate=LR, weight_decay=WEIGHT_DECAY)
    models = [model.ae for model in grid.models.ravel()]
    return {
        "W": gridded(np.stack([model.W.detach().numpy().T for model in models])),
        "b": gridded(np.stack([model.b.detach().numpy().reshape(N) for model in models])),
    }


def gridded(values: NDArray[Any]) -> NDArray[Any]:
    """[R * P * K, ...] as [R, P, K, ...]."""
    return values.reshape(CELLS, CELLS, SEEDS, *values.shape[1:])


SIDES: dict[str, Callable[[Path], Weights]] = {
    "superpos": by_superpos,
    "JAX": by_jax,
    "eager": by_eager_loop,
    "ModelGrid": by_model_grid,
}
NEEDS = {"JAX": "jax", "ModelGrid": "occhio"}


def quality(weights: Weights) -> dict[str, float]:
    """Share of cells in the right phase, and their mean exact loss over the least there is, minus
    1.
    """
    from superpos import theory

    shape = (CELLS, CELLS, N)
    density = np.broadcast_to(DENSITY[None, :, None], shape)
    importance = np.ones(shape)
    importance[..., -1] = IMPORTANCE[:, None]
    minimum = theory.minimise_loss(density, importance, M)
    W, b = (weights[name].astype(np.float64) for name in ("W", "b"))
    loss = theory.expected_loss(W, b, density[:, :, None], importance[:, :, None])
    best = loss.argmin(axis=2)[..., None]
    found = np.take_along_axis(W, best[..., None, None], axis=2)[:, :, 0]
    exact = theory.phase_label(minimum.W)
    clear = theory.clear_of_boundary(exact, IMPORTANCE, DENSITY)
    least = np.take_along_axis(loss, best, axis=2)[..., 0]
    return {
        "right": float((theory.phase_label(found) == exact)[clear].mean()),
        "gap": float((least / minimum.loss - 1).mean()),
    }


def timed(side: str) -> dict[str, Any]:
    """One side in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, __file__, "--side", side, folder], check=True)
        wall = time.perf_counter() - start
        with np.load(Path(folder, "weights.npz")) as weights:
            return {"side": side, "wall": wall, **quality(dict(weights))}


def train(side: str, folder: Path) -> None:
    """Train and write the weights."""
    np.savez(folder / "weights.npz", **SIDES[side](folder))


def main() -> None:
    """All sides that are installed, in turn."""
    from superpos.bench import machine

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="RUNS")
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        train(options.side[0], Path(options.side[1]))
        return
    facts = machine.facts("cpu")
    there = [side for side in SIDES if side not in NEEDS or importlib.util.find_spec(NEEDS[side])]
    rows = []
    for turn in range(options.repeat):
        for side in there:
            rows.append(timed(side))
            sys.stderr.write(f"{turn + 1}/{options.repeat} {rows[-1]}\n")
    sys.stdout.write(
        json.dumps(
            {"machine": facts, "models": CELLS**2 * SEEDS, "steps": STEPS, "rows": rows}, indent=1
        )
    )
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
