"""What the passes are written in: lane blocks, explicit LLVM vectors and sums of fixed order.

A *lane block* holds LANES samples of one model. Every buffer is [rows, STRIDE] float32: a row is a
feature or a hidden unit, the lanes (samples) are contiguous. Lane `j * QUADS + q` holds sample `4 q
+ j` of the block: the four words of one Philox call land in four quarter rows, so no draw is ever
transposed.

Vectors are 16 wide whatever the processor (LLVM splits them where registers are shorter),
multiply-adds are explicit, and every sum has one fixed order: no fast-math flag is set, NaN is
never assumed away, and the bits do not depend on how the compiler feels about vectorising.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 128  # samples in a block
# row pitch in floats: an odd number of cache lines, so rows do not fight for the same cache sets
STRIDE = LANES + 16
WIDTH = 16  # floats in a vector
QUADS = LANES // 4  # Philox calls for a row
PAIR = 2  # passes take a row by so many vectors at least: blocks are filled up to a multiple

I32 = ir.IntType(32)
I64 = ir.IntType(64)
F32 = ir.FloatType()
F64 = ir.DoubleType()
VD = ir.VectorType(F64, WIDTH)
VF = ir.VectorType(F32, WIDTH)
VI = ir.VectorType(I32, WIDTH)
VL = ir.VectorType(I64, WIDTH // 2)

# an llvmlite value (the library carries no types); as a parameter of a pass, an integer
Value = Any
Floats = Any  # address of float32
Words = Any  # address of 32-bit words
Doubles = Any  # address of float64
Real = Any  # a float32


def vector_pass(emit: Callable[..., None]) -> Any:
    """Make a numba intrinsic, called with one tuple of numbers, of `emit(b, *values)`.

    A parameter annotated `Floats`, `Words` or `Doubles` arrives as a pointer: the caller gives the
    address. Plain addresses keep numba's reference counting, atomic and dear, out of the inner
    loops.
    """
    kinds = [
        annotation
        for name, annotation in emit.__annotations__.items()
        if name not in ("b", "return")
    ]
    pointers = {"Floats": F32.as_pointer(), "Words": I32.as_pointer(), "Doubles": F64.as_pointer()}

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = []
        given = zip(kinds, signature.args[0], cgutils.unpack_tuple(builder, args[0]), strict=True)
        for kind, found, value in given:
            wide = context.cast(
                builder, value, found, types.float32 if kind == "Real" else types.int64
            )
            values.append(builder.inttoptr(wide, pointers[kind]) if kind in pointers else wide)
        emit(builder, *values)
        return context.get_dummy_value()

    def typed(typingctx: Any, operands: Any) -> Any:
        return types.void(operands), codegen

    typed.__name__ = emit.__name__
    typed.__doc__ = emit.__doc__
    return intrinsic(typed)


def integer(value: int) -> Value:
    return ir.Constant(I64, value)


def splat(b: Value, scalar: Value, vector: Value) -> Value:
    first = b.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(I32, 0))
    return b.shuffle_vector(first, ir.Constant(vector, ir.Undefined), mask([0] * vector.count))


def mask(indices: Sequence[int]) -> Value:
    return ir.Constant(ir.VectorType(I32, len(indices)), list(indices))


def _pointer(b: Value, pointer: Value, index: Value, vector: Value) -> Value:
    return b.bitcast(b.gep(pointer, [index]), vector.as_pointer())


def load(b: Value, pointer: Value, index: Value, vector: Value = VF) -> Value:
    return b.load(_pointer(b, pointer, index, vector), align=4)


def store(b: Value, value: Value, pointer: Value, index: Value) -> None:
    b.store(value, _pointer(b, pointer, index, value.type), align=4)


def row_at(b: Value, row: Value, lane: Value) -> Value:
    return b.add(b.mul(row, integer(STRIDE)), lane)


def fma(b: Value, x: Value, y: Value, z: Value) -> Value:
    kind = ir.FunctionType(VF, [VF] * 3)
    return b.call(
        cgutils.get_or_insert_function(b.module, kind, f"llvm.fma.v{WIDTH}f32"), [x, y, z]
    )


def each_vector(b: Value, vectors: Value, per_pass: int = 1) -> Any:
    """Loop over the first `vectors` of a row; yields a loop whose index times WIDTH * per_pass is
    the first lane.
    """
    return cgutils.for_range(b, b.udiv(vectors, integer(per_pass)))


def before(b: Value, first: Value, count: Value) -> Value:
    """Which of the 16 indices from `first` on are less than `count`."""
    left = b.trunc(b.sub(count, first), I32)
    return b.icmp_signed("<", ir.Constant(VI, list(range(WIDTH))), splat(b, left, VI))


def load_some(b: Value, pointer: Value, index: Value, some: Value) -> Value:
    """`load` where `some`, else 0; touches no memory elsewhere."""
    at = _pointer(b, pointer, index, VF)
    kind = ir.FunctionType(VF, [at.type, I32, some.type, VF])
    masked = cgutils.get_or_insert_function(b.module, kind, f"llvm.masked.load.v{WIDTH}f32.p0")
    return b.call(masked, [at, ir.Constant(I32, 4), some, ir.Constant(VF, None)])


def store_some(b: Value, value: Value, pointer: Value, index: Value, some: Value) -> None:
    """`store` where `some`; touches no memory elsewhere."""
    at = _pointer(b, pointer, index, VF)
    kind = ir.FunctionType(ir.VoidType(), [VF, at.type, I32, some.type])
    masked = cgutils.get_or_insert_function(b.module, kind, f"llvm.masked.store.v{WIDTH}f32.p0")
    b.call(masked, [value, at, ir.Constant(I32, 4), some])


def sum_lanes(b: Value, vectors: list[Value]) -> Value:
    """One vector whose lane p is the sum over the lanes of vectors[p], up to 16 of them, by
    pairwise halving.
    """
    half = WIDTH
    while half > 1:
        half //= 2
        if len(vectors) % 2:
            vectors = [*vectors, vectors[-1]]
        starts = range(0, 2 * WIDTH, 2 * half)
        low = mask([s + i for s in starts for i in range(half)])
        high = mask([s + half + i for s in starts for i in range(half)])
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [
            b.fadd(b.shuffle_vector(x, y, low), b.shuffle_vector(x, y, high)) for x, y in pairs
        ]
    return vectors[0]


def first_lane(b: Value, vector: Value) -> Value:
    return b.extract_element(vector, ir.Constant(I32, 0))


def add_total(b: Value, total: Value, vector: Value) -> None:
    """total (float64) += the sum of a vector's lanes, in the vector's own precision."""
    part = first_lane(b, sum_lanes(b, [vector]))
    b.store(b.fadd(b.load(total), part if vector.type == VD else b.fpext(part, F64)), total)
