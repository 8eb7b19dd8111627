"""How 32-bit draws become feature values.

Definitions and sources: docs/science.md, Data. Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.structure import Structure
from superpos.maths.streams import RANGE, WORD, thresholds

if TYPE_CHECKING:
    import torch

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]


class Cells(NamedTuple):
    """How 32-bit draws become feature values; each field is [M, F].

    A feature is active iff (s - low) mod 2³² <= span, where s is its own draw u (independent features) or its set's
    draw; its value is then float32((u - shift) mod 2³²) * scale + offset. Independent features use one draw for both:
    low = shift = T = floor(S 2³²), so u >= T and the value is (u - T) / (2³² - T).
    """

    low: Words
    span: Words
    shift: Words
    scale: Floats
    offset: Floats


def cells(structure: Structure, sparsity: NDArray[np.float64]) -> Cells:
    """The draw rules [M, F] of a task's features. The sparsity of a set is that of its features' column."""
    first = thresholds(sparsity)
    last = np.full_like(first, WORD)
    if structure.correlation == "anticorrelated":
        # exactly one member of an active set: the active range is cut into `set_size` parts, as equal as integers go
        member = np.arange(structure.n_features) % structure.set_size
        width = RANGE - first
        last = first - (-width * (member + 1) // structure.set_size) - 1
        low = first - (-width * member // structure.set_size)
    else:
        low = first
    own = structure.correlation == "none"
    shift = first if own else np.zeros_like(first)
    scale = 1.0 / (RANGE - shift).astype(np.float64)
    # Where a set has fewer active draws than members, some member has none: no span says never, the value 0 does.
    possible = last >= low
    return Cells(
        low=low.astype(np.uint32),
        span=(last - low).astype(np.uint32),
        shift=shift.astype(np.uint32),
        scale=(possible * (2 * scale if structure.signed else scale)).astype(np.float32),
        offset=(possible * (-1.0 if structure.signed else 0.0)).astype(np.float32),
    )


def fields(rules: Cells, device: str) -> list[torch.Tensor]:
    """The draw rules as tensors [M, F]: words as int64."""
    import torch  # slow to import, and the fused engines do without

    wide = (field.astype(np.int64) if field.dtype == np.uint32 else field for field in rules)
    return [torch.from_numpy(field).to(device) for field in wide]


def values(rules: Sequence[torch.Tensor], u: torch.Tensor, switch: torch.Tensor) -> torch.Tensor:
    """Values (float32) of cells from their draws u, deciding draws `switch` (int64) and `fields`, all broadcastable."""
    low, span, shift, scale, offset = rules
    value = ((u - shift) & WORD).float() * scale + offset
    return value.where(((switch - low) & WORD) <= span, 0.0)


def features(rules: Cells, u: torch.Tensor, switch: torch.Tensor) -> torch.Tensor:
    """Feature values [M, B, F] (float32) from the draws u [M, B, F] and the deciding draws switch [M, B, F] (int64)."""
    return values([field[:, None, :] for field in fields(rules, str(u.device))], u, switch)
