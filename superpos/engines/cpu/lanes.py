"""Vector building blocks of the fused CPU engine, emitted as explicit LLVM vectors.

A *lane block* holds LANES samples of one model. Every buffer is [rows, STRIDE] float32: a row is a feature or a
hidden unit, the lanes (samples) are contiguous. Lane `j * QUADS + q` holds sample `4 q + j` of the block: the four
words of one Philox call land in four quarter rows, so no draw is ever transposed.

Vectors are 16 wide whatever the processor (LLVM splits them where registers are shorter), multiply-adds are explicit,
and every sum has one fixed order: no fast-math flag is set, NaN is never assumed away, and the bits do not depend on
how the compiler feels about vectorising. Each function below is one pass over a block, called from `kernel.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 128  # samples in a block
STRIDE = LANES + 16  # row pitch in floats: an odd number of cache lines, so rows do not fight for the same cache sets
WIDTH = 16  # floats in a vector
QUADS = LANES // 4  # Philox calls a row

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_VF, _VI, _VL = ir.VectorType(_F32, WIDTH), ir.VectorType(_I32, WIDTH), ir.VectorType(_I64, WIDTH // 2)

_MAX_ACCUMULATORS = 16  # of 32 vector registers: the rest hold operands
_PHILOX_M = (0xD2511F53, 0xCD9E8D57)
_PHILOX_W = (0x9E3779B9, 0xBB67AE85)

Value = Any  # an llvmlite value (the library carries no types); as a parameter of a pass, an integer
Floats = Any  # address of float32
Words = Any  # address of 32-bit words
Doubles = Any  # address of float64
Real = Any  # a float32


def _pass(emit: Callable[..., None]) -> Any:
    """Make a numba intrinsic, called with one tuple of numbers, of `emit(b, *values)`.

    A parameter annotated `Floats`, `Words` or `Doubles` arrives as a pointer: the caller gives the address. Plain
    addresses keep numba's reference counting, atomic and dear, out of the inner loops.
    """
    kinds = [annotation for name, annotation in emit.__annotations__.items() if name not in ("b", "return")]
    pointers = {"Floats": _F32.as_pointer(), "Words": _I32.as_pointer(), "Doubles": ir.DoubleType().as_pointer()}

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = []
        given = zip(kinds, signature.args[0], cgutils.unpack_tuple(builder, args[0]), strict=True)
        for kind, found, value in given:
            wide = context.cast(builder, value, found, types.float32 if kind == "Real" else types.int64)
            values.append(builder.inttoptr(wide, pointers[kind]) if kind in pointers else wide)
        emit(builder, *values)
        return context.get_dummy_value()

    def typed(typingctx: Any, operands: Any) -> Any:  # noqa: ARG001 (numba's signature)
        return types.void(operands), codegen

    typed.__name__ = emit.__name__
    typed.__doc__ = emit.__doc__
    return intrinsic(typed)


def _int(value: int) -> Value:
    return ir.Constant(_I64, value)


def _splat(b: Value, scalar: Value, vector: Value) -> Value:
    first = b.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(_I32, 0))
    return b.shuffle_vector(first, ir.Constant(vector, ir.Undefined), _mask([0] * vector.count))


def _mask(indices: Sequence[int]) -> Value:
    return ir.Constant(ir.VectorType(_I32, len(indices)), list(indices))


def _at(b: Value, pointer: Value, index: Value, vector: Value) -> Value:
    return b.bitcast(b.gep(pointer, [index]), vector.as_pointer())


def _load(b: Value, pointer: Value, index: Value, vector: Value = _VF) -> Value:
    return b.load(_at(b, pointer, index, vector), align=4)


def _store(b: Value, value: Value, pointer: Value, index: Value) -> None:
    b.store(value, _at(b, pointer, index, value.type), align=4)


def _row(b: Value, row: Value, lane: Value) -> Value:
    return b.add(b.mul(row, _int(STRIDE)), lane)


def _fma(b: Value, x: Value, y: Value, z: Value) -> Value:
    kind = ir.FunctionType(_VF, [_VF] * 3)
    return b.call(cgutils.get_or_insert_function(b.module, kind, f"llvm.fma.v{WIDTH}f32"), [x, y, z])


def _vectors(b: Value, per_pass: int = 1) -> Any:
    """Loop over a row; yields a loop whose index times WIDTH * per_pass is the first lane."""
    return cgutils.for_range(b, _int(LANES // (WIDTH * per_pass)))


# ---------------------------------------------------------------------------------------------------------------- draw


def _philox(b: Value, counter: list[Value], key: list[Value]) -> list[Value]:
    """Ten rounds on 8 counters in 64-bit lanes, of which the low halves count. Scalars stay scalar while they can."""
    low = _int(0xFFFFFFFF)

    def both(op: Callable[[Value, Value], Value], x: Value, y: Value) -> Value:
        if x.type != y.type:
            x, y = (v if v.type == _VL else _splat(b, v, _VL) for v in (x, y))
        return op(x, y)

    c0, c1, c2, c3 = counter
    for number in range(10):
        k0, k1 = (b.and_(b.add(k, _int(w * number)), low) for k, w in zip(key, _PHILOX_W, strict=True))
        p0 = both(b.mul, both(b.and_, c0, low), _int(_PHILOX_M[0]))
        p1 = both(b.mul, both(b.and_, c2, low), _int(_PHILOX_M[1]))
        c0 = both(b.xor, both(b.xor, both(b.lshr, p1, _int(32)), c1), k0)
        c2 = both(b.xor, both(b.xor, both(b.lshr, p0, _int(32)), c3), k1)
        c1, c3 = p1, p0
    return [c0, c1, c2, c3]


@_pass
def draw(
    b: Value, u: Words, rows: Value, sample: Value, step: Value, purpose: Value, key_low: Value, key_high: Value
) -> None:
    """u[row, lane] = 32-bit draw of feature `row` for the block that starts at `sample`, as `streams.draws`."""
    iota = ir.Constant(_VL, list(range(WIDTH // 2)))
    first = b.lshr(sample, _int(2))
    even = _mask(range(0, 2 * WIDTH, 2))  # the low halves of two vectors of 64-bit lanes
    with cgutils.for_range(b, rows) as row, cgutils.for_range(b, _int(QUADS // WIDTH)) as part:
        quad = b.mul(part.index, _int(WIDTH))
        halves = []
        for half in range(2):
            start = b.add(b.add(first, quad), _int(half * WIDTH // 2))
            counter = [b.add(_splat(b, start, _VL), iota), row.index, step, purpose]
            halves.append(_philox(b, counter, [key_low, key_high]))
        for word, (x, y) in enumerate(zip(*halves, strict=True)):
            packed = b.shuffle_vector(b.bitcast(x, _VI), b.bitcast(y, _VI), even)
            _store(b, packed, u, _row(b, row.index, b.add(quad, _int(word * QUADS))))


@_pass
def fill(
    b: Value, u: Words, switch: Words, x: Floats, low: Words, span: Words, shift: Words, scale: Floats, offset: Floats,
    rows: Value, set_size: Value,
) -> None:
    """x[row] = float32(u - shift) * scale + offset where switch - low <= span (unsigned), else 0: see `data.Cells`.

    `switch` has one row a set of `set_size` features.
    """
    with cgutils.for_range(b, rows) as row:
        rule = _rule(b, (low, span, shift, scale, offset), row.index)
        set_index = b.udiv(row.index, set_size)
        with _vectors(b) as v:
            lane = b.mul(v.index, _int(WIDTH))
            at = _row(b, row.index, lane)
            value = _value(b, rule, _load(b, u, at, _VI), _load(b, switch, _row(b, set_index, lane), _VI))
            _store(b, value, x, at)


def _rule(b: Value, fields: Sequence[Value], feature: Value) -> list[Value]:
    """One feature's `data.Cells` as vectors."""
    kinds = (_VI, _VI, _VI, _VF, _VF)
    return [_splat(b, b.load(b.gep(p, [feature])), kind) for p, kind in zip(fields, kinds, strict=True)]


def _value(b: Value, rule: Sequence[Value], u: Value, switch: Value) -> Value:
    low, span, shift, scale, offset = rule
    active = b.icmp_unsigned("<=", b.sub(switch, low), span)
    value = b.fadd(b.fmul(b.uitofp(b.sub(u, shift), _VF), scale), offset)
    return b.select(active, value, ir.Constant(_VF, None))


# ---------------------------------------------------------------------------------------------------------- contraction


def _contract_tile(b: Value, operands: Sequence[Value], first_row: Value, lane: Value, rows: int, width: int) -> None:
    """`rows` x `width` vectors of `contract`, summed in registers over `inner`."""
    out, weight, source, start, n_rows, inner = operands
    sums = [[cgutils.alloca_once(b, _VF) for _ in range(width)] for _ in range(rows)]
    for r in range(rows):
        begin = _splat(b, b.load(b.gep(start, [b.add(first_row, _int(r))])), _VF)
        for v in range(width):
            b.store(begin, sums[r][v])
    with cgutils.for_range(b, inner) as j:
        columns = [_load(b, source, _row(b, j.index, b.add(lane, _int(v * WIDTH)))) for v in range(width)]
        w = b.gep(weight, [b.add(b.mul(j.index, n_rows), first_row)])
        for r in range(rows):
            factor = _splat(b, b.load(b.gep(w, [_int(r)])), _VF)
            for v in range(width):
                b.store(_fma(b, factor, columns[v], b.load(sums[r][v])), sums[r][v])
    for r in range(rows):
        for v in range(width):
            at = _row(b, b.add(first_row, _int(r)), b.add(lane, _int(v * WIDTH)))
            _store(b, b.load(sums[r][v]), out, at)


def _remainders(b: Value, count: Value, tile: int) -> Iterator[int]:
    """Emit one branch for each remainder of `count` by `tile`; the body of the loop is the branch's."""
    rest = b.urem(count, _int(tile))
    for size in range(1, tile):
        with b.if_then(b.icmp_unsigned("==", rest, _int(size))):
            yield size


@_pass
def contract(
    b: Value, out: Floats, weight: Floats, source: Floats, start: Floats, n_rows: Value, inner: Value
) -> None:
    """out[r, :] = start[r] + sum_j weight[j, r] source[j, :], for r < n_rows and j < inner."""
    operands = (out, weight, source, start, n_rows, inner)
    tile = 8
    width = _MAX_ACCUMULATORS // tile
    full = b.udiv(n_rows, _int(tile))
    with _vectors(b, width) as v, cgutils.for_range(b, full) as t:
        _contract_tile(b, operands, b.mul(t.index, _int(tile)), b.mul(v.index, _int(width * WIDTH)), tile, width)
    for size in _remainders(b, n_rows, tile):
        wide = next(w for w in (8, 4, 2) if w * size <= _MAX_ACCUMULATORS)
        with _vectors(b, wide) as v:
            lane = b.mul(v.index, _int(wide * WIDTH))
            _contract_tile(b, operands, b.mul(full, _int(tile)), lane, size, wide)


# --------------------------------------------------------------------------------------------------------- outer product


def _sum_lanes(b: Value, vectors: list[Value]) -> Value:
    """One vector whose lane p is the sum over the lanes of vectors[p], up to 16 of them, by pairwise halving."""
    half = WIDTH
    while half > 1:
        half //= 2
        if len(vectors) % 2:
            vectors = [*vectors, vectors[-1]]
        starts = range(0, 2 * WIDTH, 2 * half)
        low = _mask([s + i for s in starts for i in range(half)])
        high = _mask([s + half + i for s in starts for i in range(half)])
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [b.fadd(b.shuffle_vector(x, y, low), b.shuffle_vector(x, y, high)) for x, y in pairs]
    return vectors[0]


def _outer_tile(
    b: Value, out: Value, pairs: Sequence[tuple[Value, Value]], at: tuple[Value, Value], shape: tuple[int, int],
    n_columns: Value,
) -> None:
    """A tile of `outer`: one chain of sums for each pair, cell and (in tiny tiles) parity of the vector."""
    rows, columns = shape
    parities = 2 if rows * columns * len(pairs) <= _MAX_ACCUMULATORS // 4 else 1
    cells = [(i, k) for i in range(rows) for k in range(columns)]
    chains = {
        (p, q, *cell): cgutils.alloca_once(b, _VF)
        for p in range(len(pairs) if rows * columns < _MAX_ACCUMULATORS else 1) for q in range(parities) for cell in cells
    }
    for chain in chains.values():
        b.store(ir.Constant(_VF, None), chain)
    with _vectors(b, parities) as v:
        for q in range(parities):
            lane = b.add(b.mul(v.index, _int(parities * WIDTH)), _int(q * WIDTH))
            for p, (left, right) in enumerate(pairs):
                xs = [_load(b, left, _row(b, b.add(at[0], _int(i)), lane)) for i in range(rows)]
                ys = [_load(b, right, _row(b, b.add(at[1], _int(k)), lane)) for k in range(columns)]
                for i, k in cells:
                    chain = chains.get((p, q, i, k), chains[0, q, i, k])
                    b.store(_fma(b, xs[i], ys[k], b.load(chain)), chain)
    totals = []
    for cell in cells:
        parts = [b.load(chain) for name, chain in chains.items() if name[2:] == cell]
        while len(parts) > 1:
            parts = [b.fadd(x, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        totals.append(parts[0])
    sums = _sum_lanes(b, totals)
    for i in range(rows):
        part = b.shuffle_vector(sums, sums, _mask(range(i * columns, (i + 1) * columns)))
        index = b.add(b.mul(b.add(at[0], _int(i)), n_columns), at[1])
        _store(b, b.fadd(part, _load(b, out, index, part.type)), out, index)


def _outer(b: Value, out: Value, pairs: Sequence[tuple[Value, Value]], n_rows: Value, n_columns: Value) -> None:
    tile = 4
    full = [b.udiv(n, _int(tile)) for n in (n_rows, n_columns)]
    rest = [b.mul(f, _int(tile)) for f in full]

    def columns(row: Value, rows: int) -> None:
        with cgutils.for_range(b, full[1]) as k:
            _outer_tile(b, out, pairs, (row, b.mul(k.index, _int(tile))), (rows, tile), n_columns)
        for size in _remainders(b, n_columns, tile):
            _outer_tile(b, out, pairs, (row, rest[1]), (rows, size), n_columns)

    with cgutils.for_range(b, full[0]) as i:
        columns(b.mul(i.index, _int(tile)), tile)
    for rows in _remainders(b, n_rows, tile):
        columns(rest[0], rows)


@_pass
def outer(b: Value, out: Floats, x: Floats, y: Floats, n_rows: Value, n_columns: Value) -> None:
    """out[i, k] += sum over lanes of x[i] y[k]."""
    _outer(b, out, [(x, y)], n_rows, n_columns)


@_pass
def outer_pair(
    b: Value, out: Floats, x: Floats, y: Floats, z: Floats, w: Floats, n_rows: Value, n_columns: Value
) -> None:
    """out[i, k] += sum over lanes of x[i] y[k] + z[i] w[k]: the gradient of a tied weight, from both its uses."""
    _outer(b, out, [(x, y), (z, w)], n_rows, n_columns)


# --------------------------------------------------------------------------------------------------------------- output


def _floor(b: Value, relu: Value) -> Value:
    """The least output: 0 behind a ReLU, else -inf."""
    is_relu = b.icmp_unsigned("!=", relu, _int(0))
    return _splat(b, b.select(is_relu, ir.Constant(_F32, 0.0), ir.Constant(_F32, float("-inf"))), _VF)


def _inside(b: Value, lane: Value, valid: Value) -> Value:
    """Which of the samples in 16 lanes come before `valid`."""
    word, quad = b.udiv(lane, _int(QUADS)), b.urem(lane, _int(QUADS))
    first = b.trunc(b.add(b.mul(quad, _int(4)), word), _I32)
    sample = b.add(_splat(b, first, _VI), ir.Constant(_VI, [4 * q for q in range(WIDTH)]))
    return b.icmp_signed("<", sample, _splat(b, b.trunc(valid, _I32), _VI))


def _error(b: Value, o: Value, floor: Value, target: Value, inside: Value) -> Value:
    """max(o, floor) - target, 0 for samples not inside. "o < floor" is false for NaN: NaN stays, and is seen."""
    error = b.fsub(b.select(b.fcmp_ordered("<", o, floor), floor, o), target)
    return b.select(inside, error, ir.Constant(_VF, None))


def _gradient(b: Value, o: Value, floor: Value, scaled_error: Value) -> Value:
    """The gradient of an output before its ReLU."""
    return b.select(b.fcmp_ordered(">", o, floor), scaled_error, ir.Constant(_VF, None))


@_pass
def residual(
    b: Value, out: Floats, target: Floats, importance: Floats, bias_sums: Floats, loss: Doubles, rows: Value,
    valid: Value, relu: Value,
) -> None:
    """Turn outputs o into g = I (x' - target) [o > 0]; add g to bias_sums[row, 16], all I (x' - target)^2 to loss.

    x' is o, or max(o, 0) where `relu`. Samples from `valid` on add nothing.
    """
    zero, floor = ir.Constant(_VF, None), _floor(b, relu)
    losses, bias = cgutils.alloca_once(b, _VF), cgutils.alloca_once(b, _VF)
    b.store(zero, losses)
    with cgutils.for_range(b, rows) as row:
        weight = _splat(b, b.load(b.gep(importance, [row.index])), _VF)
        bias_at = b.mul(row.index, _int(WIDTH))
        b.store(_load(b, bias_sums, bias_at), bias)
        with _vectors(b) as v:
            lane = b.mul(v.index, _int(WIDTH))
            at = _row(b, row.index, lane)
            o = _load(b, out, at)
            error = _error(b, o, floor, _load(b, target, at), _inside(b, lane, valid))
            scaled = b.fmul(weight, error)
            g = _gradient(b, o, floor, scaled)
            _store(b, g, out, at)
            b.store(b.fadd(g, b.load(bias)), bias)
            b.store(_fma(b, scaled, error, b.load(losses)), losses)
        _store(b, b.load(bias), bias_sums, bias_at)
    _add_total(b, loss, b.load(losses))


@_pass
def score(
    b: Value, out: Floats, target: Floats, importance: Floats, moments: Doubles, rows: Value, valid: Value, relu: Value
) -> None:
    """Add sum l and sum l^2 over the samples to moments[2], l = sum_i I_i (x' - target)^2 of one sample."""
    floor = _floor(b, relu)
    losses = cgutils.alloca_once(b, _VF)
    with _vectors(b) as v:
        lane = b.mul(v.index, _int(WIDTH))
        b.store(ir.Constant(_VF, None), losses)
        with cgutils.for_range(b, rows) as row:
            at = _row(b, row.index, lane)
            error = _error(b, _load(b, out, at), floor, _load(b, target, at), _inside(b, lane, valid))
            weight = _splat(b, b.load(b.gep(importance, [row.index])), _VF)
            b.store(_fma(b, b.fmul(weight, error), error, b.load(losses)), losses)
        loss = b.load(losses)
        _add_total(b, moments, loss)
        _add_total(b, b.gep(moments, [_int(1)]), b.fmul(loss, loss))


@_pass
def rectify(b: Value, h: Floats, rows: Value) -> None:
    """h = max(h, 0), keeping NaN."""
    zero = ir.Constant(_VF, None)
    with cgutils.for_range(b, rows) as row, _vectors(b) as v:
        at = _row(b, row.index, b.mul(v.index, _int(WIDTH)))
        value = _load(b, h, at)
        _store(b, b.select(b.fcmp_ordered("<", value, zero), zero, value), h, at)


@_pass
def gate(b: Value, dh: Floats, h: Floats, rows: Value) -> None:
    """dh = dh where h > 0, else 0: backward through a ReLU whose output is h."""
    zero = ir.Constant(_VF, None)
    with cgutils.for_range(b, rows) as row, _vectors(b) as v:
        at = _row(b, row.index, b.mul(v.index, _int(WIDTH)))
        _store(b, b.select(b.fcmp_ordered(">", _load(b, h, at), zero), _load(b, dh, at), zero), dh, at)


@_pass
def magnitude(b: Value, x: Floats, y: Floats, rows: Value) -> None:
    """y = abs(x)."""
    absolute = cgutils.get_or_insert_function(b.module, ir.FunctionType(_VF, [_VF]), f"llvm.fabs.v{WIDTH}f32")
    with cgutils.for_range(b, rows) as row, _vectors(b) as v:
        at = _row(b, row.index, b.mul(v.index, _int(WIDTH)))
        _store(b, b.call(absolute, [_load(b, x, at)]), y, at)


def _first(b: Value, vector: Value) -> Value:
    return b.extract_element(vector, ir.Constant(_I32, 0))


def _add_total(b: Value, total: Value, vector: Value) -> None:
    """total (float64) += the sum of a vector's lanes."""
    b.store(b.fadd(b.load(total), b.fpext(_first(b, _sum_lanes(b, [vector])), ir.DoubleType())), total)


@_pass
def fold(b: Value, sums: Floats, out: Floats, rows: Value) -> None:
    """out[row] = sum over the lanes of sums[row, 16]."""
    with cgutils.for_range(b, rows) as row:
        vector = _load(b, sums, b.mul(row.index, _int(WIDTH)))
        b.store(_first(b, _sum_lanes(b, [vector])), b.gep(out, [row.index]))


# ------------------------------------------------------------------------------------------------------------ tiny models

TINY_FEATURES, TINY_HIDDEN, TINY_WEIGHTS = 6, 3, 12


def is_tiny(n_features: int, n_hidden: int) -> bool:
    """Whether `tiny` has code for this size: all values of 16 samples, and all sums, about fit into registers."""
    small = n_features <= TINY_FEATURES and n_hidden <= TINY_HIDDEN
    return small and n_features * n_hidden <= TINY_WEIGHTS


@_pass
def tiny(
    b: Value, u: Words, low: Words, scale: Floats, importance: Floats, theta: Floats, sums: Floats, loss: Doubles,
    valid: Value, relu: Value, n_features: Value, n_hidden: Value,
) -> None:
    """A whole block of a tiny model at once: fill, contract, residual and outer_pair in registers, one branch a size.

    For tied models with a linear hidden layer and independent unsigned features, whose draws u are active from `low`
    on. Adds the lanes of each parameter's gradient to sums[P, 16] and the losses to loss.
    """
    for n in range(1, TINY_FEATURES + 1):
        for m in range(1, TINY_HIDDEN + 1):
            if is_tiny(n, m):
                same = b.and_(
                    b.icmp_unsigned("==", n_features, _int(n)), b.icmp_unsigned("==", n_hidden, _int(m))
                )
                with b.if_then(same):
                    _tiny_block(b, (n, m), u, (low, scale), importance, theta, sums, loss, valid, _floor(b, relu))


def _tiny_block(
    b: Value, size: tuple[int, int], u: Value, rules: Sequence[Value], importance: Value, theta: Value, sums: Value,
    loss: Value, valid: Value, floor: Value,
) -> None:
    n, m = size
    zero = ir.Constant(_VF, None)
    scalars = [_splat(b, b.load(b.gep(theta, [_int(j)])), _VF) for j in range(n * m + n)]
    w, bias = [scalars[i * m : (i + 1) * m] for i in range(n)], scalars[n * m :]
    weight = [_splat(b, b.load(b.gep(importance, [_int(i)])), _VF) for i in range(n)]
    low, scale = (
        [_splat(b, b.load(b.gep(p, [_int(i)])), kind) for i in range(n)] for p, kind in zip(rules, (_VI, _VF), strict=True)
    )
    totals = [cgutils.alloca_once(b, _VF) for _ in range(n * m + n + 1)]
    for j, total in enumerate(totals):
        b.store(_load(b, sums, _int(j * WIDTH)) if j < n * m + n else zero, total)

    def add(j: int, x: Value, y: Value) -> None:
        b.store(_fma(b, x, y, b.load(totals[j])), totals[j])

    with _vectors(b) as v:
        lane = b.mul(v.index, _int(WIDTH))
        inside = _inside(b, lane, valid)
        draws = [_load(b, u, _row(b, _int(i), lane), _VI) for i in range(n)]
        values = [b.fmul(b.uitofp(b.sub(u, first), _VF), s) for u, first, s in zip(draws, low, scale, strict=True)]
        active = [b.icmp_unsigned(">=", u, first) for u, first in zip(draws, low, strict=True)]
        x = [b.select(on, value, zero) for on, value in zip(active, values, strict=True)]
        h = [zero] * m
        for i in range(n):
            h = [_fma(b, w[i][k], x[i], h[k]) for k in range(m)]
        dh = [zero] * m
        for i in range(n):
            o = bias[i]
            for k in range(m):
                o = _fma(b, w[i][k], h[k], o)
            error = _error(b, o, floor, x[i], inside)
            scaled = b.fmul(weight[i], error)
            g = _gradient(b, o, floor, scaled)
            add(n * m + n, scaled, error)
            b.store(b.fadd(g, b.load(totals[n * m + i])), totals[n * m + i])
            dh = [_fma(b, w[i][k], g, dh[k]) for k in range(m)]
            for k in range(m):
                add(i * m + k, g, h[k])
        for i in range(n):
            for k in range(m):
                add(i * m + k, x[i], dh[k])
    for j in range(n * m + n):
        _store(b, b.load(totals[j]), sums, _int(j * WIDTH))
    _add_total(b, loss, b.load(totals[n * m + n]))


# ------------------------------------------------------------------------------------------------------------ parameters


@_pass
def clear(b: Value, out: Floats, count: Value) -> None:
    """out[:count] = 0; count is a multiple of WIDTH."""
    with cgutils.for_range(b, b.udiv(count, _int(WIDTH))) as v:
        _store(b, ir.Constant(_VF, None), out, b.mul(v.index, _int(WIDTH)))


@_pass
def copy(b: Value, source: Floats, out: Floats, count: Value) -> None:
    """out[:count] = source[:count]; count is a multiple of WIDTH."""
    with cgutils.for_range(b, b.udiv(count, _int(WIDTH))) as v:
        at = b.mul(v.index, _int(WIDTH))
        _store(b, _load(b, source, at), out, at)


@_pass
def transpose(b: Value, weight: Floats, out: Floats, rows: Value, columns: Value) -> None:
    """out[k, i] = weight[i, k] for i < rows, k < columns."""
    with cgutils.for_range(b, rows) as i, cgutils.for_range(b, columns) as k:
        value = b.load(b.gep(weight, [b.add(b.mul(i.index, columns), k.index)]))
        b.store(value, b.gep(out, [b.add(b.mul(k.index, rows), i.index)]))


@_pass
def step_adam(
    b: Value, theta: Floats, first: Floats, second: Floats, grad: Floats, new: Floats, check: Floats, count: Value,
    factor: Real, coupled: Real, keep: Real, rate: Real, bias2: Real, beta1: Real, rest1: Real, beta2: Real,
    rest2: Real, eps: Real,
) -> None:
    """new[3, count] = parameters and moments after a step of Adam, as `optim.update`; check = 0, or NaN if not finite.

    The gradient is factor * grad + coupled * theta, the step keep * theta - rate * m / (sqrt(v) / bias2 + eps).
    """
    scalars = (factor, coupled, keep, rate, bias2, beta1, rest1, beta2, rest2, eps)
    factor, coupled, keep, rate, bias2, beta1, rest1, beta2, rest2, eps = (_splat(b, s, _VF) for s in scalars)
    root = cgutils.get_or_insert_function(b.module, ir.FunctionType(_VF, [_VF]), f"llvm.sqrt.v{WIDTH}f32")

    def step(at: Value, w: Value, g: Value) -> Value:
        g = b.fadd(b.fmul(factor, g), b.fmul(coupled, w))
        m = b.fadd(b.fmul(beta1, _load(b, first, at)), b.fmul(rest1, g))
        v = b.fadd(b.fmul(beta2, _load(b, second, at)), b.fmul(rest2, b.fmul(g, g)))
        _store(b, m, new, b.add(count, at))
        _store(b, v, new, b.add(b.add(count, count), at))
        size = b.fadd(b.fdiv(b.call(root, [v]), bias2), eps)
        return b.fsub(b.fmul(keep, w), b.fmul(rate, b.fdiv(m, size)))

    _step(b, theta, grad, new, check, count, step)


@_pass
def step_sgd(
    b: Value, theta: Floats, first: Floats, second: Floats, grad: Floats, new: Floats, check: Floats, count: Value,
    factor: Real, coupled: Real, lr: Real,
) -> None:
    """As `step_adam` for plain gradient descent; the moments stay as they are."""
    factor, coupled, lr = (_splat(b, s, _VF) for s in (factor, coupled, lr))

    def step(at: Value, w: Value, g: Value) -> Value:
        _store(b, _load(b, first, at), new, b.add(count, at))
        _store(b, _load(b, second, at), new, b.add(b.add(count, count), at))
        return b.fsub(w, b.fmul(lr, b.fadd(b.fmul(factor, g), b.fmul(coupled, w))))

    _step(b, theta, grad, new, check, count, step)


def _step(
    b: Value, theta: Value, grad: Value, new: Value, check: Value, count: Value,
    step: Callable[[Value, Value, Value], Value],
) -> None:
    """Apply `step(at, theta, grad)` to every vector; check = sum of x - x over the results: 0, or NaN."""
    seen = cgutils.alloca_once(b, _VF)
    b.store(ir.Constant(_VF, None), seen)
    with cgutils.for_range(b, b.udiv(count, _int(WIDTH))) as v:
        at = b.mul(v.index, _int(WIDTH))
        value = step(at, _load(b, theta, at), _load(b, grad, at))
        _store(b, value, new, at)
        b.store(b.fadd(b.load(seen), b.fsub(value, value)), seen)
    b.store(_first(b, _sum_lanes(b, [b.load(seen)])), check)
