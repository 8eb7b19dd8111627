"""Memory of the blocks that a thread works on: see "Memory layout" in engines/README.md."""

from __future__ import annotations

import numpy as np

from superpos.engines.compiled.vectors import STRIDE, WIDTH
from superpos.families.tms.cpu import kernel
from superpos.families.tms.cpu.arrays import Buffers
from superpos.families.tms.cpu.shape import n_sets
from superpos.families.tms.data import sparse
from superpos.families.tms.structure import Structure

_CACHE_LINE = 64  # bytes


class LaneBlocks:
    """Lane blocks of one thread, aligned to cache lines; holds the memory behind `addresses`."""

    def __init__(self, structure: Structure, fill: float = 0.0) -> None:
        rows = _rows(structure)
        m = structure.n_hidden
        room = sum(rows.values()) * STRIDE + m + _CACHE_LINE // kernel.FLOAT
        self.memory = np.full(room, fill, dtype=np.float32)
        begin = self.memory.ctypes.data
        at = begin + -begin % _CACHE_LINE
        address: dict[str, int] = {}
        for name, count in rows.items():
            address[name] = at
            at += count * STRIDE * kernel.FLOAT
        first = (at - begin) // kernel.FLOAT
        self.memory[first : first + m] = 0
        address["zeros"] = at
        if not rows["switch"]:
            address["switch"] = address["u"]
        if not rows["y"]:
            address["y"] = address["x"]
        unused = {name: 0 for name in Buffers._fields if name not in address}
        self.addresses = Buffers(**address, **unused)


def _rows(structure: Structure) -> dict[str, int]:
    """Rows of each buffer that a structure needs, see `arrays.Buffers`."""
    n = structure.n_features
    hidden = -(-structure.n_hidden // WIDTH) * WIDTH
    rows = {
        "u": max(n, sparse.rows(structure)),
        "switch": n_sets(structure),
        "x": n,
        "y": 0 if structure.target == "identity" else n,
        "g": n,
        "h": hidden,
        "dh": hidden,
        "inside": 1,
    }
    if structure.sampler == "sparse":
        rows |= {"hidden": hidden, "cell": n, "sample": 1, "column": 1, "value": 1}
    return rows
