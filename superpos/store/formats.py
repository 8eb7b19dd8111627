"""Chunks as bytes, and a digest of what the bytes mean.

Tensors are safetensors, tables are parquet: both are read by other programs and execute nothing when read.
Shapes: M models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import safetensors.numpy
from numpy.typing import NDArray

Array = NDArray[np.generic]

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
    # The library writes the buffer of a transposed array in its own order, so every array is made C-ordered first.
    ordered = {name: np.array(value, order="C", copy=None) for name, value in tensors.items()}
    return safetensors.numpy.save(ordered)


def unpack_tensors(data: bytes) -> dict[str, Array]:
    """The inverse of `pack_tensors`. Raises `safetensors.SafetensorError` for other bytes."""
    return dict(safetensors.numpy.load(data))


def pack_table(frame: pd.DataFrame) -> bytes:
    """Parquet bytes; lists become list columns, the index is left out."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
    return bytes(sink.getvalue())


def unpack_table(data: bytes) -> pa.Table:
    """The inverse of `pack_table`, before pandas. Raises `pyarrow.ArrowInvalid` for other bytes."""
    return pq.read_table(pa.BufferReader(data))


def to_frame(tables: list[pa.Table]) -> pd.DataFrame:
    """One DataFrame of tables whose columns agree, except that a column may be wholly empty in some.

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
    """SHA-256 over names, types, shapes and bytes (little-endian), whatever the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = np.array(tensors[name], order="C", copy=None)
        value = value.astype(value.dtype.newbyteorder("<"), copy=False)
        _add(digest, f"{name}\0{value.dtype.str}\0{value.shape}".encode())
        _add(digest, value.tobytes())
    return digest.hexdigest()


def table_digest(table: pa.Table) -> str:
    """SHA-256 over the values, column by column, whatever the order of the columns and the encoding of the file."""
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
    """Bytes as float64. Parquet holds a missing number as null and pandas as NaN: they are one value here."""
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes()
