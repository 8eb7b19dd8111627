"""Single numbers at addresses, for loops that are written in Python (see `vectors.vector_pass`).

Each is called as f(address, index) or f(address, index, value); the index counts elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from superpos.engines.compiled.vectors import F32, F64, I32, I64, Value


def _at(kind: Any, result: Any, emit: Callable[[Value, Value], Value]) -> Any:
    """An intrinsic that makes `emit(builder, pointer)` of an address and an index of elements."""

    def typed(typingctx: Any, address: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, _pointer(context, builder, kind, signature.args, args))

        return result(address, index), codegen

    return intrinsic(typed)


def _with(kind: Any, result: Any, emit: Callable[[Value, Value, Value], Value]) -> Any:
    """`_at` with a value: a float32 or float64 for an address of those, else an integer."""
    given = {F32: types.float32, F64: types.float64}.get(kind, types.int64)

    def typed(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            new = context.cast(builder, args[2], signature.args[2], given)
            found = emit(builder, _pointer(context, builder, kind, signature.args, args), new)
            return context.get_dummy_value() if result is types.void else found

        return result(address, index, value), codegen

    return intrinsic(typed)


def _pointer(context: Any, builder: Any, kind: Any, found: Any, args: Any) -> Value:
    address, index = (context.cast(builder, args[i], found[i], types.int64) for i in range(2))
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


word_at = _at(I32, types.int64, lambda b, p: b.zext(b.load(p), I64))  # unsigned
float_at = _at(F32, types.float32, lambda b, p: b.load(p))
long_at = _at(I64, types.int64, lambda b, p: b.load(p))
double_at = _at(F64, types.float64, lambda b, p: b.load(p))
# the low half of an int64
put_word = _with(I32, types.void, lambda b, p, value: b.store(b.trunc(value, I32), p))
put_float = _with(F32, types.void, lambda b, p, value: b.store(value, p))
put_double = _with(F64, types.void, lambda b, p, value: b.store(value, p))
atomic_load = _at(I64, types.int64, lambda b, p: b.load_atomic(p, "seq_cst", 8))
# what was before
atomic_add = _with(I64, types.int64, lambda b, p, value: b.atomic_rmw("add", p, value, "seq_cst"))


def _yield_processor(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(I32, [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


yield_processor: Any = intrinsic(_yield_processor)
