"""The arrays that the compiled loop is called with.

Shapes: M models, T steps of a call, B samples, d dimensions, m latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Params
from superpos.engines.compiled.vectors import LANES, STRIDE, WIDTH
from superpos.engines.task import State
from superpos.families.sae.cpu import batches, cells
from superpos.families.sae.cpu.arrays import (
    ABOVE,
    BATCHTOPK,
    F32,
    JUMPRELU,
    L1,
    TOPK,
    Layout,
    Models,
    Room,
    Shape,
    Trained,
)
from superpos.families.sae.cpu.decoding import SHARE
from superpos.families.sae.cpu.encoding import GROUP
from superpos.families.sae.model import frozen, k_of, penalty_factor
from superpos.families.sae.structure import Structure, Task
from superpos.families.sae.upkeep import THRESHOLD_MEMORY
from superpos.family import Arrays

_KINDS: Final = {
    "l1": L1,
    "topk": TOPK,
    "batchtopk": BATCHTOPK,
    "jumprelu": JUMPRELU,
}


def filled(count: int) -> int:
    """A number of floats, filled up to whole vectors."""
    return -(-count // WIDTH) * WIDTH


def layout_of(structure: Structure) -> Layout:
    """Where the parameters of a model begin in its numbers."""
    latents = filled(structure.latents)
    row = filled(structure.n_dims)
    rows = 3 * structure.latents * row
    decoder = 0 if structure.tied else rows
    b_e = decoder + rows
    vectors = 2 * latents + row
    return Layout(row, decoder, b_e, b_e + latents, b_e + 2 * latents, vectors, b_e + 3 * vectors)


def shape_of(structure: Structure, samples: int, inference: bool = False) -> Shape:
    """The structure as the kernel wants it, for batches of so many samples."""
    kind = _KINDS[structure.kind]
    return Shape(
        dims=structure.n_dims,
        latents=structure.latents,
        parts=filled(structure.n_dims) // WIDTH,
        pitch=batches.pitch_of(structure.n_dims),
        samples=samples,
        plane=-(-samples // LANES) * LANES * batches.pitch_of(structure.n_dims) * WIDTH,
        capacity=filled(samples) + WIDTH,
        kind=ABOVE if inference and kind == BATCHTOPK else kind,
        prefixes=len(structure.cuts),
        bias=int(structure.decoder_bias),
        tied=int(structure.tied),
        frozen=int(structure.frozen == "decoder"),
        coupled=int(structure.optimizer == "adam"),
        loss_every=structure.loss_every,
        at=layout_of(structure),
    )


def models_of(task: Task, steps: range | None) -> Models:
    """What differs between the models, for some steps of training, or for evaluation (None)."""
    structure = task.structure
    used: Sequence[int | None] = list(steps) if steps is not None else [None]
    penalised = structure.kind in ("l1", "jumprelu")
    half = (task.penalty / 2 if penalised else np.zeros(len(task))).astype(np.float32)
    factors = np.array([penalty_factor(structure, step) for step in used], np.float32)
    rates = structure.lr_factors[steps.start : steps.stop] if steps is not None else np.zeros(1)
    return Models(
        penalty=half[:, None] * factors,
        keep=_kept(task, used),
        reach=(task.bandwidth / 2).astype(np.float32),
        weights=task.prefix_weights.astype(np.float32),
        cuts=np.array(structure.cuts, np.int64),
        rate=(task.lr[:, None] * rates).astype(np.float32),
        decay=task.weight_decay.astype(np.float32),
        memory=np.float32(THRESHOLD_MEMORY),
        forgotten=np.float32(1 - THRESHOLD_MEMORY),
        factor=np.float32(2 * structure.gradient_scale),
    )


def _kept(task: Task, steps: Sequence[int | None]) -> NDArray[np.int64]:
    """How many cells of a sample, or of a batch, are kept [M, T], rounded as by `model.encode`."""
    structure = task.structure
    changing = steps if structure.anneal_k else steps[:1]
    over = structure.batch_size if structure.kind == "batchtopk" else 1
    found = [np.floor(k_of(task, step) * over + 0.5).astype(np.int64) for step in changing]
    return np.ascontiguousarray(np.broadcast_to(np.stack(found, 1), (len(task), len(steps))))


class Memory:
    """Room for the steps of one model, and the memory behind its addresses.

    All but zeros that fill up is written before it is read.
    """

    def __init__(self, shape: Shape, threads: int = 1) -> None:
        m = shape.latents
        capacity = shape.capacity
        blocks = -(-shape.samples // LANES)
        together = shape.kind in (TOPK, BATCHTOPK)

        def floats(*sizes: int) -> F32:
            return np.zeros(sizes, np.float32)

        self.arrays: dict[str, NDArray[Any]] = {
            "start": floats(filled(m)),
            "z": floats(blocks * m if together else threads * GROUP, STRIDE),
            "floors": floats(blocks, LANES),
            "floor": floats(1),
            "sample": np.zeros((m, capacity), np.int32),
            "value": floats(m, capacity),
            "cells": np.zeros(m, np.int32),
            "chosen": floats(m * capacity if shape.kind == BATCHTOPK else 0),
            "lowest": floats(m),
            "errors": floats(shape.prefixes, shape.plane),
            "losses": np.zeros(-(-shape.parts // SHARE)),
            "squares": floats(blocks * LANES),
            "grads": floats(threads, 2, shape.at.row),
            "grad": np.zeros(shape.at.vectors, np.float32),
            "sums": floats(m, cells.SUMS),
            "check": floats(1 + threads),
        }
        self.room = Room(**{name: array.ctypes.data for name, array in self.arrays.items()})


class Numbers:
    """Parameters and moments of models as the kernel has them: rows and vectors filled up with
    zeros.
    """

    def __init__(self, structure: Structure) -> None:
        self.at = layout_of(structure)
        self.shapes = structure.param_shapes

    def view(self, numbers: F32, name: str, which: int = 0) -> F32:
        """A parameter [M, ...] (`which` 0), or its first or second moments, in numbers [M, N]."""
        start = 0 if name == "E" else self.at.decoder if name == "D" else getattr(self.at, name)
        shape = self.shapes[name]
        if len(shape) == 1:
            first = start + which * self.at.vectors
            return numbers[:, first : first + shape[0]]
        size = shape[0] * self.at.row
        first = start + which * size
        rows = numbers[:, first : first + size].reshape(len(numbers), shape[0], self.at.row)
        return rows[..., : shape[1]]


def by_world(task: Task) -> NDArray[np.intp]:
    """An order in which models of one world are neighbours."""
    return np.argsort(task.world, kind="stable")


def trained(
    task: Task,
    order: NDArray[np.intp],
    params: Params,
    state: State | None = None,
    extra: Arrays | None = None,
) -> Trained:
    """Room for what training changes, in an order of the models: parameters, and all else that a
    state has.
    """
    structure = task.structure
    models = len(task)
    layout = Numbers(structure)
    numbers = np.zeros((models, 2, layout.at.size), np.float32)
    groups = (params,) if state is None else (params, state.first, state.second)
    for which, group in enumerate(groups):
        for name in layout.shapes:
            for place in range(2):
                layout.view(numbers[:, place], name, which)[...] = group[name][order]
    kept = extra or {}
    threshold = kept.get("threshold", np.zeros(models, np.float32))
    idle = kept.get("idle", np.zeros((models, structure.latents), np.int32))
    return Trained(
        numbers=numbers,
        turn=np.zeros(models, np.int64),
        diverged_at=np.full(models, -1) if state is None else state.diverged_at[order],
        history=np.zeros((models, 0), np.float32) if state is None else state.history[order],
        threshold=threshold[order],
        idle=idle[order],
        moments=np.zeros((models, 2)),
    )


def put_back(task: Task, order: NDArray[np.intp], found: Trained, state: State) -> None:
    """Write what training has changed to a state."""
    layout = Numbers(task.structure)
    now = found.numbers[np.arange(len(task)), found.turn]
    for which, group in enumerate((state.params, state.first, state.second)):
        for name in layout.shapes:
            group[name][order] = layout.view(now, name, which)
    state.diverged_at[order] = found.diverged_at
    state.history[order] = found.history
    for name, values in (("threshold", found.threshold), ("idle", found.idle)):
        if name in state.extra:
            state.extra[name][order] = values


def gradients_of(task: Task, found: NDArray[np.float32]) -> Params:
    """Gradients by name, of those that `train` leaves [M, N]."""
    layout = Numbers(task.structure)
    fixed = frozen(task.structure)
    trained = [name for name in task.structure.param_shapes if name not in fixed]
    return {name: layout.view(found, name).copy() for name in trained}
