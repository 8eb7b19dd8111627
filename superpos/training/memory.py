"""How much memory a sweep needs, and whether this machine has it."""

from __future__ import annotations

from collections.abc import Iterable

from superpos.engines.machine import PROGRAM_BYTES, machine_bytes
from superpos.engines.task import Structure
from superpos.errors import SuperposError
from superpos.plan.sweep import Chunk, Sweep
from superpos.units import quantity

# the state, what safetensors makes of each tensor and then of all of them; measured: 3.3
_COPIES = 3.5


def model_bytes(structure: Structure) -> float:
    """State of a model: weights and two moments, snapshots, loss history; all float32."""
    return 4.0 * (
        structure.n_params * (3 + len(structure.snapshot_steps)) + len(structure.loss_steps)
    )


def chunk_bytes(chunks: Iterable[Chunk]) -> float:
    """State of the largest of the chunks."""
    return max((len(chunk.rows) * model_bytes(chunk.structure) for chunk in chunks), default=0.0)


def process_bytes(chunks: Iterable[Chunk]) -> float:
    """Memory of a process that trains these chunks, one after the other."""
    return PROGRAM_BYTES + _COPIES * chunk_bytes(chunks)


def require_memory(sweep: Sweep, chunks: Iterable[Chunk]) -> None:
    """Raises `SuperposError` where a chunk cannot fit, before the system kills the process without
    a word.
    """
    needed = _COPIES * chunk_bytes(chunks)
    there = machine_bytes()
    if needed > there:
        sizes = ", ".join(sweep.schema.size_keys)
        raise SuperposError(
            f"training needs about {quantity(needed, 'B')} of memory at once, this machine has "
            f"{quantity(there, 'B')} "
            f"for this process: ask for more, use smaller models ({sizes}) or record less "
            "(record.snapshots, "
            "record.loss_every)"
        )
