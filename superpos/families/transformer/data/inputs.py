"""What transformers are trained and evaluated on. Shapes: M models, B sequences, T positions."""

from __future__ import annotations

from superpos.families.transformer.data.languages import (
    Sequences,
    n_words,
    sequences,
    table_tensors,
)
from superpos.families.transformer.purposes import Purpose
from superpos.families.transformer.structure import Task
from superpos.maths.streams import draws


def batch(task: Task, step: int, device: str = "cpu") -> Sequences:
    """The sequences of a training step, B of each model."""
    return _drawn(task, Purpose.TRAIN, step, range(task.structure.batch_size), device)


def sample(task: Task, samples: range, device: str = "cpu") -> Sequences:
    """A contiguous range of sequences of the evaluation stream."""
    return _drawn(task, Purpose.EVALUATE, 0, samples, device)


def _drawn(task: Task, purpose: Purpose, step: int, samples: range, device: str) -> Sequences:
    structure = task.structure
    words = draws(task.seed, int(purpose), step, samples, n_words(structure), device)
    return sequences(structure, table_tensors(task.tables, task.language, device), words)
