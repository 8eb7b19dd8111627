"""Random numbers and feature values: `streams.draws` and `feature_values.features`, bit for bit.

Triton's `philox` is Philox4x32-10; its four words are four consecutive samples of one feature.
"""

from __future__ import annotations

import triton
import triton.language as tl

from superpos.families.tms.purposes import Purpose

SETS = tl.constexpr(int(Purpose.SETS))


@triton.jit
def draw(seed, quad, column, step, purpose):
    """Words of the samples 4 quad ...

    4 quad + 3 in one column (a feature or a set): four tensors of uint32.
    """
    quad = quad.to(tl.uint32)
    column = column.to(tl.uint32)
    nothing = tl.zeros_like(quad)
    return tl.philox(
        seed, quad, column, (nothing + step).to(tl.uint32), (nothing + purpose).to(tl.uint32)
    )


@triton.jit
def cell(u, switch, low, span, shift, scale, offset, shape: tl.constexpr):
    """The feature's value from its draw and the draw that decides, by the rules of
    `feature_values.Cells`.
    """
    if shape.set_size:
        active = switch - low <= span
        value = (u - shift).to(tl.float32) * scale
    else:  # switch = u, shift = low, and the span reaches to the last word
        active = u >= low
        value = (u - low).to(tl.float32) * scale
    if shape.shifted:
        value += offset
    return tl.where(active, value, 0.0)
