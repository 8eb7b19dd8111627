"""Chunks as bytes, and a digest of what the bytes mean.

Tensors are safetensors, tables are parquet: both are read by other programs and execute nothing
when read. Shapes: M models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import safetensors.numpy
from numpy.typing import NDArray

Array = NDArray[np.generic]

Values = Literal["text", "float", "int", "bool", "list"]


class ColumnType(NamedTuple):
    """What a column of a run's table holds, in whichever chunk it has values; "list" is one of
    floats.
    """

    values: Values
    everywhere: bool = True
    """Whether every chunk of the run has the column."""


_TEXT: Final = ColumnType("text")
_ARROW: Final[Mapping[Values, pa.DataType]] = {
    "text": pa.large_string(),
    "float": pa.float64(),
    "int": pa.int64(),
    "bool": pa.bool_(),
    "list": pa.list_(pa.float64()),
}
_MARK = b"superpos"
_EMPTY = b"empty"
_ABSENT = b"absent"

_NULLABLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


def pack_tensors(tensors: Mapping[str, Array]) -> bytes:
    """Safetensors bytes."""
    # The library writes the buffer of a transposed array in its own order, so every array is made
    # C-ordered first.
    ordered = {name: np.array(value, order="C", copy=None) for name, value in tensors.items()}
    return safetensors.numpy.save(ordered)


def unpack_tensors(data: bytes) -> dict[str, Array]:
    """The inverse of `pack_tensors`. Raises `safetensors.SafetensorError` for other bytes."""
    return dict(safetensors.numpy.load(data))


def pack_table(
    frame: pd.DataFrame, types: Mapping[str, ColumnType] = MappingProxyType({})
) -> bytes:
    """Parquet bytes; lists become list columns, the index is left out.

    Programs that read several files as one table want the same columns, in one order and of the
    same types, in each. A column without any value has the type that `types` says, else text;
    columns that are not `everywhere` stand last, also where the frame lacks them. What was made so
    is marked in the metadata of its field: `unpack_table` gives back what was packed.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False)
    somewhere = [name for name, kind in types.items() if not kind.everywhere]
    names = [name for name in table.column_names if name not in somewhere]
    columns = [_stored(table, name, types.get(name, _TEXT)) for name in [*names, *somewhere]]
    fields = [field for field, _ in columns]
    stored = pa.table([values for _, values in columns], pa.schema(fields, table.schema.metadata))
    sink = pa.BufferOutputStream()
    pq.write_table(stored, sink)
    return bytes(sink.getvalue())


def unpack_table(data: bytes) -> pa.Table:
    """The inverse of `pack_table`, before pandas. Raises `pyarrow.ArrowInvalid` for other bytes."""
    table = pq.read_table(pa.BufferReader(data))
    marks = {field.name: (field.metadata or {}).get(_MARK) for field in table.schema}
    for number, (name, mark) in enumerate(marks.items()):
        if mark == _EMPTY:
            table = table.set_column(number, pa.field(name, pa.null()), pa.nulls(len(table)))
    return table.drop_columns([name for name, mark in marks.items() if mark == _ABSENT])


def _stored(table: pa.Table, name: str, kind: ColumnType) -> tuple[pa.Field, pa.Array]:
    """A column as it is stored: with its type and, where it has none by itself, a mark."""
    arrow = _ARROW[kind.values]
    if name not in table.column_names:
        return pa.field(name, arrow, metadata={_MARK: _ABSENT}), pa.nulls(len(table), arrow)
    values = table.column(name)
    if pa.types.is_null(values.type):
        return pa.field(name, arrow, metadata={_MARK: _EMPTY}), pa.nulls(len(table), arrow)
    if pa.types.is_string(values.type):  # of some versions of pandas
        values = values.cast(pa.large_string())
    return pa.field(name, values.type), values


def to_frame(tables: list[pa.Table]) -> pd.DataFrame:
    """One DataFrame of tables whose columns agree, except that a column may be wholly empty in
    some.

    Integers with gaps are nullable integers, never floats; cells of list columns are numpy arrays.
    """
    table = pa.concat_tables(tables, promote_options="permissive")
    frame: pd.DataFrame = table.to_pandas()
    for field in table.schema:
        column = table.column(field.name)
        if column.null_count and field.type in _NULLABLE:
            frame[field.name] = column.to_pandas(types_mapper=_NULLABLE.get)
    return frame


def tensors_digest(tensors: Mapping[str, Array]) -> str:
    """SHA-256 over names, types, shapes and bytes (little-endian), whatever the order of the
    names.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = np.array(tensors[name], order="C", copy=None)
        value = value.astype(value.dtype.newbyteorder("<"), copy=False)
        _add(digest, f"{name}\0{value.dtype.str}\0{value.shape}".encode())
        _add(digest, value.tobytes())
    return digest.hexdigest()


def table_digest(table: pa.Table) -> str:
    """SHA-256 over the values, column by column, whatever the order of the columns and the encoding
    of the file.
    """
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        _add(digest, name.encode())
        for piece in _values(table.column(name).combine_chunks()):
            _add(digest, piece)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, piece: bytes) -> None:
    """Length first, so that pieces cannot run into each other."""
    digest.update(len(piece).to_bytes(8, "little"))
    digest.update(piece)


def _values(column: pa.Array) -> Iterator[bytes]:
    """A column's values in a form that does not depend on how arrow holds them."""
    kind = column.type
    if pa.types.is_null(kind):
        yield b"empty %d" % len(column)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield b"list"
        yield _integers(column.value_lengths())
        yield from _values(column.flatten())
    elif pa.types.is_floating(kind):
        yield b"float"
        yield _floats(column)
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        yield b"unsigned" if pa.types.is_unsigned_integer(kind) else b"integer"
        yield _integers(column)
    else:
        text = column.cast(pa.large_binary())
        yield b"text"
        yield _integers(pc.binary_length(text))
        yield b"".join(text.drop_null().to_pylist())


def _integers(column: pa.Array) -> bytes:
    wide = pa.uint64() if pa.types.is_unsigned_integer(column.type) else pa.int64()
    valid = np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    values = column.cast(wide).fill_null(0).to_numpy(zero_copy_only=False)
    raw: bytes = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return valid + raw


def _floats(column: pa.Array) -> bytes:
    """Bytes as float64.

    Parquet holds a missing number as null and pandas as NaN: they are one value here.
    """
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes()
