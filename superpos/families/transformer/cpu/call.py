"""The arrays that the compiled loop is called with.

Shapes: M models; those of parameters as in `arrays`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Params
from superpos.engines.compiled.vectors import LANES, STRIDE, WIDTH
from superpos.engines.task import State
from superpos.families.transformer import FAMILY
from superpos.families.transformer.cpu import kernel
from superpos.families.transformer.cpu.arrays import (
    CHAIN,
    CONDITIONAL,
    F32,
    MARKOV,
    NONE,
    PAIRS,
    POINTER,
    RELATIVE,
    REPEATS,
    SCORES,
    SOURCE,
    STREAM,
    TRIGGERS,
    Language,
    Layout,
    Models,
    Room,
    Shape,
    Tables,
    Trained,
)
from superpos.families.transformer.cpu.attention import TILE, TILE_FLOATS
from superpos.families.transformer.data.languages import n_words
from superpos.families.transformer.structure import Structure, Task
from superpos.maths.streams import RANGE, key_words

_READS: Final = {
    "none": NONE,
    "stream": STREAM,
    "scores": SCORES,
    "relative": RELATIVE,
    "pointer": POINTER,
}
_KINDS: Final = {
    "chain": CHAIN,
    "source": SOURCE,
    "latin": SOURCE,
    "conditional": CONDITIONAL,
    "repeats": REPEATS,
    "pairs": PAIRS,
    "markov": MARKOV,
    "triggers": TRIGGERS,
}
_OPTIMISERS: Final = {"adam": kernel.ADAM, "adamw": kernel.ADAMW, "sgd": kernel.SGD}


def filled(count: int, multiple: int = WIDTH) -> int:
    """A number, filled up to a multiple: of whole vectors."""
    return -(-count // multiple) * multiple


def layout_of(s: Structure) -> Layout:
    """Where the parameters of a model begin in its numbers."""
    rows = s.n_layers * s.n_heads * filled(s.d_head, TILE)
    offsets = s.n_layers * s.n_heads * (filled(s.context, TILE) + TILE)
    embed = s.vocabulary * s.d_model
    places = s.context * s.d_model
    sizes = (
        embed,
        places if "W_pos" in s.param_shapes else 0,
        *(factor * rows * s.d_model for factor in (2, 1, 1)),
        offsets if "W_rel" in s.param_shapes else 0,
        s.n_layers * s.n_heads if s.smear else 0,
        embed,
    )
    starts = np.cumsum((0, *sizes)).tolist()
    return Layout._make([*starts[:-1], filled(starts[-1])])


def shape_of(s: Structure) -> Shape:
    """The structure as the kernel wants it."""
    rows = filled(s.d_head, TILE)
    positions = filled(s.context, TILE)
    tiles = positions // TILE
    return Shape(
        vocabulary=s.vocabulary,
        dims=s.d_model,
        layers=s.n_layers,
        heads=s.n_heads,
        rows=rows,
        context=s.context,
        positions=positions,
        blocks=-(-positions * WIDTH // LANES),
        stream=filled(s.d_model) * STRIDE,
        queries=2 * s.n_heads * rows * STRIDE,
        values=s.n_heads * rows * STRIDE,
        keys=rows * STRIDE,
        logits=s.vocabulary * STRIDE,
        tiles=tiles * (tiles + 1) // 2 * TILE_FLOATS,
        reads=_READS[s.positions],
        smear=int(s.smear),
        direct=int(s.direct),
        batch=s.batch_size,
        optimizer=_OPTIMISERS[s.optimizer],
        loss_every=s.loss_every,
        scale=np.float32(s.d_head**-0.5),
        at=layout_of(s),
        language=_language(s),
    )


def _language(s: Structure) -> Language:
    shortest, longest = s.period
    return Language(
        kind=_KINDS[s.kind],
        words=n_words(s),
        tokens=s.tokens,
        sources=s.sources,
        planted=int(s.planted_p * RANGE),
        shortest=shortest,
        lengths=longest - shortest + 1,
        distinct=int(s.distinct),
        keys=s.keys,
        values=s.values,
        states=s.states,
        triggers=s.triggers,
        determined=int(s.targets == "determined"),
    )


def models_of(task: Task, start: int, stop: int) -> Models:
    """What differs between the models, for some steps of training."""
    n = task.structure.tokens
    made = task.tables
    factors = task.structure.lr_factors[start:stop]
    empty = np.zeros((0, 0, 0), np.int64)
    follows = made.get("next", empty)
    tables = Tables(
        first=made.get("first", np.zeros((0, 0), np.int64)),
        rows=made.get("rows", empty),
        follows=follows if follows.ndim == 3 else follows.reshape(-1, 1, n),
    )
    return Models(
        key=np.stack(key_words(task.seed), axis=1),
        language=task.language.astype(np.int64),
        rate=(task.lr[:, None] * factors).astype(np.float32),
        decay=task.weight_decay.astype(np.float32),
        tables=Tables(*(np.ascontiguousarray(table, np.int64) for table in tables)),
        adam=FAMILY.adam,
    )


class Memory:
    """Room for the steps of one model, and the memory behind its addresses."""

    def __init__(self, shape: Shape) -> None:
        found = {name: np.zeros(size, np.float32) for name, size in sizes_of(shape).items()}
        self.arrays: dict[str, NDArray[Any]] = found
        self.room = Room(**{name: array.ctypes.data for name, array in found.items()})


def sizes_of(shape: Shape) -> dict[str, int]:
    """Numbers of 4 bytes in each part of a thread's room."""
    s = shape
    language = shape.language
    layers = s.layers
    heads = s.layers * s.heads
    blocks = s.blocks
    stream = blocks * s.stream
    apart = s.reads in (SCORES, POINTER)
    drawn = max(language.tokens, language.lengths + language.shortest, language.states**2)
    return {
        "words": language.words * STRIDE,
        "tokens": (s.positions + 1) * WIDTH,
        "weights": s.positions * WIDTH,
        "seen": s.vocabulary,
        "drawn": drawn,
        "loss": WIDTH,
        "by_row": LANES * filled(s.dims),
        "x": (layers + 1) * stream,
        "y": (layers if s.reads == SCORES else 1) * stream if apart else 0,
        "total": 0 if s.direct else stream,
        "qk": layers * blocks * s.queries,
        "smeared": heads * blocks * s.keys if s.smear else 0,
        "v": layers * blocks * s.values,
        "z": layers * blocks * s.values,
        "tiles": heads * s.tiles,
        "logits": blocks * s.logits,
        "dx": stream,
        "dtotal": 0 if s.direct else stream,
        "dwritten": 0 if s.direct else stream,
        "dplaces": stream if apart else 0,
        "dqk": blocks * s.queries,
        "dsmeared": blocks * s.keys if s.smear else 0,
        "dv": blocks * s.values,
        "dz": blocks * s.values,
        "scores": s.tiles,
        "by_offset": heads * (s.positions + TILE) * WIDTH,
        "by_smear": heads * WIDTH,
        "zeros": max(s.vocabulary, s.dims, 2 * s.heads * s.rows, s.positions + TILE),
        "grad": s.at.size + WIDTH,
        "check": 1,
    }


def views(s: Structure, numbers: F32) -> dict[str, tuple[F32, tuple[int, ...]]]:
    """Parameters by name, as views of numbers [M, P] with their own order of axes, and how to turn
    these.
    """
    at = layout_of(s)
    heads = (s.n_layers, s.n_heads)
    d = s.d_model
    rows = filled(s.d_head, TILE)
    positions = filled(s.context, TILE)

    def view(start: int, *shape: int) -> F32:
        return numbers[:, start : start + int(np.prod(shape))].reshape(len(numbers), *shape)

    found: dict[str, tuple[F32, tuple[int, ...]]] = {
        "W_E": (view(at.embed, s.vocabulary, d), (0, 1, 2)),
        "W_U": (view(at.unembed, d, s.vocabulary), (0, 1, 2)),
    }
    if "W_pos" in s.param_shapes:
        found["W_pos"] = view(at.places, s.context, d), (0, 1, 2)
    if s.n_layers:
        qk = view(at.qk, s.n_layers, d, 2, s.n_heads, rows)[..., : s.d_head]
        found["W_Q"], found["W_K"] = (
            (qk[:, :, :, 0], (0, 1, 3, 2, 4)),
            (qk[:, :, :, 1], (0, 1, 3, 2, 4)),
        )
        found["W_V"] = view(at.v, s.n_layers, d, s.n_heads, rows)[..., : s.d_head], (0, 1, 3, 2, 4)
        found["W_O"] = view(at.o, *heads, rows, d)[..., : s.d_head, :], (0, 1, 2, 3, 4)
    if "W_rel" in s.param_shapes:
        offsets = view(at.offsets, *heads, positions + TILE)
        found["W_rel"] = offsets[..., TILE : TILE + s.context], (0, 1, 2, 3)
    if s.smear:
        found["smear"] = view(at.smear, *heads), (0, 1, 2)
    return found


def put(s: Structure, params: Params, numbers: F32) -> None:
    """Write parameters [M, ...] to numbers [M, P]."""
    for name, (view, axes) in views(s, numbers).items():
        view.transpose(axes)[...] = params[name]


def get(s: Structure, numbers: F32) -> Params:
    """Parameters [M, ...] of numbers [M, P]."""
    found = views(s, numbers)
    return {
        name: np.ascontiguousarray(found[name][0].transpose(found[name][1]))
        for name in s.param_shapes
    }


def trained(
    task: Task, params: Params, state: State | None = None, gradients: bool = False
) -> Trained:
    """Room for what training changes: parameters, and all else that a state has."""
    s = task.structure
    models = len(task)
    size = layout_of(s).size
    numbers = np.zeros((models, 2, 3, size), np.float32)
    groups = (params,) if state is None else (params, state.first, state.second)
    for which, group in enumerate(groups):
        put(s, group, numbers[:, 0, which])
    return Trained(
        numbers=numbers,
        turn=np.zeros(models, np.int64),
        diverged_at=np.full(models, -1) if state is None else state.diverged_at.copy(),
        history=np.zeros((models, 0), np.float32) if state is None else state.history.copy(),
        moments=np.zeros((models, 2)),
        gradients=np.zeros((models if gradients else 0, size), np.float32),
        losses=np.zeros(models),
    )


def put_back(task: Task, found: Trained, state: State) -> None:
    """Write what training has changed to a state."""
    now = found.numbers[np.arange(len(task)), found.turn]
    for which, group in enumerate((state.params, state.first, state.second)):
        for name, value in get(task.structure, now[:, which]).items():
            group[name][...] = value
    state.diverged_at[...] = found.diverged_at
    state.history[...] = found.history
