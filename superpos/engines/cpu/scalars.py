"""Single words and floats at addresses, for loops that are written in Python (see `vectors.vector_pass`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from superpos.engines.cpu.vectors import F32, I32, I64, Value


def _scalar(kind: Value, result: Any, emit: Callable[..., Value]) -> Any:
    """An intrinsic of (address, index, ...) on elements of an LLVM type."""

    def typed(typingctx: Any, address: Any, index: Any, *more: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at, offset, *rest = (
                context.cast(builder, value, found, types.float32 if found == types.float32 else types.int64)
                for value, found in zip(args, signature.args, strict=True)
            )
            pointer = builder.gep(builder.inttoptr(at, kind.as_pointer()), [offset])
            return emit(builder, pointer, *rest) or context.get_dummy_value()

        return result(address, index, *more), codegen

    return typed


@intrinsic
def word_at(typingctx: Any, address: Any, index: Any) -> Any:
    """The unsigned 32-bit word at an address, as int64."""
    return _scalar(I32, types.int64, lambda b, p: b.zext(b.load(p), I64))(typingctx, address, index)


@intrinsic
def float_at(typingctx: Any, address: Any, index: Any) -> Any:
    """The float32 at an address."""
    return _scalar(F32, types.float32, lambda b, p: b.load(p))(typingctx, address, index)


@intrinsic
def put_word(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """Store the low 32 bits of an integer."""
    return _scalar(I32, types.void, lambda b, p, v: b.store(b.trunc(v, I32), p) and None)(
        typingctx, address, index, value
    )


@intrinsic
def put_float(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """Store a float32."""
    return _scalar(F32, types.void, lambda b, p, v: b.store(v, p) and None)(typingctx, address, index, value)


@intrinsic
def atomic_load(typingctx: Any, address: Any, index: Any) -> Any:
    """The int64 at an address, as other threads left it."""
    return _scalar(I64, types.int64, lambda b, p: b.load_atomic(p, "seq_cst", 8))(typingctx, address, index)


@intrinsic
def atomic_add(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """Add to the int64 at an address; what it was before."""
    return _scalar(I64, types.int64, lambda b, p, v: b.atomic_rmw("add", p, v, "seq_cst"))(
        typingctx, address, index, value
    )


@intrinsic
def yield_processor(typingctx: Any) -> Any:
    """Let other threads run."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(I32, [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen
