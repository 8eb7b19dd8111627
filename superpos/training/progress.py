"""How far training is, as it is told to whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a call of `train` is.

    Steps are model-steps of this call: one model, one gradient step.
    """

    models_total: int
    models_done: int = 0
    chunks: int = 0
    chunk: int = 0
    steps_total: int = 0
    steps_done: int = 0
    work_total: float = 0.0  # nominal operations of the same steps: the time left goes by these
    work_done: float = 0.0
    message: str = ""
