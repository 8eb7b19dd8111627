"""How 32-bit draws become feature values.

Definitions and sources: docs/science.md, Data. Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.structure import Structure, Values
from superpos.maths.streams import RANGE, WORD, thresholds

if TYPE_CHECKING:
    import torch

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]

LINEAR_LAWS: Final = ("uniform", "one")
"""Laws whose values are linear in a draw: those that fused engines have."""


class Cells(NamedTuple):
    """How 32-bit draws become feature values; each field is [M, F].

    A feature is active iff (s - low) mod 2³² <= span, where s is its own draw u (independent
    features) or its set's draw; its value is then float32((u - shift) mod 2³²) * scale + offset.
    Independent features use one draw for both: low = shift = T = floor(S 2³²), so u >= T and the
    value is (u - T) / (2³² - T).

    Of a law that is not linear in the draw, scale makes it a level between 0 and 1, and offset is a
    factor.
    """

    low: Words
    span: Words
    shift: Words
    scale: Floats
    offset: Floats


def cells(structure: Structure, sparsity: NDArray[np.float64]) -> Cells:
    """The draw rules [M, F] of a task's features.

    The sparsity of a set is that of its features' column.
    """
    first = thresholds(sparsity)
    last = np.full_like(first, WORD)
    if structure.correlation == "anticorrelated":
        # exactly one member of an active set: the active range is cut into `set_size` parts, as
        # equal as integers go
        member = np.arange(structure.n_features) % structure.set_size
        width = RANGE - first
        last = first - (-width * (member + 1) // structure.set_size) - 1
        low = first - (-width * member // structure.set_size)
    else:
        low = first
    own = structure.correlation in ("none", "circle")
    shift = first if own else np.zeros_like(first)
    scale = 1.0 / (RANGE - shift).astype(np.float64)
    # Where a set has fewer active draws than members, some member has none: no span says never, the
    # value 0 does.
    possible = last >= low
    stretch, offset = _line(structure)
    return Cells(
        low=low.astype(np.uint32),
        span=(last - low).astype(np.uint32),
        shift=shift.astype(np.uint32),
        scale=(possible * (stretch * scale)).astype(np.float32),
        offset=(possible * offset).astype(np.float32),
    )


def _line(structure: Structure) -> tuple[float, float]:
    """How long the range of scaled draws is, and the offset."""
    if structure.values == "uniform":
        return (2.0, -1.0) if structure.signed else (1.0, 0.0)
    return (0.0, 1.0) if structure.values == "one" else (1.0, 1.0)


def fields(rules: Cells, device: str) -> list[torch.Tensor]:
    """The draw rules as tensors [M, F]: words as int64."""
    import torch  # slow to import, and the fused engines do without

    wide = (field.astype(np.int64) if field.dtype == np.uint32 else field for field in rules)
    return [torch.from_numpy(field).to(device) for field in wide]


def values(
    rules: Sequence[torch.Tensor], u: torch.Tensor, switch: torch.Tensor, law: Values = "uniform"
) -> torch.Tensor:
    """Values (float32) of cells from their draws u, deciding draws `switch` (int64) and `fields`,
    all broadcastable.
    """
    low, span, shift, scale, offset = rules
    word = (u - shift) & WORD
    if law in LINEAR_LAWS:
        value = word.float() * scale + offset
    else:
        value = (_quantile(law, (word.double() + 0.5) * scale) * offset).float()
    return value.where(((switch - low) & WORD) <= span, 0.0)


def _quantile(law: Values, level: torch.Tensor) -> torch.Tensor:
    """Values of a law at levels between 0 and 1, float64."""
    import torch

    below_one = level.clamp(max=1 - 2.0**-33)  # the scale is rounded to float32
    if law == "sign":
        return torch.where(below_one < 0.5, -1.0, 1.0)
    if law == "normal":
        quantile: torch.Tensor = torch.special.ndtri(below_one)
        return quantile
    return -torch.log1p(-below_one)


def features(
    rules: Cells, u: torch.Tensor, switch: torch.Tensor, law: Values = "uniform"
) -> torch.Tensor:
    """Feature values [M, B, F] (float32) from the draws u [M, B, F] and the deciding draws switch
    [M, B, F] (int64).
    """
    return values([field[:, None, :] for field in fields(rules, str(u.device))], u, switch, law)
