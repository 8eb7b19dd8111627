"""exp and log of vectors, as polynomials whose multiply-adds are explicit: the same bits on every
processor.

The polynomials are those of Cephes (Moshier, `expf` and `logf`); errors are below 2 units in the
last place.
"""

from __future__ import annotations

from typing import Final

from llvmlite import ir

from superpos.engines.compiled.vectors import VF, VI, WIDTH, Value, fma

_EXP: Final = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
_LOG: Final = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_LOG2_E: Final = 1.44269504088896341
_LN2_HIGH = 0.693359375
_LN2_LOW = -2.12194440e-4
_SMALLEST: Final = -87.0
"""Below this exp is 0: its results stay clear of denormal numbers."""
_ROUNDING: Final = 12582912.0
"""1.5 * 2**23: what is added to it is rounded to a whole number, which stands in the low bits."""


def floats(value: float) -> Value:
    """A number in all lanes."""
    return ir.Constant(VF, [value] * WIDTH)


def _words(value: int) -> Value:
    return ir.Constant(VI, [value] * WIDTH)


def _polynomial(b: Value, x: Value, coefficients: tuple[float, ...]) -> Value:
    """Horner's rule, the highest power first."""
    found = floats(coefficients[0])
    for coefficient in coefficients[1:]:
        found = fma(b, found, x, floats(coefficient))
    return found


def exp(b: Value, x: Value) -> Value:
    """exp(x) for x up to 88; 0 below -87, as of minus infinity. NaN stays NaN."""
    small = b.fcmp_ordered("<", x, floats(_SMALLEST))
    x = b.select(small, floats(_SMALLEST), x)
    shifted = fma(b, x, floats(_LOG2_E), floats(_ROUNDING))
    n = b.fsub(shifted, floats(_ROUNDING))
    x = fma(b, n, floats(-_LN2_HIGH), x)
    x = fma(b, n, floats(-_LN2_LOW), x)
    found = fma(b, _polynomial(b, x, _EXP), b.fmul(x, x), b.fadd(x, floats(1.0)))
    power = b.add(b.shl(b.bitcast(shifted, VI), _words(23)), _words(127 << 23))
    return b.select(small, floats(0.0), b.fmul(found, b.bitcast(power, VF)))


def log(b: Value, x: Value) -> Value:
    """log(x) for normal x > 0. NaN stays NaN."""
    bits = b.bitcast(x, VI)
    power = b.sub(b.lshr(bits, _words(23)), _words(126))
    # from 1/2 to 1
    half = b.bitcast(b.or_(b.and_(bits, _words(0x007FFFFF)), _words(0x3F000000)), VF)
    low = b.fcmp_ordered("<", half, floats(0.5**0.5))
    power = b.sub(power, b.zext(low, VI))
    m = b.fsub(b.select(low, b.fadd(half, half), half), floats(1.0))
    e = b.sitofp(power, VF)
    square = b.fmul(m, m)
    rest = b.fmul(b.fmul(_polynomial(b, m, _LOG), m), square)
    rest = fma(b, e, floats(_LN2_LOW), rest)
    rest = fma(b, floats(-0.5), square, rest)
    found = fma(b, e, floats(_LN2_HIGH), b.fadd(m, rest))
    return b.fadd(found, b.fsub(x, x))  # bits of NaN are no number
